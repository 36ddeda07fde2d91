#pragma once
// The values of conditions and their three-valued rules (wire facts 5.8): an unknown spreads, except where the known side
// decides alone (false AND undefined is false).

#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include "codec/json/value.h"

namespace nacelle::route {

struct Undefined {
  bool operator==(const Undefined&) const = default;
};
struct Null {
  bool operator==(const Null&) const = default;
};
/// An object or array met along a path: there, but not comparable.
enum class Structure { object, array };

/// Text is borrowed from the message, the program or the body, or owned when a function made it.
class Value {
 public:
  Value() = default;
  Value(Null) : data_(Null{}) {}
  Value(bool b) : data_(b) {}
  Value(double number);  ///< NaN stands for an undefined number
  Value(Structure structure) : data_(structure) {}
  static Value borrowed(std::string_view text);
  static Value owned(std::string text);

  bool is_undefined() const { return std::holds_alternative<Undefined>(data_); }
  bool is_null() const { return std::holds_alternative<Null>(data_); }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_number() const { return std::holds_alternative<double>(data_); }
  bool is_text() const { return std::holds_alternative<std::string_view>(data_) || std::holds_alternative<std::string>(data_); }
  bool is_structure(Structure which) const;
  bool is_structure() const { return std::holds_alternative<Structure>(data_); }

  bool boolean() const { return std::get<bool>(data_); }
  double number() const { return std::get<double>(data_); }
  std::string_view text() const;

 private:
  std::variant<Undefined, Null, bool, double, std::string_view, std::string, Structure> data_;
};

Value from_json(const json::Value& value);  ///< borrows texts

enum class Comparison { equal, not_equal, less, less_or_equal, greater, greater_or_equal };
/// `null_literal`: one side is written as `null` in the condition; only then is null beside another type undefined.
Value compare(Comparison op, const Value& left, const Value& right, bool null_literal);

enum class Arithmetic { add, subtract, multiply, divide, remainder };
Value calculate(Arithmetic op, const Value& left, const Value& right);
Value negate(const Value& value);  ///< unary minus

Value logical_not(const Value& value);
/// What one more operand makes of an AND or OR: both are symmetric, so folding from `true` or `false` gives the whole.
Value logical_and(const Value& left, const Value& right);
Value logical_or(const Value& left, const Value& right);

/// Order of two texts by UTF-16 code unit, negative, 0 or positive: the protocol's "ordinal" comparison.
int compare_ordinal(std::string_view a, std::string_view b);

}  // namespace nacelle::route
