// Models on rows of features as ONNX graphs.

#include <numeric>
#include <type_traits>

#include "ml/model/detail/onnx_graph.h"
#include "ml/model/onnx_trees.h"

namespace nacelle::model {

namespace {

using onnx::Element;

std::int64_t size(std::size_t count) { return static_cast<std::int64_t>(count); }

/// Of a model that is no blend, on `x` (float32, [n, F]), before it is clipped: float64, [n, 1].
class SingleWriter {
 public:
  SingleWriter(GraphWriter& graph, std::string x) : graph_(graph), x_(std::move(x)) {}

  Result<std::string> operator()(const TreeEnsemble& trees) const { return sum_of(trees); }

  Result<std::string> operator()(const LogLifeTrees& life) const {
    return graph_.add("Sub", {graph_.add("Exp", {sum_of(life.trees)}), graph_.constant(life.offset)});
  }

  Result<std::string> operator()(const LinearModel& line) const {
    const std::int64_t width = size(line.weight.size());
    const std::string apart = graph_.add("Sub", {graph_.cast(x_, Element::float64), graph_.constant({1, width}, line.centre)});
    const std::string standard = graph_.add("Mul", {apart, graph_.constant({1, width}, line.scale)});
    const std::string sum = graph_.add("MatMul", {standard, graph_.constant({width, 1}, line.weight)});
    return graph_.add("Add", {sum, graph_.constant(line.intercept)});
  }

  /// |z - v|^2 is |z|^2 + |v|^2 - 2 z v: products of matrices instead of a tensor of rows x vectors x features.
  Result<std::string> operator()(const KernelModel& bells) const {
    const std::size_t width = bells.feature_count(), count = bells.coefficient.size();
    const std::string standard = graph_.cast(standardised(x_, bells.centre, bells.scale), Element::float64);
    std::vector<double> turned(width * count), squares(count);
    for (std::size_t v = 0; v < count; ++v)
      for (std::size_t f = 0; f < width; ++f) {
        const auto value = static_cast<double>(bells.vectors[v * width + f]);
        turned[f * count + v] = value;
        squares[v] += value * value;
      }
    const std::string own = graph_.sum(graph_.add("Mul", {standard, standard}), 1);
    const std::string both = graph_.add("MatMul", {standard, graph_.constant({size(width), size(count)}, turned)});
    const std::string apart = graph_.add("Sub", {graph_.add("Add", {own, graph_.constant({1, size(count)}, squares)}),
                                                 graph_.add("Mul", {both, graph_.constant(2)})});
    const std::string bell = graph_.add("Exp", {graph_.add("Mul", {apart, graph_.constant(-bells.gamma)})});
    const std::string sum = graph_.add("MatMul", {bell, graph_.constant({size(count), 1}, bells.coefficient)});
    return shifted(graph_.add("Add", {sum, graph_.constant(bells.intercept)}), bells.target_centre, bells.target_scale);
  }

  /// Networks of dense layers; their sums are float32, as ours are, in another order.
  Result<std::string> operator()(const Network& network) const {
    std::vector<std::int64_t> columns(network.columns.begin(), network.columns.end());
    const std::string inputs = standardised(graph_.gather(x_, graph_.indices(columns), 1), network.centre, network.scale);
    std::string sum;
    for (const std::vector<Layer>& layers : network.members) {
      std::string now = inputs;
      for (const Layer& layer : layers) {
        if (layer.kind != Layer::Kind::dense)
          return fail(Fault::unavailable, "ONNX: networks that read sequences (lstm, cnn) are not expressed");
        now = graph_.add("MatMul", {now, graph_.floats({layer.inputs, layer.outputs}, layer.weight)});
        now = graph_.add("Add", {now, graph_.floats({1, layer.outputs}, layer.bias)});
        if (layer.activation == Layer::Activation::relu) now = graph_.add("Relu", {now});
        if (layer.activation == Layer::Activation::tanh) now = graph_.add("Tanh", {now});
      }
      now = graph_.cast(now, Element::float64);
      sum = sum.empty() ? now : graph_.add("Add", {sum, now});
    }
    const std::string mean = graph_.add("Div", {sum, graph_.constant(static_cast<double>(network.members.size()))});
    return shifted(mean, static_cast<double>(network.target_centre), static_cast<double>(network.target_scale));
  }

  Result<std::string> operator()(const TrajectoryLibrary&) const {
    return fail(Fault::unavailable, "ONNX: models of the kind 'trajectories' are not expressed");
  }

