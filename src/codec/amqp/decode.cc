// AMQP 1.0 part 1, section 1.6: the upper half of a format code says how much room the value takes.
#include <fmt/format.h>

#include <bit>
#include <cstring>

#include "codec/amqp/value.h"

namespace nacelle::amqp {
namespace {

Failure cut_off() { return fail(Fault::invalid_input, "AMQP value: cut off"); }

std::uint64_t big_endian(BytesView bytes) {
  std::uint64_t number = 0;
  for (const char byte : bytes) number = number << 8 | static_cast<unsigned char>(byte);
  return number;
}

class Decoder {
 public:
  explicit Decoder(BytesView& bytes) : bytes_(bytes) {}

  Result<Value> value(int depth) {
    TRY(enter(depth));
    TRY_LET(const std::uint8_t code, take_code());
    if (code != described) return of_code(code, depth);
    TRY_LET(Value descriptor, value(depth + 1));
    TRY_LET(Value content, value(depth + 1));
    return Value(
        Described{std::make_shared<const Value>(std::move(descriptor)), std::make_shared<const Value>(std::move(content))});
  }

 private:
  static constexpr std::uint8_t described = 0;

  Result<> enter(int depth) {
    if (depth > max_depth) return fail(Fault::invalid_input, fmt::format("AMQP value: nested deeper than {}", max_depth));
    if (++values_ > max_values) return fail(Fault::invalid_input, fmt::format("AMQP value: more than {} in one", max_values));
    return {};
  }
  Result<BytesView> take(std::size_t count) {
    if (bytes_.size() < count) return cut_off();
    const BytesView taken = bytes_.substr(0, count);
    bytes_.remove_prefix(count);
    return taken;
  }
  Result<std::uint64_t> number(std::size_t width) {
    TRY_LET(const BytesView taken, take(width));
    return big_endian(taken);
  }
  Result<std::uint8_t> take_code() {
    TRY_LET(const std::uint64_t code, number(1));
    return static_cast<std::uint8_t>(code);
  }

  Result<Value> of_code(std::uint8_t code, int depth) {
    switch (code >> 4) {
      case 0x4: return without_bytes(code);
      case 0x5: return fixed(code, 1);
      case 0x6: return fixed(code, 2);
      case 0x7: return fixed(code, 4);
      case 0x8: return fixed(code, 8);
      case 0x9: return fixed(code, 16);
      case 0xa: return variable(code, 1);
      case 0xb: return variable(code, 4);
      case 0xc: return compound(code, 1, depth);
      case 0xd: return compound(code, 4, depth);
      case 0xe: return array(code, 1, depth);
      case 0xf: return array(code, 4, depth);
      default: return unknown(code);
    }
  }

  static Failure unknown(std::uint8_t code) {
    return fail(Fault::invalid_input, fmt::format("AMQP value: {:#04x} is no format code", code));
  }

  static Result<Value> without_bytes(std::uint8_t code) {
    switch (code) {
      case 0x40: return Value();
      case 0x41: return Value(true);
      case 0x42: return Value(false);
      case 0x43: return Value(std::uint32_t{0});
      case 0x44: return Value(std::uint64_t{0});
      case 0x45: return Value(List());
      default: return unknown(code);
    }
  }

