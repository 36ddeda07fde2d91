// Captured messages as lines of JSON, read back.
#include <fmt/format.h>

#include "codec/json/value.h"
#include "codec/text/encoding.h"
#include "domain/telemetry/capture.h"

namespace nacelle::telemetry {
namespace {

// Two levels more than a body may have by itself: print_capture_line embeds what parse() takes.
constexpr json::ParseLimits line_limits{.max_bytes = max_capture_line_bytes, .max_depth = json::ParseLimits{}.max_depth + 2};

/// From an opening quote to behind the closing one. The line is known to be JSON.
std::size_t end_of_string(std::string_view line, std::size_t at) {
  for (++at; line[at] != '"'; ++at)
    if (line[at] == '\\') ++at;
  return at + 1;
}

std::size_t end_of_value(std::string_view line, std::size_t at) {
  if (line[at] == '"') return end_of_string(line, at);
  int depth = 0;
  for (; at < line.size(); ++at) {
    const char c = line[at];
    if (c == '"') at = end_of_string(line, at) - 1;
    if (c == '{' || c == '[') ++depth;
    if (depth == 0 && (c == ',' || c == '}' || c == ']')) break;
    if ((c == '}' || c == ']') && --depth == 0) return at + 1;
  }
  return at;
}

/// The text of an object's member as it stands, so that no number of a body changes. The line is known to be a JSON object with
/// that member; of a repeated one the last counts. Empty if its name is written with escapes.
std::string_view text_of_member(std::string_view line, std::string_view name) {
  std::string_view found;
  std::size_t at = line.find('{') + 1;
  while (true) {
    at = line.find_first_of("\"}", at);
    if (line[at] == '}') return text::trim(found);
    const std::size_t behind_key = end_of_string(line, at);
    const bool wanted = line.substr(at + 1, behind_key - at - 2) == name;
    const std::size_t value = line.find_first_not_of(" \t\r\n:", behind_key);
    at = end_of_value(line, value);
    if (wanted) found = line.substr(value, at - value);
  }
}

Result<Properties> read_properties(const json::Value& line, std::string_view name) {
  const json::Value* const value = line.find(name);
  std::vector<Properties::Entry> entries;
  if (value == nullptr || value->is_null()) return Properties();
  if (!value->is_object())
    return fail(Fault::invalid_input, fmt::format("{}: expected an object, found a {}", name, json::type_name(*value)));
  for (const auto& [key, text] : value->as_object()) {
    if (!text.is_string())
      return fail(Fault::invalid_input, fmt::format("{}: '{}': expected a string, found a {}", name, key, json::type_name(text)));
    entries.emplace_back(key, text.as_string());
  }
  return Properties(std::move(entries));
}

Result<Bytes> read_body(const Message& message, const json::Value* body, std::string_view line) {
  const bool says_json = says_utf8_json(message);
  if (body == nullptr || (body->is_null() && !says_json)) return Bytes();  // as Avro's null
  if (!body->is_string()) {
    if (!says_json)
      return fail(Fault::invalid_input, fmt::format("Body: expected base64 text, since the message does not say that it is JSON in "
                                                    "UTF-8; found a {}",
                                                    json::type_name(*body)));
    const std::string_view text = text_of_member(line, "Body");
    return text.empty() ? json::print(*body) : Bytes(text);
  }
  auto decoded = text::base64_decode(body->as_string());
  // What says that it is JSON, and is, would have been embedded: so this is a body that is one text.
  if (says_json && (!decoded || json::parse(*decoded))) return json::print(*body);
  if (!decoded) return fail(Fault::invalid_input, "Body: expected base64 text");
  return decoded;
}

}  // namespace

Result<Message> read_capture_line(std::string_view line) {
  TRY_LET(const json::Value document, json::parse(line, line_limits));
  if (!document.is_object())
    return fail(Fault::invalid_input, fmt::format("expected an object, found a {}", json::type_name(document)));
  Message message;
  TRY_LET(const std::string enqueued_at, json::get_string(document, "EnqueuedTimeUtc", "captured message"));
  TRY_LET(message.enqueued_at, in(parse_iso8601(enqueued_at), "EnqueuedTimeUtc"));
  TRY_LET(message.application, read_properties(document, "Properties"));
  TRY_LET(message.system, read_properties(document, "SystemProperties"));
  TRY_LET(message.body, read_body(message, document.find("Body"), line));
  if (!message.module_id().empty()) message.source = Source::module_messages;
  return message;
}

bool looks_like_capture_lines(std::string_view beginning) {
  const std::size_t brace = beginning.find_first_not_of(" \t\r\n");
  if (brace == std::string_view::npos || beginning[brace] != '{') return false;
  const std::size_t quote = beginning.find_first_not_of(" \t\r\n", brace + 1);
  if (quote == std::string_view::npos) return false;
  for (const std::string_view name : {"\"EnqueuedTimeUtc\"", "\"Properties\"", "\"SystemProperties\"", "\"Body\""})
    if (beginning.substr(quote).starts_with(name)) return true;
  return false;
}

}  // namespace nacelle::telemetry