 private:
  std::string sum_of(const TreeEnsemble& trees) const {
    const std::string sum = graph_.new_name();
    graph_.add(onnx_tree_node(trees, x_, sum));
    return graph_.cast(sum, Element::float64);
  }
  std::string standardised(const std::string& x, const std::vector<float>& centre, const std::vector<float>& scale) const {
    const std::string apart = graph_.add("Sub", {x, graph_.floats({1, size(centre.size())}, centre)});
    return graph_.add("Mul", {apart, graph_.floats({1, size(scale.size())}, scale)});
  }
  std::string shifted(const std::string& value, double centre, double scale) const {
    return graph_.add("Add", {graph_.add("Mul", {value, graph_.constant(scale)}), graph_.constant(centre)});
  }

  GraphWriter& graph_;
  const std::string x_;
};

std::string clipped(GraphWriter& graph, const std::string& value, double cap, std::string output = {}) {
  return graph.add("Clip", {value, graph.constant(0), graph.constant(cap)}, {}, std::move(output));
}

Result<std::string> write_blend(GraphWriter& graph, const Blend& blend, const std::string& features) {
  std::string sum;
  for (const Blend::Member& member : blend.members) {
    const std::vector<std::int64_t> columns(member.columns.begin(), member.columns.end());
    std::vector<std::int64_t> all(blend.row_features);
    std::iota(all.begin(), all.end(), std::int64_t{0});
    const std::string part = columns == all ? features : graph.gather(features, graph.indices(columns), 1);
    TRY_LET(const std::string one, in(std::visit(SingleWriter(graph, part), member.model), "a member of the blend"));
    const std::string weighted = graph.add("Mul", {clipped(graph, one, blend.cap), graph.constant(member.weight)});
    sum = sum.empty() ? weighted : graph.add("Add", {sum, weighted});
  }
  return sum;
}

/// A model that is no blend, or a blend.
template <class Model>
Result<std::string> write_any(GraphWriter& graph, const Model& model, const std::string& features) {
  if constexpr (std::is_same_v<Model, Blend>)
    return write_blend(graph, model, features);
  else
    return SingleWriter(graph, features)(model);
}

json::Value names_of(const std::vector<std::string>& names) {
  json::Array all;
  for (const std::string& name : names) all.emplace_back(name);
  return all;
}

}  // namespace

Result<onnx::Element> append_model(onnx::Model& model, const Artifact& artifact, const std::string& features) {
  if (const auto* trees = std::get_if<TreeEnsemble>(&artifact.regressor)) {  // alone they need no other precision than their own
    model.graph.nodes.push_back(onnx_tree_node(*trees, features, "sum"));
    model.graph.initializers.push_back(onnx::Tensor::of("lowest", {}, std::vector<float>{0}));
    model.graph.initializers.push_back(onnx::Tensor::of("highest", {}, std::vector<float>{static_cast<float>(artifact.cap)}));
    model.graph.nodes.push_back(
        {.op = "Clip", .domain = "", .inputs = {"sum", "lowest", "highest"}, .outputs = {"rul"}, .attributes = {}, .name = "clip"});
    return Element::float32;
  }
  GraphWriter graph(model.graph);
  TRY_LET(const std::string raw, std::visit([&](const auto& any) { return write_any(graph, any, features); }, artifact.regressor));
  clipped(graph, raw, artifact.cap, "rul");
  return Element::float64;
}

onnx::Model begin_onnx(const Artifact& artifact) {
  onnx::Model model{.producer = "nacelle", .producer_version = "", .opsets = {{"", 13}, {"ai.onnx.ml", 3}}};
  model.graph.name = artifact.name.empty() ? "model" : artifact.name;
  model.metadata = {{"feature_names", json::print(names_of(artifact.pipeline.feature_names()))},
                    {"input_names", json::print(names_of(artifact.pipeline.input_names()))}};
  return model;
}

Result<onnx::Model> write_onnx_rows(const Artifact& artifact) {
  onnx::Model model = begin_onnx(artifact);
  const auto width = size(artifact.pipeline.feature_count());
  model.graph.inputs = {{.name = "features", .type = Element::float32, .dims = {-1, width}}};
  TRY_LET(const Element type, append_model(model, artifact, "features"));
  model.graph.outputs = {{.name = "rul", .type = type, .dims = {-1, 1}}};
  return model;
}

}  // namespace nacelle::model
