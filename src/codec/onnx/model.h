#pragma once
// Model: an ONNX file as values. Source: onnx/onnx.proto (IR version 8). Fields that are not named here are skipped when read:
// subgraphs, functions, sparse tensors, external data.
//
//   TRY_LET(const onnx::Model model, onnx::decode(bytes));
//   for (const onnx::Node& node : model.graph.nodes) ..

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::onnx {

/// TensorProto.DataType
enum class Element : std::int32_t { none = 0, float32 = 1, int32 = 6, int64 = 7, string = 8, boolean = 9, float64 = 11 };

struct Tensor {
  std::string name;
  Element type = Element::none;
  std::vector<std::int64_t> dims;
  Bytes raw;  ///< little-endian, row-major; empty for strings

  static Tensor of(std::string name, std::vector<std::int64_t> dims, const std::vector<float>& values);
  static Tensor of(std::string name, std::vector<std::int64_t> dims, const std::vector<double>& values);
  static Tensor of(std::string name, std::vector<std::int64_t> dims, const std::vector<std::int64_t>& values);
  /// Of any number type, as doubles. Fault::invalid_input if it is of another, or of another length than its dims say.
  Result<std::vector<double>> numbers() const;
};

/// AttributeProto.AttributeType
enum class AttributeType : std::int32_t {
  none = 0,
  number = 1,
  integer = 2,
  string = 3,
  tensor = 4,
  numbers = 6,
  integers = 7,
  strings = 8
};

struct Attribute {
  std::string name;
  AttributeType type = AttributeType::none;
  float number = 0;
  std::int64_t integer = 0;
  std::string string;
  std::vector<float> numbers;
  std::vector<std::int64_t> integers;
  std::vector<std::string> strings;
  std::optional<Tensor> tensor;

  static Attribute of(std::string name, std::int64_t value);
  static Attribute of(std::string name, std::string value);
  static Attribute of(std::string name, std::vector<float> values);
  static Attribute of(std::string name, std::vector<std::int64_t> values);
  static Attribute of(std::string name, std::vector<std::string> values);
};

struct Node {
  std::string op;      ///< "TreeEnsembleRegressor"
  std::string domain;  ///< "ai.onnx.ml"; empty: ONNX's own
  std::vector<std::string> inputs;
  std::vector<std::string> outputs;
  std::vector<Attribute> attributes;
  std::string name;

  const Attribute* find(std::string_view attribute) const;
};

/// An input or output: a tensor. A dimension below 0 is not fixed.
struct Port {
  std::string name;
  Element type = Element::none;
  std::vector<std::int64_t> dims;
};

struct Graph {
  std::string name;
  std::vector<Node> nodes;
  std::vector<Tensor> initializers;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
};

struct Model {
  std::int64_t ir_version = 8;
  std::string producer;
  std::string producer_version;
  std::vector<std::pair<std::string, std::int64_t>> opsets;  ///< domain, version
  Graph graph;
  std::vector<std::pair<std::string, std::string>> metadata;
  std::string documentation;
};

struct Limits {
  std::size_t max_bytes = 256u << 20;
  std::size_t max_messages = 200'000;   ///< nodes, attributes, tensors, ports
  std::size_t max_strings = 8'000'000;  ///< in attributes: a model of trees has one for each node
};

Bytes encode(const Model& model);
/// Fault::invalid_input names the message and what is wrong with it; beyond a limit Fault::exhausted.
Result<Model> decode(BytesView bytes, const Limits& limits = {});

}  // namespace nacelle::onnx
