#pragma once
// AMQP 1.0 values (part 1 of the standard): what stands in properties, annotations, filters and bodies.

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::amqp {

struct Symbol {
  std::string text;
  bool operator==(const Symbol&) const = default;
};
struct Uuid {
  std::array<std::uint8_t, 16> bytes{};
  bool operator==(const Uuid&) const = default;
};
/// The type `timestamp`.
struct Instant {
  std::int64_t unix_ms = 0;
  bool operator==(const Instant&) const = default;
};
struct Binary {
  Bytes bytes;
  bool operator==(const Binary&) const = default;
};

class Value;
struct Entry;
using List = std::vector<Value>;
/// In the order of the wire; the first of equal keys counts.
using Map = std::vector<Entry>;
/// Elements of one type.
struct Array {
  List elements;
  bool operator==(const Array&) const;
};
struct Described {
  std::shared_ptr<const Value> descriptor;
  std::shared_ptr<const Value> value;
  bool operator==(const Described&) const;
};

/// Integers keep their sign and whether they have 32 or 64 bits (narrower ones become 32); float becomes double, char its number,
/// and a decimal null.
class Value {
 public:
  using Data = std::variant<std::monostate, bool, std::int32_t, std::uint32_t, std::int64_t, std::uint64_t, double, Instant, Uuid,
                            Binary, std::string, Symbol, List, Map, Array, Described>;

  Value() = default;
  template <class T>
  requires std::is_constructible_v<Data, T> &&(!std::is_same_v<std::remove_cvref_t<T>, Value>)Value(T&& data)
      : data_(std::forward<T>(data)) {}  // NOLINT: implicit by design
  Value(const char* text);               // NOLINT
  Value(std::string_view text);          // NOLINT

  const Data& data() const { return data_; }
  template <class T>
  const T* as() const {
    return std::get_if<T>(&data_);
  }
  bool is_null() const { return data_.index() == 0; }
  std::string_view text() const;                ///< of a string or a symbol; else empty
  std::optional<std::int64_t> integer() const;  ///< of any integer that fits
  bool operator==(const Value&) const = default;

 private:
  Data data_;
};

struct Entry {
  Value key;
  Value value;
  bool operator==(const Entry&) const = default;
};

inline Value::Value(const char* text) : data_(std::string(text)) {}
inline Value::Value(std::string_view text) : data_(std::string(text)) {}

/// By a key that is a string or a symbol; null if it is not there.
const Value* find(const Map& map, std::string_view key);
/// The text of what is there; empty if nothing is, or no text.
std::string_view text_at(const Map& map, std::string_view key);
/// Whatever a message id may be, as people write it: text as it is, a number, a UUID with dashes, bytes as hexadecimal; empty: null
/// and all that no id can be.
std::string id_text(const Value& id);

/// Nested deeper than this is refused.
inline constexpr int max_depth = 16;
/// So many values at once, at the most: each takes more room than its byte on the wire.
inline constexpr std::size_t max_values = 20'000;

/// The value at the beginning of `bytes`, which it takes away. Fault::invalid_input: cut off, too deep, too many, no type.
Result<Value> decode(BytesView& bytes);
/// Elements of an array that are not of its first one's type, and arrays of lists, maps and arrays, are left out.
void encode(Bytes& out, const Value& value);

}  // namespace nacelle::amqp
