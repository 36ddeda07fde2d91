#pragma once
// From tokens to a checked tree: the parser reads as the grammar of wire facts 2.5 does and resolves names as it goes.

#include "domain/query/detail/lexer.h"
#include "domain/query/query.h"

namespace nacelle::query {

class Parser {
 public:
  /// Reads all tokens. Fault::invalid_input.
  static Result<Parser> make(std::string_view text, std::string_view what);
  Result<Query> query();
  Result<Selection> selection();

 private:
  Parser(std::string_view text, std::string_view what) : lexer_(text, what) {}

  const Token& current() const { return tokens_[at_]; }
  const Token& following() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  bool take(std::string_view symbol);
  bool take_word(std::string_view word);
  Result<> expect(std::string_view symbol);
  Result<> expect_word(std::string_view word);
  Failure unexpected(std::string_view expected) const { return lexer_.unexpected(current(), expected); }
  Result<> end_expected() const;

  Result<> source();
  Result<Path> path();
  Result<std::size_t> top();
  Result<std::vector<Item>> items();
  Result<Item> item();
  Result<Order> order(const std::vector<Item>& items);

  Result<Expression> where();
  Result<Expression> condition();    // OR
  Result<Expression> conjunction();  // AND
  Result<Expression> negation();     // NOT, and what is compared
  Result<Expression> comparison();
  Result<Expression> membership(Expression sought, bool absent);
  Result<Expression> sum();
  Result<Expression> product();
  Result<Expression> operand();
  Result<Expression> call(Function function, std::size_t arguments);
  Result<Expression> parenthesis();
  Result<std::optional<Expression>> literal();
  Result<Expression> number(bool negative);

  Lexer lexer_;  // for its messages
  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  Source source_ = Source::devices;
  std::string alias_;
  int depth_ = 0;
};

}  // namespace nacelle::query
