#pragma once
// From text to program: the parser reads as the grammar of wire facts 5.8 does, and checks types as it goes.

#include <memory>

#include "domain/route/detail/lexer.h"
#include "domain/route/detail/program.h"

namespace nacelle::route {

/// One token of look-ahead over a lexer.
class TokenStream {
 public:
  TokenStream(std::string_view text, std::string_view what) : text_(text), lexer_(text, what) {}

  std::string_view text() const { return text_; }
  const Token& current() const { return current_; }
  Result<> advance();
  Result<> advance_word();  ///< the next white-space-delimited word as it stands
  bool at_keyword(std::string_view keyword) const;
  bool at_op(std::string_view op) const { return current_.kind == TokenKind::op && current_.text == op; }
  Failure unexpected(std::string_view expected) const { return lexer_.unexpected(current_, expected); }
  Failure complain(std::size_t at, std::string_view what) const { return lexer_.complain(at, what); }

 private:
  std::string_view text_;
  Lexer lexer_;
  Token current_;
};

struct Compiler {
  /// Reads a condition from the current token on, up to the first token that cannot belong to it.
  static Result<Condition> compile(TokenStream& tokens);
  static Condition always_true();
};

}  // namespace nacelle::route
