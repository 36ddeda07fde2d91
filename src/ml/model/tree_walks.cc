// The engines that walk trees row by row, and which engine is picked. Sums are taken in tree order by all of them.

#include <algorithm>
#include <array>

#include "ml/model/detail/order_key.h"
#include "ml/model/detail/tree_lanes.h"
#include "ml/model/tree_ensemble.h"

namespace nacelle::model {

namespace {

/// Walks side by side: their steps do not wait for each other's memory. More gain nothing on x86-64.
constexpr std::size_t group = 8;  // the loops over it are unrolled, so that the walks' places live in registers
constexpr std::uint16_t feature_bits = TreeEnsemble::silent_goes_left - 1;

/// Without a branch, so that the compiler looks at many at once.
bool any_silent(const float* row, std::size_t count) {
  int silent = 0;
  for (std::size_t f = 0; f < count; ++f) silent |= row[f] != row[f];
  return silent != 0;
}

/// 0 for left, 1 for right. A NaN threshold (a leaf) always says right.
template <bool silence>
inline unsigned step_right(float x, float threshold, unsigned silent_left) {
  const unsigned left = x < threshold ? 1 : 0;
  if constexpr (silence) return (left | ((x != x ? 1u : 0u) & silent_left)) ^ 1u;
  return left ^ 1u;
}

template <bool silence>
inline std::uint16_t step(const TreeEnsemble::Node& node, const float* row) {
  const float x = row[node.feature & feature_bits];
  return static_cast<std::uint16_t>(node.left + step_right<silence>(x, node.threshold, node.feature >> 15));
}

}  // namespace

struct TreeEnsemble::Walks {
  static float reference(const TreeEnsemble& trees, const float* row) {
    float sum = trees.base_score_;
    for (std::size_t t = 0; t < trees.tree_count(); ++t) {
      const View view = trees.tree(t);
      std::size_t at = 0;
      while (!view.is_leaf(at)) at = view.next(at, row);
      sum += view.values[at];
    }
    return sum;
  }

  template <bool silence>
  static float interleaved(const TreeEnsemble& trees, const float* row) {
    const auto& roots = trees.roots_;
    float sum = trees.base_score_;
    std::size_t tree = 0;
    for (; tree + group <= roots.size(); tree += group) {
      const std::size_t steps = *std::max_element(&trees.depths_[tree], &trees.depths_[tree] + group);
      const Node* nodes[group];
      std::uint16_t at[group] = {};
      for (std::size_t g = 0; g < group; ++g) nodes[g] = &trees.nodes_[roots[tree + g]];
      for (std::size_t s = 0; s < steps; ++s)
#pragma GCC unroll 8
        for (std::size_t g = 0; g < group; ++g) at[g] = step<silence>(nodes[g][at[g]], row);
      for (std::size_t g = 0; g < group; ++g) sum += trees.values_[roots[tree + g] + at[g]];
    }
    for (; tree < roots.size(); ++tree) {
      const Node* nodes = &trees.nodes_[roots[tree]];
      std::uint16_t at = 0;
      for (std::size_t s = 0; s < trees.depths_[tree]; ++s) at = step<silence>(nodes[at], row);
      sum += trees.values_[roots[tree] + at];
    }
    return sum;
  }

  /// Eight rows down one tree, then the next: a deep tree is fetched once for all of them.
  template <bool silence>
  static void interleaved_rows(const TreeEnsemble& trees, const float* rows, std::size_t count, float* out) {
    const std::size_t width = trees.feature_count_;
    for (std::size_t r = 0; r < count; ++r) out[r] = trees.base_score_;
    for (std::size_t tree = 0; tree < trees.roots_.size(); ++tree) {
      const Node* nodes = &trees.nodes_[trees.roots_[tree]];
      const float* values = &trees.values_[trees.roots_[tree]];
      for (std::size_t row = 0; row < count; row += group) {
        const std::size_t walks = std::min(group, count - row);
        std::uint16_t at[group] = {};
        for (std::size_t s = 0; s < trees.depths_[tree]; ++s)
          for (std::size_t g = 0; g < walks; ++g) at[g] = step<silence>(nodes[at[g]], rows + (row + g) * width);
        for (std::size_t g = 0; g < walks; ++g) out[row + g] += values[at[g]];
      }
    }
  }

  /// Down all trees of full depth: `right(node)` of a walk's node says 0 for its left child and 1 for its right.
  template <std::size_t depth, class Node, class Right>
  static float complete(const TreeEnsemble& trees, const Complete& filled, const Node* nodes, const Right& right) {
    constexpr std::size_t leaf_count = std::size_t{1} << depth;
    const float* leaves = filled.leaves.data();
    float sum = trees.base_score_;
    std::size_t tree = 0;
    for (; tree + group <= trees.roots_.size(); tree += group, nodes += group * (leaf_count - 1), leaves += group * leaf_count) {
      std::size_t at[group] = {};
#pragma GCC unroll 8
      for (std::size_t level = 0; level < depth; ++level)
#pragma GCC unroll 8
        for (std::size_t g = 0; g < group; ++g) at[g] = 2 * at[g] + 1 + right(nodes[g * (leaf_count - 1) + at[g]]);
      for (std::size_t g = 0; g < group; ++g) sum += leaves[g * leaf_count + at[g] - (leaf_count - 1)];
    }
    for (; tree < trees.roots_.size(); ++tree, nodes += leaf_count - 1, leaves += leaf_count) {
      std::size_t at = 0;
      for (std::size_t level = 0; level < depth; ++level) at = 2 * at + 1 + right(nodes[at]);
      sum += leaves[at - (leaf_count - 1)];
    }
    return sum;
  }

