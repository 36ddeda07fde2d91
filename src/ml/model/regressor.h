#pragma once
// Regressor: a fitted function from a feature row to capped remaining life, as flat tables. Trainers make one, artifacts hold
// one, the Estimator evaluates it.

#include <cstdint>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::model {

/// Regression trees, summed. Children of a node are neighbours, so a step down is `left + !(x < threshold)`; a leaf leads back
/// to itself, so that all trees of a group can take the same number of steps without a branch.
class TreeEnsemble {
 public:
  struct Node {
    float threshold = 0;        ///< NaN in a leaf: no x is below it
    std::uint16_t feature = 0;  ///< the top bit: a silent (NaN) x goes left
    std::uint16_t left = 0;     ///< within the tree; the right child follows it
  };
  static constexpr std::uint16_t silent_goes_left = 0x8000;

  /// One tree as trainers tell it: node 0 is the root; a node with left < 0 is a leaf with `value`.
  struct PlainNode {
    int left = -1;
    int right = -1;
    std::uint32_t feature = 0;
    float threshold = 0;
    float value = 0;
    bool silent_left = false;
  };

  /// Fault::invalid_input if a tree is no tree, has above 65535 nodes or uses a feature not below `feature_count`.
  static Result<TreeEnsemble> build(float base_score, std::size_t feature_count, const std::vector<std::vector<PlainNode>>& trees);

  /// base_score + leaf + leaf + ..., in single precision and tree order: XGBoost's sum, bit for bit. Allocates nothing.
  float predict(const float* row) const;

  std::size_t tree_count() const { return roots_.size(); }
  std::size_t feature_count() const { return feature_count_; }
  void encode(Bytes& out) const;
  static Result<TreeEnsemble> decode(BytesView bytes);  ///< Fault::corrupt

 private:
  Result<> check() const;
  float predict_with_silence(const float* row) const;
  float base_score_ = 0;
  std::size_t feature_count_ = 0;
  std::vector<std::uint32_t> roots_;  ///< each tree's first node
  std::vector<std::uint8_t> depths_;  ///< steps to its deepest leaf
  std::vector<Node> nodes_;
  std::vector<float> values_;  ///< of each node; 0 in inner ones
};

/// intercept + sum of weight * (x - centre) * scale, in double precision and feature order.
struct LinearModel {
  double intercept = 0;
  std::vector<double> centre;
  std::vector<double> scale;
  std::vector<double> weight;

  double predict(const float* row) const;
  void encode(Bytes& out) const;
  static Result<LinearModel> decode(BytesView bytes);
};

using Regressor = std::variant<TreeEnsemble, LinearModel>;

/// "trees" or "linear".
std::string_view kind_of(const Regressor& regressor);
std::size_t feature_count(const Regressor& regressor);
/// `row` holds feature_count() values. Not clipped. Any thread.
double predict(const Regressor& regressor, std::span<const float> row);

Bytes encode(const Regressor& regressor);
/// Every index is checked: evaluating what this returns stays within its tables. Fault::corrupt.
Result<Regressor> decode(std::string_view kind, BytesView bytes);

}  // namespace nacelle::model
