#include "codec/avro/encoder.h"

#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "codec/text/encoding.h"

namespace nacelle::avro {
namespace {

static_assert(std::endian::native == std::endian::little, "Avro's floats are little-endian, and are copied as they lie");

template <class Number>
void put_raw(Bytes& out, Number value) {
  char raw[sizeof value];
  std::memcpy(raw, &value, sizeof value);
  out.append(raw, sizeof value);
}

constexpr std::size_t longest_varint = 10;  // 64 bits, seven a byte

}  // namespace

Encoder& Encoder::put_boolean(bool value) {
  out_ += value ? '\1' : '\0';
  return *this;
}

Encoder& Encoder::put_long(std::int64_t value) {
  // Zig-zag: small magnitudes of either sign become small numbers.
  auto rest = static_cast<std::uint64_t>(value) << 1 ^ static_cast<std::uint64_t>(value >> 63);
  char raw[longest_varint];
  std::size_t size = 0;
  while (rest >= 0x80) {
    raw[size++] = static_cast<char>((rest & 0x7f) | 0x80);
    rest >>= 7;
  }
  raw[size++] = static_cast<char>(rest);
  out_.append(raw, size);
  return *this;
}

Encoder& Encoder::put_float(float value) { return put_raw(out_, value), *this; }
Encoder& Encoder::put_double(double value) { return put_raw(out_, value), *this; }

Encoder& Encoder::put_bytes(BytesView value) {
  put_long(static_cast<std::int64_t>(value.size()));
  out_ += value;
  return *this;
}

Failure Decoder::corrupt(std::string_view why) const {
  return fail(Fault::corrupt, fmt::format("Avro data, byte {}: {}", at_, why));
}

Result<bool> Decoder::read_boolean() {
  if (at_end()) return corrupt("expected a Boolean, found the end");
  const char value = bytes_[at_];
  if (value != 0 && value != 1) return corrupt("expected a Boolean of 0 or 1");
  ++at_;
  return value == 1;
}

Result<std::int64_t> Decoder::read_long() {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < longest_varint; ++i) {
    if (at_ + i >= bytes_.size()) return corrupt("expected a number, found the end");
    const auto byte = static_cast<unsigned char>(bytes_[at_ + i]);
    if (i == longest_varint - 1 && byte > 1) break;  // beyond 64 bits
    value |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if (byte & 0x80) continue;
    at_ += i + 1;
    return static_cast<std::int64_t>(value >> 1 ^ (~(value & 1) + 1));
  }
  return corrupt("a number is longer than 64 bits");
}

Result<BytesView> Decoder::read_fixed(std::size_t size) {
  if (size > bytes_.size() - at_) return corrupt(fmt::format("expected {} bytes, found {}", size, bytes_.size() - at_));
  const BytesView value = bytes_.substr(at_, size);
  at_ += size;
  return value;
}

Result<float> Decoder::read_float() {
  TRY_LET(const BytesView raw, read_fixed(sizeof(float)));
  float value;
  std::memcpy(&value, raw.data(), sizeof value);
  return value;
}

Result<double> Decoder::read_double() {
  TRY_LET(const BytesView raw, read_fixed(sizeof(double)));
  double value;
  std::memcpy(&value, raw.data(), sizeof value);
  return value;
}

Result<BytesView> Decoder::read_bytes() {
  const std::size_t start = at_;
  TRY_LET(const std::int64_t size, read_long());
  if (size >= 0 && static_cast<std::uint64_t>(size) <= bytes_.size() - at_) return read_fixed(static_cast<std::size_t>(size));
  const std::size_t found = bytes_.size() - at_;
  at_ = start;
  return corrupt(fmt::format("a length of {} bytes, where {} are left", size, found));
}

Result<std::string_view> Decoder::read_string() {
  const std::size_t start = at_;
  TRY_LET(const BytesView value, read_bytes());
  if (text::valid_utf8(value)) return value;
  at_ = start;
  return corrupt("a string that is not UTF-8");
}

Result<std::size_t> Decoder::read_index(std::size_t below) {
  const std::size_t start = at_;
  TRY_LET(const std::int64_t index, read_long());
  if (index >= 0 && static_cast<std::uint64_t>(index) < below) return static_cast<std::size_t>(index);
  at_ = start;
  return corrupt(fmt::format("expected an index below {}, found {}", below, index));
}

Result<std::uint64_t> Decoder::read_count() {
  const std::size_t start = at_;
  TRY_LET(const std::int64_t count, read_long());
  if (count >= 0) return static_cast<std::uint64_t>(count);
  // A negative count is followed by the block's size in bytes, for those who pass over it; we read it item by item.
  TRY_LET(const std::int64_t size, read_long());
  if (size >= 0 && count != INT64_MIN) return static_cast<std::uint64_t>(-count);
  at_ = start;
  return corrupt("a block of items with a size below 0");
}

}  // namespace nacelle::avro
