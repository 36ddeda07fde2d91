#include "codec/onnx/detail/wire.h"

#include <fmt/format.h>

namespace nacelle::onnx {

namespace {

Failure wrong(std::string_view what) { return fail(Fault::invalid_input, fmt::format("protobuf: {}", what)); }

template <class Bits>
Result<std::uint64_t> take_fixed(BytesView& rest) {
  Bits bits = 0;
  if (rest.size() < sizeof bits) return wrong("a number is cut off");
  std::memcpy(&bits, rest.data(), sizeof bits);
  rest.remove_prefix(sizeof bits);
  return std::uint64_t{bits};
}

void put_varint(Bytes& out, std::uint64_t value) {
  for (; value >= 0x80; value >>= 7) out.push_back(static_cast<char>(value | 0x80));
  out.push_back(static_cast<char>(value));
}

}  // namespace

Result<std::uint64_t> take_varint(BytesView& rest) {
  std::uint64_t value = 0;
  for (unsigned shift = 0; shift < 64; shift += 7) {
    if (rest.empty()) return wrong("a number is cut off");
    const auto byte = static_cast<unsigned char>(rest.front());
    rest.remove_prefix(1);
    if (shift == 63 && byte > 1) break;
    value |= std::uint64_t{byte & 0x7fu} << shift;
    if (byte < 0x80) return value;
  }
  return wrong("a number has more than 64 bits");
}

Result<Field> FieldReader::next() {
  Field field;
  TRY_LET(const std::uint64_t key, take_varint(rest_));
  if (key >> 3 == 0 || key >> 3 > 0x1fffffff) return wrong(fmt::format("field number {} cannot be", key >> 3));
  field.number = static_cast<std::uint32_t>(key >> 3);
  field.wire = static_cast<Wire>(key & 7);
  switch (field.wire) {
    case Wire::varint: {
      TRY_LET(field.bits, take_varint(rest_));
      return field;
    }
    case Wire::fixed64: {
      TRY_LET(field.bits, take_fixed<std::uint64_t>(rest_));
      return field;
    }
    case Wire::fixed32: {
      TRY_LET(field.bits, take_fixed<std::uint32_t>(rest_));
      return field;
    }
    case Wire::bytes: {
      TRY_LET(const std::uint64_t size, take_varint(rest_));
      if (size > rest_.size())
        return wrong(fmt::format("field {} has {} bytes, of which {} are there", field.number, size, rest_.size()));
      field.bytes = rest_.substr(0, size);
      rest_.remove_prefix(size);
      return field;
    }
  }
  return wrong(fmt::format("field {} is of wire type {}", field.number, key & 7));
}

void FieldWriter::key(std::uint32_t number, Wire wire) {
  put_varint(out_, std::uint64_t{number} << 3 | static_cast<std::uint32_t>(wire));
}

void FieldWriter::integer(std::uint32_t number, std::int64_t value) {
  key(number, Wire::varint);
  put_varint(out_, static_cast<std::uint64_t>(value));
}

void FieldWriter::float32(std::uint32_t number, float value) {
  key(number, Wire::fixed32);
  out_.append(reinterpret_cast<const char*>(&value), sizeof value);
}

void FieldWriter::bytes(std::uint32_t number, BytesView value) {
  key(number, Wire::bytes);
  put_varint(out_, value.size());
  out_ += value;
}

void FieldWriter::text(std::uint32_t number, BytesView value) {
  if (!value.empty()) bytes(number, value);
}

void FieldWriter::packed(std::uint32_t number, const std::vector<std::int64_t>& values) {
  Bytes all;
  for (const std::int64_t value : values) put_varint(all, static_cast<std::uint64_t>(value));
  text(number, all);
}

void FieldWriter::packed(std::uint32_t number, const std::vector<float>& values) {
  text(number, BytesView(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(float)));
}

}  // namespace nacelle::onnx
