// A recursive-descent parser. Why our own: docs/decisions/0011-own-json-parser.md.

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdlib>
#include <numeric>

#include "codec/json/value.h"
#include "codec/text/encoding.h"

namespace nacelle::json {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }

/// Objects of at most this many members are checked for repeated keys member by member, larger ones by sorting.
constexpr std::size_t small_object = 16;

class Parser {
 public:
  Parser(std::string_view text, const ParseLimits& limits) : text_(text), limits_(limits) {}

  Result<Value> document() {
    if (text_.size() > limits_.max_bytes)
      return fail(Fault::exhausted, fmt::format("JSON of {} bytes is above the limit of {}", text_.size(), limits_.max_bytes));
    if (text_.starts_with("\xef\xbb\xbf")) at_ = 3;  // RFC 8259 section 8.1: a byte order mark may be ignored
    Value value;
    skip_white();
    if (!parse_value(value, 0)) return fail(std::move(error_));
    skip_white();
    if (at_ < text_.size()) {
      refuse("expected the end");
      return fail(std::move(error_));
    }
    return value;
  }

 private:
  // Each of these moves past what it names; on false, error_ says why.

  bool parse_value(Value& out, std::size_t depth) {
    switch (peek()) {
      case '{': return enter(depth) && parse_object(out, depth + 1);
      case '[': return enter(depth) && parse_array(out, depth + 1);
      case '"': {
        std::string string;
        if (!parse_string(string)) return false;
        out = Value(std::move(string));
        return true;
      }
      case 't': return parse_word("true", Value(true), out);
      case 'f': return parse_word("false", Value(false), out);
      case 'n': return parse_word("null", Value(), out);
      default: return peek() == '-' || is_digit(peek()) ? parse_number(out) : refuse("expected a value");
    }
  }

  bool parse_object(Value& out, std::size_t depth) {
    std::vector<Object::Member> members;
    ++at_;
    skip_white();
    if (peek() == '}') return close(out, Value(Object{}));
    while (true) {
      if (peek() != '"') return refuse("expected a member's name");
      auto& member = members.emplace_back();
      if (!parse_string(member.first)) return false;
      skip_white();
      if (peek() != ':') return refuse("expected ':'");
      ++at_;
      skip_white();
      if (!parse_value(member.second, depth)) return false;
      skip_white();
      if (peek() == '}') return close(out, Value(Object::from_members(std::move(members))));
      if (peek() != ',') return refuse("expected ',' or '}'");
      ++at_;
      skip_white();
    }
  }

  bool parse_array(Value& out, std::size_t depth) {
    Array items;
    ++at_;
    skip_white();
    if (peek() == ']') return close(out, Value(std::move(items)));
    while (true) {
      if (!parse_value(items.emplace_back(), depth)) return false;
      skip_white();
      if (peek() == ']') return close(out, Value(std::move(items)));
      if (peek() != ',') return refuse("expected ',' or ']'");
      ++at_;
      skip_white();
    }
  }

  bool parse_string(std::string& out) {
    const std::size_t opened = at_++;
    while (true) {
      const std::size_t run = at_;
      while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' && static_cast<unsigned char>(text_[at_]) >= 0x20) ++at_;
      const std::string_view plain = text_.substr(run, at_ - run);
      if (const std::size_t good = text::valid_utf8_prefix(plain); good < plain.size()) {
        at_ = run + good;
        return refuse("the text is not UTF-8");
      }
      out += plain;
      if (at_ == text_.size()) {
        at_ = opened;
        return refuse("a string that begins here has no end");
      }
      if (text_[at_] == '"') return ++at_, true;
      if (text_[at_] != '\\') return refuse("a control character in a string must be escaped");
      if (!parse_escape(out)) return false;
    }
  }

  bool parse_escape(std::string& out) {
    constexpr std::string_view letters = "\"\\/bfnrt";
    constexpr std::string_view meanings = "\"\\/\b\f\n\r\t";
    const char letter = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (letter == 'u') return parse_code_point(out);
    const std::size_t index = letters.find(letter);
    if (letter == '\0' || index == std::string_view::npos) return refuse("unknown escape in a string");
    out += meanings[index];
    at_ += 2;
    return true;
  }

