#include "domain/route/detail/compiler.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

#include "codec/text/encoding.h"

namespace nacelle::route {
namespace {

constexpr std::size_t max_text_bytes = 64 << 10;
constexpr int max_depth = 200;  // of nested operands: the evaluator and this parser recurse

using NodeIndex = std::uint32_t;

std::optional<Comparison> equality(const Token& token) {
  if (token.text == "=") return Comparison::equal;
  if (token.text == "!=" || token.text == "<>") return Comparison::not_equal;
  return std::nullopt;
}

std::optional<Comparison> relation(const Token& token) {
  if (token.text == "<") return Comparison::less;
  if (token.text == "<=") return Comparison::less_or_equal;
  if (token.text == ">") return Comparison::greater;
  if (token.text == ">=") return Comparison::greater_or_equal;
  return std::nullopt;
}

std::optional<Arithmetic> sum(const Token& token) {
  if (token.text == "+") return Arithmetic::add;
  if (token.text == "-") return Arithmetic::subtract;
  return std::nullopt;
}

std::optional<Arithmetic> product(const Token& token) {
  if (token.text == "*") return Arithmetic::multiply;
  if (token.text == "/") return Arithmetic::divide;
  if (token.text == "%") return Arithmetic::remainder;
  return std::nullopt;
}

class Parser {
 public:
  Parser(TokenStream& tokens, Condition::Program& program) : tokens_(tokens), program_(program) {}

  Result<> parse() {
    const std::size_t from = tokens_.current().at;
    TRY_LET(const NodeIndex whole, coalesce());
    if (!may_be(whole, Type::boolean))
      return tokens_.complain(
          from, fmt::format("expected a condition that is true or false, found {}{}", found(whole), hint(whole, Type::boolean)));
    return {};
  }

 private:
  // -- The grammar, loosest first ------------------------------------------------------------------------------------

  Result<NodeIndex> coalesce() {
    TRY_LET(NodeIndex left, disjunction());
    while (tokens_.at_op("??")) {
      const std::size_t at = tokens_.current().at;
      TRY(tokens_.advance());
      TRY_LET(const NodeIndex right, disjunction());
      TRY(check_same(at, "??", left, right));
      const Type type = type_of(left) == type_of(right) ? type_of(left) : Type::unknown;
      TRY_LET(left, add(at, {.op = Op::coalesce, .type = type}, {left, right}));
    }
    return left;
  }

  Result<NodeIndex> disjunction() { return chain("OR", Op::any, &Parser::conjunction); }
  Result<NodeIndex> conjunction() { return chain("AND", Op::all, &Parser::equalities); }

  /// `operand {keyword operand}` as one node: long lists of ORs stay flat.
  Result<NodeIndex> chain(std::string_view keyword, Op op, Result<NodeIndex> (Parser::*operand)()) {
    std::size_t at = tokens_.current().at;
    TRY_LET(const NodeIndex first, (this->*operand)());
    std::vector<NodeIndex> operands{first};
    while (tokens_.at_keyword(keyword)) {
      if (operands.size() == 1) TRY(check_operand(at, keyword, first, Type::boolean));
      TRY(tokens_.advance());
      at = tokens_.current().at;
      TRY_LET(const NodeIndex next, (this->*operand)());
      TRY(check_operand(at, keyword, next, Type::boolean));
      operands.push_back(next);
    }
    if (operands.size() == 1) return first;
    return add(at, {.op = op, .type = Type::boolean}, operands);
  }

  Result<NodeIndex> equalities() { return comparisons(equality, &Parser::relations); }
  Result<NodeIndex> relations() { return comparisons(relation, &Parser::sums); }

  Result<NodeIndex> comparisons(std::optional<Comparison> (*which)(const Token&), Result<NodeIndex> (Parser::*operand)()) {
    TRY_LET(NodeIndex left, (this->*operand)());
    while (tokens_.current().kind == TokenKind::op) {
      const Token token = tokens_.current();
      const auto comparison = which(token);
      if (!comparison) break;
      TRY(tokens_.advance());
      TRY_LET(const NodeIndex right, (this->*operand)());
      TRY(check_same(token.at, token.text, left, right));
      const bool ordered = which == relation;
      if (ordered && (type_of(left) == Type::boolean || type_of(right) == Type::boolean))
        return tokens_.complain(token.at, fmt::format("'{}' orders numbers and texts, found a Boolean", token.text));
      const bool null = is_null_literal(left) || is_null_literal(right);
      TRY_LET(left, add(token.at, {.op = Op::compare, .type = Type::boolean, .comparison = *comparison, .null_literal = null},
                        {left, right}));
    }
    return left;
  }

