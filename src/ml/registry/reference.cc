#include "ml/registry/reference.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/text/encoding.h"

namespace nacelle::registry {

Result<> check_name(std::string_view name, std::string_view what) {
  constexpr std::size_t max_length = 64;
  const auto letter = [](char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); };
  const auto allowed = [&letter](char c) { return letter(c) || (c >= '0' && c <= '9') || c == '-' || c == '_' || c == '.'; };
  if (name.empty() || name.size() > max_length || !letter(name.front()) || !std::all_of(name.begin(), name.end(), allowed))
    return fail(Fault::invalid_input,
                fmt::format("{} '{}': expected a letter, then letters, digits, '-', '_' or '.', at most {} in all", what,
                            name.substr(0, 80), max_length));
  return {};
}

Result<std::string> check_stage(std::string_view stage) {
  for (const std::string_view known : {"none", "staging", "production", "archived"})
    if (stage == known) return std::string(stage);
  return fail(Fault::invalid_input, fmt::format("stage '{}': expected none, staging, production or archived", stage));
}

Result<ModelReference> parse_reference(std::string_view text) {
  ModelReference reference;
  const std::size_t mark = text.find_first_of(":@");
  reference.name = std::string(text.substr(0, mark));
  TRY(check_name(reference.name, "model"));
  if (mark == std::string_view::npos) {
    reference.bare = true;
    return reference;
  }
  const std::string_view rest = text.substr(mark + 1);
  if (text[mark] == '@') {
    TRY(check_name(rest, "alias"));
    reference.alias = std::string(rest);
    return reference;
  }
  const auto version = text::parse_integer(rest, "version");
  if (!version || *version < 1)
    return fail(Fault::invalid_input, fmt::format("model '{}': expected a version number from 1 up after ':', found '{}'",
                                                  text.substr(0, 160), rest.substr(0, 40)));
  reference.version = *version;
  return reference;
}

}  // namespace nacelle::registry
