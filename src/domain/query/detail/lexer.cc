#include "domain/query/detail/lexer.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "codec/json/value.h"
#include "codec/text/encoding.h"
#include "codec/text/place.h"

namespace nacelle::query {
namespace {

bool is_digit(char c) { return c >= '0' && c <= '9'; }
bool is_hex(char c) { return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F'); }
bool is_blank(char c) { return c == ' ' || c == '\t' || c == '\r' || c == '\n'; }
/// Bytes of UTF-8 beyond ASCII count as letters.
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' || c == '$' || static_cast<unsigned char>(c) >= 0x80;
}
bool is_name_char(char c) { return is_name_start(c) || is_digit(c); }

/// A quoted text as the JSON string that means the same: JSON knows all our escapes but `\'`.
std::string as_json(std::string_view inside) {
  std::string out = "\"";
  for (std::size_t i = 0; i < inside.size(); ++i) {
    if (inside[i] == '\\' && i + 1 < inside.size()) {
      if (inside[i + 1] != '\'') out += '\\';
      out += inside[++i];
    } else if (inside[i] == '"') {
      out += "\\\"";
    } else if (static_cast<unsigned char>(inside[i]) < 0x20) {
      fmt::format_to(std::back_inserter(out), "\\u{:04x}", static_cast<unsigned char>(inside[i]));
    } else {
      out += inside[i];
    }
  }
  return out + '"';
}

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::end: return "the end";
    case TokenKind::number: return fmt::format("the number {}", token.spelled);
    case TokenKind::string: return fmt::format("the text {}", token.spelled);
    case TokenKind::path: return fmt::format("the name '{}'", token.spelled);
    case TokenKind::symbol: return fmt::format("'{}'", token.spelled);
  }
  return "something else";
}

}  // namespace

bool Token::is_word(std::string_view word) const {
  return kind == TokenKind::path && plain && text::equal_ignoring_case(segments.front(), word);
}

Failure Lexer::complain(std::size_t at, std::string_view what_is_wrong) const {
  const text::Place place = text::place_of(text_, at);
  return fail(Fault::invalid_input, fmt::format("{}, line {}, column {}: {}", what_, place.line, place.column, what_is_wrong));
}

Failure Lexer::unexpected(const Token& token, std::string_view expected) const {
  return complain(token.at, fmt::format("expected {}, found {}", expected, describe(token)));
}

Token Lexer::made(TokenKind kind, std::size_t from) const {
  Token token;
  token.kind = kind;
  token.at = from;
  token.spelled = text_.substr(from, at_ - from);
  return token;
}

Result<Token> Lexer::next() {
  while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  const std::size_t from = at_;
  if (at_ >= text_.size()) return made(TokenKind::end, from);
  const std::string_view rest = text_.substr(at_);
  if (is_digit(rest[0])) return lex_number();
  if (rest[0] == '\'' || rest[0] == '"') return lex_string();
  if (is_name_start(rest[0]) || rest.starts_with("[[")) return lex_path();
  for (const std::string_view symbol : {"<=", ">=", "<>", "!=", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", "[", "]", ","}) {
    if (!rest.starts_with(symbol)) continue;
    at_ += symbol.size();
    return made(TokenKind::symbol, from);
  }
  return complain(from, fmt::format("expected a name, a number, a text or an operator, found '{}'", rest[0]));
}

Result<Token> Lexer::lex_number() {
  const std::size_t from = at_;
  const auto digits = [this](auto accepts) {
    const std::size_t begin = at_;
    while (at_ < text_.size() && accepts(text_[at_])) ++at_;
    return at_ > begin;
  };
  const std::string_view rest = text_.substr(from);
  const bool hexadecimal = rest.starts_with("0x") || rest.starts_with("0X");
  if (hexadecimal) {
    at_ += 2;
    if (!digits(is_hex)) return complain(from, "expected hexadecimal digits after 0x");
  } else {
    digits(is_digit);
    if (at_ + 1 < text_.size() && text_[at_] == '.' && is_digit(text_[at_ + 1])) {
      ++at_;
      digits(is_digit);
    }
    if (at_ < text_.size() && (text_[at_] == 'e' || text_[at_] == 'E')) {
      ++at_;
      if (at_ < text_.size() && (text_[at_] == '+' || text_[at_] == '-')) ++at_;
      if (!digits(is_digit)) return complain(from, "expected digits in the number's exponent");
    }
  }
  if (at_ < text_.size() && (is_name_char(text_[at_]) || text_[at_] == '.'))
    return complain(from, "a name may not begin with a digit; write it as [[name]]");
  Token token = made(TokenKind::number, from);
  const std::string_view shown = hexadecimal ? token.spelled.substr(2) : token.spelled;
  const char* const end = shown.data() + shown.size();
  const auto whole = std::from_chars(shown.data(), end, token.integer, hexadecimal ? 16 : 10);
  token.whole = whole.ec == std::errc() && whole.ptr == end;
  const auto read =
      std::from_chars(shown.data(), end, token.number, hexadecimal ? std::chars_format::hex : std::chars_format::general);
  if (read.ec != std::errc() || read.ptr != end || !std::isfinite(token.number))
    return complain(from, fmt::format("the number {} is beyond what a number can hold", token.spelled));
  return token;
}

Result<Token> Lexer::lex_string() {
  const std::size_t from = at_;
  const char quote = text_[at_++];
  while (at_ < text_.size() && text_[at_] != quote) at_ += text_[at_] == '\\' ? 2 : 1;
  if (at_ >= text_.size()) {
    at_ = text_.size();
    return complain(from, fmt::format("this text has no end, expected {}", quote));
  }
  ++at_;
  Token token = made(TokenKind::string, from);
  const auto value = json::parse(as_json(token.spelled.substr(1, token.spelled.size() - 2)));
  if (!value || !value->is_string()) return complain(from, "expected one of the escapes \\' \\\" \\\\ \\uXXXX in this text");
  token.text = value->as_string();
  return token;
}

Result<Token> Lexer::lex_path() {
  const std::size_t from = at_;
  std::vector<std::string> segments;
  bool escaped = false;
  while (true) {
    const std::size_t begin = at_;
    if (text_.substr(at_).starts_with("[[")) {
      const std::size_t end = text_.find("]]", at_ + 2);
      if (end == std::string_view::npos) return complain(at_, "this escaped name has no end, expected ]]");
      if (end == at_ + 2) return complain(at_, "expected a name between [[ and ]]");
      segments.emplace_back(text_.substr(at_ + 2, end - at_ - 2));
      at_ = end + 2;
      escaped = true;
    } else {
      while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
      if (at_ == begin) return complain(at_, "expected a name after the dot");
      segments.emplace_back(text_.substr(begin, at_ - begin));
    }
    if (at_ >= text_.size() || text_[at_] != '.') break;
    ++at_;
  }
  Token token = made(TokenKind::path, from);
  token.plain = segments.size() == 1 && !escaped;
  token.segments = std::move(segments);
  return token;
}

}  // namespace nacelle::query
