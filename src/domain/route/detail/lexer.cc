#include "domain/route/detail/lexer.h"

#include <algorithm>
#include <charconv>
#include <cmath>

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "codec/text/place.h"

namespace nacelle::route {
namespace {

constexpr std::string_view separators = "()<>@,;:\\\"/[]?={}";
constexpr std::string_view blanks = " \t\r\n\f\v";

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_blank(char c) { return blanks.find(c) != std::string_view::npos; }
bool is_name_char(char c) {
  return !is_blank(c) && static_cast<unsigned char>(c) >= 0x20 && separators.find(c) == std::string_view::npos;
}

int hex_value(char c) {
  if (is_digit(c)) return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

/// Where a number that starts at `from` ends: integer, decimals, exponent, or 0x and hexadecimal digits.
std::size_t number_end(std::string_view text, std::size_t from) {
  const auto digits = [text](std::size_t at) {
    while (at < text.size() && is_digit(text[at])) ++at;
    return at;
  };
  if (from + 2 < text.size() && text[from] == '0' && (text[from + 1] | 0x20) == 'x' && hex_value(text[from + 2]) >= 0) {
    std::size_t at = from + 2;
    while (at < text.size() && hex_value(text[at]) >= 0) ++at;
    return at;
  }
  std::size_t at = digits(from);
  if (at + 1 < text.size() && text[at] == '.' && is_digit(text[at + 1])) at = digits(at + 1);
  if (at < text.size() && (text[at] | 0x20) == 'e') {
    std::size_t exponent = at + 1;
    if (exponent < text.size() && (text[exponent] == '+' || text[exponent] == '-')) ++exponent;
    if (exponent < text.size() && is_digit(text[exponent])) at = digits(exponent);
  }
  return at;
}

double number_value(std::string_view text) {
  double value = 0;
  if (text.size() > 2 && (text[1] | 0x20) == 'x') {
    for (const char c : text.substr(2)) value = value * 16 + hex_value(c);
    return value;
  }
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  // Out of range: from_chars leaves the value alone. 1e999 is an infinity, 1e-999 nothing.
  if (error == std::errc::result_out_of_range) return text.find('-') == std::string_view::npos ? HUGE_VAL : 0.0;
  return value;
}

/// The four hexadecimal digits at `at`, or -1.
int code_unit(std::string_view text, std::size_t at) {
  if (at + 4 > text.size()) return -1;
  int value = 0;
  for (std::size_t i = 0; i < 4; ++i) {
    if (hex_value(text[at + i]) < 0) return -1;
    value = value * 16 + hex_value(text[at + i]);
  }
  return value;
}

bool is_high_surrogate(int unit) { return unit >= 0xd800 && unit < 0xdc00; }
bool is_low_surrogate(int unit) { return unit >= 0xdc00 && unit < 0xe000; }

/// Appends the \uXXXX (or pair of them) whose digits start at `at`; how many characters of the text it took, 0 if broken.
std::size_t append_unicode_escape(std::string& out, std::string_view text, std::size_t at) {
  const int unit = code_unit(text, at);
  if (unit < 0) return 0;
  if (is_high_surrogate(unit) && text.substr(at + 4).starts_with("\\u")) {
    const int low = code_unit(text, at + 6);
    if (is_low_surrogate(low)) {
      text::append_utf8(out, static_cast<std::uint32_t>(0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00)));
      return 10;
    }
  }
  const bool lone = is_high_surrogate(unit) || is_low_surrogate(unit);
  text::append_utf8(out, lone ? 0xfffdu : static_cast<std::uint32_t>(unit));
  return 4;
}

}  // namespace

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::end: return "the end";
    case TokenKind::number: return fmt::format("the number {}", token.spelled);
    case TokenKind::string: return fmt::format("the text {}", token.spelled);
    case TokenKind::name:
    case TokenKind::system_name: return fmt::format("the name '{}'", token.text);
    default: return fmt::format("'{}'", token.spelled);
  }
}

Failure Lexer::complain(std::size_t at, std::string_view what_is_wrong) const {
  const text::Place place = text::place_of(text_, at);
  return fail(Fault::invalid_input, fmt::format("{}, line {}, column {}: {}", what_, place.line, place.column, what_is_wrong));
}

Failure Lexer::unexpected(const Token& token, std::string_view expected) const {
  return complain(token.at, fmt::format("expected {}, found {}", expected, describe(token)));
}

Token Lexer::made(TokenKind kind, std::size_t from) {
  Token token;
  token.kind = kind;
  token.at = from;
  token.spelled = text_.substr(from, at_ - from);
  if (kind == TokenKind::op || kind == TokenKind::name || kind == TokenKind::system_name) token.text = token.spelled;
  return token;
}

