#include "domain/route/detail/functions.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <string>

#include "codec/text/encoding.h"
#include "codec/text/nearest.h"

namespace nacelle::route {
namespace {

using Arguments = std::span<const Value>;

Type any(std::size_t) { return Type::unknown; }
Type numbers(std::size_t) { return Type::number; }
Type texts(std::size_t) { return Type::text; }
Type text_then_numbers(std::size_t index) { return index == 0 ? Type::text : Type::number; }

// -- Texts are counted and cut in UTF-16 code units ------------------------------------------------------------------

bool is_ascii(std::string_view text) {
  return std::none_of(text.begin(), text.end(), [](unsigned char c) { return c >= 0x80; });
}

/// Each byte that is no UTF-8 counts as one U+FFFD.
std::u16string to_utf16(std::string_view text) {
  std::u16string out;
  out.reserve(text.size());
  for (std::size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    const std::size_t size = lead < 0x80 ? 1 : lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
    if (text::valid_utf8_prefix(text.substr(at, size)) < size || at + size > text.size()) {
      out += char16_t{0xfffd};
      ++at;
      continue;
    }
    std::uint32_t code = size == 1 ? lead : lead & (0x7fu >> size);
    for (std::size_t i = 1; i < size; ++i) code = (code << 6) | (static_cast<unsigned char>(text[at + i]) & 0x3fu);
    if (code >= 0x10000) {
      out += static_cast<char16_t>(0xd800 + ((code - 0x10000) >> 10));
      out += static_cast<char16_t>(0xdc00 + ((code - 0x10000) & 0x3ff));
    } else {
      out += static_cast<char16_t>(code);
    }
    at += size;
  }
  return out;
}

std::string to_utf8(std::u16string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size(); ++at) {
    std::uint32_t code = text[at];
    const bool high = code >= 0xd800 && code < 0xdc00;
    if (high && at + 1 < text.size() && text[at + 1] >= 0xdc00 && text[at + 1] < 0xe000)
      code = 0x10000 + ((code - 0xd800) << 10) + (text[++at] - 0xdc00u);
    else if (code >= 0xd800 && code < 0xe000)
      code = 0xfffd;  // half a pair, cut by substring
    text::append_utf8(out, code);
  }
  return out;
}

template <class Text>
Value find_in(const Text& text, const Text& part) {
  const std::size_t at = text.find(part);
  return at == Text::npos ? -1.0 : static_cast<double>(at);
}

Value length(Arguments a) {
  if (!a[0].is_text()) return {};
  const std::string_view text = a[0].text();
  return static_cast<double>(is_ascii(text) ? text.size() : to_utf16(text).size());
}

Value index_of(Arguments a) {
  if (!a[0].is_text() || !a[1].is_text()) return {};
  if (is_ascii(a[0].text())) return find_in(a[0].text(), a[1].text());
  return find_in(to_utf16(a[0].text()), to_utf16(a[1].text()));
}

/// The number as a place in `size` units, -1 if it is none.
std::int64_t place(const Value& value, std::size_t size) {
  if (!value.is_number() || value.number() < 0 || value.number() > static_cast<double>(size)) return -1;
  return static_cast<std::int64_t>(value.number());
}

Value substring(Arguments a) {
  if (!a[0].is_text()) return {};
  const std::u16string text = to_utf16(a[0].text());
  const std::int64_t start = place(a[1], text.size());
  if (start < 0) return {};
  const std::size_t left = text.size() - static_cast<std::size_t>(start);
  const std::int64_t count = a.size() == 3 ? place(a[2], left) : static_cast<std::int64_t>(left);
  if (count < 0) return {};
  return Value::owned(to_utf8(std::u16string_view(text).substr(static_cast<std::size_t>(start), static_cast<std::size_t>(count))));
}

/// Long results are cut off as undefined: conditions over megabytes are a mistake or an attack.
constexpr std::size_t max_text_bytes = 1u << 20;

Value concat(Arguments a) {
  std::string joined;
  for (const Value& part : a) {
    if (!part.is_text() || joined.size() + part.text().size() > max_text_bytes) return {};
    joined += part.text();
  }
  return Value::owned(std::move(joined));
}

/// ASCII letters only: what other letters become depends on the language, and a route has none.
template <char from, char to>
Value change_case(Arguments a) {
  if (!a[0].is_text()) return {};
  std::string text(a[0].text());
  for (char& c : text)
    if (c >= from && c <= from + 25) c = static_cast<char>(c - from + to);
  return Value::owned(std::move(text));
}

Value as_number(Arguments a) {
  if (a[0].is_number()) return a[0];
  if (!a[0].is_text()) return {};
  std::string_view text = text::trim(a[0].text());
  if (text.starts_with('+')) text.remove_prefix(1);
  const std::size_t first = text.starts_with('-') ? 1 : 0;
  if (text.size() <= first || !((text[first] >= '0' && text[first] <= '9') || text[first] == '.')) return {};  // no `inf`, no `nan`
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end == text.data() + text.size() ? Value(value) : Value();
}

template <double (*function)(double)>
Value of_number(Arguments a) {
  return a[0].is_number() ? Value(function(a[0].number())) : Value();
}

double square(double x) { return x * x; }
double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }
double absolute(double x) { return std::fabs(x); }
double exponential(double x) { return std::exp(x); }
double ceiling(double x) { return std::ceil(x); }
double floor_of(double x) { return std::floor(x); }
double square_root(double x) { return std::sqrt(x); }