  Result<Value> fixed(std::uint8_t code, std::size_t width) {
    TRY_LET(const BytesView taken, take(width));
    const std::uint64_t bits = big_endian(taken);
    switch (code) {
      case 0x50:
      case 0x52:
      case 0x60:
      case 0x70:
      case 0x73: return Value(static_cast<std::uint32_t>(bits));
      case 0x51:
      case 0x54: return Value(std::int32_t{static_cast<std::int8_t>(bits)});
      case 0x53:
      case 0x80: return Value(bits);
      case 0x55: return Value(std::int64_t{static_cast<std::int8_t>(bits)});
      case 0x56:
        if (bits > 1) return fail(Fault::invalid_input, "AMQP value: a boolean is 0 or 1");
        return Value(bits == 1);
      case 0x61: return Value(std::int32_t{static_cast<std::int16_t>(bits)});
      case 0x71: return Value(static_cast<std::int32_t>(bits));
      case 0x72: return Value(static_cast<double>(std::bit_cast<float>(static_cast<std::uint32_t>(bits))));
      case 0x81: return Value(static_cast<std::int64_t>(bits));
      case 0x82: return Value(std::bit_cast<double>(bits));
      case 0x83: return Value(Instant{static_cast<std::int64_t>(bits)});
      case 0x74:
      case 0x84:
      case 0x94: return Value();
      case 0x98: {
        Uuid uuid;
        std::memcpy(uuid.bytes.data(), taken.data(), uuid.bytes.size());
        return Value(uuid);
      }
      default: return unknown(code);
    }
  }

  Result<Value> variable(std::uint8_t code, std::size_t width) {
    TRY_LET(const std::uint64_t size, number(width));
    TRY_LET(const BytesView taken, take(size));
    switch (code & 0xf) {
      case 0x0: return Value(Binary{Bytes(taken)});
      case 0x1: return Value(std::string(taken));
      case 0x3: return Value(Symbol{std::string(taken)});
      default: return unknown(code);
    }
  }

  /// Its size counts what follows the size, and the elements must fill it.
  struct Extent {
    std::uint64_t count = 0;
    std::size_t left = 0;  ///< of `bytes_` when it has been read
  };
  Result<Extent> extent(std::size_t width) {
    TRY_LET(const std::uint64_t size, number(width));
    if (size < width || size > bytes_.size()) return cut_off();
    const std::size_t left = bytes_.size() - size;
    TRY_LET(const std::uint64_t count, number(width));
    return Extent{count, left};
  }
  Result<> fills(const Extent& extent) const {
    if (bytes_.size() != extent.left) return fail(Fault::invalid_input, "AMQP value: the elements do not fill a compound's size");
    return {};
  }

  Result<Value> compound(std::uint8_t code, std::size_t width, int depth) {
    if ((code & 0xf) > 1) return unknown(code);
    TRY_LET(const Extent size, extent(width));
    if ((code & 0xf) == 0) {
      List list;
      for (std::uint64_t i = 0; i < size.count; ++i) {
        TRY_LET(Value element, value(depth + 1));
        list.push_back(std::move(element));
      }
      TRY(fills(size));
      return Value(std::move(list));
    }
    if (size.count % 2 != 0) return fail(Fault::invalid_input, "AMQP value: a map's last key has no value");
    Map map;
    for (std::uint64_t i = 0; i < size.count; i += 2) {
      TRY_LET(Value key, value(depth + 1));
      TRY_LET(Value content, value(depth + 1));
      map.push_back({std::move(key), std::move(content)});
    }
    TRY(fills(size));
    return Value(std::move(map));
  }

  Result<Value> array(std::uint8_t code, std::size_t width, int depth) {
    if ((code & 0xf) != 0) return unknown(code);
    TRY_LET(const Extent size, extent(width));
    TRY_LET(const std::uint8_t element_code, take_code());
    if (element_code == described) return fail(Fault::invalid_input, "AMQP value: arrays of described values are not taken");
    // A few bytes could stand for billions of these.
    if (element_code >> 4 == 0x4 && size.count > 0)
      return fail(Fault::invalid_input, "AMQP value: an array of values without bytes");
    Array made;
    for (std::uint64_t i = 0; i < size.count; ++i) {
      TRY(enter(depth + 1));
      TRY_LET(Value element, of_code(element_code, depth + 1));
      made.elements.push_back(std::move(element));
    }
    TRY(fills(size));
    return Value(std::move(made));
  }

  BytesView& bytes_;
  std::size_t values_ = 0;
};

}  // namespace

Result<Value> decode(BytesView& bytes) { return Decoder(bytes).value(0); }

}  // namespace nacelle::amqp