Result<> Lexer::skip_blanks() {
  while (at_ < text_.size()) {
    if (is_blank(text_[at_])) {
      ++at_;
    } else if (text_.substr(at_).starts_with("/*")) {
      const std::size_t end = text_.find("*/", at_ + 2);
      if (end == std::string_view::npos) return complain(at_, "this comment has no end, expected '*/'");
      at_ = end + 2;
    } else {
      break;
    }
  }
  return {};
}

/// Names run up to a separator or white space, except that `!=` and `||` end them: `level!='high'` means what it says.
std::size_t Lexer::name_end(std::size_t from) const {
  std::size_t at = from;
  while (at < text_.size() && is_name_char(text_[at])) {
    const std::string_view rest = text_.substr(at);
    if (rest.starts_with("!=") || rest.starts_with("||")) break;
    ++at;
  }
  return at;
}

Token Lexer::lex_name() {
  const std::size_t from = at_;
  at_ = name_end(from);
  if (text_[from] != '$') return made(TokenKind::name, from);
  // A body path may hold indexes: `$body.a[2].b`.
  while (at_ < text_.size() && text_[at_] == '[') {
    std::size_t close = at_ + 1;
    while (close < text_.size() && is_digit(text_[close])) ++close;
    if (close == at_ + 1 || close >= text_.size() || text_[close] != ']') break;
    at_ = name_end(close + 1);
  }
  return made(TokenKind::system_name, from);
}

Result<Token> Lexer::lex_number_or_name() {
  const std::size_t from = at_;
  const std::size_t end = number_end(text_, from);
  if (name_end(from) > end) return lex_name();  // `2nd` is a name: the longest match wins
  at_ = end;
  Token token = made(TokenKind::number, from);
  token.number = number_value(token.spelled);
  return token;
}

Result<Token> Lexer::lex_string() {
  const std::size_t from = at_;
  const char quote = text_[at_++];
  std::string value;
  while (at_ < text_.size() && text_[at_] != quote) {
    if (text_[at_] != '\\') {
      value += text_[at_++];
      continue;
    }
    const char escaped = at_ + 1 < text_.size() ? text_[at_ + 1] : '\0';
    if (escaped == '\'' || escaped == '"' || escaped == '\\') {
      value += escaped;
      at_ += 2;
      continue;
    }
    const std::size_t taken = escaped == 'u' ? append_unicode_escape(value, text_, at_ + 2) : 0;
    if (taken == 0) return complain(at_, "expected one of the escapes \\' \\\" \\\\ \\uXXXX in a text");
    at_ += 2 + taken;
  }
  if (at_ >= text_.size()) return complain(from, fmt::format("this text has no end, expected {}", quote));
  ++at_;
  Token token = made(TokenKind::string, from);
  token.text = std::move(value);
  return token;
}

Result<Token> Lexer::lex_braced_name() {
  const std::size_t from = at_++;
  if (at_ >= text_.size() || text_[at_] != '$') return complain(at_, "expected '$' and a name after '{'");
  Token token = lex_name();
  if (at_ >= text_.size() || text_[at_] != '}') return complain(at_, "expected '}' after the name");
  ++at_;
  token.at = from;
  token.spelled = text_.substr(from, at_ - from);
  return token;
}

Result<Token> Lexer::next() {
  TRY(skip_blanks());
  const std::size_t from = at_;
  if (at_ >= text_.size()) return made(TokenKind::end, from);
  const char c = text_[at_];
  const std::string_view rest = text_.substr(at_);
  for (const std::string_view op : {"!=", "<>", "<=", ">=", "||", "??"}) {
    if (!rest.starts_with(op)) continue;
    at_ += 2;
    return made(TokenKind::op, from);
  }
  if (is_digit(c)) return lex_number_or_name();
  if (c == '\'' || c == '"') return lex_string();
  if (c == '{') return lex_braced_name();
  constexpr std::string_view punctuation = "(),";
  constexpr TokenKind kinds[] = {TokenKind::open, TokenKind::close, TokenKind::comma};
  if (const std::size_t which = punctuation.find(c); which != std::string_view::npos) {
    ++at_;
    return made(kinds[which], from);
  }
  if (std::string_view("=<>+-*/%").find(c) != std::string_view::npos) {
    ++at_;
    return made(TokenKind::op, from);
  }
  if (is_name_char(c)) return lex_name();
  return complain(from, fmt::format("expected a name, a number, a text or an operator, found '{}'", c));
}

Result<Token> Lexer::next_word() {
  while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  const std::size_t from = at_;
  while (at_ < text_.size() && !is_blank(text_[at_])) ++at_;
  return made(from == at_ ? TokenKind::end : TokenKind::name, from);
}

}  // namespace nacelle::route
