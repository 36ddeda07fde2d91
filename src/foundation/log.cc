#include "foundation/log.h"

#include <cstdlib>
#include <string>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace nacelle::log {
namespace {

spdlog::level::level_enum to_spdlog(Level level) {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
    case Level::off: return spdlog::level::off;
  }
  return spdlog::level::info;
}

spdlog::level::level_enum level_from_environment() {
  const char* name = std::getenv("NACELLE_LOG");
  return name ? spdlog::level::from_str(name) : spdlog::level::info;
}

// The process's one sink: standard error is process-wide already.
spdlog::logger& sink() {
  static const auto logger = [] {
    auto made = std::make_shared<spdlog::logger>("nacelle", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_pattern("%Y-%m-%dT%H:%M:%S.%eZ %l %v", spdlog::pattern_time_type::utc);
    made->set_level(level_from_environment());
    return made;
  }();
  return *logger;
}

}  // namespace

void set_level(Level level) { sink().set_level(to_spdlog(level)); }
bool enabled(Level level) { return sink().should_log(to_spdlog(level)); }
void write(Level level, std::string_view component, std::string_view text) {
  // One line an event, also when it quotes what a stranger sent.
  std::string line(text);
  for (char& c : line)
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = '?';
  sink().log(to_spdlog(level), "{}: {}", component, line);
}

}  // namespace nacelle::log
