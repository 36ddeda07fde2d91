#include "domain/route/enrichment.h"

#include <algorithm>

#include <fmt/format.h>

#include "codec/text/encoding.h"

namespace nacelle::route {
namespace {

constexpr std::string_view hub_name_variable = "$iothubname";

Failure bad(std::string_view key, std::string_view what) {
  return fail(Fault::invalid_input, fmt::format("enrichment '{}': {}", key, what));
}

Result<> check_key(std::string_view key) {
  if (key.empty() || key.size() > Enrichment::longest_key)
    return bad(key.substr(0, 32), fmt::format("key: expected 1 to {} characters, found {}", Enrichment::longest_key, key.size()));
  for (const char c : key)
    if (c <= ' ' || c > '~') return bad(key, "key: expected printable ASCII characters without spaces");
  if (key.front() == '$' || telemetry::only_server_sets(key)) return bad(key, "key: this name belongs to system properties");
  return {};
}

/// The steps of `$twin.tags.a.b`, without `$twin`.
Result<std::vector<std::string>> parse_twin_path(std::string_view key, std::string_view value) {
  std::vector<std::string> path;
  for (const std::string_view step : text::split(value, '.')) {
    if (step.empty()) return bad(key, fmt::format("value: the path '{}' has an empty step", value));
    path.emplace_back(step);
  }
  path.erase(path.begin());
  const bool tags = path.size() >= 2 && path[0] == "tags";
  const bool properties = path.size() >= 3 && path[0] == "properties" && (path[1] == "desired" || path[1] == "reported");
  if (!tags && !properties)
    return bad(key, fmt::format("value: expected $twin.tags.NAME, $twin.properties.desired.NAME or $twin.properties.reported.NAME, "
                                "found '{}'",
                                value));
  return path;
}

}  // namespace

Result<Enrichment> Enrichment::make(std::string key, std::string value, std::vector<std::string> endpoints) {
  TRY(check_key(key));
  if (value.empty() || value.size() > longest_value)
    return bad(key, fmt::format("value: expected 1 to {} bytes, found {}", longest_value, value.size()));
  if (endpoints.empty()) return bad(key, "endpointNames: expected at least one");
  Enrichment made;
  if (text::equal_ignoring_case(value, hub_name_variable)) {
    made.kind_ = Kind::hub_name;
  } else if (value.starts_with("$twin.")) {
    made.kind_ = Kind::twin;
    TRY_LET(made.path_, parse_twin_path(key, value));
  } else if (value.starts_with('$')) {
    return bad(key,
               fmt::format("value: of variables there are $iothubname, $twin.tags.. and $twin.properties.., found '{}'", value));
  }
  made.key_ = std::move(key);
  made.value_ = std::move(value);
  made.endpoints_ = std::move(endpoints);
  return made;
}

bool Enrichment::applies_to(std::string_view endpoint) const {
  return std::find(endpoints_.begin(), endpoints_.end(), endpoint) != endpoints_.end();
}

bool Enrichment::operator==(const Enrichment& other) const {
  return key_ == other.key_ && value_ == other.value_ && endpoints_ == other.endpoints_;
}

std::string Enrichment::text(const json::Value* twin, std::string_view hub) const {
  if (kind_ == Kind::hub_name) return std::string(hub);
  if (kind_ == Kind::text) return value_;
  for (const std::string& step : path_) {
    if (!twin) break;
    twin = twin->find(step);
  }
  if (!twin || twin->is_null()) return value_;
  return twin->is_string() ? twin->as_string() : json::print(*twin);
}

std::size_t enrich(telemetry::Message& message, std::span<const Enrichment> enrichments, const json::Value* twin,
                   std::string_view hub) {
  std::size_t left_out = 0;
  for (const Enrichment& one : enrichments) {
    const std::string text = one.text(twin, hub);
    const std::string* before = message.application.find(one.key());
    const ByteCount freed = before ? one.key().size() + before->size() : 0;
    if (message.size_in_bytes() - freed + one.key().size() + text.size() > telemetry::max_message_bytes)
      ++left_out;
    else
      message.application.set(one.key(), text);
  }
  return left_out;
}

}  // namespace nacelle::route
