#include "codec/text/encoding.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>

namespace nacelle::text {
namespace {

constexpr std::string_view base64_alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr std::string_view upper_hex = "0123456789ABCDEF";
constexpr std::string_view lower_hex = "0123456789abcdef";

unsigned byte_at(BytesView bytes, std::size_t at) { return static_cast<unsigned char>(bytes[at]); }

constexpr std::array<std::int8_t, 256> make_base64_values() {
  std::array<std::int8_t, 256> values{};
  values.fill(-1);
  for (std::size_t i = 0; i < base64_alphabet.size(); ++i)
    values[static_cast<unsigned char>(base64_alphabet[i])] = static_cast<std::int8_t>(i);
  return values;
}
constexpr auto base64_values = make_base64_values();

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// The byte written as two digits at `at`, or -1.
int hex_byte(std::string_view text, std::size_t at) {
  if (at + 2 > text.size()) return -1;
  const int high = hex_value(text[at]);
  const int low = hex_value(text[at + 1]);
  return high < 0 || low < 0 ? -1 : high * 16 + low;
}

bool is_alphanumeric(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

/// The set that ECMA-262's encodeURIComponent leaves alone.
bool stays_in_component(char c) { return is_alphanumeric(c) || std::string_view("-_.!~*'()").find(c) != std::string_view::npos; }

std::string escape(std::string_view text, bool strict) {
  std::string out;
  out.reserve(text.size() + text.size() / 4);
  for (const char c : text) {
    const bool node_extra = strict && std::string_view("!'()*").find(c) != std::string_view::npos;
    if (stays_in_component(c) && !node_extra) {
      out += c;
      continue;
    }
    const auto& digits = node_extra ? lower_hex : upper_hex;
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

/// Input as it may stand in a message: short, and without control characters.
std::string shown(std::string_view text) {
  std::string out(text.substr(0, 40));
  for (char& c : out)
    if (static_cast<unsigned char>(c) < 0x20 || static_cast<unsigned char>(c) > 0x7e) c = '?';
  return text.size() > 40 ? out + "..." : out;
}

}  // namespace

std::string base64_encode(BytesView bytes) {
  std::string out;
  out.reserve((bytes.size() + 2) / 3 * 4);
  std::size_t at = 0;
  for (; at + 3 <= bytes.size(); at += 3) {
    const unsigned group = byte_at(bytes, at) << 16 | byte_at(bytes, at + 1) << 8 | byte_at(bytes, at + 2);
    for (const int shift : {18, 12, 6, 0}) out += base64_alphabet[group >> shift & 63];
  }
  const std::size_t rest = bytes.size() - at;
  if (rest == 0) return out;
  const unsigned group = byte_at(bytes, at) << 16 | (rest == 2 ? byte_at(bytes, at + 1) << 8 : 0u);
  out += base64_alphabet[group >> 18 & 63];
  out += base64_alphabet[group >> 12 & 63];
  out += rest == 2 ? base64_alphabet[group >> 6 & 63] : '=';
  out += '=';
  return out;
}

// Bits left over in the last digit are not looked at: keys made up by hand have them, and other readers take them.
Result<Bytes> base64_decode(std::string_view text) {
  const auto refuse = [](std::string_view why) { return fail(Fault::invalid_input, fmt::format("expected base64: {}", why)); };
  if (const std::size_t pad = text.find('='); pad != std::string_view::npos) {
    const bool fits =
        text.size() % 4 == 0 && text.size() - pad <= 2 && text.substr(pad).find_first_not_of('=') == std::string_view::npos;
    if (!fits) return refuse("padding stands where none belongs");
    text = text.substr(0, pad);
  }
  if (text.size() % 4 == 1) return refuse("a last group of one digit says nothing");
  Bytes out;
  out.reserve(text.size() / 4 * 3 + 2);
  unsigned group = 0;
  int bits = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const int value = base64_values[static_cast<unsigned char>(text[i])];
    if (value < 0) return refuse(fmt::format("the character at position {} is none of its digits", i + 1));
    group = group << 6 | static_cast<unsigned>(value);
    bits += 6;
    if (bits < 8) continue;
    bits -= 8;
    out += static_cast<char>(group >> bits & 0xff);
  }
  return out;
}

std::string hex_encode(BytesView bytes) {
  std::string out;
  out.reserve(bytes.size() * 2);
  for (const char c : bytes) {
    out += lower_hex[static_cast<unsigned char>(c) >> 4];
    out += lower_hex[static_cast<unsigned char>(c) & 15];
  }
  return out;
}

Result<Bytes> hex_decode(std::string_view text) {
  if (text.size() % 2 != 0)
    return fail(Fault::invalid_input, fmt::format("expected pairs of hexadecimal digits, found {} characters", text.size()));
  Bytes out;
  out.reserve(text.size() / 2);
  for (std::size_t at = 0; at < text.size(); at += 2) {
    const int byte = hex_byte(text, at);
    if (byte < 0) return fail(Fault::invalid_input, fmt::format("expected hexadecimal digits at position {}", at + 1));
    out += static_cast<char>(byte);
  }
  return out;
}

std::string percent_encode(std::string_view text) { return escape(text, false); }
std::string percent_encode_strict(std::string_view text) { return escape(text, true); }

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != '%') {
      out += text[at];
      continue;
    }
    const int byte = hex_byte(text, at + 1);
    if (byte < 0)
      return fail(Fault::invalid_input, fmt::format("expected two hexadecimal digits after the '%' at position {}", at + 1));
    out += static_cast<char>(byte);
    at += 2;
  }
  return out;
}

