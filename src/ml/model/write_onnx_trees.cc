#include <fmt/format.h>

#include "ml/model/detail/onnx_graph.h"
#include "ml/model/onnx_trees.h"

namespace nacelle::model {

namespace {

/// The columns of a TreeEnsembleRegressor. The base score is a tree of its own, the first, of one leaf: runtimes add base_values
/// after the trees, which would round otherwise than we do.
onnx::Node tree_node(const TreeEnsemble& trees, const std::string& input, const std::string& output) {
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
  onnx::Node node{.op = "TreeEnsembleRegressor", .domain = "ai.onnx.ml", .inputs = {input}, .outputs = {output}, .name = "trees"};
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

json::Value names_of(const std::vector<std::string>& names) {
  json::Array all;
  for (const std::string& name : names) all.emplace_back(name);
  return all;
}

}  // namespace

Result<std::string> append_trees(onnx::Model& model, const Artifact& artifact, const std::string& features) {
  const auto* trees = std::get_if<TreeEnsemble>(&artifact.regressor);
  if (!trees)
    return fail(Fault::unavailable,
                fmt::format("ONNX: models of the kind '{}' are not exported; trees are", kind_of(artifact.regressor)));
  model.graph.nodes.push_back(tree_node(*trees, features, "sum"));
  model.graph.initializers.push_back(onnx::Tensor::of("lowest", {}, std::vector<float>{0}));
  model.graph.initializers.push_back(onnx::Tensor::of("highest", {}, std::vector<float>{static_cast<float>(artifact.cap)}));
  model.graph.nodes.push_back(
      {.op = "Clip", .domain = "", .inputs = {"sum", "lowest", "highest"}, .outputs = {"rul"}, .attributes = {}, .name = "clip"});
  return std::string("rul");
}

onnx::Model begin_onnx(const Artifact& artifact) {
  onnx::Model model{.producer = "nacelle", .producer_version = "", .opsets = {{"", 13}, {"ai.onnx.ml", 3}}};
  model.graph.name = artifact.name.empty() ? "model" : artifact.name;
  model.metadata = {{"feature_names", json::print(names_of(artifact.pipeline.feature_names()))},
                    {"input_names", json::print(names_of(artifact.pipeline.input_names()))}};
  return model;
}

Result<onnx::Model> write_onnx_trees(const Artifact& artifact) {
  onnx::Model model = begin_onnx(artifact);
  const auto width = static_cast<std::int64_t>(artifact.pipeline.feature_count());
  model.graph.inputs = {{.name = "features", .type = onnx::Element::float32, .dims = {-1, width}}};
  TRY_LET(const std::string output, append_trees(model, artifact, "features"));
  model.graph.outputs = {{.name = output, .type = onnx::Element::float32, .dims = {-1, 1}}};
  return model;
}

}  // namespace nacelle::model
