#include "codec/json/value.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

namespace nacelle::json {
namespace {

constexpr const char* wrong_type = "a value is read as the type it was tested to have";

/// Exact: no int64 is rounded to meet a double.
bool same_number(std::int64_t integer, double number) {
  constexpr double limit = 9223372036854775808.0;  // 2^63
  return number >= -limit && number < limit && std::trunc(number) == number && static_cast<std::int64_t>(number) == integer;
}

Failure wrong(std::string_view where, std::string_view key, std::string_view wanted, const Value* found) {
  return fail(Fault::invalid_input, found
                                        ? fmt::format("{}: {}: expected {}, found {} {}", where, key, wanted,
                                                      type_name(*found).find_first_of("aeiou") == 0 ? "an" : "a", type_name(*found))
                                        : fmt::format("{}: expected {} named '{}', found none", where, wanted, key));
}

using Index = std::unordered_map<std::string_view, std::size_t>;

Index index_of(const Object& object) {
  Index index;
  index.reserve(object.size());
  std::size_t at = 0;
  for (const auto& [key, value] : object) index.emplace(key, at++);
  return index;
}

/// Beyond this many look-ups in one object an index is made for them.
constexpr std::size_t few = 16;

}  // namespace

Object::Object() = default;
Object::Object(const Object&) = default;
Object::Object(Object&&) noexcept = default;
Object& Object::operator=(const Object&) = default;
Object& Object::operator=(Object&&) noexcept = default;
Object::~Object() = default;

Object::Object(std::initializer_list<Member> members) {
  members_.reserve(members.size());
  for (const auto& [key, value] : members) set(key, value);
}

const Value* Object::find(std::string_view key) const {
  for (const auto& member : members_)
    if (member.first == key) return &member.second;
  return nullptr;
}
Value* Object::find(std::string_view key) { return const_cast<Value*>(std::as_const(*this).find(key)); }

Value& Object::operator[](std::string_view key) {
  if (Value* found = find(key)) return *found;
  return members_.emplace_back(std::string(key), Value()).second;
}

void Object::set(std::string_view key, Value value) { (*this)[key] = std::move(value); }

bool Object::erase(std::string_view key) {
  const auto at = std::find_if(members_.begin(), members_.end(), [&](const Member& m) { return m.first == key; });
  if (at == members_.end()) return false;
  members_.erase(at);
  return true;
}

std::size_t Object::size() const { return members_.size(); }
std::vector<Object::Member>::const_iterator Object::begin() const { return members_.begin(); }
std::vector<Object::Member>::const_iterator Object::end() const { return members_.end(); }
std::vector<Object::Member>::iterator Object::begin() { return members_.begin(); }
std::vector<Object::Member>::iterator Object::end() { return members_.end(); }

bool Object::operator==(const Object& other) const {
  if (size() != other.size()) return false;
  const Index index = size() > few ? index_of(other) : Index{};
  for (std::size_t i = 0; i < members_.size(); ++i) {
    const auto& [key, value] = members_[i];
    const Value* theirs = nullptr;
    if (other.members_[i].first == key) {
      theirs = &other.members_[i].second;
    } else if (const auto at = index.find(key); at != index.end()) {
      theirs = &other.members_[at->second].second;
    } else if (size() <= few) {
      theirs = other.find(key);
    }
    if (!theirs || !(value == *theirs)) return false;
  }
  return true;
}

Value::Value(std::uint64_t i) {
  if (i <= static_cast<std::uint64_t>(INT64_MAX))
    data_ = static_cast<std::int64_t>(i);
  else
    data_ = static_cast<double>(i);
}

bool Value::as_bool() const {
  INVARIANT(is_bool(), wrong_type);
  return std::get<bool>(data_);
}
std::int64_t Value::as_integer() const {
  INVARIANT(is_integer(), wrong_type);
  return std::get<std::int64_t>(data_);
}
double Value::as_number() const {
  INVARIANT(is_number(), wrong_type);
  return is_integer() ? static_cast<double>(std::get<std::int64_t>(data_)) : std::get<double>(data_);
}
const std::string& Value::as_string() const {
  INVARIANT(is_string(), wrong_type);
  return std::get<std::string>(data_);
}
std::string& Value::as_string() { return const_cast<std::string&>(std::as_const(*this).as_string()); }
const Array& Value::as_array() const {
  INVARIANT(is_array(), wrong_type);
  return std::get<Array>(data_);
}
Array& Value::as_array() { return const_cast<Array&>(std::as_const(*this).as_array()); }
const Object& Value::as_object() const {
  INVARIANT(is_object(), wrong_type);
  return std::get<Object>(data_);
}
Object& Value::as_object() { return const_cast<Object&>(std::as_const(*this).as_object()); }

const Value* Value::find(std::string_view key) const { return is_object() ? as_object().find(key) : nullptr; }

const Value* Value::at_path(std::initializer_list<std::string_view> path) const {
  const Value* at = this;
  for (const auto key : path)
    if (!(at = at->find(key))) return nullptr;
  return at;
}

bool Value::operator==(const Value& other) const {
  if (is_integer() && std::holds_alternative<double>(other.data_)) return same_number(as_integer(), other.as_number());
  if (other.is_integer() && std::holds_alternative<double>(data_)) return same_number(other.as_integer(), as_number());
  return data_ == other.data_;
}

std::string_view type_name(const Value& value) {
  if (value.is_null()) return "null";
  if (value.is_bool()) return "Boolean";
  if (value.is_number()) return "number";
  if (value.is_string()) return "string";
  return value.is_array() ? "array" : "object";
}

Result<std::string> get_string(const Value& object, std::string_view key, std::string_view where) {
  const Value* found = object.find(key);
  if (!found || !found->is_string()) return wrong(where, key, "a string", found);
  return found->as_string();
}

Result<std::string> get_string_or(const Value& object, std::string_view key, std::string_view fallback, std::string_view where) {
  if (const Value* found = object.find(key); !found || found->is_null()) return std::string(fallback);
  return get_string(object, key, where);
}

Result<std::int64_t> get_integer(const Value& object, std::string_view key, std::string_view where) {
  const Value* found = object.find(key);
  if (!found || !found->is_number()) return wrong(where, key, "a whole number", found);
  if (found->is_integer()) return found->as_integer();
  const double number = found->as_number();  // 3.0 and 1e3 are whole numbers to JSON
  if (std::abs(number) <= 9007199254740992.0 && std::trunc(number) == number) return static_cast<std::int64_t>(number);
  return fail(Fault::invalid_input, fmt::format("{}: {}: expected a whole number, found {}", where, key, print(*found)));
}

Result<std::int64_t> get_integer_or(const Value& object, std::string_view key, std::int64_t fallback, std::string_view where) {
  if (const Value* found = object.find(key); !found || found->is_null()) return fallback;
  return get_integer(object, key, where);
}

Result<double> get_number(const Value& object, std::string_view key, std::string_view where) {
  const Value* found = object.find(key);
  if (!found || !found->is_number()) return wrong(where, key, "a number", found);
  return found->as_number();
}

Result<bool> get_bool_or(const Value& object, std::string_view key, bool fallback, std::string_view where) {
  const Value* found = object.find(key);
  if (!found || found->is_null()) return fallback;
  if (!found->is_bool()) return wrong(where, key, "a Boolean", found);
  return found->as_bool();
}

Result<const Object*> get_object_or_null(const Value& object, std::string_view key, std::string_view where) {
  const Value* found = object.find(key);
  if (!found || found->is_null()) return nullptr;
  if (!found->is_object()) return wrong(where, key, "an object", found);
  return &found->as_object();
}

void merge_patch(Value& target, const Value& patch) {
  if (!patch.is_object()) {
    target = patch;
    return;
  }
  if (!target.is_object()) target = Object{};
  // The members are taken out, changed, and put back without those deleted: linear, however large the two are.
  std::vector<Object::Member> members(std::make_move_iterator(target.as_object().begin()),
                                      std::make_move_iterator(target.as_object().end()));
  std::vector<bool> deleted(members.size() + patch.as_object().size());
  std::unordered_map<std::string, std::size_t> index;
  for (std::size_t i = 0; i < members.size(); ++i) index.emplace(members[i].first, i);
  for (const auto& [key, change] : patch.as_object()) {
    const auto at = index.find(key);
    if (change.is_null()) {
      if (at != index.end()) deleted[at->second] = true;
    } else if (at != index.end()) {
      merge_patch(members[at->second].second, change);
    } else {
      merge_patch(members.emplace_back(key, Value()).second, change);
    }
  }
  std::vector<Object::Member> kept;
  kept.reserve(members.size());
  for (std::size_t i = 0; i < members.size(); ++i)
    if (!deleted[i]) kept.push_back(std::move(members[i]));
  target = Object::from_members(std::move(kept));
}

}  // namespace nacelle::json
