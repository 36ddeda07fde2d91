#include <charconv>
#include <cmath>

#include "codec/json/value.h"
#include "codec/text/encoding.h"

namespace nacelle::json {
namespace {

void append_number(std::string& out, double number) {
  if (!std::isfinite(number)) {
    out += "null";  // JSON has no word for it
    return;
  }
  char text[32];
  const auto [end, error] = std::to_chars(text, text + sizeof text, number);
  INVARIANT(error == std::errc{}, "the shortest form of a double has at most 24 characters");
  out.append(text, end);
}

struct Printer {
  std::string& out;
  const bool pretty;

  void line(int depth) {
    if (!pretty) return;
    out += '\n';
    out.append(static_cast<std::size_t>(depth) * 2, ' ');
  }

  void append(const Array& items, int depth) {
    out += '[';
    bool first = true;
    for (const Value& item : items) {
      if (!std::exchange(first, false)) out += ',';
      line(depth + 1);
      append(item, depth + 1);
    }
    if (!items.empty()) line(depth);
    out += ']';
  }

  void append(const Object& object, int depth) {
    out += '{';
    bool first = true;
    for (const auto& [key, value] : object) {
      if (!std::exchange(first, false)) out += ',';
      line(depth + 1);
      append_quoted(out, key);
      out += pretty ? ": " : ":";
      append(value, depth + 1);
    }
    if (!object.empty()) line(depth);
    out += '}';
  }

  void append(const Value& value, int depth) {
    if (value.is_null()) {
      out += "null";
    } else if (value.is_bool()) {
      out += value.as_bool() ? "true" : "false";
    } else if (value.is_integer()) {
      out += std::to_string(value.as_integer());
    } else if (value.is_number()) {
      append_number(out, value.as_number());
    } else if (value.is_string()) {
      append_quoted(out, value.as_string());
    } else if (value.is_array()) {
      append(value.as_array(), depth);
    } else {
      append(value.as_object(), depth);
    }
  }
};

}  // namespace

std::string print(const Value& value) {
  std::string out;
  Printer{out, false}.append(value, 0);
  return out;
}

std::string print_pretty(const Value& value) {
  std::string out;
  Printer{out, true}.append(value, 0);
  return out;
}

void append_quoted(std::string& out, std::string_view text) {
  // JSON text is UTF-8. Bytes that are not (a binary body shown in a document) become U+FFFD, one each.
  if (std::size_t good = text::valid_utf8_prefix(text); good < text.size()) {
    std::string mended(text.substr(0, good));
    while (good < text.size()) {
      mended += "\xef\xbf\xbd";
      const std::string_view rest = text.substr(++good);
      const std::size_t length = text::valid_utf8_prefix(rest);
      mended += rest.substr(0, length);
      good += length;
    }
    return append_quoted(out, mended);
  }
  constexpr std::string_view hex = "0123456789abcdef";
  out += '"';
  std::size_t run = 0;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    if (c >= 0x20 && c != '"' && c != '\\') continue;
    out += text.substr(run, i - run);
    run = i + 1;
    out += '\\';
    switch (c) {
      case '"': out += '"'; break;
      case '\\': out += '\\'; break;
      case '\n': out += 'n'; break;
      case '\r': out += 'r'; break;
      case '\t': out += 't'; break;
      default:
        out += "u00";
        out += hex[c >> 4];
        out += hex[c & 15];
    }
  }
  out += text.substr(run);
  out += '"';
}

}  // namespace nacelle::json
