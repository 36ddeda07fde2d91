#pragma once
// What the ONNX graphs that we write have in common. Private to ml/model.

#include <fmt/format.h>

#include <string>
#include <utility>
#include <vector>

#include "codec/onnx/model.h"
#include "ml/model/artifact.h"

namespace nacelle::model {

/// Adds nodes and constants to a graph; each gets a name of its own. Borrows it.
class GraphWriter {
 public:
  explicit GraphWriter(onnx::Graph& graph) : graph_(graph) {}

  std::string add(const char* op, std::vector<std::string> inputs, std::vector<onnx::Attribute> attributes = {},
                  std::string output = {}) {
    if (output.empty()) output = new_name();
    graph_.nodes.push_back({.op = op,
                            .domain = "",
                            .inputs = std::move(inputs),
                            .outputs = {output},
                            .attributes = std::move(attributes),
                            .name = output + "_" + op});
    return output;
  }
  void add(onnx::Node node) { graph_.nodes.push_back(std::move(node)); }
  /// For the output of the node that is added next.
  std::string new_name() const { return fmt::format("v{}", graph_.nodes.size()); }
  std::string floats(std::vector<std::int64_t> dims, const std::vector<float>& values) {
    return keep(onnx::Tensor::of({}, std::move(dims), values));
  }
  std::string constant(std::vector<std::int64_t> dims, const std::vector<double>& values) {
    return keep(onnx::Tensor::of({}, std::move(dims), values));
  }
  std::string constant(double value) { return constant({}, {value}); }
  std::string indices(const std::vector<std::int64_t>& values) {
    return keep(onnx::Tensor::of({}, {static_cast<std::int64_t>(values.size())}, values));
  }
  std::string cast(const std::string& value, onnx::Element type) {
    return add("Cast", {value}, {onnx::Attribute::of("to", static_cast<std::int64_t>(type))});
  }
  std::string gather(const std::string& value, const std::string& index, std::int64_t axis) {
    return add("Gather", {value, index}, {onnx::Attribute::of("axis", axis)});
  }
  std::string sum(const std::string& value, std::int64_t axis, bool keep_dims = true) {
    return add("ReduceSum", {value, indices({axis})}, {onnx::Attribute::of("keepdims", std::int64_t{keep_dims ? 1 : 0})});
  }
  std::string concat(std::vector<std::string> values, std::int64_t axis) {
    return add("Concat", std::move(values), {onnx::Attribute::of("axis", axis)});
  }

 private:
  std::string keep(onnx::Tensor tensor) {
    tensor.name = fmt::format("c{}", graph_.initializers.size());
    graph_.initializers.push_back(std::move(tensor));
    return graph_.initializers.back().name;
  }
  onnx::Graph& graph_;
};

/// A TreeEnsembleRegressor. The base score is a tree of its own, the first, of one leaf: runtimes add base_values after the trees,
/// which would round otherwise than we do.
onnx::Node onnx_tree_node(const TreeEnsemble& trees, const std::string& input, const std::string& output);
/// A model with its operator sets and names, and an empty graph.
onnx::Model begin_onnx(const Artifact& artifact);
/// The model and the clip to 0 .. cap on the value `features`, float32; the answer is called "rul". Its type: float32 of trees,
/// else float64. Fault::unavailable names the kind that is not expressed.
Result<onnx::Element> append_model(onnx::Model& model, const Artifact& artifact, const std::string& features);

}  // namespace nacelle::model
