// Field numbers are those of onnx.proto; what is not named is skipped.
#include <fmt/format.h>

#include "codec/onnx/detail/wire.h"
#include "codec/onnx/model.h"

namespace nacelle::onnx {

namespace {

Result<BytesView> bytes_of(const Field& field) {
  if (field.wire != Wire::bytes) return fail(Fault::invalid_input, fmt::format("field {}: expected bytes", field.number));
  return field.bytes;
}

Result<> read(const Field& field, std::string& into) {
  TRY_LET(const BytesView bytes, bytes_of(field));
  into = std::string(bytes);
  return {};
}

Result<> read(const Field& field, std::int64_t& into) {
  if (field.wire != Wire::varint) return fail(Fault::invalid_input, fmt::format("field {}: expected a whole number", field.number));
  into = static_cast<std::int64_t>(field.bits);
  return {};
}

template <class Enum>
Result<> read_enum(const Field& field, Enum& into) {
  std::int64_t number = 0;
  TRY(read(field, number));
  if (number < 0 || number > 1000)
    return fail(Fault::invalid_input, fmt::format("field {}: {} is no known type", field.number, number));
  into = static_cast<Enum>(number);
  return {};
}

float as_float(std::uint64_t bits) { return std::bit_cast<float>(static_cast<std::uint32_t>(bits)); }

/// Repeated numbers come one a field, or many packed into one.
Result<> read_more(const Field& field, std::vector<float>& into) {
  if (field.wire == Wire::fixed32) {
    into.push_back(as_float(field.bits));
    return {};
  }
  TRY_LET(const BytesView packed, bytes_of(field));
  if (packed.size() % sizeof(float) != 0)
    return fail(Fault::invalid_input, fmt::format("field {}: its numbers are cut off", field.number));
  const std::size_t before = into.size();
  into.resize(before + packed.size() / sizeof(float));
  if (!packed.empty()) std::memcpy(into.data() + before, packed.data(), packed.size());
  return {};
}

Result<> read_more(const Field& field, std::vector<std::int64_t>& into) {
  if (field.wire == Wire::varint) {
    into.push_back(static_cast<std::int64_t>(field.bits));
    return {};
  }
  TRY_LET(BytesView packed, bytes_of(field));
  while (!packed.empty()) {
    TRY_LET(const std::uint64_t value, take_varint(packed));
    into.push_back(static_cast<std::int64_t>(value));
  }
  return {};
}

template <class T>
void append_raw(Bytes& raw, T value) {
  raw.append(reinterpret_cast<const char*>(&value), sizeof value);
}

class Decoder {
 public:
  explicit Decoder(const Limits& limits) : limits_(limits) {}

  Result<Model> model(BytesView bytes) {
    Model model{.ir_version = 0};
    bool has_graph = false;
    TRY(each_field(bytes, "model", [&](const Field& field) -> Result<> {
      switch (field.number) {
        case 1: return read(field, model.ir_version);
        case 2: return read(field, model.producer);
        case 3: return read(field, model.producer_version);
        case 6: return read(field, model.documentation);
        case 7: has_graph = true; return graph(field, model.graph);
        case 8: return opset(field, model.opsets.emplace_back());
        case 14: return entry(field, model.metadata.emplace_back());
        default: return {};
      }
    }));
    if (!has_graph) return fail(Fault::invalid_input, "model: expected a graph, found none: this is no ONNX file");
    return model;
  }

 private:
  template <class Take>
  Result<> each_field(BytesView bytes, std::string_view what, const Take& take) {
    if (++messages_ > limits_.max_messages)
      return fail(Fault::exhausted, fmt::format("{}: more messages than the limit of {}", what, limits_.max_messages));
    FieldReader reader(bytes);
    while (!reader.at_end()) {
      TRY_LET(const Field field, in(reader.next(), what));
      TRY(in(take(field), what));
    }
    return {};
  }

  Result<> opset(const Field& outer, std::pair<std::string, std::int64_t>& opset) {
    TRY_LET(const BytesView bytes, bytes_of(outer));
    return each_field(bytes, "operator set", [&](const Field& field) -> Result<> {
      if (field.number == 1) return read(field, opset.first);
      if (field.number == 2) return read(field, opset.second);
      return {};
    });
  }

  Result<> entry(const Field& outer, std::pair<std::string, std::string>& entry) {
    TRY_LET(const BytesView bytes, bytes_of(outer));
    return each_field(bytes, "metadata", [&](const Field& field) -> Result<> {
      if (field.number == 1) return read(field, entry.first);
      if (field.number == 2) return read(field, entry.second);
      return {};
    });
  }

  Result<> graph(const Field& outer, Graph& graph) {
    TRY_LET(const BytesView bytes, bytes_of(outer));
    return each_field(bytes, "graph", [&](const Field& field) -> Result<> {
      switch (field.number) {
        case 1: return node(field, graph.nodes.emplace_back());
        case 2: return read(field, graph.name);
        case 5: return tensor(field, graph.initializers.emplace_back());
        case 11: return port(field, graph.inputs.emplace_back());
        case 12: return port(field, graph.outputs.emplace_back());
        default: return {};
      }
    });
  }