  template <class Node, class Right>
  static float complete(const TreeEnsemble& trees, const Complete& filled, const Node* nodes, const Right& right) {
    switch (filled.depth) {
      case 1: return complete<1>(trees, filled, nodes, right);
      case 2: return complete<2>(trees, filled, nodes, right);
      case 3: return complete<3>(trees, filled, nodes, right);
      case 4: return complete<4>(trees, filled, nodes, right);
      case 5: return complete<5>(trees, filled, nodes, right);
      default: return complete<6>(trees, filled, nodes, right);
    }
  }

  static float complete(const TreeEnsemble& trees, const float* row) {
    const std::size_t width = trees.feature_count_;
    const Complete& filled = trees.complete_[trees.side_of(row)];
    std::array<std::uint32_t, max_lane_features> keys;
    if (width > keys.size() || any_silent(row, width))
      return complete(trees, filled, filled.nodes.data(), [row](const CompleteNode& node) {
        return step_right<true>(row[node.feature], node.threshold, node.silent_left);
      });
    for (std::size_t f = 0; f < width; ++f) keys[f] = order_key(row[f]);
    return complete(trees, filled, filled.keys.data(),
                    [&keys](const Complete::KeyNode& node) { return std::size_t{1} - (keys[node.feature] < node.key); });
  }

  /// Rows in blocks, each laid out feature by feature; a last block that is not full is filled with its last row.
  static void lanes(const TreeEnsemble& trees, bool wide, const float* rows, std::size_t count, float* out) {
    const std::size_t width = trees.feature_count_;
    alignas(64) std::array<float, max_lane_features * lane_rows> columns;
    alignas(64) std::array<float, lane_rows> sums;
    std::array<std::size_t, lane_rows> side;
    for (std::size_t begin = 0; begin < count; begin += lane_rows) {
      const std::size_t here = std::min(lane_rows, count - begin);
      const bool silent = any_silent(rows + begin * width, here * width);
      for (std::size_t lane = 0; lane < lane_rows; ++lane) {
        const float* row = rows + (begin + std::min(lane, here - 1)) * width;
        for (std::size_t f = 0; f < width; ++f) columns[f * lane_rows + lane] = row[f];
        side[lane] = trees.side_of(row);
      }
      for (std::size_t s = 0; s < trees.complete_.size(); ++s) {  // mostly all rows are of one side
        if (std::find(side.begin(), side.end(), s) == side.end()) continue;
        const Complete& filled = trees.complete_[s];
        const CompleteTrees tables{.depth = filled.depth,
                                   .tree_count = trees.tree_count(),
                                   .base_score = trees.base_score_,
                                   .nodes = filled.nodes.data(),
                                   .leaves = filled.leaves.data()};
        (wide ? sum_lanes_avx2 : sum_lanes)(tables, columns.data(), silent, sums.data());
        for (std::size_t lane = 0; lane < here; ++lane)
          if (side[lane] == s) out[begin + lane] = sums[lane];
      }
    }
  }
};

std::size_t TreeEnsemble::side_of(const float* row) const {
  if (!common_root_.exists) return 0;
  return step_right<true>(row[common_root_.node.feature], common_root_.node.threshold, common_root_.node.silent_left);
}

std::string_view engine_name(Engine engine) {
  switch (engine) {
    case Engine::reference: return "reference";
    case Engine::interleaved: return "interleaved";
    case Engine::complete: return "complete";
    case Engine::lanes: return "lanes";
    case Engine::avx2: return "avx2";
  }
  return "";
}

std::vector<Engine> TreeEnsemble::engines() const {
  std::vector<Engine> all = {Engine::reference, Engine::interleaved};
  if (complete_.empty()) return all;
  all.push_back(Engine::complete);
  if (feature_count_ > max_lane_features) return all;
  all.push_back(Engine::lanes);
  if (machine_has_avx2()) all.push_back(Engine::avx2);
  return all;
}

void TreeEnsemble::choose_engines() {
  fill_up();
  row_engine_ = complete_.empty() ? Engine::interleaved : Engine::complete;
  rows_engine_ = engines().back();
}

float TreeEnsemble::predict(Engine engine, const float* row) const {
  if (engine == Engine::reference) return Walks::reference(*this, row);
  if (engine == Engine::lanes || engine == Engine::avx2) {
    float out = 0;
    Walks::lanes(*this, engine == Engine::avx2, row, 1, &out);
    return out;
  }
  if (engine == Engine::complete) return Walks::complete(*this, row);
  return any_silent(row, feature_count_) ? Walks::interleaved<true>(*this, row) : Walks::interleaved<false>(*this, row);
}

void TreeEnsemble::predict_rows(Engine engine, const float* rows, std::size_t count, float* out) const {
  if (engine == Engine::lanes || engine == Engine::avx2) return Walks::lanes(*this, engine == Engine::avx2, rows, count, out);
  if (engine != Engine::interleaved) {
    for (std::size_t r = 0; r < count; ++r) out[r] = predict(engine, rows + r * feature_count_);
    return;
  }
  constexpr std::size_t block = 64;  // their rows stay in the first cache while a tree is walked
  for (std::size_t begin = 0; begin < count; begin += block) {
    const float* first = rows + begin * feature_count_;
    const std::size_t here = std::min(block, count - begin);
    if (any_silent(first, here * feature_count_))
      Walks::interleaved_rows<true>(*this, first, here, out + begin);
    else
      Walks::interleaved_rows<false>(*this, first, here, out + begin);
  }
}

}  // namespace nacelle::model