Value power(Arguments a) { return a[0].is_number() && a[1].is_number() ? Value(std::pow(a[0].number(), a[1].number())) : Value(); }

template <bool (*test)(std::string_view, std::string_view)>
Value of_texts(Arguments a) {
  return a[0].is_text() && a[1].is_text() ? Value(test(a[0].text(), a[1].text())) : Value();
}
bool starts_with(std::string_view text, std::string_view part) { return text.starts_with(part); }
bool ends_with(std::string_view text, std::string_view part) { return text.ends_with(part); }
bool contains(std::string_view text, std::string_view part) { return text.find(part) != std::string_view::npos; }

Value is_defined(Arguments a) { return !a[0].is_undefined(); }
Value is_null(Arguments a) { return a[0].is_null(); }
Value is_bool(Arguments a) { return a[0].is_bool(); }
Value is_number(Arguments a) { return a[0].is_number(); }
Value is_string(Arguments a) { return a[0].is_text(); }
Value is_array(Arguments a) { return a[0].is_structure(Structure::array); }
Value is_object(Arguments a) { return a[0].is_structure(Structure::object); }
Value is_primitive(Arguments a) { return !a[0].is_undefined() && !a[0].is_structure(); }

constexpr std::size_t no_most = std::numeric_limits<std::size_t>::max();

constexpr auto functions = std::to_array<Function>({
    {"abs", Type::number, 1, 1, numbers, of_number<absolute>},
    {"exp", Type::number, 1, 1, numbers, of_number<exponential>},
    {"power", Type::number, 2, 2, numbers, power},
    {"square", Type::number, 1, 1, numbers, of_number<square>},
    {"ceiling", Type::number, 1, 1, numbers, of_number<ceiling>},
    {"floor", Type::number, 1, 1, numbers, of_number<floor_of>},
    {"sign", Type::number, 1, 1, numbers, of_number<sign>},
    {"sqrt", Type::number, 1, 1, numbers, of_number<square_root>},
    {"as_number", Type::number, 1, 1, any, as_number},
    {"is_bool", Type::boolean, 1, 1, any, is_bool},
    {"is_defined", Type::boolean, 1, 1, any, is_defined},
    {"is_null", Type::boolean, 1, 1, any, is_null},
    {"is_number", Type::boolean, 1, 1, any, is_number},
    {"is_string", Type::boolean, 1, 1, any, is_string},
    {"is_array", Type::boolean, 1, 1, any, is_array},
    {"is_object", Type::boolean, 1, 1, any, is_object},
    {"is_primitive", Type::boolean, 1, 1, any, is_primitive},
    {"concat", Type::text, 2, no_most, texts, concat},
    {"length", Type::number, 1, 1, texts, length},
    {"lower", Type::text, 1, 1, texts, change_case<'A', 'a'>},
    {"upper", Type::text, 1, 1, texts, change_case<'a', 'A'>},
    {"substring", Type::text, 2, 3, text_then_numbers, substring},
    {"index_of", Type::number, 2, 2, texts, index_of},
    {"starts_with", Type::boolean, 2, 2, texts, of_texts<starts_with>},
    {"ends_with", Type::boolean, 2, 2, texts, of_texts<ends_with>},
    {"contains", Type::boolean, 2, 2, texts, of_texts<contains>},
    // Spellings of the query language, which people carry over.
    {"startswith", Type::boolean, 2, 2, texts, of_texts<starts_with>},
    {"endswith", Type::boolean, 2, 2, texts, of_texts<ends_with>},
});

}  // namespace

std::string_view type_name(Type type) {
  switch (type) {
    case Type::unknown: return "any value";
    case Type::boolean: return "a Boolean";
    case Type::number: return "a number";
    case Type::text: return "a text";
  }
  return "any value";
}

const Function* find_function(std::string_view name) {
  const auto at = std::find_if(functions.begin(), functions.end(),
                               [name](const Function& f) { return text::equal_ignoring_case(f.name, name); });
  return at == functions.end() ? nullptr : &*at;
}

std::string_view nearest_function(std::string_view name) {
  std::array<std::string_view, functions.size()> names;
  std::transform(functions.begin(), functions.end(), names.begin(), [](const Function& f) { return f.name; });
  return text::nearest(name, names);
}

}  // namespace nacelle::route
