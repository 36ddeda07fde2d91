#pragma once
// The functions of conditions, by name without case (wire facts 5.8).

#include <cstddef>
#include <span>
#include <string_view>

#include "domain/route/detail/value.h"

namespace nacelle::route {

/// What is known of a value before any message is seen. `unknown`: a body or twin path, or null and undefined.
enum class Type { unknown, boolean, number, text };
std::string_view type_name(Type type);

struct Function {
  std::string_view name;
  Type result;
  std::size_t least;
  std::size_t most;
  Type (*argument)(std::size_t index);  ///< Type::unknown: any
  Value (*apply)(std::span<const Value> arguments);
};

const Function* find_function(std::string_view name);
/// The known name most like `name`, for messages; empty if none is near.
std::string_view nearest_function(std::string_view name);

}  // namespace nacelle::route
