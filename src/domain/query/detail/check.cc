#include "domain/query/detail/check.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace nacelle::query {
namespace {

/// What a side is known to be: a JSON type's name, or empty.
std::string_view known_type(const Expression& side) {
  switch (side.kind) {
    case Kind::literal: return side.literal ? json::type_name(*side.literal) : std::string_view();
    case Kind::negative:
    case Kind::arithmetic: return "number";
    case Kind::path:
      switch (side.path.field->kind) {
        case FieldKind::text: return "string";
        case FieldKind::number: return "number";
        case FieldKind::boolean: return "Boolean";
        case FieldKind::document: return side.path.below.empty() ? "object" : "";
        case FieldKind::configurations: return side.path.below.size() == 2 ? "string" : "object";
      }
      return {};
    case Kind::call: return side.function == Function::as_number ? "number" : "Boolean";
    default: return "Boolean";
  }
}

std::string shown(const Expression& side) {
  if (side.kind == Kind::path) return fmt::format("'{}'", side.path.spelled);
  if (side.kind == Kind::literal && side.literal) return json::print(*side.literal);
  return "this";
}

Result<> check_item(const Item& item, const Lexer& places) {
  if (!item.aggregate || !item.path || item.aggregate == Aggregate::count) return {};
  const FieldKind kind = item.path->field->kind;
  const bool never = kind == FieldKind::text || kind == FieldKind::boolean || kind == FieldKind::configurations ||
                     (kind == FieldKind::document && item.path->below.empty());
  if (never) return places.complain(item.path->at, fmt::format("expected a number to aggregate, '{}' is none", item.path->spelled));
  return {};
}

}  // namespace

Result<> check_condition(const Expression& node, const Lexer& places) {
  const std::string_view type = known_type(node);
  if (type.empty() || type == "Boolean" || type == "null") return {};
  return places.complain(node.at, fmt::format("expected a condition, found a {}", type));
}

Result<> check_arithmetic(const Expression& side, const Lexer& places) {
  const std::string_view type = known_type(side);
  if (type.empty() || type == "number") return {};
  return places.complain(side.at, fmt::format("expected a number to calculate with, {} is a {}", shown(side), type));
}

Result<> check_comparison(const Expression& comparison, const Lexer& places) {
  const std::string_view left = known_type(comparison.operands.front());
  for (std::size_t i = 0; i < comparison.operands.size(); ++i) {
    const Expression& side = comparison.operands[i];
    const std::string_view type = known_type(side);
    if (type == "object") return places.complain(side.at, fmt::format("{} is an object; only single values compare", shown(side)));
    if (type.empty() || left.empty() || type == "null" || left == "null" || type == left) continue;
    return places.complain(side.at, fmt::format("{} is a {} and never compares with {}, a {}", shown(side), type,
                                                shown(comparison.operands.front()), left));
  }
  return {};
}

Result<> check_query(const Query& query, const Lexer& places) {
  std::set<std::string> names;
  const bool grouped = query.aggregates();
  const auto is_group = [&](const Path& path) {
    return std::find(query.group_by.begin(), query.group_by.end(), path) != query.group_by.end();
  };
  for (const Item& item : query.items) {
    TRY(check_item(item, places));
    if (grouped && !item.aggregate && !is_group(*item.path))
      return places.complain(item.path->at,
                             fmt::format("'{}' stands beside an aggregate: put it into GROUP BY", item.path->spelled));
    if (!names.insert(item.name).second)
      return places.complain(item.path ? item.path->at : 0,
                             fmt::format("two columns are called '{}'; give one another name with AS", item.name));
  }
  if (grouped && query.everything()) return places.complain(0, "GROUP BY wants a list of columns, not *");
  if (query.source == Source::jobs && !query.everything()) return places.complain(0, "devices.jobs answers SELECT * only");
  for (const Order& order : query.order_by)
    if (grouped && !order.item && !is_group(order.path))
      return places.complain(order.path.at, fmt::format("'{}' is no column and not in GROUP BY: the groups cannot be ordered by it",
                                                        order.path.spelled));
  return {};
}

}  // namespace nacelle::query
