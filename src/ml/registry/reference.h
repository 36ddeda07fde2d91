#pragma once
// How people name models: NAME:VERSION, NAME@alias, NAME (its champion, else its newest version) or an alias alone. Pure rules;
// the tables are in service/workbench.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "foundation/result.h"

namespace nacelle::registry {

struct ModelReference {
  std::string name;  ///< empty: not told, only an alias
  std::optional<std::int64_t> version;
  std::optional<std::string> alias;
  bool bare = false;  ///< `name` may be a model or an alias
};

/// Fault::invalid_input says what is wrong with the text.
Result<ModelReference> parse_reference(std::string_view text);

/// Names and aliases: letters, digits, `-`, `_` and `.`, beginning with a letter, at most 64; an alias is not a number.
Result<> check_name(std::string_view name, std::string_view what);

/// Where a version stands in its life. Aliases (champion, challenger) decide what is used; the stage is for people.
Result<std::string> check_stage(std::string_view stage);  ///< none, staging, production or archived

constexpr std::string_view champion = "champion";

}  // namespace nacelle::registry