  bool parse_code_point(std::string& out) {
    const int first = four_digits(at_);
    if (first < 0) return refuse("expected four hexadecimal digits after \\u");
    if (first < 0xd800 || first > 0xdfff) {
      text::append_utf8(out, static_cast<std::uint32_t>(first));
      at_ += 6;
      return true;
    }
    const int second = first < 0xdc00 ? four_digits(at_ + 6) : -1;
    if (second < 0xdc00 || second > 0xdfff) return refuse("half of a surrogate pair stands alone");
    text::append_utf8(out, static_cast<std::uint32_t>(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00)));
    at_ += 12;
    return true;
  }

  /// The value of `\uXXXX` at `at`, or -1.
  int four_digits(std::size_t at) const {
    if (at + 6 > text_.size() || text_[at] != '\\' || text_[at + 1] != 'u') return -1;
    unsigned value = 0;  // unsigned: from_chars then takes no sign
    const char* const end = text_.data() + at + 6;
    const auto [stopped, error] = std::from_chars(text_.data() + at + 2, end, value, 16);
    return error == std::errc{} && stopped == end ? static_cast<int>(value) : -1;
  }

  bool parse_number(Value& out) {
    const std::size_t start = at_;
    if (peek() == '-') ++at_;
    const std::size_t leading = at_;
    if (!skip_digits()) return refuse("expected a digit");
    if (text_[leading] == '0' && at_ > leading + 1) {
      at_ = leading;
      return refuse("a number does not begin with 0");
    }
    bool whole = true;
    if (peek() == '.') {
      whole = false;
      ++at_;
      if (!skip_digits()) return refuse("expected a digit");
    }
    if (peek() == 'e' || peek() == 'E') {
      whole = false;
      ++at_;
      if (peek() == '+' || peek() == '-') ++at_;
      if (!skip_digits()) return refuse("expected a digit");
    }
    const std::string_view digits = text_.substr(start, at_ - start);
    std::int64_t integer = 0;
    // -0 is left to be a double: an integer would lose its sign.
    if (whole && digits != "-0" && std::from_chars(digits.data(), digits.data() + digits.size(), integer).ec == std::errc{}) {
      out = Value(integer);
      return true;
    }
    double number = 0;
    if (std::from_chars(digits.data(), digits.data() + digits.size(), number).ec != std::errc{}) {
      number = std::strtod(std::string(digits).c_str(), nullptr);  // beyond the range of double: tiny becomes 0
      if (std::isinf(number)) {
        at_ = start;
        return refuse("the number is too large");
      }
    }
    out = Value(number);
    return true;
  }

  bool parse_word(std::string_view word, Value meaning, Value& out) {
    if (!text_.substr(at_).starts_with(word)) return refuse("expected a value");
    at_ += word.size();
    out = std::move(meaning);
    return true;
  }

  bool close(Value& out, Value value) {
    ++at_;
    out = std::move(value);
    return true;
  }

  bool enter(std::size_t depth) {
    if (depth < limits_.max_depth) return true;
    error_ = {Fault::exhausted, fmt::format("JSON, {}: nested deeper than the limit of {}", position(), limits_.max_depth)};
    return false;
  }

  /// The next character; NUL at the end (which no rule accepts, so a NUL in the text is refused as well).
  char peek() const { return at_ < text_.size() ? text_[at_] : '\0'; }

  void skip_white() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n' || text_[at_] == '\r' || text_[at_] == '\t')) ++at_;
  }

  bool skip_digits() {
    const std::size_t start = at_;
    while (is_digit(peek())) ++at_;
    return at_ > start;
  }

  bool refuse(std::string_view why) {
    const auto found = [&]() -> std::string {
      if (at_ >= text_.size()) return "the end";
      const auto c = static_cast<unsigned char>(text_[at_]);
      return c >= 0x20 && c < 0x7f ? fmt::format("'{}'", text_[at_]) : fmt::format("byte 0x{:02x}", c);
    };
    error_ = {Fault::invalid_input, fmt::format("JSON, {}: {}, found {}", position(), why, found())};
    return false;
  }

  std::string position() const {
    const std::string_view before = text_.substr(0, at_);
    const auto line = 1 + std::count(before.begin(), before.end(), '\n');
    const std::size_t newline = before.rfind('\n');
    return fmt::format("line {}, column {}", line, newline == std::string_view::npos ? at_ + 1 : at_ - newline);
  }

  std::string_view text_;
  const ParseLimits& limits_;
  std::size_t at_ = 0;
  Error error_;
};

}  // namespace

Object Object::from_members(std::vector<Member> members) {
  Object object;
  if (members.size() <= small_object) {
    for (auto& [key, value] : members) object.set(key, std::move(value));
    return object;
  }
  // Of equal keys the first gives the place and the last the value, as set() in order would.
  std::vector<std::size_t> order(members.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](auto a, auto b) { return members[a].first < members[b].first; });
  std::vector<bool> repeated(members.size());
  bool any = false;
  for (std::size_t i = 1, first = order[0]; i < order.size(); ++i) {
    if (members[order[i]].first != members[first].first) {
      first = order[i];
      continue;
    }
    members[first].second = std::move(members[order[i]].second);
    repeated[order[i]] = any = true;
  }
  if (any) {
    std::size_t kept = 0;
    for (std::size_t i = 0; i < members.size(); ++i) {
      if (repeated[i]) continue;
      if (kept != i) members[kept] = std::move(members[i]);
      ++kept;
    }
    members.erase(members.begin() + static_cast<std::ptrdiff_t>(kept), members.end());
  }
  object.members_ = std::move(members);
  return object;
}

Result<Value> parse(std::string_view text, const ParseLimits& limits) { return Parser(text, limits).document(); }

}  // namespace nacelle::json
