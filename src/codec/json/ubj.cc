#include "codec/json/ubj.h"

#include <fmt/format.h>

#include <bit>
#include <optional>

namespace nacelle::json {
namespace {

/// What an opened container promises: its items' type, and how many there are; without a count it ends with a bracket.
struct Header {
  char type = 0;  ///< 0: each item tells its own
  std::optional<std::size_t> count;
};

class Reader {
 public:
  Reader(std::string_view bytes, const ParseLimits& limits) : bytes_(bytes), limits_(limits) {}

  Result<Value> document() {
    TRY_LET(const char type, marker());
    TRY_LET(Value value, this->value(type, 0));
    while (at_ < bytes_.size() && bytes_[at_] == 'N') ++at_;
    if (at_ != bytes_.size()) return wrong("expected the end of the document");
    return value;
  }

 private:
  Failure wrong(std::string_view what) const { return fail(Fault::invalid_input, fmt::format("UBJSON, byte {}: {}", at_, what)); }

  Result<char> marker() {
    while (at_ < bytes_.size() && bytes_[at_] == 'N') ++at_;  // no-ops may stand before any value
    if (at_ == bytes_.size()) return wrong("expected a value, found the end");
    return bytes_[at_++];
  }

  template <class Bits>
  Result<Bits> big_endian() {
    if (bytes_.size() - at_ < sizeof(Bits)) return wrong(fmt::format("expected {} more bytes", sizeof(Bits)));
    Bits bits = 0;
    for (std::size_t i = 0; i < sizeof bits; ++i)
      bits = static_cast<Bits>(static_cast<std::uint64_t>(bits) << 8 | static_cast<unsigned char>(bytes_[at_++]));
    return bits;
  }
  template <class Signed, class Bits>
  Result<std::int64_t> whole() {
    TRY_LET(const Bits bits, big_endian<Bits>());
    return static_cast<std::int64_t>(static_cast<Signed>(bits));
  }

  Result<std::int64_t> integer(char type) {
    switch (type) {
      case 'i': return whole<std::int8_t, std::uint8_t>();
      case 'U': return whole<std::uint8_t, std::uint8_t>();
      case 'I': return whole<std::int16_t, std::uint16_t>();
      case 'l': return whole<std::int32_t, std::uint32_t>();
      case 'L': return whole<std::int64_t, std::uint64_t>();
      default: return wrong(fmt::format("expected a whole number, found type {:#04x}", static_cast<unsigned char>(type)));
    }
  }

  Result<std::size_t> length() {
    if (at_ == bytes_.size()) return wrong("expected a length, found the end");
    const char type = bytes_[at_++];
    TRY_LET(const std::int64_t number, integer(type));
    if (number < 0) return wrong(fmt::format("expected a length of 0 or more, found {}", number));
    // Every item has at least one byte: no count beyond what is left can be true.
    if (static_cast<std::uint64_t>(number) > bytes_.size() - at_) return wrong(fmt::format("{} items are not there", number));
    return static_cast<std::size_t>(number);
  }

  Result<std::string> text() {
    TRY_LET(const std::size_t size, length());
    std::string result(bytes_.substr(at_, size));
    at_ += size;
    return result;
  }

  Result<Header> header() {
    Header header;
    if (at_ < bytes_.size() && bytes_[at_] == '$') {
      ++at_;
      if (at_ == bytes_.size()) return wrong("expected a type, found the end");
      header.type = bytes_[at_++];
      // Types without bytes of their own would let a short document promise any number of items.
      if (std::string_view("iUIlLdDCS[{").find(header.type) == std::string_view::npos)
        return wrong("items of this type are not supported");
      if (at_ == bytes_.size() || bytes_[at_] != '#') return wrong("expected a count after the type");
    }
    if (at_ < bytes_.size() && bytes_[at_] == '#') {
      ++at_;
      TRY_LET(header.count, length());
    }
    return header;
  }

  bool ends(const Header& header, std::size_t done, char bracket) {
    if (header.count) return done == *header.count;
    if (at_ < bytes_.size() && bytes_[at_] == bracket) {
      ++at_;
      return true;
    }
    return false;
  }

  Result<Value> array(std::size_t depth) {
    TRY_LET(const Header header, this->header());
    Array items;
    while (!ends(header, items.size(), ']')) {
      char type = header.type;
      if (type == 0) {
        TRY_LET(type, marker());
        if (type == ']' && !header.count) break;  // after no-ops
      }
      TRY_LET(Value item, value(type, depth + 1));
      items.push_back(std::move(item));
    }
    return Value(std::move(items));
  }

  Result<Value> object(std::size_t depth) {
    TRY_LET(const Header header, this->header());
    std::vector<Object::Member> members;
    while (!ends(header, members.size(), '}')) {
      TRY_LET(std::string key, text());
      char type = header.type;
      if (type == 0) {
        TRY_LET(type, marker());
      }
      TRY_LET(Value member, value(type, depth + 1));
      members.emplace_back(std::move(key), std::move(member));
    }
    return Value(Object::from_members(std::move(members)));
  }

  Result<Value> value(char type, std::size_t depth) {
    if (depth > limits_.max_depth)
      return fail(Fault::exhausted, fmt::format("UBJSON, byte {}: nested deeper than the limit of {}", at_, limits_.max_depth));
    switch (type) {
      case 'Z': return Value();
      case 'T': return Value(true);
      case 'F': return Value(false);
      case '[': return array(depth);
      case '{': return object(depth);
      case 'd': {
        TRY_LET(const std::uint32_t bits, big_endian<std::uint32_t>());
        return Value(static_cast<double>(std::bit_cast<float>(bits)));
      }
      case 'D': {
        TRY_LET(const std::uint64_t bits, big_endian<std::uint64_t>());
        return Value(std::bit_cast<double>(bits));
      }
      case 'S': {
        TRY_LET(std::string string, text());
        return Value(std::move(string));
      }
      case 'C': {
        TRY_LET(const std::uint8_t letter, big_endian<std::uint8_t>());
        return Value(std::string(1, static_cast<char>(letter)));
      }
      case 'i':
      case 'U':
      case 'I':
      case 'l':
      case 'L': {
        TRY_LET(const std::int64_t number, integer(type));
        return Value(number);
      }
      default: return wrong(fmt::format("unknown type {:#04x}", static_cast<unsigned char>(type)));
    }
  }

  std::string_view bytes_;
  const ParseLimits& limits_;
  std::size_t at_ = 0;
};

}  // namespace

Result<Value> parse_ubj(std::string_view bytes, const ParseLimits& limits) {
  if (bytes.size() > limits.max_bytes)
    return fail(Fault::exhausted, fmt::format("UBJSON: {} bytes, the limit is {}", bytes.size(), limits.max_bytes));
  return Reader(bytes, limits).document();
}

}  // namespace nacelle::json
