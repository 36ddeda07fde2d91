#pragma once
// The tokens of queries (wire facts 2.5): a dialect of its own, where a dot joins a path and `[[..]]` escapes a segment.

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "foundation/result.h"

namespace nacelle::query {

enum class TokenKind { end, number, string, path, symbol };

struct Token {
  TokenKind kind = TokenKind::end;
  std::size_t at = 0;
  std::string_view spelled;           ///< as it stands in the text
  std::string text;                   ///< of a string: unescaped
  std::vector<std::string> segments;  ///< of a path
  bool plain = false;                 ///< a path of one segment without escape: may be a keyword or a function
  bool whole = false;                 ///< of a number: an integer that fits int64
  std::int64_t integer = 0;
  double number = 0;

  bool is(std::string_view symbol) const { return kind == TokenKind::symbol && spelled == symbol; }
  bool is_word(std::string_view word) const;  ///< a keyword, without case
};

/// Borrows `text` and `what`, which opens every message.
class Lexer {
 public:
  Lexer(std::string_view text, std::string_view what) : text_(text), what_(what) {}
  Result<Token> next();
  /// "{what}, line 1, column 12: ..", Fault::invalid_input. Columns count characters.
  Failure complain(std::size_t at, std::string_view what_is_wrong) const;
  Failure unexpected(const Token& token, std::string_view expected) const;

 private:
  Token made(TokenKind kind, std::size_t from) const;
  Result<Token> lex_number();
  Result<Token> lex_string();
  Result<Token> lex_path();

  std::string_view text_;
  std::string_view what_;
  std::size_t at_ = 0;
};

}  // namespace nacelle::query
