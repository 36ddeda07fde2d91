#include <fmt/format.h>

#include <cstring>

#include "codec/onnx/model.h"

namespace nacelle::onnx {

namespace {

template <class T>
Tensor make(std::string name, Element type, std::vector<std::int64_t> dims, const std::vector<T>& values) {
  return {.name = std::move(name),
          .type = type,
          .dims = std::move(dims),
          .raw = Bytes(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T))};
}

template <class T>
std::vector<double> widen(BytesView raw) {
  std::vector<double> numbers(raw.size() / sizeof(T));
  for (std::size_t i = 0; i < numbers.size(); ++i) {
    T value;
    std::memcpy(&value, raw.data() + i * sizeof value, sizeof value);
    numbers[i] = static_cast<double>(value);
  }
  return numbers;
}

Result<std::vector<double>> read_numbers(const Tensor& tensor) {
  switch (tensor.type) {
    case Element::float32: return widen<float>(tensor.raw);
    case Element::float64: return widen<double>(tensor.raw);
    case Element::int32: return widen<std::int32_t>(tensor.raw);
    case Element::int64: return widen<std::int64_t>(tensor.raw);
    default:
      return fail(Fault::invalid_input, fmt::format("ONNX tensor '{}': expected numbers, found element type {}", tensor.name,
                                                    static_cast<std::int32_t>(tensor.type)));
  }
}

}  // namespace

Tensor Tensor::of(std::string name, std::vector<std::int64_t> dims, const std::vector<float>& values) {
  return make(std::move(name), Element::float32, std::move(dims), values);
}
Tensor Tensor::of(std::string name, std::vector<std::int64_t> dims, const std::vector<double>& values) {
  return make(std::move(name), Element::float64, std::move(dims), values);
}
Tensor Tensor::of(std::string name, std::vector<std::int64_t> dims, const std::vector<std::int64_t>& values) {
  return make(std::move(name), Element::int64, std::move(dims), values);
}

Result<std::vector<double>> Tensor::numbers() const {
  TRY_LET(std::vector<double> values, read_numbers(*this));
  std::size_t expected = 1;
  for (const std::int64_t dim : dims) {
    // More items than there are bytes cannot be; and products do not wrap around.
    if (dim < 0 || (dim > 0 && expected > raw.size() / static_cast<std::size_t>(dim))) expected = raw.size() + 1;
    if (expected > raw.size()) break;
    expected *= static_cast<std::size_t>(dim);
  }
  if (values.size() != expected)
    return fail(Fault::invalid_input,
                fmt::format("ONNX tensor '{}': it has {} numbers, not those of its dimensions", name, values.size()));
  return values;
}

Attribute Attribute::of(std::string name, std::int64_t value) {
  Attribute made{.name = std::move(name), .type = AttributeType::integer};
  made.integer = value;
  return made;
}
Attribute Attribute::of(std::string name, std::string value) {
  Attribute made{.name = std::move(name), .type = AttributeType::string};
  made.string = std::move(value);
  return made;
}
Attribute Attribute::of(std::string name, std::vector<float> values) {
  Attribute made{.name = std::move(name), .type = AttributeType::numbers};
  made.numbers = std::move(values);
  return made;
}
Attribute Attribute::of(std::string name, std::vector<std::int64_t> values) {
  Attribute made{.name = std::move(name), .type = AttributeType::integers};
  made.integers = std::move(values);
  return made;
}
Attribute Attribute::of(std::string name, std::vector<std::string> values) {
  Attribute made{.name = std::move(name), .type = AttributeType::strings};
  made.strings = std::move(values);
  return made;
}

const Attribute* Node::find(std::string_view attribute) const {
  for (const Attribute& candidate : attributes)
    if (candidate.name == attribute) return &candidate;
  return nullptr;
}

}  // namespace nacelle::onnx