  Result<NodeIndex> sums() {
    TRY_LET(NodeIndex left, products());
    while (tokens_.current().kind == TokenKind::op) {
      const Token token = tokens_.current();
      const auto arithmetic = sum(token);
      if (!arithmetic && token.text != "||") break;
      TRY(tokens_.advance());
      TRY_LET(const NodeIndex right, products());
      if (arithmetic) {
        TRY_LET(left, add_arithmetic(token, *arithmetic, left, right));
      } else {
        for (const NodeIndex side : {left, right}) TRY(check_operand(token.at, token.text, side, Type::text));
        TRY_LET(left, add(token.at, {.op = Op::join, .type = Type::text}, {left, right}));
      }
    }
    return left;
  }

  Result<NodeIndex> products() {
    TRY_LET(NodeIndex left, negation());
    while (tokens_.current().kind == TokenKind::op) {
      const Token token = tokens_.current();
      const auto arithmetic = product(token);
      if (!arithmetic) break;
      TRY(tokens_.advance());
      TRY_LET(const NodeIndex right, negation());
      TRY_LET(left, add_arithmetic(token, *arithmetic, left, right));
    }
    return left;
  }

  Result<NodeIndex> negation() {
    if (!tokens_.at_keyword("NOT")) return unary();
    const Token token = tokens_.current();
    TRY(enter(token.at));
    TRY(tokens_.advance());
    TRY_LET(const NodeIndex operand, negation());
    leave();
    if (!may_be(operand, Type::boolean))
      return tokens_.complain(
          token.at,
          fmt::format("NOT needs a Boolean, found {}; NOT binds tighter than comparisons: write NOT (a = b)", found(operand)));
    return add(token.at, {.op = Op::negation, .type = Type::boolean}, {operand});
  }

  Result<NodeIndex> unary() {
    if (!tokens_.at_op("-")) return primary();
    const Token token = tokens_.current();
    TRY(enter(token.at));
    TRY(tokens_.advance());
    TRY_LET(const NodeIndex operand, unary());
    leave();
    TRY(check_operand(token.at, "-", operand, Type::number));
    return add(token.at, {.op = Op::negate, .type = Type::number}, {operand});
  }

  Result<NodeIndex> primary() {
    const Token token = tokens_.current();
    switch (token.kind) {
      case TokenKind::open: return parenthesis();
      case TokenKind::number: return literal(token, Type::number, token.number);
      case TokenKind::string: return literal(token, Type::text, Value::owned(token.text));
      case TokenKind::system_name: return system_name(token);
      case TokenKind::name: break;
      default: return tokens_.unexpected("a value: a name, a number, a text, a function or '('");
    }
    for (const std::string_view keyword : {"AND", "OR", "INTO"})
      if (tokens_.at_keyword(keyword)) return tokens_.unexpected("a value: a name, a number, a text, a function or '('");
    if (token.text == "true" || token.text == "false") return literal(token, Type::boolean, token.text == "true");
    if (token.text == "null") return literal(token, Type::unknown, Null{});
    if (token.text == "undefined") return literal(token, Type::unknown, Value());
    TRY(tokens_.advance());
    if (tokens_.current().kind == TokenKind::open) return call(token);
    return add(token.at, {.op = Op::application, .type = Type::text, .name = token.text}, {});
  }

  Result<NodeIndex> parenthesis() {
    TRY(enter(tokens_.current().at));
    TRY(tokens_.advance());
    TRY_LET(const NodeIndex inner, coalesce());
    leave();
    if (tokens_.current().kind != TokenKind::close) return tokens_.unexpected("an operator or ')'");
    TRY(tokens_.advance());
    return inner;
  }

  Result<NodeIndex> literal(const Token& token, Type type, Value value) {
    TRY(tokens_.advance());
    return add(token.at, {.op = Op::literal, .type = type, .value = std::move(value)}, {});
  }

