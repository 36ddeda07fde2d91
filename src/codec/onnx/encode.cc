// Field numbers are those of onnx.proto.
#include "codec/onnx/detail/wire.h"
#include "codec/onnx/model.h"

namespace nacelle::onnx {

namespace {

Bytes encode_tensor(const Tensor& tensor) {
  FieldWriter out;
  out.packed(1, tensor.dims);
  out.integer(2, static_cast<std::int32_t>(tensor.type));
  out.text(8, tensor.name);
  out.bytes(9, tensor.raw);
  return out.done();
}

Bytes encode_attribute(const Attribute& attribute) {
  FieldWriter out;
  out.text(1, attribute.name);
  switch (attribute.type) {
    case AttributeType::none: break;
    case AttributeType::number: out.float32(2, attribute.number); break;
    case AttributeType::integer: out.integer(3, attribute.integer); break;
    case AttributeType::string: out.bytes(4, attribute.string); break;
    case AttributeType::tensor:
      if (attribute.tensor) out.bytes(5, encode_tensor(*attribute.tensor));
      break;
    // proto2 repeats unpacked numbers unless told otherwise; every reader takes both forms.
    case AttributeType::numbers: out.packed(7, attribute.numbers); break;
    case AttributeType::integers: out.packed(8, attribute.integers); break;
    case AttributeType::strings:
      for (const std::string& text : attribute.strings) out.bytes(9, text);
      break;
  }
  out.integer(20, static_cast<std::int32_t>(attribute.type));
  return out.done();
}

Bytes encode_node(const Node& node) {
  FieldWriter out;
  for (const std::string& input : node.inputs) out.bytes(1, input);
  for (const std::string& output : node.outputs) out.bytes(2, output);
  out.text(3, node.name);
  out.text(4, node.op);
  for (const Attribute& attribute : node.attributes) out.bytes(5, encode_attribute(attribute));
  out.text(7, node.domain);
  return out.done();
}

Bytes encode_port(const Port& port) {
  FieldWriter shape;
  for (const std::int64_t dim : port.dims) {
    FieldWriter dimension;
    if (dim >= 0)
      dimension.integer(1, dim);
    else
      dimension.text(2, "n");
    shape.bytes(1, dimension.done());
  }
  FieldWriter tensor;
  tensor.integer(1, static_cast<std::int32_t>(port.type));
  tensor.bytes(2, shape.done());
  FieldWriter type;
  type.bytes(1, tensor.done());
  FieldWriter out;
  out.text(1, port.name);
  out.bytes(2, type.done());
  return out.done();
}

Bytes encode_graph(const Graph& graph) {
  FieldWriter out;
  for (const Node& node : graph.nodes) out.bytes(1, encode_node(node));
  out.text(2, graph.name);
  for (const Tensor& tensor : graph.initializers) out.bytes(5, encode_tensor(tensor));
  for (const Port& port : graph.inputs) out.bytes(11, encode_port(port));
  for (const Port& port : graph.outputs) out.bytes(12, encode_port(port));
  return out.done();
}

}  // namespace

Bytes encode(const Model& model) {
  FieldWriter out;
  out.integer(1, model.ir_version);
  out.text(2, model.producer);
  out.text(3, model.producer_version);
  out.text(6, model.documentation);
  out.bytes(7, encode_graph(model.graph));
  for (const auto& [domain, version] : model.opsets) {
    FieldWriter opset;
    opset.text(1, domain);
    opset.integer(2, version);
    out.bytes(8, opset.done());
  }
  for (const auto& [key, value] : model.metadata) {
    FieldWriter entry;
    entry.text(1, key);
    entry.text(2, value);
    out.bytes(14, entry.done());
  }
  return out.done();
}

}  // namespace nacelle::onnx
