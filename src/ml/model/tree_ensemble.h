#pragma once
// TreeEnsemble: regression trees, summed, as flat tables. Several engines walk them; all give the same bits.
// docs/decisions/0260-tree-engines.md tells the layouts and what each is for.

#include <cstdint>
#include <string_view>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::model {

/// Ways to walk trees. `reference`: one tree after the other, plainly. `interleaved`: eight walks side by side, without a branch;
/// any depth. `complete`: the same over trees filled up to full depth, without child indices. `lanes` and `avx2`: sixteen rows at
/// a time, every node of a complete tree, in the vector registers that any machine or that AVX2 has.
enum class Engine { reference, interleaved, complete, lanes, avx2 };
std::string_view engine_name(Engine engine);

/// Children of a node are neighbours, so a step down is `left + !(x < threshold)`; a leaf leads back to itself, so that walks side
/// by side can all take the same number of steps. Immutable; any thread.
class TreeEnsemble {
 public:
  struct Node {
    float threshold = 0;        ///< NaN in a leaf: no x is below it
    std::uint16_t feature = 0;  ///< the top bit: a silent (NaN) x goes left
    std::uint16_t left = 0;     ///< within the tree; the right child follows it
  };
  static constexpr std::uint16_t silent_goes_left = 0x8000;

  /// A node of a tree of full depth: node k's children are 2k+1 and 2k+2.
  struct CompleteNode {
    float threshold = 0;
    std::uint16_t feature = 0;
    std::uint16_t silent_left = 0;  ///< 1 or 0
  };

  /// One tree as trainers tell it: node 0 is the root; a node with left < 0 is a leaf with `value`.
  struct PlainNode {
    int left = -1;
    int right = -1;
    std::uint32_t feature = 0;
    float threshold = 0;
    float value = 0;
    bool silent_left = false;
    float cover = 0;  ///< weight of the training rows that came here; 0 in all nodes: not known
  };

  /// Fault::invalid_input if a tree is no tree, has above 65535 nodes or uses a feature not below `feature_count`.
  static Result<TreeEnsemble> build(float base_score, std::size_t feature_count, const std::vector<std::vector<PlainNode>>& trees);
  /// The trees as they were told, nodes numbered breadth first.
  std::vector<std::vector<PlainNode>> plain_trees() const;

  /// base_score + leaf + leaf + ..., in single precision and tree order: XGBoost's sum, bit for bit. Allocates nothing.
  float predict(const float* row) const { return predict(row_engine_, row); }
  /// The same of `count` rows of feature_count() values, one after the other. Allocates nothing.
  void predict_rows(const float* rows, std::size_t count, float* out) const { predict_rows(rows_engine_, rows, count, out); }

  /// The engines that can run this model on this machine. The fastest of them are picked when the model is made.
  std::vector<Engine> engines() const;
  Engine row_engine() const { return row_engine_; }
  Engine rows_engine() const { return rows_engine_; }
  /// By a chosen one of engines().
  float predict(Engine engine, const float* row) const;
  void predict_rows(Engine engine, const float* rows, std::size_t count, float* out) const;

  float base_score() const { return base_score_; }
  std::size_t tree_count() const { return roots_.size(); }
  std::size_t feature_count() const { return feature_count_; }
  std::size_t depth() const;  ///< steps to the deepest leaf of all trees
  bool has_covers() const { return !covers_.empty(); }
  void encode(Bytes& out) const;
  static Result<TreeEnsemble> decode(BytesView bytes);  ///< Fault::corrupt

  // The tables, for what reads trees in other ways (explanations, export).
  struct View {
    const Node* nodes = nullptr;
    const float* values = nullptr;  ///< of each node; 0 in inner ones
    const float* covers = nullptr;  ///< null: not known
    std::size_t count = 0;
    bool is_leaf(std::size_t node) const { return nodes[node].threshold != nodes[node].threshold; }
    std::size_t feature(std::size_t node) const { return nodes[node].feature & (silent_goes_left - 1u); }
    /// Where a row goes from an inner node.
    std::size_t next(std::size_t node, const float* row) const {
      const float x = row[feature(node)];
      const bool left = x != x ? (nodes[node].feature & silent_goes_left) != 0 : x < nodes[node].threshold;
      return nodes[node].left + (left ? 0u : 1u);
    }
  };
  View tree(std::size_t index) const;

 private:
  /// Every tree filled up to the depth of the deepest.
  struct Complete {
    struct KeyNode {
      std::uint32_t key = 0;  ///< the threshold as a whole number of the same order
      std::uint32_t feature = 0;
    };
    std::size_t depth = 0;
    std::vector<CompleteNode> nodes;  ///< [trees][2^depth - 1]
    std::vector<KeyNode> keys;        ///< the same nodes, for rows without silence
    std::vector<float> leaves;        ///< [trees][2^depth]
  };
  /// What all roots ask alike, as they do where trees of late joins were grown apart: it is asked once for a row, and what lies
  /// below either answer is an ensemble of its own.
  struct CommonRoot {
    CompleteNode node;
    bool exists = false;
  };
  struct Walks;  ///< the engines, in tree_walks.cc and tree_lanes.cc

  Result<> check();
  void choose_engines();
  CommonRoot find_common_root() const;
  void fill_up();
  void fill(Complete& filled, const std::vector<std::uint32_t>& starts) const;
  std::size_t levels_below(const std::vector<std::uint32_t>& starts) const;
  /// Which of complete_ a row belongs to.
  std::size_t side_of(const float* row) const;
  float base_score_ = 0;
  std::size_t feature_count_ = 0;
  std::vector<std::uint32_t> roots_;  ///< each tree's first node
  std::vector<std::uint8_t> depths_;  ///< steps to its deepest leaf
  std::vector<Node> nodes_;
  std::vector<float> values_;
  std::vector<float> covers_;  ///< empty: not known
  CommonRoot common_root_;
  std::vector<Complete> complete_;  ///< one, or of either side of the common root; empty if they would take too much
  Engine row_engine_ = Engine::reference;
  Engine rows_engine_ = Engine::reference;
};

}  // namespace nacelle::model
