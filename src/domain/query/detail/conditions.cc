// The parser's conditions: precedence from the outside in.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>

#include "domain/query/detail/check.h"
#include "domain/query/detail/parser.h"

namespace nacelle::query {
namespace {

struct NamedFunction {
  std::string_view name;
  Function function;
  std::size_t arguments;
};
constexpr NamedFunction functions[] = {{"IS_DEFINED", Function::is_defined, 1},   {"IS_ARRAY", Function::is_array, 1},
                                       {"IS_BOOL", Function::is_bool, 1},         {"IS_NULL", Function::is_null, 1},
                                       {"IS_NUMBER", Function::is_number, 1},     {"IS_OBJECT", Function::is_object, 1},
                                       {"IS_STRING", Function::is_string, 1},     {"IS_PRIMITIVE", Function::is_primitive, 1},
                                       {"STARTS_WITH", Function::starts_with, 2}, {"STARTSWITH", Function::starts_with, 2},
                                       {"ENDS_WITH", Function::ends_with, 2},     {"ENDSWITH", Function::ends_with, 2},
                                       {"CONTAINS", Function::contains, 2},       {"AS_NUMBER", Function::as_number, 1}};

struct Symbol {
  std::string_view text;
  Operator op;
};
constexpr Symbol comparisons[] = {{"=", Operator::equal},          {"!=", Operator::unequal}, {"<>", Operator::unequal},
                                  {"<=", Operator::less_or_equal}, {"<", Operator::less},     {">=", Operator::greater_or_equal},
                                  {">", Operator::greater}};
constexpr Symbol sums[] = {{"+", Operator::add}, {"-", Operator::subtract}};
constexpr Symbol products[] = {{"*", Operator::multiply}, {"/", Operator::divide}, {"%", Operator::remainder}};

template <std::size_t n>
const Symbol* symbol_of(const Symbol (&symbols)[n], const Token& token) {
  const auto at = std::find_if(std::begin(symbols), std::end(symbols), [&](const Symbol& one) { return token.is(one.text); });
  return at == std::end(symbols) ? nullptr : at;
}

Expression node(Kind kind, std::size_t at, std::vector<Expression> operands = {}) {
  Expression made;
  made.kind = kind;
  made.at = at;
  made.operands = std::move(operands);
  return made;
}

std::vector<Expression> pair_of(Expression left, Expression right) {
  std::vector<Expression> both;
  both.push_back(std::move(left));
  both.push_back(std::move(right));
  return both;
}

/// Counts nesting for as long as it lives.
class Deeper {
 public:
  explicit Deeper(int& depth) : depth_(depth) { ++depth_; }
  ~Deeper() { --depth_; }
  Deeper(const Deeper&) = delete;
  bool too_deep() const { return depth_ > max_nesting; }

