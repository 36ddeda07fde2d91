// Any text as a condition, a route and a source: a program or an error, never a crash; a program runs on any message, and
// what explains it agrees with what it says.
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "domain/route/route.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nacelle;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  telemetry::Message message;
  message.system = {{"connectionDeviceId", "d"}, {"contentType", "application/json"}, {"contentEncoding", "utf-8"}};
  message.application = {{"a", "1"}, {"b", "text"}};
  message.body = R"({"a":1,"b":[{"c":null},true],"d":"x"})";
  if (const auto condition = route::parse_condition(text)) {
    const bool matches = condition->matches(message, nullptr);
    route::Evaluation evaluation(message);
    if (matches != (route::explain(*condition, evaluation).outcome == route::Explanation::Outcome::yes)) std::abort();
  }
  if (const auto whole = route::parse_route(text)) (void)(whole->source.matches(message) && whole->condition.matches(message));
  (void)route::parse_source(text).has_value();
  return 0;
}
