#pragma once
// Protobuf's wire format: keys, varints, lengths. Private to codec/onnx. Source: protobuf.dev/programming-guides/encoding

#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::onnx {

static_assert(std::endian::native == std::endian::little, "fixed-size numbers are copied as they are");

enum class Wire : std::uint32_t { varint = 0, fixed64 = 1, bytes = 2, fixed32 = 5 };

/// A field as it stands in a message. Of its values the one that its wire type says is set.
struct Field {
  std::uint32_t number = 0;
  Wire wire = Wire::varint;
  std::uint64_t bits = 0;  ///< varint, fixed64 or fixed32
  BytesView bytes;
};

/// Takes a message's fields off the front.
class FieldReader {
 public:
  explicit FieldReader(BytesView rest) : rest_(rest) {}
  bool at_end() const { return rest_.empty(); }
  Result<Field> next();

 private:
  BytesView rest_;
};

/// A varint off the front of `rest`. Fault::invalid_input if it is cut off or longer than 64 bits.
Result<std::uint64_t> take_varint(BytesView& rest);

class FieldWriter {
 public:
  void integer(std::uint32_t number, std::int64_t value);
  void float32(std::uint32_t number, float value);
  void bytes(std::uint32_t number, BytesView value);
  /// The same, left out when empty.
  void text(std::uint32_t number, BytesView value);
  void packed(std::uint32_t number, const std::vector<std::int64_t>& values);
  void packed(std::uint32_t number, const std::vector<float>& values);
  const Bytes& done() const { return out_; }

 private:
  void key(std::uint32_t number, Wire wire);
  Bytes out_;
};

}  // namespace nacelle::onnx