std::size_t valid_utf8_prefix(std::string_view text) {
  const auto continues = [&](std::size_t at) { return at < text.size() && (byte_at(text, at) & 0xc0) == 0x80; };
  std::size_t at = 0;
  while (at < text.size()) {
    if (at + 8 <= text.size()) {  // most text is ASCII: eight bytes at a time
      std::uint64_t eight;
      std::memcpy(&eight, text.data() + at, 8);
      if ((eight & 0x8080808080808080u) == 0) {
        at += 8;
        continue;
      }
    }
    const unsigned lead = byte_at(text, at);
    if (lead < 0x80) {
      at += 1;
      continue;
    }
    // RFC 3629 section 4: the second byte's range depends on the first.
    const std::size_t length = lead >= 0xc2 && lead <= 0xdf ? 2 : (lead & 0xf0) == 0xe0 ? 3 : lead >= 0xf0 && lead <= 0xf4 ? 4 : 0;
    if (length == 0 || !continues(at + 1)) return at;
    const unsigned second = byte_at(text, at + 1);
    const bool overlong = (lead == 0xe0 && second < 0xa0) || (lead == 0xf0 && second < 0x90);
    const bool outside = (lead == 0xed && second > 0x9f) || (lead == 0xf4 && second > 0x8f);
    if (overlong || outside) return at;
    for (std::size_t i = 2; i < length; ++i)
      if (!continues(at + i)) return at;
    at += length;
  }
  return at;
}

void append_utf8(std::string& out, std::uint32_t code_point) {
  INVARIANT(code_point < 0x110000, "the caller checks code points");
  const auto tail = [&](int shift) { out += static_cast<char>(0x80 | (code_point >> shift & 0x3f)); };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xc0 | code_point >> 6);
    tail(0);
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xe0 | code_point >> 12);
    tail(6);
    tail(0);
  } else {
    out += static_cast<char>(0xf0 | code_point >> 18);
    tail(12);
    tail(6);
    tail(0);
  }
}

Result<std::int64_t> parse_integer(std::string_view text, std::string_view what) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size())
    return fail(Fault::invalid_input, fmt::format("{}: expected a whole number, found '{}'", what, shown(text)));
  return value;
}

Result<double> parse_number(std::string_view text, std::string_view what) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size() || !std::isfinite(value))
    return fail(Fault::invalid_input, fmt::format("{}: expected a number, found '{}'", what, shown(text)));
  return value;
}

bool equal_ignoring_case(std::string_view a, std::string_view b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](char x, char y) { return lower(x) == lower(y); });
}

std::string to_lower(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(), lower);
  return out;
}

std::string_view trim(std::string_view text) {
  constexpr std::string_view white = " \t\r\n";
  const std::size_t first = text.find_first_not_of(white);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(white) - first + 1);
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  while (true) {
    const std::size_t at = text.find(separator);
    parts.push_back(text.substr(0, at));
    if (at == std::string_view::npos) return parts;
    text.remove_prefix(at + 1);
  }
}

}  // namespace nacelle::text
