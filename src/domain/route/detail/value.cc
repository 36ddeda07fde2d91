#include "domain/route/detail/value.h"

#include <algorithm>
#include <cmath>

namespace nacelle::route {
namespace {

bool holds(Comparison op, int order) {
  switch (op) {
    case Comparison::equal: return order == 0;
    case Comparison::not_equal: return order != 0;
    case Comparison::less: return order < 0;
    case Comparison::less_or_equal: return order <= 0;
    case Comparison::greater: return order > 0;
    case Comparison::greater_or_equal: return order >= 0;
  }
  return false;
}

bool is_equality(Comparison op) { return op == Comparison::equal || op == Comparison::not_equal; }

/// Null counts as 0 in arithmetic: null + x = x, null * x = 0, null - x = -x.
bool read_operand(const Value& value, double& number) {
  if (value.is_number()) number = value.number();
  return value.is_number() || value.is_null();
}

}  // namespace

Value::Value(double number) {
  if (!std::isnan(number)) data_ = number;
}

Value Value::borrowed(std::string_view text) {
  Value value;
  value.data_ = text;
  return value;
}

Value Value::owned(std::string text) {
  Value value;
  value.data_ = std::move(text);
  return value;
}

bool Value::is_structure(Structure which) const {
  const Structure* structure = std::get_if<Structure>(&data_);
  return structure && *structure == which;
}

std::string_view Value::text() const {
  if (const auto* borrowed_text = std::get_if<std::string_view>(&data_)) return *borrowed_text;
  return std::get<std::string>(data_);
}

Value from_json(const json::Value& value) {
  if (value.is_null()) return Null{};
  if (value.is_bool()) return value.as_bool();
  if (value.is_number()) return value.as_number();
  if (value.is_string()) return Value::borrowed(value.as_string());
  return value.is_array() ? Structure::array : Structure::object;
}

int compare_ordinal(std::string_view a, std::string_view b) {
  const auto [at_a, at_b] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  if (at_a == a.end() || at_b == b.end()) return at_a != a.end() ? 1 : at_b != b.end() ? -1 : 0;
  const auto x = static_cast<unsigned char>(*at_a);
  const auto y = static_cast<unsigned char>(*at_b);
  // UTF-8 order is UTF-16's, but for characters beyond U+FFFF (lead byte F0 and up): their surrogates come before
  // U+E000 to U+FFFF (lead bytes EE, EF).
  const bool x_pair = x >= 0xf0, y_pair = y >= 0xf0;
  if (x_pair != y_pair && (x_pair ? y : x) >= 0xee) return x_pair ? -1 : 1;
  return x < y ? -1 : 1;
}

Value compare(Comparison op, const Value& left, const Value& right, bool null_literal) {
  if (left.is_undefined() || right.is_undefined() || left.is_structure() || right.is_structure()) return {};
  if (left.is_null() && right.is_null()) return holds(op, 0);
  if (null_literal) return {};
  if (left.is_number() && right.is_number()) {
    const double a = left.number(), b = right.number();
    return holds(op, a < b ? -1 : a > b ? 1 : 0);
  }
  if (left.is_text() && right.is_text()) return holds(op, compare_ordinal(left.text(), right.text()));
  if (!is_equality(op)) return {};  // other types have no order
  if (left.is_bool() && right.is_bool()) return holds(op, left.boolean() == right.boolean() ? 0 : 1);
  return op == Comparison::not_equal;  // values of different types are unequal
}

Value calculate(Arithmetic op, const Value& left, const Value& right) {
  double a = 0, b = 0;
  if (!read_operand(left, a) || !read_operand(right, b)) return {};
  switch (op) {
    case Arithmetic::add: return a + b;
    case Arithmetic::subtract: return a - b;
    case Arithmetic::multiply: return a * b;
    case Arithmetic::divide: return a / b;  // by zero: an infinity; 0/0 is undefined
    case Arithmetic::remainder: return std::fmod(a, b);
  }
  return {};
}

Value negate(const Value& value) {
  double number = 0;
  if (!read_operand(value, number)) return {};
  return -number;
}

Value logical_not(const Value& value) { return value.is_bool() ? Value(!value.boolean()) : Value(); }

Value logical_and(const Value& left, const Value& right) {
  if ((left.is_bool() && !left.boolean()) || (right.is_bool() && !right.boolean())) return false;
  return left.is_bool() && right.is_bool() ? Value(true) : Value();
}

Value logical_or(const Value& left, const Value& right) {
  if ((left.is_bool() && left.boolean()) || (right.is_bool() && right.boolean())) return true;
  return left.is_bool() && right.is_bool() ? Value(false) : Value();
}

}  // namespace nacelle::route
