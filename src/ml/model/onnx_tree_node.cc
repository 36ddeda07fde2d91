#include "ml/model/detail/onnx_graph.h"

namespace nacelle::model {

onnx::Node onnx_tree_node(const TreeEnsemble& trees, const std::string& input, const std::string& output) {
  std::vector<std::int64_t> tree_ids = {0}, node_ids = {0}, features = {0}, yes = {0}, no = {0}, silent = {0};
  std::vector<std::int64_t> target_trees = {0}, target_nodes = {0};
  std::vector<std::string> modes = {"LEAF"};
  std::vector<float> values = {0}, covers, weights = {trees.base_score()};
  if (trees.has_covers()) covers.push_back(trees.tree(0).covers[0]);
  for (std::size_t t = 0; t < trees.tree_count(); ++t) {
    const TreeEnsemble::View tree = trees.tree(t);
    const auto id = static_cast<std::int64_t>(t + 1);
    for (std::size_t n = 0; n < tree.count; ++n) {
      const bool leaf = tree.is_leaf(n);
      tree_ids.push_back(id);
      node_ids.push_back(static_cast<std::int64_t>(n));
      modes.emplace_back(leaf ? "LEAF" : "BRANCH_LT");
      features.push_back(leaf ? 0 : static_cast<std::int64_t>(tree.feature(n)));
      values.push_back(leaf ? 0 : tree.nodes[n].threshold);
      yes.push_back(leaf ? 0 : tree.nodes[n].left);
      no.push_back(leaf ? 0 : tree.nodes[n].left + 1);
      silent.push_back(!leaf && (tree.nodes[n].feature & TreeEnsemble::silent_goes_left) != 0 ? 1 : 0);
      if (tree.covers) covers.push_back(tree.covers[n]);
      if (!leaf) continue;
      target_trees.push_back(id);
      target_nodes.push_back(static_cast<std::int64_t>(n));
      weights.push_back(tree.values[n]);
    }
  }
  onnx::Node node{
      .op = "TreeEnsembleRegressor", .domain = "ai.onnx.ml", .inputs = {input}, .outputs = {output}, .name = output + "_trees"};
  const std::vector<std::int64_t> target_ids(weights.size(), 0);
  using onnx::Attribute;
  node.attributes = {Attribute::of("n_targets", std::int64_t{1}),
                     Attribute::of("aggregate_function", std::string("SUM")),
                     Attribute::of("post_transform", std::string("NONE")),
                     Attribute::of("nodes_treeids", tree_ids),
                     Attribute::of("nodes_nodeids", node_ids),
                     Attribute::of("nodes_featureids", features),
                     Attribute::of("nodes_modes", modes),
                     Attribute::of("nodes_values", values),
                     Attribute::of("nodes_truenodeids", yes),
                     Attribute::of("nodes_falsenodeids", no),
                     Attribute::of("nodes_missing_value_tracks_true", silent),
                     Attribute::of("target_treeids", target_trees),
                     Attribute::of("target_nodeids", target_nodes),
                     Attribute::of("target_ids", target_ids),
                     Attribute::of("target_weights", weights)};
  if (!covers.empty()) node.attributes.push_back(Attribute::of("nodes_hitrates", covers));
  return node;
}

}  // namespace nacelle::model
