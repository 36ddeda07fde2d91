#pragma once
// Logging: one line an event, to standard error, `2030-01-01T10:00:00.000Z info hub: text`.
// Never a secret: keys, tokens and passwords are not logged, whole or in part.

#include <fmt/format.h>

#include <string_view>

namespace nacelle::log {

enum class Level { debug, info, warn, error, off };

void set_level(Level level);  ///< Any thread. Default: info, or what NACELLE_LOG names.
bool enabled(Level level);
void write(Level level, std::string_view component, std::string_view text);

template <class... Args>
void debug(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::debug)) write(Level::debug, component, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void info(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::info)) write(Level::info, component, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void warn(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::warn)) write(Level::warn, component, fmt::format(format, std::forward<Args>(args)...));
}
template <class... Args>
void error(std::string_view component, fmt::format_string<Args...> format, Args&&... args) {
  if (enabled(Level::error)) write(Level::error, component, fmt::format(format, std::forward<Args>(args)...));
}

}  // namespace nacelle::log
