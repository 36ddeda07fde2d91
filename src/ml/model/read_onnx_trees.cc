#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "codec/json/value.h"
#include "ml/model/onnx_trees.h"

namespace nacelle::model {

namespace {

Failure wrong(std::string_view what) { return fail(Fault::invalid_input, fmt::format("ONNX model: {}", what)); }

template <class T>
Result<const std::vector<T>*> column(const onnx::Node& node, std::string_view name, std::vector<T> onnx::Attribute::*member,
                                     std::size_t count, bool optional = false) {
  static const std::vector<T> none;
  const onnx::Attribute* found = node.find(name);
  if (!found || (optional && (found->*member).empty())) {
    if (optional) return &none;
    return wrong(fmt::format("expected the attribute {}", name));
  }
  if ((found->*member).size() != count)
    return wrong(fmt::format("{}: expected {} items, found {}", name, count, (found->*member).size()));
  return &(found->*member);
}

std::string text_or(const onnx::Node& node, std::string_view name, std::string fallback) {
  const onnx::Attribute* found = node.find(name);
  return found && !found->string.empty() ? found->string : fallback;
}

/// A tree on its way from ONNX's columns to ours.
struct Draft {
  std::vector<TreeEnsemble::PlainNode> nodes;
  std::map<std::int64_t, int> index;  ///< of each node id
};

using Drafts = std::map<std::int64_t, Draft>;

/// What an ONNX comparison says as `x < threshold`; `swapped`: the true branch is our right one.
struct Split {
  float threshold = 0;
  bool swapped = false;
};

Result<Split> split_of(const std::string& mode, float threshold) {
  if (std::isnan(threshold)) return wrong("a threshold is not a number");
  const auto above = [threshold] { return std::nextafterf(threshold, std::numeric_limits<float>::infinity()); };
  if (mode == "BRANCH_LT") return Split{threshold, false};
  if (mode == "BRANCH_GTE") return Split{threshold, true};
  if (mode != "BRANCH_LEQ" && mode != "BRANCH_GT") return wrong(fmt::format("splits of mode '{}' are not supported", mode));
  if (threshold == std::numeric_limits<float>::infinity()) return wrong("a threshold is infinite");
  return Split{above(), mode == "BRANCH_GT"};
}

Result<Drafts> read_nodes(const onnx::Node& node, std::vector<std::int64_t>& tree_order) {
  const onnx::Attribute* ids = node.find("nodes_treeids");
  if (!ids) return wrong("expected the attribute nodes_treeids");
  const std::size_t count = ids->integers.size();
  const auto& tree_of = ids->integers;
  const auto integers = [&](std::string_view name, bool optional = false) {
    return column(node, name, &onnx::Attribute::integers, count, optional);
  };
  TRY_LET(const auto* id, integers("nodes_nodeids"));
  TRY_LET(const auto* feature, integers("nodes_featureids"));
  TRY_LET(const auto* when_true, integers("nodes_truenodeids"));
  TRY_LET(const auto* when_false, integers("nodes_falsenodeids"));
  TRY_LET(const auto* silent_true, integers("nodes_missing_value_tracks_true", true));
  TRY_LET(const auto* mode, column(node, "nodes_modes", &onnx::Attribute::strings, count));
  TRY_LET(const auto* value, column(node, "nodes_values", &onnx::Attribute::numbers, count));
  TRY_LET(const auto* cover, column(node, "nodes_hitrates", &onnx::Attribute::numbers, count, true));
  Drafts drafts;
  std::vector<int> place(count);
  for (std::size_t i = 0; i < count; ++i) {
    const auto [draft, fresh] = drafts.try_emplace(tree_of[i]);
    if (fresh) tree_order.push_back(tree_of[i]);
    place[i] = static_cast<int>(draft->second.nodes.size());
    if (!draft->second.index.emplace((*id)[i], place[i]).second)
      return wrong(fmt::format("tree {}: node {} is told twice", tree_of[i], (*id)[i]));
    draft->second.nodes.push_back({.cover = cover->empty() ? 0 : (*cover)[i]});
  }
  for (std::size_t i = 0; i < count; ++i) {
    if ((*mode)[i] == "LEAF") continue;
    Draft& draft = drafts.at(tree_of[i]);
    const auto in_tree = [&](Failure failure) { return fail(std::move(failure.error).in(fmt::format("tree {}", tree_of[i]))); };
    const auto split = split_of((*mode)[i], (*value)[i]);
    if (!split) return in_tree(fail(split.error()));
    const auto yes = draft.index.find((*when_true)[i]), no = draft.index.find((*when_false)[i]);
    if (yes == draft.index.end() || no == draft.index.end()) return in_tree(wrong("a child is not in it"));
    if ((*feature)[i] < 0 || (*feature)[i] >= TreeEnsemble::silent_goes_left)
      return in_tree(wrong(fmt::format("feature {} is out of range", (*feature)[i])));
    const bool silent_yes = !silent_true->empty() && (*silent_true)[i] != 0;
    TreeEnsemble::PlainNode& made = draft.nodes[static_cast<std::size_t>(place[i])];
    made.left = (split->swapped ? no : yes)->second;
    made.right = (split->swapped ? yes : no)->second;
    made.feature = static_cast<std::uint32_t>((*feature)[i]);
    made.threshold = split->threshold;
    made.silent_left = silent_yes != split->swapped;
  }
  return drafts;
}

Result<> read_weights(const onnx::Node& node, Drafts& drafts, bool average) {
  const onnx::Attribute* weights = node.find("target_weights");
  if (!weights) return wrong("expected the attribute target_weights");
  const std::size_t count = weights->numbers.size();
  TRY_LET(const auto* tree, column(node, "target_treeids", &onnx::Attribute::integers, count));
  TRY_LET(const auto* id, column(node, "target_nodeids", &onnx::Attribute::integers, count));
  TRY_LET(const auto* target, column(node, "target_ids", &onnx::Attribute::integers, count));
  const float trees = average ? static_cast<float>(drafts.size()) : 1.0f;
  for (std::size_t i = 0; i < count; ++i) {
    if ((*target)[i] != 0) return wrong("only models of one output are supported");
    const auto draft = drafts.find((*tree)[i]);
    const auto at = draft == drafts.end() ? std::map<std::int64_t, int>::iterator{} : draft->second.index.find((*id)[i]);
    if (draft == drafts.end() || at == draft->second.index.end())
      return wrong(fmt::format("the weight of node {} of tree {}: there is no such node", (*id)[i], (*tree)[i]));
    TreeEnsemble::PlainNode& leaf = draft->second.nodes[static_cast<std::size_t>(at->second)];
    if (leaf.left >= 0) return wrong(fmt::format("tree {}: node {} has a weight and is no leaf", (*tree)[i], (*id)[i]));
    leaf.value += weights->numbers[i] / trees;
  }
  return {};
}

/// The root first. Every other node must be the child of exactly one: then a walk from the root cannot come back.
Result<> put_root_first(std::vector<TreeEnsemble::PlainNode>& nodes) {
  std::vector<int> parents(nodes.size());
  for (const auto& node : nodes)
    if (node.left >= 0) ++parents[static_cast<std::size_t>(node.left)], ++parents[static_cast<std::size_t>(node.right)];
  const auto root = std::find(parents.begin(), parents.end(), 0) - parents.begin();
  if (std::count(parents.begin(), parents.end(), 0) != 1 ||
      std::any_of(parents.begin(), parents.end(), [](int p) { return p > 1; }))
    return wrong("expected one root, and one parent for every other node");
  std::swap(nodes[0], nodes[static_cast<std::size_t>(root)]);
  const auto moved = [root = static_cast<int>(root)](int at) { return at == 0 ? root : at == root ? 0 : at; };
  for (auto& node : nodes)
    if (node.left >= 0) node.left = moved(node.left), node.right = moved(node.right);
  return {};
}

Result<double> bound(const onnx::Graph& graph, const onnx::Node& clip, std::size_t input, std::string_view attribute, double none) {
  if (const onnx::Attribute* found = clip.find(attribute)) return static_cast<double>(found->number);
  if (clip.inputs.size() <= input || clip.inputs[input].empty()) return none;
  for (const onnx::Tensor& tensor : graph.initializers) {
    if (tensor.name != clip.inputs[input]) continue;
    TRY_LET(const std::vector<double> numbers, tensor.numbers());
    if (numbers.size() != 1 || std::isnan(numbers[0])) return wrong("Clip: expected one number as bound");
    return numbers[0];
  }
  return wrong("Clip: expected constant bounds");
}

struct Chain {
  const onnx::Node* trees = nullptr;
  const onnx::Port* input = nullptr;
  std::optional<double> low, high;
};

/// The graph must be one chain, from its one input through the trees to its output.
Result<Chain> read_chain(const onnx::Graph& graph) {
  Chain chain;
  const auto is_constant = [&graph](const std::string& name) {
    return std::any_of(graph.initializers.begin(), graph.initializers.end(),
                       [&](const auto& tensor) { return tensor.name == name; });
  };
  for (const onnx::Port& port : graph.inputs) {
    if (is_constant(port.name)) continue;
    if (chain.input) return wrong("expected one input, of all features");
    chain.input = &port;
  }
  if (!chain.input) return wrong("expected an input of features, found none");
  std::string at = chain.input->name;
  for (const onnx::Node& node : graph.nodes) {
    if (node.inputs.empty() || node.inputs[0] != at || node.outputs.empty())
      return wrong(fmt::format("operator '{}' is not in one chain with the trees", node.op));
    at = node.outputs[0];
    if (node.op == "TreeEnsembleRegressor" && !chain.trees) {
      chain.trees = &node;
    } else if (node.op == "Clip" && chain.trees) {
      TRY_LET(const double low, bound(graph, node, 1, "min", -std::numeric_limits<double>::infinity()));
      TRY_LET(const double high, bound(graph, node, 2, "max", std::numeric_limits<double>::infinity()));
      chain.low = std::max(low, chain.low.value_or(low));
      chain.high = std::min(high, chain.high.value_or(high));
    } else if (node.op != "Identity" && node.op != "Cast" && !(node.op == "Reshape" && chain.trees)) {
      return wrong(fmt::format(
          "the operator '{}' is not supported: expected one TreeEnsembleRegressor, with Clip, Cast, Identity or Reshape after it",
          node.op));
    }
  }
  if (!chain.trees) return wrong("expected an operator TreeEnsembleRegressor, found none");
  return chain;
}

Result<std::vector<std::string>> read_names(const onnx::Model& model, std::size_t features) {
  std::vector<std::string> names;
  for (const auto& [key, value] : model.metadata) {
    if (key != "feature_names") continue;
    const auto list = json::parse(value);
    if (!list || !list->is_array()) continue;
    for (const json::Value& name : list->as_array())
      if (name.is_string()) names.push_back(name.as_string());
  }
  if (names.size() != features) names.clear();
  return names;
}

}  // namespace

Result<OnnxTrees> read_onnx_trees(const onnx::Model& model) {
  TRY_LET(const Chain chain, read_chain(model.graph));
  const onnx::Node& node = *chain.trees;
  const std::string aggregate = text_or(node, "aggregate_function", "SUM");
  if (aggregate != "SUM" && aggregate != "AVERAGE")
    return wrong(fmt::format("aggregate_function '{}': expected SUM or AVERAGE", aggregate));
  if (const std::string post = text_or(node, "post_transform", "NONE"); post != "NONE")
    return wrong(fmt::format("post_transform '{}' is not supported", post));
  if (const onnx::Attribute* targets = node.find("n_targets"); targets && targets->integer > 1)
    return wrong("only models of one output are supported");
  for (const onnx::Attribute& attribute : node.attributes)
    if (attribute.name.ends_with("_as_tensor"))
      return wrong(fmt::format("{}: trees in double precision are not supported", attribute.name));
  float base = 0;
  if (const onnx::Attribute* values = node.find("base_values"); values && !values->numbers.empty()) {
    if (values->numbers.size() != 1) return wrong("base_values: expected one");
    base = values->numbers[0];
  }
  std::vector<std::int64_t> order;
  TRY_LET(Drafts drafts, read_nodes(node, order));
  TRY(read_weights(node, drafts, aggregate == "AVERAGE"));
  std::size_t features = 0;
  std::vector<std::vector<TreeEnsemble::PlainNode>> plain;
  for (const std::int64_t id : order) {
    auto& nodes = drafts.at(id).nodes;
    TRY(in(put_root_first(nodes), fmt::format("tree {}", id)));
    for (const auto& each : nodes)
      if (each.left >= 0) features = std::max<std::size_t>(features, each.feature + 1);
    plain.push_back(std::move(nodes));
  }
  if (const auto& dims = chain.input->dims; dims.size() == 2 && dims[1] >= 0) {
    if (dims[1] >= TreeEnsemble::silent_goes_left) return wrong(fmt::format("{} features are too many", dims[1]));
    if (features > static_cast<std::size_t>(dims[1])) return wrong(fmt::format("feature {} of {} is used", features - 1, dims[1]));
    features = static_cast<std::size_t>(dims[1]);
  }
  OnnxTrees read{.trees = {}, .feature_names = {}, .low = chain.low, .high = chain.high};
  TRY_LET(read.trees, in(TreeEnsemble::build(base, features, plain), "ONNX model"));
  for (std::size_t t = 0; t < plain.size(); ++t)
    if (read.trees.tree(t).count != plain[t].size())
      return wrong(fmt::format("tree {}: its root does not lead to all nodes", order[t]));
  TRY_LET(read.feature_names, read_names(model, features));
  return read;
}

}  // namespace nacelle::model
