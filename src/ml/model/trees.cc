#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ml/model/detail/binary.h"
#include "ml/model/regressor.h"

namespace nacelle::model {

namespace {

constexpr std::size_t max_tree_nodes = 65535;
constexpr std::size_t max_depth = 255;
/// Trees walked side by side: their steps do not wait for each other's memory. More than 8 gain nothing on x86-64.
constexpr std::size_t group = 8;

struct FlatTree {
  std::vector<TreeEnsemble::Node> nodes;
  std::vector<float> values;
  std::size_t depth = 0;
};

/// Breadth first, children side by side.
Result<FlatTree> flatten(const std::vector<TreeEnsemble::PlainNode>& plain, std::size_t feature_count) {
  const auto wrong = [](std::string_view what) { return fail(Fault::invalid_input, fmt::format("tree: {}", what)); };
  if (plain.empty()) return wrong("expected a root");
  FlatTree flat;
  struct Entry {
    int node;
    std::size_t depth;
  };
  std::vector<Entry> queue = {{0, 0}};
  for (std::size_t at = 0; at < queue.size(); ++at) {
    const auto [index, depth] = queue[at];
    const TreeEnsemble::PlainNode& node = plain[static_cast<std::size_t>(index)];
    flat.depth = std::max(flat.depth, depth);
    if (node.left < 0) {
      flat.nodes.push_back({std::numeric_limits<float>::quiet_NaN(), 0, static_cast<std::uint16_t>(at - 1)});
      flat.values.push_back(node.value);
      continue;
    }
    const auto count = static_cast<int>(plain.size());
    if (node.left >= count || node.right < 0 || node.right >= count) return wrong("a child is not in it");
    if (queue.size() + 2 > std::min(plain.size(), max_tree_nodes)) return wrong("it has a loop or too many nodes");
    if (node.feature >= feature_count) return wrong(fmt::format("feature {} of {} is used", node.feature, feature_count));
    if (depth >= max_depth) return wrong("it is too deep");
    if (std::isnan(node.threshold)) return wrong("a threshold is not a number");
    const auto feature = static_cast<std::uint16_t>(node.feature | (node.silent_left ? TreeEnsemble::silent_goes_left : 0));
    flat.nodes.push_back({node.threshold, feature, static_cast<std::uint16_t>(queue.size())});
    flat.values.push_back(0);
    queue.push_back({node.left, depth + 1});
    queue.push_back({node.right, depth + 1});
  }
  return flat;
}

}  // namespace

Result<TreeEnsemble> TreeEnsemble::build(float base_score, std::size_t feature_count,
                                         const std::vector<std::vector<PlainNode>>& trees) {
  if (feature_count >= silent_goes_left)
    return fail(Fault::invalid_input, fmt::format("trees: {} features are too many", feature_count));
  TreeEnsemble ensemble;
  ensemble.base_score_ = base_score;
  ensemble.feature_count_ = feature_count;
  for (const auto& plain : trees) {
    TRY_LET(const FlatTree flat, flatten(plain, feature_count));
    ensemble.roots_.push_back(static_cast<std::uint32_t>(ensemble.nodes_.size()));
    ensemble.depths_.push_back(static_cast<std::uint8_t>(flat.depth));
    ensemble.nodes_.insert(ensemble.nodes_.end(), flat.nodes.begin(), flat.nodes.end());
    ensemble.values_.insert(ensemble.values_.end(), flat.values.begin(), flat.values.end());
  }
  return ensemble;
}

float TreeEnsemble::predict(const float* row) const {
  for (std::size_t f = 0; f < feature_count_; ++f)
    if (std::isnan(row[f])) return predict_with_silence(row);
  constexpr std::uint16_t feature_bits = silent_goes_left - 1;
  float sum = base_score_;
  std::size_t tree = 0;
  for (; tree + group <= roots_.size(); tree += group) {
    const std::size_t steps = *std::max_element(&depths_[tree], &depths_[tree] + group);
    const Node* roots[group];
    std::uint16_t at[group] = {};
    for (std::size_t g = 0; g < group; ++g) roots[g] = &nodes_[roots_[tree + g]];
    for (std::size_t step = 0; step < steps; ++step)
      for (std::size_t g = 0; g < group; ++g) {
        const Node& node = roots[g][at[g]];
        at[g] = static_cast<std::uint16_t>(node.left + !(row[node.feature & feature_bits] < node.threshold));
      }
    for (std::size_t g = 0; g < group; ++g) sum += values_[roots_[tree + g] + at[g]];
  }
  for (; tree < roots_.size(); ++tree) {
    const Node* root = &nodes_[roots_[tree]];
    std::uint16_t at = 0;
    for (std::size_t step = 0; step < depths_[tree]; ++step)
      at = static_cast<std::uint16_t>(root[at].left + !(row[root[at].feature & feature_bits] < root[at].threshold));
    sum += values_[roots_[tree] + at];
  }
  return sum;
}

float TreeEnsemble::predict_with_silence(const float* row) const {
  float sum = base_score_;
  for (std::size_t tree = 0; tree < roots_.size(); ++tree) {
    const Node* root = &nodes_[roots_[tree]];
    std::uint16_t at = 0;
    for (std::size_t step = 0; step < depths_[tree]; ++step) {
      const Node& node = root[at];
      const float x = row[node.feature & (silent_goes_left - 1)];
      const bool inner = !std::isnan(node.threshold);
      const bool left = inner && (std::isnan(x) ? (node.feature & silent_goes_left) != 0 : x < node.threshold);
      at = static_cast<std::uint16_t>(node.left + !left);
    }
    sum += values_[roots_[tree] + at];
  }
  return sum;
}

void TreeEnsemble::encode(Bytes& out) const {
  put(out, static_cast<std::uint32_t>(feature_count_));
  put(out, static_cast<std::uint32_t>(roots_.size()));
  put(out, static_cast<std::uint32_t>(nodes_.size()));
  put(out, base_score_);
  put_all(out, roots_);
  put_all(out, depths_);
  for (const Node& node : nodes_) {
    put(out, node.threshold);
    put(out, node.feature);
    put(out, node.left);
  }
  put_all(out, values_);
}

Result<TreeEnsemble> TreeEnsemble::decode(BytesView bytes) {
  BinaryReader in{bytes};
  TreeEnsemble trees;
  trees.feature_count_ = in.take<std::uint32_t>();
  const auto tree_count = in.take<std::uint32_t>();
  const auto node_count = in.take<std::uint32_t>();
  trees.base_score_ = in.take<float>();
  in.take_all(trees.roots_, tree_count);
  in.take_all(trees.depths_, tree_count);
  static_assert(sizeof(Node) == 8, "a node is as it is written");
  in.take_all(trees.nodes_, node_count);
  in.take_all(trees.values_, node_count);
  if (!in.good || !in.rest.empty()) return fail(Fault::corrupt, "trees: their length does not fit their counts");
  TRY(trees.check());
  return trees;
}

Result<> TreeEnsemble::check() const {
  const auto corrupt = [](std::size_t tree, std::string_view what) {
    return fail(Fault::corrupt, fmt::format("tree {}: {}", tree, what));
  };
  if (feature_count_ >= silent_goes_left) return fail(Fault::corrupt, "trees: too many features");
  for (std::size_t tree = 0; tree < roots_.size(); ++tree) {
    const std::size_t begin = roots_[tree];
    const std::size_t end = tree + 1 < roots_.size() ? roots_[tree + 1] : nodes_.size();
    if (begin >= end || end > nodes_.size() || end - begin > max_tree_nodes) return corrupt(tree, "its root is out of place");
    for (std::size_t at = 0; at < end - begin; ++at) {
      const Node& node = nodes_[begin + at];
      const bool leaf = std::isnan(node.threshold);
      // Every step lands within the tree: a leaf on itself, an inner node on one of two later ones.
      if (leaf ? node.left != static_cast<std::uint16_t>(at - 1) : (node.left <= at || node.left + 1u >= end - begin))
        return corrupt(tree, fmt::format("node {} leads nowhere", at));
      if ((node.feature & (silent_goes_left - 1)) >= std::max<std::size_t>(feature_count_, 1))
        return corrupt(tree, "a feature is not there");
    }
  }
  return {};
}

}  // namespace nacelle::model
