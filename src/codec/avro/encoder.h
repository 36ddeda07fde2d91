#pragma once
// Avro's binary encoding (Avro 1.11 specification, "Binary encoding"): writing and reading values one by one, without a
// schema. Whoever calls knows the schema; schema.h reads what was written under any other.
//
//   Encoder record(bytes);
//   record.put_string(time).put_map(properties).put_union(1).put_bytes(body);

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::avro {

/// Appends values to `out`, which must outlive the encoder. A record is its fields in order; nothing marks its ends.
class Encoder {
 public:
  explicit Encoder(Bytes& out) : out_(out) {}
  Encoder& put_boolean(bool value);
  Encoder& put_long(std::int64_t value);  ///< `int`, `long`, and the index of an enum
  Encoder& put_float(float value);
  Encoder& put_double(double value);
  Encoder& put_bytes(BytesView value);
  Encoder& put_string(std::string_view utf8) { return put_bytes(utf8); }
  /// The branch of a union; the branch's value follows (nothing, for null).
  Encoder& put_union(std::size_t branch) { return put_long(static_cast<std::int64_t>(branch)); }
  /// An array or map is: a count above 0, so many items (or key and value), again ..., and 0.
  Encoder& put_count(std::size_t items) { return put_long(static_cast<std::int64_t>(items)); }
  /// A map of strings, from any range of pairs with size().
  template <class Pairs>
  Encoder& put_map(const Pairs& pairs) {
    if (pairs.size() > 0) put_count(pairs.size());
    for (const auto& [key, value] : pairs) put_string(key).put_string(value);
    return put_count(0);
  }

 private:
  Bytes& out_;
};

/// Reads values from the front of `bytes`, which it borrows. After a fault the decoder stands where it was found. Every
/// fault is Fault::corrupt and names the byte.
class Decoder {
 public:
  explicit Decoder(BytesView bytes) : bytes_(bytes) {}
  Result<bool> read_boolean();
  Result<std::int64_t> read_long();
  Result<float> read_float();
  Result<double> read_double();
  Result<BytesView> read_bytes();          ///< a view into the decoder's bytes
  Result<std::string_view> read_string();  ///< the same, UTF-8 checked
  Result<BytesView> read_fixed(std::size_t size);
  Result<std::size_t> read_index(std::size_t below);  ///< the branch of a union, the symbol of an enum
  /// Items in the next block of an array or map; 0 ends it. The count is not bounded: items may take no bytes at all.
  Result<std::uint64_t> read_count();
  /// Calls `entry(std::string_view key, std::string_view value)` for each entry of a map of strings.
  template <class Entry>
  Result<> read_map(Entry entry) {
    while (true) {
      TRY_LET(const std::uint64_t count, read_count());
      if (count == 0) return {};
      for (std::uint64_t i = 0; i < count; ++i) {
        TRY_LET(const std::string_view key, read_string());
        TRY_LET(const std::string_view value, read_string());
        entry(key, value);
      }
    }
  }

  bool at_end() const { return at_ == bytes_.size(); }
  std::size_t position() const { return at_; }
  /// A fault at the decoder's place: "Avro data, byte 12: ...".
  Failure corrupt(std::string_view why) const;

 private:
  BytesView bytes_;
  std::size_t at_ = 0;
};

}  // namespace nacelle::avro
