#include <algorithm>
#include <array>

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "domain/telemetry/message.h"

namespace nacelle::telemetry {
namespace {

struct WireName {
  std::string_view wire;
  std::string_view name;
};

// Wire facts 1.6. Order is the order in which print_property_bag writes them.
constexpr auto wire_names = std::to_array<WireName>({
    {"$.mid", "messageId"},
    {"$.cid", "correlationId"},
    {"$.uid", "userId"},
    {"$.to", "to"},
    {"$.ct", "contentType"},
    {"$.ce", "contentEncoding"},
    {"$.exp", "expiryTimeUtc"},
    {"$.on", "outputName"},
    {"$.ifid", "iothub-interface-id"},
    {"$.sub", "dt-subject"},
    {"$.ctime", "iothub-creation-time-utc"},
    {"$.schema", "messageSchema"},
    {"$.cdid", "connectionDeviceId"},
    {"$.cmid", "connectionModuleId"},
    {"iothub-ack", "ack"},
    {"ack", "ack"},
    {"iothub-operation", "operation"},
});

constexpr auto server_names = std::to_array<std::string_view>({
    "connectionDeviceId",
    "connectionModuleId",
    "connectionAuthMethod",
    "connectionDeviceGenerationId",
    "enqueuedTime",
    "mqttTopic",
    "mqttClientId",
    "iothub-connection-device-id",
    "iothub-connection-module-id",
    "iothub-connection-auth-method",
    "iothub-connection-auth-generation-id",
    "iothub-enqueuedtime",
    ".cdid",
    ".cmid",
});

const WireName* by_wire(std::string_view wire) {
  const auto at = std::find_if(wire_names.begin(), wire_names.end(), [wire](const WireName& n) { return n.wire == wire; });
  return at == wire_names.end() ? nullptr : &*at;
}

const WireName* by_name(std::string_view name) {
  const auto at = std::find_if(wire_names.begin(), wire_names.end(),
                               [name](const WireName& n) { return text::equal_ignoring_case(n.name, name); });
  return at == wire_names.end() ? nullptr : &*at;
}

void append_pair(std::string& bag, std::string_view key, std::string_view value) {
  if (!bag.empty()) bag += '&';
  bag += text::percent_encode_strict(key);
  bag += '=';
  bag += text::percent_encode_strict(value);
}

bool needs_decoding(std::string_view text) { return text.find('%') != std::string_view::npos; }

Result<std::string> decoded(std::string_view text, std::string_view what) {
  if (!needs_decoding(text)) return std::string(text);
  return in(text::percent_decode(text), what);
}

Result<> read_pair(std::string_view pair, Message& message, BagFrom from) {
  const std::size_t equals = pair.find('=');
  TRY_LET(const std::string key, decoded(pair.substr(0, equals), "property bag: a name"));
  const std::string_view raw = equals == std::string_view::npos ? std::string_view() : pair.substr(equals + 1);
  TRY_LET(const std::string value, decoded(raw, fmt::format("property bag: the value of '{}'", key)));
  if (key.empty()) return fail(Fault::invalid_input, "property bag: expected a name before '='");
  if (from == BagFrom::client && only_server_sets(key)) return {};
  if (const WireName* known = by_wire(key))
    message.system.set(known->name, value);
  else
    message.application.set(key, value);
  return {};
}

}  // namespace

bool only_server_sets(std::string_view name) {
  if (name.starts_with('$')) name.remove_prefix(1);
  return std::any_of(server_names.begin(), server_names.end(),
                     [name](std::string_view known) { return text::equal_ignoring_case(known, name); });
}

Result<> read_property_bag(std::string_view bag, Message& message, BagFrom from) {
  if (bag.ends_with('/')) bag.remove_suffix(1);  // the Node client's habit for module outputs
  while (!bag.empty()) {
    const std::size_t end = std::min(bag.find('&'), bag.size());
    if (end > 0) TRY(read_pair(bag.substr(0, end), message, from));
    bag.remove_prefix(std::min(end + 1, bag.size()));
  }
  return {};
}

std::string print_property_bag(const Message& message, bool with_sender) {
  std::string bag;
  for (const auto& [name, value] : message.system) {
    const WireName* known = by_name(name);
    if (!known || known->name == "outputName") continue;
    const bool sender = known->wire == "$.cdid" || known->wire == "$.cmid";
    if (!sender || with_sender) append_pair(bag, known->wire, value);
  }
  for (const auto& [name, value] : message.application) append_pair(bag, name, value);
  return bag;
}

}  // namespace nacelle::telemetry
