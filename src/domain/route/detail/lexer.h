#pragma once
// The tokens of conditions and routes (wire facts 5.8).

#include <cstddef>
#include <string>
#include <string_view>

#include "foundation/result.h"

namespace nacelle::route {

enum class TokenKind { end, number, string, name, system_name, op, open, close, comma };

struct Token {
  TokenKind kind = TokenKind::end;
  std::size_t at = 0;        ///< byte offset in the text
  std::string_view spelled;  ///< as it stands in the text
  std::string text;          ///< of a string: unescaped; of a name and system_name: the name, `$` included; of an op: itself
  double number = 0;
};

/// Reads tokens from `text`, which it borrows; `what` ("route condition") opens the messages. White space and comments
/// (`/* */`) between tokens are skipped.
class Lexer {
 public:
  Lexer(std::string_view text, std::string_view what) : text_(text), what_(what) {}

  Result<Token> next();
  /// The text up to the next white space, taken as it stands: a route's source, where `/*` is no comment.
  Result<Token> next_word();
  /// "route condition, line 1, column 12: expected .., found ..".
  Failure unexpected(const Token& token, std::string_view expected) const;
  Failure complain(std::size_t at, std::string_view what_is_wrong) const;

 private:
  Result<> skip_blanks();
  Result<Token> lex_string();
  Result<Token> lex_number_or_name();
  Result<Token> lex_braced_name();
  Token lex_name();
  std::size_t name_end(std::size_t from) const;
  Token made(TokenKind kind, std::size_t from);

  std::string_view text_;
  std::string_view what_;
  std::size_t at_ = 0;
};

/// How a token is named in messages: `')'`, `the name 'level'`, `the end`.
std::string describe(const Token& token);

}  // namespace nacelle::route