 private:
  int& depth_;
};

}  // namespace

Result<Expression> Parser::condition() {
  TRY_LET(Expression first, conjunction());
  if (!current().is_word("OR")) return first;
  Expression any = node(Kind::disjunction, first.at);
  TRY(check_condition(first, lexer_));
  any.operands.push_back(std::move(first));
  while (take_word("OR")) {
    TRY_LET(Expression next, conjunction());
    TRY(check_condition(next, lexer_));
    any.operands.push_back(std::move(next));
  }
  return any;
}

Result<Expression> Parser::conjunction() {
  TRY_LET(Expression first, negation());
  if (!current().is_word("AND")) return first;
  Expression all = node(Kind::conjunction, first.at);
  TRY(check_condition(first, lexer_));
  all.operands.push_back(std::move(first));
  while (take_word("AND")) {
    TRY_LET(Expression next, negation());
    TRY(check_condition(next, lexer_));
    all.operands.push_back(std::move(next));
  }
  return all;
}

Result<Expression> Parser::negation() {
  const std::size_t from = current().at;
  if (!take_word("NOT")) return comparison();
  const Deeper deeper(depth_);
  if (deeper.too_deep()) return lexer_.complain(from, fmt::format("nested deeper than {} levels", max_nesting));
  TRY_LET(Expression inner, negation());
  TRY(check_condition(inner, lexer_));
  std::vector<Expression> one;
  one.push_back(std::move(inner));
  return node(Kind::negation, from, std::move(one));
}

Result<Expression> Parser::comparison() {
  TRY_LET(Expression left, sum());
  if (take_word("IN")) return membership(std::move(left), false);
  if (take_word("NIN")) return membership(std::move(left), true);
  if (current().is_word("NOT") && following().is_word("IN")) {
    at_ += 2;
    return membership(std::move(left), true);
  }
  const Symbol* symbol = symbol_of(comparisons, current());
  if (!symbol) return left;
  const std::size_t at = tokens_[at_++].at;
  TRY_LET(Expression right, sum());
  Expression made = node(Kind::comparison, at, pair_of(std::move(left), std::move(right)));
  made.op = symbol->op;
  TRY(check_comparison(made, lexer_));
  return made;
}

/// `[c, c, ..]` after IN or NIN.
Result<Expression> Parser::membership(Expression sought, bool absent) {
  Expression made = node(absent ? Kind::not_in : Kind::in, sought.at);
  made.operands.push_back(std::move(sought));
  TRY(expect("["));
  do {
    const bool negative = take("-");
    if (negative || current().kind == TokenKind::number) {
      TRY_LET(Expression constant, number(negative));
      made.operands.push_back(std::move(constant));
      continue;
    }
    TRY_LET(auto constant, literal());
    if (!constant) return unexpected("a constant in the list");
    made.operands.push_back(*std::move(constant));
  } while (take(","));
  TRY(expect("]"));
  TRY(check_comparison(made, lexer_));
  return made;
}

Result<Expression> Parser::sum() {
  TRY_LET(Expression left, product());
  int terms = 0;
  for (const Symbol* symbol = symbol_of(sums, current()); symbol; symbol = symbol_of(sums, current())) {
    const std::size_t at = tokens_[at_++].at;
    if (++terms > max_nesting) return lexer_.complain(at, fmt::format("more than {} terms in one sum", max_nesting));
    TRY(check_arithmetic(left, lexer_));
    TRY_LET(Expression right, product());
    TRY(check_arithmetic(right, lexer_));
    left = node(Kind::arithmetic, at, pair_of(std::move(left), std::move(right)));
    left.op = symbol->op;
  }
  return left;
}

Result<Expression> Parser::product() {
  TRY_LET(Expression left, operand());
  int factors = 0;
  for (const Symbol* symbol = symbol_of(products, current()); symbol; symbol = symbol_of(products, current())) {
    const std::size_t at = tokens_[at_++].at;
    if (++factors > max_nesting) return lexer_.complain(at, fmt::format("more than {} factors in one product", max_nesting));
    TRY(check_arithmetic(left, lexer_));
    TRY_LET(Expression right, operand());
    TRY(check_arithmetic(right, lexer_));
    left = node(Kind::arithmetic, at, pair_of(std::move(left), std::move(right)));
    left.op = symbol->op;
  }
  return left;
}

Result<Expression> Parser::operand() {
  const Deeper deeper(depth_);
  const std::size_t from = current().at;
  if (deeper.too_deep()) return lexer_.complain(from, fmt::format("nested deeper than {} levels", max_nesting));
  if (take("-")) {
    if (current().kind == TokenKind::number) return number(true);
    TRY_LET(Expression inner, operand());
    TRY(check_arithmetic(inner, lexer_));
    std::vector<Expression> one;
    one.push_back(std::move(inner));
    return node(Kind::negative, from, std::move(one));
  }
  if (current().is("(")) return parenthesis();
  if (current().kind == TokenKind::number) return number(false);
  if (current().kind == TokenKind::path && following().is("(")) {
    const auto found = std::find_if(std::begin(functions), std::end(functions),
                                    [&](const NamedFunction& one) { return current().is_word(one.name); });
    if (found == std::end(functions)) return unexpected("one of the functions IS_DEFINED, IS_NULL, IS_NUMBER, STARTSWITH, ..");
    return call(found->function, found->arguments);
  }
  TRY_LET(auto constant, literal());
  if (constant) return *std::move(constant);
  if (current().kind != TokenKind::path) return unexpected("a property, a constant or a condition");
  Expression made = node(Kind::path, from);
  TRY_LET(made.path, path());
  return made;
}

Result<Expression> Parser::parenthesis() {
  ++at_;
  TRY_LET(Expression inner, condition());
  TRY(expect(")"));
  return inner;
}

Result<Expression> Parser::call(Function function, std::size_t arguments) {
  Expression made = node(Kind::call, current().at);
  made.function = function;
  at_ += 2;
  const bool inspects = function != Function::as_number && arguments == 1;
  for (std::size_t i = 0; i < arguments; ++i) {
    if (i > 0) TRY(expect(","));
    TRY_LET(Expression argument, sum());
    if (inspects && argument.kind != Kind::path) return lexer_.complain(argument.at, "expected a property");
    const bool wrong = argument.kind == Kind::literal && arguments == 2 && (!argument.literal || !argument.literal->is_string());
    if (wrong) return lexer_.complain(argument.at, "expected a text");
    made.operands.push_back(std::move(argument));
  }
  TRY(expect(")"));
  return made;
}

/// A text, true, false, null or undefined; nothing if the current token is none of them.
Result<std::optional<Expression>> Parser::literal() {
  const Token& token = current();
  Expression made = node(Kind::literal, token.at);
  if (token.kind == TokenKind::string)
    made.literal = token.text;
  else if (token.is_word("true") || token.is_word("false"))
    made.literal = token.is_word("true");
  else if (token.is_word("null"))
    made.literal = json::Value();
  else if (!token.is_word("undefined"))
    return std::optional<Expression>();
  ++at_;
  return std::optional<Expression>(std::move(made));
}

Result<Expression> Parser::number(bool negative) {
  const Token& token = current();
  if (token.kind != TokenKind::number) return unexpected("a number after the minus");
  ++at_;
  Expression made = node(Kind::literal, token.at);
  if (token.whole)
    made.literal = json::Value(negative ? -token.integer : token.integer);
  else
    made.literal = json::Value(negative ? -token.number : token.number);
  return made;
}

}  // namespace nacelle::query
