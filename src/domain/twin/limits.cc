// What may stand in a twin (wire facts 2.4).
#include <algorithm>

#include <fmt/format.h>

#include "domain/twin/twin.h"

namespace nacelle::twin {
namespace {

constexpr std::size_t max_key_bytes = 1024;
constexpr std::size_t max_string_bytes = 4096;
constexpr int max_depth = 10;
constexpr std::int64_t max_integer = 4503599627370496;  // 2^52

struct SectionLimit {
  std::string_view section;
  std::size_t bytes;
};
constexpr SectionLimit section_limits[] = {{"tags", 8 << 10}, {"desired", 32 << 10}, {"reported", 32 << 10}};

Failure refuse(const std::string& where, std::string what) {
  return fail(Fault::invalid_input, fmt::format("{}: {}", where, what));
}

Result<> check_key(std::string_view key, const std::string& where) {
  if (key.empty()) return refuse(where, "a name is empty");
  if (key.size() > max_key_bytes)
    return refuse(where, fmt::format("a name of {} bytes, at most {} are allowed", key.size(), max_key_bytes));
  const auto bad =
      std::find_if(key.begin(), key.end(), [](unsigned char c) { return c <= 0x20 || c == 0x7f || c == '.' || c == '$'; });
  if (bad != key.end()) return refuse(where, "a name holds '.', '$', a space or a control character");
  return {};
}

Result<> check_value(const json::Value& value, const std::string& where, int depth);

Result<> check_object(const json::Object& object, const std::string& where, int depth) {
  if (depth > max_depth) return refuse(where, fmt::format("nested deeper than {} levels", max_depth));
  for (const auto& [key, value] : object) {
    TRY(check_key(key, where));
    TRY(check_value(value, where + '.' + key, depth + 1));
  }
  return {};
}

Result<> check_array(const json::Array& array, const std::string& where, int depth) {
  if (depth > max_depth) return refuse(where, fmt::format("nested deeper than {} levels", max_depth));
  for (std::size_t i = 0; i < array.size(); ++i) TRY(check_value(array[i], fmt::format("{}[{}]", where, i), depth + 1));
  return {};
}

Result<> check_value(const json::Value& value, const std::string& where, int depth) {
  if (value.is_object()) return check_object(value.as_object(), where, depth);
  if (value.is_array()) return check_array(value.as_array(), where, depth);
  if (value.is_string() && value.as_string().size() > max_string_bytes)
    return refuse(where, fmt::format("a string of {} bytes, at most {} are allowed", value.as_string().size(), max_string_bytes));
  if (value.is_integer() && (value.as_integer() > max_integer || value.as_integer() < -max_integer))
    return refuse(where, fmt::format("the integer {} is beyond +-{}", value.as_integer(), max_integer));
  return {};
}

}  // namespace

Result<> check_limits(const json::Value& values, std::string_view section) {
  if (!values.is_object())
    return refuse(std::string(section), fmt::format("expected an object, found {}", json::type_name(values)));
  TRY(check_object(values.as_object(), std::string(section), 1));
  for (const SectionLimit& limit : section_limits) {
    const std::size_t size = limit.section == section ? json::print(values).size() : 0;
    if (size > limit.bytes)
      return refuse(std::string(section), fmt::format("{} bytes of JSON, at most {} are allowed", size, limit.bytes));
  }
  return {};
}

}  // namespace nacelle::twin