  Result<> node(const Field& outer, Node& node) {
    TRY_LET(const BytesView bytes, bytes_of(outer));
    return each_field(bytes, "node", [&](const Field& field) -> Result<> {
      switch (field.number) {
        case 1: return one_more(field, node.inputs);
        case 2: return one_more(field, node.outputs);
        case 3: return read(field, node.name);
        case 4: return read(field, node.op);
        case 5: return attribute(field, node.attributes.emplace_back());
        case 7: return read(field, node.domain);
        default: return {};
      }
    });
  }

  Result<> attribute(const Field& outer, Attribute& attribute) {
    TRY_LET(const BytesView bytes, bytes_of(outer));
    return each_field(bytes, "attribute", [&](const Field& field) -> Result<> {
      switch (field.number) {
        case 1: return read(field, attribute.name);
        case 2:
          if (field.wire != Wire::fixed32) return fail(Fault::invalid_input, "field 2: expected a single-precision number");
          attribute.number = as_float(field.bits);
          return {};
        case 3: return read(field, attribute.integer);
        case 4: return read(field, attribute.string);
        case 5: return tensor(field, attribute.tensor.emplace());
        case 7: return read_more(field, attribute.numbers);
        case 8: return read_more(field, attribute.integers);
        case 9: return one_more(field, attribute.strings);
        case 20: return read_enum(field, attribute.type);
        default: return {};
      }
    });
  }

  Result<> one_more(const Field& field, std::vector<std::string>& into) {
    if (++strings_ > limits_.max_strings)
      return fail(Fault::exhausted, fmt::format("more strings than the limit of {}", limits_.max_strings));
    return read(field, into.emplace_back());
  }

  /// Whatever form the numbers are written in, they end up in `raw`.
  Result<> tensor(const Field& outer, Tensor& tensor) {
    TRY_LET(const BytesView bytes, bytes_of(outer));
    std::vector<float> floats;
    std::vector<std::int64_t> narrow, wide;
    bool external = false;
    TRY(each_field(bytes, "tensor", [&](const Field& field) -> Result<> {
      switch (field.number) {
        case 1: return read_more(field, tensor.dims);
        case 2: return read_enum(field, tensor.type);
        case 4: return read_more(field, floats);
        case 5: return read_more(field, narrow);
        case 7: return read_more(field, wide);
        case 8: return read(field, tensor.name);
        case 9: return read(field, tensor.raw);
        case 10: return read_doubles(field, tensor.raw);
        case 13: external = true; return {};
        default: return {};
      }
    }));
    if (external) return fail(Fault::invalid_input, fmt::format("tensor '{}': numbers in another file are not read", tensor.name));
    for (const float value : floats) append_raw(tensor.raw, value);
    for (const std::int64_t value : narrow)
      if (tensor.type == Element::int32) append_raw(tensor.raw, static_cast<std::int32_t>(value));
    for (const std::int64_t value : wide) append_raw(tensor.raw, value);
    return {};
  }

  static Result<> read_doubles(const Field& field, Bytes& raw) {
    if (field.wire == Wire::fixed64) {
      append_raw(raw, field.bits);
      return {};
    }
    TRY_LET(const BytesView packed, bytes_of(field));
    raw += packed;
    return {};
  }

  /// ValueInfoProto, down to TypeProto.Tensor; other kinds of values stay without a type.
  Result<> port(const Field& outer, Port& port) {
    TRY_LET(const BytesView bytes, bytes_of(outer));
    return each_field(bytes, "input or output", [&](const Field& field) -> Result<> {
      if (field.number == 1) return read(field, port.name);
      if (field.number != 2) return {};
      TRY_LET(const BytesView type, bytes_of(field));
      return each_field(type, "type", [&](const Field& kind) -> Result<> {
        if (kind.number != 1) return {};
        TRY_LET(const BytesView tensor, bytes_of(kind));
        return each_field(tensor, "tensor type", [&](const Field& part) -> Result<> {
          if (part.number == 1) return read_enum(part, port.type);
          return part.number == 2 ? shape(part, port.dims) : Result<>();
        });
      });
    });
  }

  Result<> shape(const Field& outer, std::vector<std::int64_t>& dims) {
    TRY_LET(const BytesView bytes, bytes_of(outer));
    return each_field(bytes, "shape", [&](const Field& field) -> Result<> {
      if (field.number != 1) return {};
      TRY_LET(const BytesView dimension, bytes_of(field));
      std::int64_t& dim = dims.emplace_back(-1);
      return each_field(dimension, "dimension", [&dim](const Field& part) -> Result<> {
        if (part.number != 1) return {};
        TRY(read(part, dim));
        if (dim < 0) dim = -1;
        return {};
      });
    });
  }

  const Limits& limits_;
  std::size_t messages_ = 0;
  std::size_t strings_ = 0;
};

}  // namespace

Result<Model> decode(BytesView bytes, const Limits& limits) {
  if (bytes.size() > limits.max_bytes)
    return fail(Fault::exhausted, fmt::format("ONNX: {} bytes, the limit is {}", bytes.size(), limits.max_bytes));
  return in(Decoder(limits).model(bytes), "ONNX");
}

}  // namespace nacelle::onnx