  Result<NodeIndex> system_name(const Token& token) {
    Node node{.op = Op::system, .type = Type::text, .application_first = !token.spelled.starts_with('{'), .name = token.text};
    const std::string_view name = node.name;
    if (name.starts_with("$body.") || name.starts_with("$twin.")) {
      node.op = name[1] == 'b' ? Op::body : Op::twin;
      node.type = Type::unknown;
      (node.op == Op::body ? program_.uses_body : program_.uses_twin) = true;
      TRY_LET(node.path, path_of(name.substr(6), token.at));
    } else if (name.size() == 1 || (name.find('[') != std::string_view::npos && !name.starts_with("$body["))) {
      return tokens_.complain(
          token.at,
          fmt::format("expected a system property such as $connectionDeviceId, $body.path or $twin.path, found '{}'", name));
    }
    TRY(tokens_.advance());
    if (tokens_.current().kind == TokenKind::open) return tokens_.unexpected("an operator (functions have no '$')");
    return add(token.at, std::move(node), {});
  }

  Result<std::vector<PathStep>> path_of(std::string_view text, std::size_t at) {
    std::vector<PathStep> path;
    for (std::string_view part : text::split(text, '.')) {
      PathStep step;
      const std::size_t bracket = std::min(part.find('['), part.size());
      step.key = part.substr(0, bracket);
      if (step.key.empty()) return tokens_.complain(at, fmt::format("the path '{}' has an empty step", text));
      for (part.remove_prefix(bracket); !part.empty(); part.remove_prefix(part.find(']') + 1)) {
        std::size_t index = 0;
        const auto [end, error] = std::from_chars(part.data() + 1, part.data() + part.size(), index);
        if (error != std::errc{} || *end != ']')
          return tokens_.complain(at, fmt::format("the path '{}' has an index that is no small integer", text));
        step.indexes.push_back(index);
        if (part.find(']') + 1 < part.size() && part[part.find(']') + 1] != '[')
          return tokens_.complain(at, fmt::format("the path '{}': expected '.' after ']'", text));
      }
      path.push_back(std::move(step));
    }
    return path;
  }

  Result<NodeIndex> call(const Token& name) {
    const Function* function = find_function(name.text);
    if (!function) {
      const std::string_view near = nearest_function(name.text);
      return tokens_.complain(name.at, fmt::format("there is no function '{}'{}", name.text,
                                                   near.empty() ? "" : fmt::format(", did you mean {}?", near)));
    }
    TRY(enter(name.at));
    TRY(tokens_.advance());
    std::vector<NodeIndex> arguments;
    while (tokens_.current().kind != TokenKind::close) {
      if (!arguments.empty()) {
        if (tokens_.current().kind != TokenKind::comma) return tokens_.unexpected("an operator, ',' or ')'");
        TRY(tokens_.advance());
      }
      const std::size_t at = tokens_.current().at;
      TRY_LET(const NodeIndex argument, coalesce());
      const Type wanted = function->argument(arguments.size());
      if (!may_be(argument, wanted))
        return tokens_.complain(at, fmt::format("{}: expected {} as argument {}, found {}{}", function->name, type_name(wanted),
                                                arguments.size() + 1, found(argument), hint(argument, wanted)));
      arguments.push_back(argument);
    }
    leave();
    if (arguments.size() < function->least || arguments.size() > function->most)
      return tokens_.complain(name.at, fmt::format("{} takes {} argument{}, found {}", function->name, how_many(*function),
                                                   function->most == 1 ? "" : "s", arguments.size()));
    TRY(tokens_.advance());
    return add(name.at, {.op = Op::call, .type = function->result, .function = function}, arguments);
  }

  static std::string how_many(const Function& function) {
    if (function.least == function.most) return fmt::to_string(function.least);
    if (function.most > 8) return fmt::format("at least {}", function.least);
    return fmt::format("{} to {}", function.least, function.most);
  }

  // -- Nodes and their types -----------------------------------------------------------------------------------------

  Result<NodeIndex> add_arithmetic(const Token& token, Arithmetic arithmetic, NodeIndex left, NodeIndex right) {
    for (const NodeIndex side : {left, right}) TRY(check_operand(token.at, token.text, side, Type::number));
    return add(token.at, {.op = Op::calculate, .type = Type::number, .arithmetic = arithmetic}, {left, right});
  }

