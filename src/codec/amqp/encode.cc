#include <bit>

#include "codec/amqp/value.h"

namespace nacelle::amqp {
namespace {

void put(Bytes& out, std::uint64_t number, int bytes) {
  while (bytes-- > 0) out += static_cast<char>(number >> (8 * bytes) & 0xff);
}

void put_sized(Bytes& out, std::uint8_t short_code, BytesView bytes) {
  const bool is_short = bytes.size() < 256;
  put(out, is_short ? short_code : short_code + 0x10, 1);
  put(out, bytes.size(), is_short ? 1 : 4);
  out += bytes;
}

/// `short_code`: of the form with sizes of one byte; the other has the next higher upper half.
void put_compound(Bytes& out, std::uint8_t short_code, std::size_t count, const Bytes& content) {
  const bool is_short = content.size() < 255 && count < 256;
  const int width = is_short ? 1 : 4;
  INVARIANT(content.size() < 0xffff'fff0 && count < 0xffff'ffff, "what we send is bounded by the message size");
  put(out, is_short ? short_code : short_code + 0x10, 1);
  put(out, content.size() + width, width);
  put(out, count, width);
  out += content;
}

constexpr std::uint8_t symbols = 0xb3, no_element = 0x40;

/// In arrays all elements have one code, so they are written in the long form. Values we do not write in arrays: `no_element`.
std::uint8_t array_code(const Value& value) {
  if (value.as<std::string>()) return 0xb1;
  if (value.as<Symbol>()) return symbols;
  if (value.as<Binary>()) return 0xb0;
  if (value.as<bool>()) return 0x56;
  if (value.as<std::int32_t>()) return 0x71;
  if (value.as<std::uint32_t>()) return 0x70;
  if (value.as<std::int64_t>()) return 0x81;
  if (value.as<std::uint64_t>()) return 0x80;
  if (value.as<double>()) return 0x82;
  if (value.as<Instant>()) return 0x83;
  if (value.as<Uuid>()) return 0x98;
  return no_element;
}

struct Encoder {
  Bytes& out;

  void operator()(std::monostate) { put(out, 0x40, 1); }
  void operator()(bool value) { put(out, value ? 0x41 : 0x42, 1); }
  void operator()(std::int32_t value) {
    if (value >= -128 && value < 128) return put(out, 0x54, 1), put(out, static_cast<std::uint8_t>(value), 1);
    put(out, 0x71, 1), put(out, static_cast<std::uint32_t>(value), 4);
  }
  void operator()(std::uint32_t value) {
    if (value == 0) return put(out, 0x43, 1);
    if (value < 256) return put(out, 0x52, 1), put(out, value, 1);
    put(out, 0x70, 1), put(out, value, 4);
  }
  void operator()(std::int64_t value) {
    if (value >= -128 && value < 128) return put(out, 0x55, 1), put(out, static_cast<std::uint8_t>(value), 1);
    put(out, 0x81, 1), put(out, static_cast<std::uint64_t>(value), 8);
  }
  void operator()(std::uint64_t value) {
    if (value == 0) return put(out, 0x44, 1);
    if (value < 256) return put(out, 0x53, 1), put(out, value, 1);
    put(out, 0x80, 1), put(out, value, 8);
  }
  void operator()(double value) { put(out, 0x82, 1), put(out, std::bit_cast<std::uint64_t>(value), 8); }
  void operator()(Instant value) { put(out, 0x83, 1), put(out, static_cast<std::uint64_t>(value.unix_ms), 8); }
  void operator()(const Uuid& value) {
    put(out, 0x98, 1);
    out.append(reinterpret_cast<const char*>(value.bytes.data()), value.bytes.size());
  }
  void operator()(const Binary& value) { put_sized(out, 0xa0, value.bytes); }
  void operator()(const std::string& value) { put_sized(out, 0xa1, value); }
  void operator()(const Symbol& value) { put_sized(out, 0xa3, value.text); }
  void operator()(const List& list) {
    if (list.empty()) return put(out, 0x45, 1);
    Bytes content;
    for (const Value& element : list) encode(content, element);
    put_compound(out, 0xc0, list.size(), content);
  }
  void operator()(const Map& map) {
    Bytes content;
    for (const auto& [key, value] : map) encode(content, key), encode(content, value);
    put_compound(out, 0xc1, 2 * map.size(), content);
  }
  void operator()(const Array& array) {
    Bytes content;
    std::uint8_t code = array.elements.empty() ? no_element : array_code(array.elements.front());
    if (code == no_element) code = symbols;  // an array without elements has a type, too
    put(content, code, 1);
    std::size_t count = 0;
    for (const Value& element : array.elements) {
      if (array_code(element) != code) continue;  // of one type, as Array says
      put_element(content, element);
      ++count;
    }
    put_compound(out, 0xe0, count, content);
  }
  void operator()(const Described& described) {
    put(out, 0x00, 1);
    encode(out, described.descriptor ? *described.descriptor : Value());
    encode(out, described.value ? *described.value : Value());
  }

  static void put_element(Bytes& content, const Value& element) {
    if (element.as<std::string>() || element.as<Symbol>()) {
      put(content, element.text().size(), 4);
      content += element.text();
    } else if (const auto* binary = element.as<Binary>()) {
      put(content, binary->bytes.size(), 4);
      content += binary->bytes;
    } else if (const auto* flag = element.as<bool>()) {
      put(content, *flag ? 1 : 0, 1);
    } else if (const auto* integer = element.as<std::int32_t>()) {
      put(content, static_cast<std::uint32_t>(*integer), 4);
    } else if (const auto* natural = element.as<std::uint32_t>()) {
      put(content, *natural, 4);
    } else if (const auto* wide = element.as<std::int64_t>()) {
      put(content, static_cast<std::uint64_t>(*wide), 8);
    } else if (const auto* wide_natural = element.as<std::uint64_t>()) {
      put(content, *wide_natural, 8);
    } else if (const auto* real = element.as<double>()) {
      put(content, std::bit_cast<std::uint64_t>(*real), 8);
    } else if (const auto* instant = element.as<Instant>()) {
      put(content, static_cast<std::uint64_t>(instant->unix_ms), 8);
    } else if (const auto* uuid = element.as<Uuid>()) {
      content.append(reinterpret_cast<const char*>(uuid->bytes.data()), uuid->bytes.size());
    }
  }
};

}  // namespace

void encode(Bytes& out, const Value& value) { std::visit(Encoder{out}, value.data()); }

}  // namespace nacelle::amqp
