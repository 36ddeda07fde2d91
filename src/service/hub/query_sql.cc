#include "service/hub/query_sql.h"

#include <fmt/format.h>

namespace nacelle::hub {
namespace {

using query::Expression;
using query::Function;
using query::Kind;
using query::Operator;

// Far below SQLite's own bound of a million bytes, far above what people write.
constexpr std::size_t max_sql_bytes = 512 << 10;

constexpr std::string_view numbers = "('integer', 'real')";

Result<std::string> bounded(std::string sql) {
  if (sql.size() > max_sql_bytes) return fail(Fault::invalid_input, "query: the condition is too long or too deeply nested");
  return sql;
}

std::string_view symbol(Operator op) {
  switch (op) {
    case Operator::equal: return "=";
    case Operator::unequal: return "<>";
    case Operator::less: return "<";
    case Operator::less_or_equal: return "<=";
    case Operator::greater: return ">";
    case Operator::greater_or_equal: return ">=";
    case Operator::add: return "+";
    case Operator::subtract: return "-";
    case Operator::multiply: return "*";
    case Operator::divide: return "/";
    case Operator::remainder: return "%";
  }
  return "=";
}

storage::Cell cell_of(const std::optional<json::Value>& literal) {
  if (!literal) return nullptr;
  if (literal->is_null()) return storage::Blob{Bytes("\x6e", 1)};
  if (literal->is_bool()) return storage::Blob{Bytes(literal->as_bool() ? "\x01" : "\x00", 1)};
  if (literal->is_integer()) return literal->as_integer();
  if (literal->is_number()) return literal->as_number();
  return literal->as_string();
}

bool is_text(const Expression& side) { return side.kind == Kind::literal && side.literal && side.literal->is_string(); }
bool is_number(const Expression& side) { return side.kind == Kind::literal && side.literal && side.literal->is_number(); }

std::string_view type_test(Function function) {
  switch (function) {
    case Function::is_array: return " = 'array'";
    case Function::is_bool: return " IN ('true', 'false')";
    case Function::is_null: return " = 'null'";
    case Function::is_number: return " IN ('integer', 'real')";
    case Function::is_object: return " = 'object'";
    case Function::is_string: return " = 'text'";
    case Function::is_primitive: return " IN ('true', 'false', 'null', 'integer', 'real', 'text')";
    default: return " IS NOT NULL";  // is_defined
  }
}

}  // namespace

std::string QuerySql::bind(storage::Cell cell) {
  parameters_.push_back(std::move(cell));
  return fmt::format("?{}", parameters_.size());
}

Result<std::string> QuerySql::condition(const Expression& expression) { return truth(expression); }

Result<std::string> QuerySql::value(const query::Path& path) {
  TRY_LET(Place found, place(path));
  return std::move(found.value);
}

Result<std::string> QuerySql::json(const query::Path& path) {
  TRY_LET(Place found, place(path));
  return std::move(found.json);
}

/// Of numbers only: other values do not count. Sums are made of doubles, as everywhere in JSON, and so never overflow.
Result<std::string> QuerySql::aggregate(const query::Item& item) {
  if (!item.path) return std::string("count(*)");
  TRY_LET(const Place found, place(*item.path));
  if (item.aggregate == query::Aggregate::count) return fmt::format("count({})", found.type);
  const std::string number = fmt::format("CASE WHEN {} IN {} THEN {} END", found.type, numbers, found.value);
  switch (*item.aggregate) {
    case query::Aggregate::average: return fmt::format("avg({})", number);
    case query::Aggregate::sum: return fmt::format("sum(1.0 * {})", number);
    case query::Aggregate::minimum: return fmt::format("min({})", number);
    default: return fmt::format("max({})", number);
  }
}

Result<std::string> QuerySql::truth(const Expression& expression) {
  switch (expression.kind) {
    case Kind::comparison: return comparison(expression);
    case Kind::in:
    case Kind::not_in: return membership(expression);
    case Kind::conjunction: return joined(expression.operands, 0, expression.operands.size(), "AND");
    case Kind::disjunction: return joined(expression.operands, 0, expression.operands.size(), "OR");
    case Kind::negation: {
      TRY_LET(const std::string inner, truth(expression.operands[0]));
      return fmt::format("(NOT {})", inner);
    }
    case Kind::call:
      if (expression.function != Function::as_number) return call(expression);
      break;
    default: break;
  }
  TRY_LET(const std::string value, value_of(expression));
  return bounded(fmt::format("(CASE {} WHEN x'01' THEN 1 WHEN x'00' THEN 0 END)", value));
}

/// In halves: a chain of a thousand would be deeper than SQLite's expressions may be.
Result<std::string> QuerySql::joined(const std::vector<Expression>& operands, std::size_t from, std::size_t to,
                                     std::string_view word) {
  if (to - from == 1) return truth(operands[from]);
  const std::size_t middle = from + (to - from) / 2;
  TRY_LET(const std::string left, joined(operands, from, middle, word));
  TRY_LET(const std::string right, joined(operands, middle, to, word));
  return bounded(fmt::format("({} {} {})", left, word, right));
}

Result<std::string> QuerySql::value_of(const Expression& expression) {
  switch (expression.kind) {
    case Kind::literal: return bind(cell_of(expression.literal));
    case Kind::path: {
      TRY_LET(Place found, place(expression.path));
      return std::move(found.value);
    }
    case Kind::negative:
    case Kind::arithmetic: return arithmetic(expression);
    case Kind::call:
      if (expression.function == Function::as_number) return call(expression);
      break;
    default: break;
  }
  TRY_LET(const std::string inner, truth(expression));
  return bounded(fmt::format("(CASE {} WHEN 1 THEN x'01' WHEN 0 THEN x'00' END)", inner));
}

/// A side of a comparison; a bare column beside a text, so that an index can serve.
Result<std::string> QuerySql::compared(const Expression& side, const Expression& with) {
  if (side.kind == Kind::path && is_text(with)) {
    TRY_LET(Place found, place(side.path));
    if (!found.column.empty()) return std::move(found.column);
  }
  return value_of(side);
}

Result<std::string> QuerySql::comparison(const Expression& expression) {
  const Expression& left = expression.operands[0];
  const Expression& right = expression.operands[1];
  TRY_LET(const std::string a, compared(left, right));
  TRY_LET(const std::string b, compared(right, left));
  const std::string plain = fmt::format("{} {} {}", a, symbol(expression.op), b);
  if (expression.op == Operator::equal || expression.op == Operator::unequal) return bounded("(" + plain + ")");
  // Only like orders with like: SQL would place every text above every number.
  const auto like = [&](const std::string& one, const Expression& literal) {
    return is_text(literal) ? fmt::format("typeof({}) = 'text'", one) : fmt::format("typeof({}) IN {}", one, numbers);
  };
  std::string same =
      fmt::format("(typeof({0}) IN {2}) = (typeof({1}) IN {2}) AND (typeof({0}) = 'text') = (typeof({1}) = 'text')", a, b, numbers);
  if (is_text(right) || is_number(right)) same = like(a, right);
  if (is_text(left) || is_number(left)) same = like(b, left);
  return bounded(fmt::format("(CASE WHEN {} THEN {} END)", same, plain));
}

Result<std::string> QuerySql::membership(const Expression& expression) {
  bool texts = true;
  for (std::size_t i = 1; i < expression.operands.size(); ++i) texts = texts && is_text(expression.operands[i]);
  TRY_LET(std::string sql, texts ? compared(expression.operands[0], expression.operands[1]) : value_of(expression.operands[0]));
  sql += expression.kind == Kind::not_in ? " NOT IN (" : " IN (";
  bool any = false;
  for (std::size_t i = 1; i < expression.operands.size(); ++i) {
    if (!expression.operands[i].literal) continue;  // undefined is equal to nothing
    sql += (any ? ", " : "") + bind(cell_of(expression.operands[i].literal));
    any = true;
  }
  return bounded("(" + sql + "))");
}

Result<std::string> QuerySql::arithmetic(const Expression& expression) {
  TRY_LET(const std::string a, value_of(expression.operands[0]));
  if (expression.kind == Kind::negative) return bounded(fmt::format("(CASE WHEN typeof({0}) IN {1} THEN -({0}) END)", a, numbers));
  TRY_LET(const std::string b, value_of(expression.operands[1]));
  std::string result = fmt::format("{} {} {}", a, symbol(expression.op), b);
  if (expression.op == Operator::divide) result = fmt::format("1.0 * {} / {}", a, b);  // 7 / 2 is 3.5; by zero: undefined
  if (expression.op == Operator::remainder) result = fmt::format("mod({}, {})", a, b);
  return bounded(fmt::format("(CASE WHEN typeof({0}) IN {2} AND typeof({1}) IN {2} THEN {3} END)", a, b, numbers, result));
}

Result<std::string> QuerySql::call(const Expression& expression) {
  const auto& operands = expression.operands;
  if (operands.size() == 1 && expression.function != Function::as_number) {
    TRY_LET(const Place found, place(operands[0].path));
    const bool defined = expression.function == Function::is_defined;
    const std::string test = found.type + std::string(type_test(expression.function));
    return bounded(defined ? "(" + test + ")" : fmt::format("coalesce({}, 0)", test));
  }
  TRY_LET(const std::string a, value_of(operands[0]));
  if (expression.function == Function::as_number)
    return bounded(
        fmt::format("(CASE typeof({0}) WHEN 'integer' THEN {0} WHEN 'real' THEN {0} WHEN 'text' THEN CASE WHEN json_valid({0}) "
                    "THEN CASE WHEN json_type({0}) IN {1} THEN json_extract({0}, '$') END END END)",
                    a, numbers));
  TRY_LET(const std::string b, value_of(operands[1]));
  std::string test = fmt::format("instr({}, {}) > 0", a, b);
  if (expression.function == Function::starts_with) test = fmt::format("substr({0}, 1, length({1})) = {1}", a, b);
  if (expression.function == Function::ends_with) test = fmt::format("({1} = '' OR substr({0}, -length({1})) = {1})", a, b);
  return bounded(fmt::format("(CASE WHEN typeof({}) = 'text' AND typeof({}) = 'text' THEN {} END)", a, b, test));
}

}  // namespace nacelle::hub
