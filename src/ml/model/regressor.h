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
#include "ml/model/kernel_model.h"
#include "ml/model/network.h"
#include "ml/model/trajectory_library.h"
#include "ml/model/tree_ensemble.h"

namespace nacelle::model {

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

/// Trees that sum to the logarithm of a life: exp(trees) - offset. What accelerated failure time models are.
struct LogLifeTrees {
  TreeEnsemble trees;
  double offset = 0;

  double predict(const float* row) const;
  void encode(Bytes& out) const;
  static Result<LogLifeTrees> decode(BytesView bytes);  ///< Fault::corrupt
};

/// A model that is no blend.
using Single = std::variant<TreeEnsemble, LinearModel, Network, KernelModel, TrajectoryLibrary, LogLifeTrees>;

/// A weighted sum of models, each cut to 0 .. cap before. A member may read a part of the row only.
struct Blend {
  struct Member {
    double weight = 0;
    std::vector<std::uint16_t> columns;  ///< of the row, one for each of the member's features
    Single model;
  };
  static constexpr std::size_t max_members = 64;
  static constexpr std::size_t max_columns = 1024;
  std::uint32_t row_features = 0;
  double cap = 125;
  std::vector<Member> members;

  double predict(const float* row) const;
  void encode(Bytes& out) const;
  static Result<Blend> decode(BytesView bytes);  ///< Fault::corrupt
};

using Regressor = std::variant<TreeEnsemble, LinearModel, Network, KernelModel, TrajectoryLibrary, LogLifeTrees, Blend>;

/// "trees", "linear", "network", "kernel", "trajectories", "log-life" or "blend".
std::string_view kind_of(const Regressor& regressor);
std::size_t feature_count(const Regressor& regressor);
std::size_t feature_count(const Single& model);
/// `row` holds feature_count() values. Not clipped. Any thread. Allocates nothing.
double predict(const Regressor& regressor, std::span<const float> row);

Bytes encode(const Regressor& regressor);
/// Every index is checked: evaluating what this returns stays within its tables. Fault::corrupt.
Result<Regressor> decode(std::string_view kind, BytesView bytes);

}  // namespace nacelle::model
