#pragma once
// json::Value: a JSON document we own. Object members keep the order in which they were first set.

#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "foundation/result.h"

namespace nacelle::json {

class Value;
using Array = std::vector<Value>;

/// An ordered map of members. Look-up is linear: documents have few members an object. What works on a whole object
/// (parse, ==, merge_patch) does not grow with the square of its size.
class Object {
 public:
  using Member = std::pair<std::string, Value>;
  Object();
  Object(std::initializer_list<Member> members);
  /// In order; of repeated keys the last value counts, in the place of the first.
  static Object from_members(std::vector<Member> members);
  Object(const Object&);
  Object(Object&&) noexcept;
  Object& operator=(const Object&);
  Object& operator=(Object&&) noexcept;
  ~Object();

  const Value* find(std::string_view key) const;  ///< null if absent
  Value* find(std::string_view key);
  bool contains(std::string_view key) const { return find(key) != nullptr; }
  Value& operator[](std::string_view key);  ///< made null if absent
  void set(std::string_view key, Value value);
  bool erase(std::string_view key);
  std::size_t size() const;
  bool empty() const { return size() == 0; }
  std::vector<Member>::const_iterator begin() const;
  std::vector<Member>::const_iterator end() const;
  std::vector<Member>::iterator begin();
  std::vector<Member>::iterator end();
  bool operator==(const Object& other) const;  ///< without regard to order

 private:
  std::vector<Member> members_;
};

/// null, Boolean, integer (int64), number (double), string, array or object.
class Value {
 public:
  Value() = default;
  Value(std::nullptr_t) {}
  Value(bool b) : data_(b) {}
  Value(double d) : data_(d) {}
  Value(std::int64_t i) : data_(i) {}
  Value(int i) : data_(std::int64_t{i}) {}
  Value(unsigned i) : data_(std::int64_t{i}) {}
  Value(std::uint64_t i);  ///< beyond int64: a double
  Value(std::string s) : data_(std::move(s)) {}
  Value(std::string_view s) : data_(std::string(s)) {}
  Value(const char* s) : data_(std::string(s)) {}
  Value(Array a) : data_(std::move(a)) {}
  Value(Object o) : data_(std::move(o)) {}

  bool is_null() const { return data_.index() == 0; }
  bool is_bool() const { return std::holds_alternative<bool>(data_); }
  bool is_integer() const { return std::holds_alternative<std::int64_t>(data_); }
  bool is_number() const { return is_integer() || std::holds_alternative<double>(data_); }  ///< integer or double
  bool is_string() const { return std::holds_alternative<std::string>(data_); }
  bool is_array() const { return std::holds_alternative<Array>(data_); }
  bool is_object() const { return std::holds_alternative<Object>(data_); }

  // The value as its type; asked of another type it is a bug (INVARIANT). For input use the get_* functions below.
  bool as_bool() const;
  std::int64_t as_integer() const;
  double as_number() const;  ///< of an integer too
  const std::string& as_string() const;
  std::string& as_string();
  const Array& as_array() const;
  Array& as_array();
  const Object& as_object() const;
  Object& as_object();

  /// The member `key` if this is an object that has it, else null pointer.
  const Value* find(std::string_view key) const;
  /// `find` along a path: `value.at_path({"properties", "desired"})`.
  const Value* at_path(std::initializer_list<std::string_view> path) const;

  bool operator==(const Value& other) const;  ///< 1 equals 1.0

 private:
  std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Array, Object> data_{nullptr};
};

struct ParseLimits {
  std::size_t max_bytes = 64u << 20;
  std::size_t max_depth = 64;
};

/// One JSON document, RFC 8259, UTF-8 checked; nothing but white space after it. Fault::invalid_input names line,
/// column (in bytes) and what was wrong; beyond a limit Fault::exhausted. A repeated key: the last one counts. Whole numbers
/// that fit int64 stay integers; others are the nearest double, and one too large for a double is refused.
Result<Value> parse(std::string_view text, const ParseLimits& limits = {});

/// Compact text; doubles in the shortest form that reads back to the same bits; NaN and infinities as null.
std::string print(const Value& value);
/// Indented by two spaces.
std::string print_pretty(const Value& value);
/// Appends `text` as a quoted JSON string; each byte that is not UTF-8 becomes U+FFFD.
void append_quoted(std::string& out, std::string_view text);

/// The type's name for messages: "null", "Boolean", "number", "string", "array", "object".
std::string_view type_name(const Value& value);

// Reading of members of an input document; `where` names the document in the error:
// "manifest: modules.filter.settings: expected a string, found a number".
Result<std::string> get_string(const Value& object, std::string_view key, std::string_view where);
Result<std::string> get_string_or(const Value& object, std::string_view key, std::string_view fallback, std::string_view where);
Result<std::int64_t> get_integer(const Value& object, std::string_view key, std::string_view where);
Result<std::int64_t> get_integer_or(const Value& object, std::string_view key, std::int64_t fallback, std::string_view where);
Result<double> get_number(const Value& object, std::string_view key, std::string_view where);
Result<bool> get_bool_or(const Value& object, std::string_view key, bool fallback, std::string_view where);
/// The object at `key`; null pointer if absent or null; Fault::invalid_input if it is anything else.
Result<const Object*> get_object_or_null(const Value& object, std::string_view key, std::string_view where);

/// RFC 7396: objects merge, null deletes, everything else replaces.
void merge_patch(Value& target, const Value& patch);

}  // namespace nacelle::json