  Result<NodeIndex> add(std::size_t at, Node node, const std::vector<NodeIndex>& operands) {
    int depth = 1;
    for (const NodeIndex operand : operands) depth = std::max(depth, depths_[operand] + 1);
    if (depth > max_depth) return too_deep(at);
    node.first = static_cast<std::uint32_t>(program_.operands.size());
    node.count = static_cast<std::uint32_t>(operands.size());
    program_.operands.insert(program_.operands.end(), operands.begin(), operands.end());
    program_.nodes.push_back(std::move(node));
    depths_.push_back(depth);
    return static_cast<NodeIndex>(program_.nodes.size() - 1);
  }

  Result<> enter(std::size_t at) {
    if (++nesting_ > max_depth) return too_deep(at);
    return {};
  }
  void leave() { --nesting_; }
  Failure too_deep(std::size_t at) const { return tokens_.complain(at, fmt::format("nested deeper than {} levels", max_depth)); }

  Type type_of(NodeIndex node) const { return program_.nodes[node].type; }
  bool may_be(NodeIndex node, Type type) const {
    return type == Type::unknown || type_of(node) == Type::unknown || type_of(node) == type;
  }
  bool is_null_literal(NodeIndex index) const {
    const Node& node = program_.nodes[index];
    return node.op == Op::literal && node.value.is_null();
  }

  Result<> check_operand(std::size_t at, std::string_view op, NodeIndex operand, Type wanted) {
    if (may_be(operand, wanted)) return {};
    return tokens_.complain(at,
                            fmt::format("'{}' needs {}, found {}{}", op, type_name(wanted), found(operand), hint(operand, wanted)));
  }

  Result<> check_same(std::size_t at, std::string_view op, NodeIndex left, NodeIndex right) {
    if (may_be(left, type_of(right)) || may_be(right, type_of(left))) return {};
    const NodeIndex text = type_of(left) == Type::text ? left : right;
    const Type other = text == left ? type_of(right) : type_of(left);
    return tokens_.complain(at, fmt::format("'{}' has {} on its left and {} on its right, which are never the same{}", op,
                                            found(left), found(right), hint(text, other)));
  }

  std::string found(NodeIndex index) const {
    const Node& node = program_.nodes[index];
    if (node.op == Op::application || node.op == Op::system) return fmt::format("the property '{}' (a text)", node.name);
    if (node.op == Op::call) return fmt::format("{} ({})", node.function->name, type_name(node.type));
    return std::string(type_name(node.type));
  }

  /// What the writer may have meant.
  std::string hint(NodeIndex index, Type wanted) const {
    const Node& node = program_.nodes[index];
    if (node.op != Op::application && node.op != Op::system) return {};
    if (node.name.find_first_of("+-*%|!") != std::string::npos)
      return fmt::format("; '{}' is one name: put spaces around operators", node.name);
    if (wanted == Type::number) return fmt::format("; write as_number({})", node.name);
    for (const std::string_view constant : {"true", "false"})
      if (text::equal_ignoring_case(node.name, constant)) return fmt::format("; write {} in lower case", constant);
    if (wanted == Type::boolean) return fmt::format("; write {} = 'true'", node.name);
    return {};
  }

  TokenStream& tokens_;
  Condition::Program& program_;
  std::vector<int> depths_;  // of each node
  int nesting_ = 0;
};

}  // namespace

Result<> TokenStream::advance() {
  TRY_LET(current_, lexer_.next());
  return {};
}

Result<> TokenStream::advance_word() {
  TRY_LET(current_, lexer_.next_word());
  return {};
}

bool TokenStream::at_keyword(std::string_view keyword) const {
  return current_.kind == TokenKind::name && text::equal_ignoring_case(current_.text, keyword);
}

Condition Compiler::always_true() {
  static const auto program = std::make_shared<const Condition::Program>(
      Condition::Program{.text = "true", .nodes = {Node{.op = Op::literal, .type = Type::boolean, .value = true}}});
  return Condition(program);
}

Result<Condition> Compiler::compile(TokenStream& tokens) {
  if (tokens.text().size() > max_text_bytes)
    return tokens.complain(0, fmt::format("expected at most {} bytes of text, found {}", max_text_bytes, tokens.text().size()));
  auto program = std::make_shared<Condition::Program>();
  const std::size_t from = tokens.current().at;
  TRY(Parser(tokens, *program).parse());
  program->text = text::trim(tokens.text().substr(from, tokens.current().at - from));
  return Condition(std::move(program));
}

}  // namespace nacelle::route
