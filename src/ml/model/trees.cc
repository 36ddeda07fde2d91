// The tables of a TreeEnsemble: made, written, read back and checked.

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "foundation/binary.h"
#include "ml/model/detail/order_key.h"
#include "ml/model/tree_ensemble.h"

namespace nacelle::model {

using binary::put;
using binary::put_all;

namespace {

constexpr std::size_t max_tree_nodes = 65535;
constexpr std::size_t max_depth = 255;

struct FlatTree {
  std::vector<TreeEnsemble::Node> nodes;
  std::vector<float> values;
  std::vector<float> covers;
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
    if (!(node.cover >= 0 && std::isfinite(node.cover))) return wrong("expected covers of 0 or more");
    flat.covers.push_back(node.cover);
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
  const auto append = [](auto& all, const auto& more) { all.insert(all.end(), more.begin(), more.end()); };
  for (const auto& plain : trees) {
    TRY_LET(const FlatTree flat, flatten(plain, feature_count));
    ensemble.roots_.push_back(static_cast<std::uint32_t>(ensemble.nodes_.size()));
    ensemble.depths_.push_back(static_cast<std::uint8_t>(flat.depth));
    append(ensemble.nodes_, flat.nodes);
    append(ensemble.values_, flat.values);
    append(ensemble.covers_, flat.covers);
  }
  const auto none = [](float cover) { return cover == 0; };
  if (std::all_of(ensemble.covers_.begin(), ensemble.covers_.end(), none)) ensemble.covers_.clear();
  ensemble.choose_engines();
  return ensemble;
}

TreeEnsemble::View TreeEnsemble::tree(std::size_t index) const {
  const std::size_t begin = roots_[index];
  const std::size_t end = index + 1 < roots_.size() ? roots_[index + 1] : nodes_.size();
  return {
      .nodes = &nodes_[begin], .values = &values_[begin], .covers = has_covers() ? &covers_[begin] : nullptr, .count = end - begin};
}

std::vector<std::vector<TreeEnsemble::PlainNode>> TreeEnsemble::plain_trees() const {
  std::vector<std::vector<PlainNode>> all;
  for (std::size_t t = 0; t < tree_count(); ++t) {
    const View view = tree(t);
    std::vector<PlainNode> plain(view.count);
    for (std::size_t n = 0; n < view.count; ++n) {
      if (view.covers) plain[n].cover = view.covers[n];
      plain[n].value = view.values[n];
      if (view.is_leaf(n)) continue;
      plain[n].left = view.nodes[n].left;
      plain[n].right = view.nodes[n].left + 1;
      plain[n].feature = static_cast<std::uint32_t>(view.feature(n));
      plain[n].threshold = view.nodes[n].threshold;
      plain[n].silent_left = (view.nodes[n].feature & silent_goes_left) != 0;
    }
    all.push_back(std::move(plain));
  }
  return all;
}

std::size_t TreeEnsemble::depth() const { return depths_.empty() ? 0 : *std::max_element(depths_.begin(), depths_.end()); }

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
  put_all(out, covers_);
}

Result<TreeEnsemble> TreeEnsemble::decode(BytesView bytes) {
  binary::Reader in{bytes};
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
  if (!in.rest.empty()) in.take_all(trees.covers_, node_count);  // left out where they are not known
  if (!in.good || !in.rest.empty()) return fail(Fault::corrupt, "trees: their length does not fit their counts");
  TRY(trees.check());
  trees.choose_engines();
  return trees;
}

/// Trees must be as flatten() makes them: then every walk stays within its tree and ends in a leaf.
Result<> TreeEnsemble::check() {
  const auto corrupt = [](std::size_t tree, std::string_view what) {
    return fail(Fault::corrupt, fmt::format("tree {}: {}", tree, what));
  };
  if (feature_count_ >= silent_goes_left) return fail(Fault::corrupt, "trees: too many features");
  if (roots_.empty() ? !nodes_.empty() : roots_[0] != 0) return corrupt(0, "its root is out of place");
  std::vector<std::uint16_t> depth;
  for (std::size_t tree = 0; tree < roots_.size(); ++tree) {
    const std::size_t begin = roots_[tree];
    const std::size_t end = tree + 1 < roots_.size() ? roots_[tree + 1] : nodes_.size();
    if (begin >= end || end > nodes_.size() || end - begin > max_tree_nodes) return corrupt(tree, "its root is out of place");
    depth.assign(end - begin, 0);
    std::size_t children = 1;  // where those of the next inner node must be
    for (std::size_t at = 0; at < end - begin; ++at) {
      const Node& node = nodes_[begin + at];
      if (std::isnan(node.threshold)) {
        if (node.left != static_cast<std::uint16_t>(at - 1) || node.feature != 0)
          return corrupt(tree, fmt::format("node {} leads nowhere", at));
        continue;
      }
      if (node.left != children || children <= at || children + 1 >= end - begin)
        return corrupt(tree, fmt::format("node {} leads nowhere", at));
      if ((node.feature & (silent_goes_left - 1u)) >= feature_count_) return corrupt(tree, "a feature is not there");
      depth[children] = depth[children + 1] = static_cast<std::uint16_t>(depth[at] + 1);
      children += 2;
    }
    if (children != end - begin) return corrupt(tree, "a node is nobody's child");
    if (depth.back() != depths_[tree]) return corrupt(tree, "its depth is told wrongly");
  }
  for (const float cover : covers_)
    if (!(cover >= 0 && std::isfinite(cover))) return fail(Fault::corrupt, "trees: expected covers of 0 or more");
  return {};
}

/// Puts the subtree of `from` at `at` of a complete tree that has `levels` more levels.
template <class Put>
void fill_subtree(const TreeEnsemble::View& tree, std::size_t from, std::size_t at, std::size_t levels, const Put& put) {
  if (levels == 0) return put(from, at);
  put(from, at);
  const bool leaf = tree.is_leaf(from);  // goes on below itself: every way leads to its value
  const std::size_t left = leaf ? from : tree.nodes[from].left;
  fill_subtree(tree, left, 2 * at + 1, levels - 1, put);
  fill_subtree(tree, leaf ? from : left + 1, 2 * at + 2, levels - 1, put);
}

TreeEnsemble::CommonRoot TreeEnsemble::find_common_root() const {
  if (tree_count() < 2 || tree(0).is_leaf(0)) return {};
  const Node& first = tree(0).nodes[0];
  for (std::size_t t = 1; t < tree_count(); ++t) {
    const Node& root = tree(t).nodes[0];  // of a leaf the threshold is NaN, and not the same
    if (root.threshold != first.threshold || root.feature != first.feature) return {};
  }
  return {.node = {first.threshold, static_cast<std::uint16_t>(tree(0).feature(0)),
                   static_cast<std::uint16_t>(first.feature / silent_goes_left)},
          .exists = true};
}

void TreeEnsemble::fill_up() {
  // Beyond, evaluating every node costs more than walking; and a bushy minority must not blow up a sparse majority.
  constexpr std::size_t deepest = 6;
  constexpr std::size_t most_growth = 8;
  complete_.clear();
  common_root_ = find_common_root();
  if (roots_.empty() || feature_count_ == 0) return;
  std::size_t leaves = 0;
  for (std::uint32_t side = 0; side < (common_root_.exists ? 2u : 1u); ++side) {
    std::vector<std::uint32_t> starts;
    for (std::size_t t = 0; t < tree_count(); ++t) starts.push_back(common_root_.exists ? tree(t).nodes[0].left + side : 0);
    Complete filled{.depth = levels_below(starts), .nodes = {}, .keys = {}, .leaves = {}};
    leaves += tree_count() << std::min(filled.depth, deepest);
    if (filled.depth > deepest || leaves > most_growth * nodes_.size()) return complete_.clear();
    fill(filled, starts);
    complete_.push_back(std::move(filled));
  }
}

/// Of every tree what lies below its start.
void TreeEnsemble::fill(Complete& filled, const std::vector<std::uint32_t>& starts) const {
  const std::size_t leaf_count = std::size_t{1} << filled.depth;
  filled.nodes.resize(tree_count() * (leaf_count - 1));
  filled.leaves.resize(tree_count() * leaf_count);
  for (std::size_t t = 0; t < tree_count(); ++t) {
    const View view = tree(t);
    fill_subtree(view, starts[t], 0, filled.depth, [&](std::size_t from, std::size_t at) {
      if (at >= leaf_count - 1)
        filled.leaves[t * leaf_count + at - (leaf_count - 1)] = view.values[from];
      else if (!view.is_leaf(from))
        filled.nodes[t * (leaf_count - 1) + at] = {view.nodes[from].threshold, static_cast<std::uint16_t>(view.feature(from)),
                                                   static_cast<std::uint16_t>(view.nodes[from].feature / silent_goes_left)};
    });
  }
  for (const CompleteNode& node : filled.nodes) filled.keys.push_back({order_key(node.threshold), node.feature});
}

/// Steps from the starts to the deepest leaf of all trees; 1 at least.
std::size_t TreeEnsemble::levels_below(const std::vector<std::uint32_t>& starts) const {
  std::size_t levels = 1;
  std::vector<std::uint16_t> depth;
  for (std::size_t t = 0; t < tree_count(); ++t) {
    const View view = tree(t);
    constexpr std::uint16_t not_below = 0xffff;
    depth.assign(view.count, not_below);
    depth[starts[t]] = 0;
    for (std::size_t at = starts[t]; at < view.count; ++at) {  // children come after their parents
      if (depth[at] == not_below) continue;
      levels = std::max<std::size_t>(levels, depth[at]);
      if (view.is_leaf(at)) continue;
      depth[view.nodes[at].left] = depth[view.nodes[at].left + 1u] = static_cast<std::uint16_t>(depth[at] + 1);
    }
  }
  return levels;
}

}  // namespace nacelle::model
