#include "domain/telemetry/topic.h"

#include <algorithm>
#include <charconv>
#include <optional>

#include <fmt/format.h>

namespace nacelle::telemetry {
namespace {

constexpr std::string_view twin_get = "$iothub/twin/GET/";
constexpr std::string_view twin_patch = "$iothub/twin/PATCH/properties/reported/";
constexpr std::string_view method_response = "$iothub/methods/res/";
constexpr std::string_view devices = "devices/";

bool skip(std::string_view& text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return false;
  text.remove_prefix(prefix.size());
  return true;
}

/// Cuts the text up to the next `/` (and the `/`) off `text`; nothing if it is empty or there is none.
std::optional<std::string_view> cut_segment(std::string_view& text) {
  const std::size_t slash = text.find('/');
  if (slash == 0 || slash == std::string_view::npos) return std::nullopt;
  const std::string_view segment = text.substr(0, slash);
  text.remove_prefix(slash + 1);
  return segment;
}

/// The value of `$name` in `?$a=1&$b=2`, as it stands: request ids are echoed byte for byte.
std::string_view query_value(std::string_view query, std::string_view name) {
  while (!query.empty()) {
    const std::size_t end = std::min(query.find('&'), query.size());
    std::string_view part = query.substr(0, end);
    query.remove_prefix(std::min(end + 1, query.size()));
    if ((skip(part, "$") || skip(part, "%24")) && skip(part, name) && skip(part, "=")) return part;
  }
  return {};
}

Result<std::string> request_id(std::string_view rest, std::string_view topic_kind) {
  if (!skip(rest, "?"))
    return fail(Fault::invalid_input, fmt::format("topic of a {}: expected '?$rid=' after the path", topic_kind));
  return std::string(query_value(rest, "rid"));
}

Result<PublishTopic> parse_twin_patch(std::string_view rest) {
  TRY_LET(std::string id, request_id(rest, "twin patch"));
  return PublishTopic{TwinPatchTopic{std::move(id), std::string(query_value(rest.substr(1), "version"))}};
}

Result<PublishTopic> parse_method_response(std::string_view rest) {
  const auto status = cut_segment(rest);
  int number = 0;
  if (status) {
    const auto [end, error] = std::from_chars(status->data(), status->data() + status->size(), number);
    if (error == std::errc{} && end == status->data() + status->size()) {
      TRY_LET(std::string id, request_id(rest, "method response"));
      return PublishTopic{MethodResponseTopic{number, std::move(id)}};
    }
  }
  return fail(Fault::invalid_input,
              "topic of a method response: expected '$iothub/methods/res/{status}/?$rid={id}' with an integer status");
}

Result<PublishTopic> parse_events(std::string_view rest) {
  EventTopic topic;
  const auto device = cut_segment(rest);
  if (device) {
    topic.device_id = *device;
    bool good = true;
    if (skip(rest, "modules/")) {
      const auto module = cut_segment(rest);
      good = module.has_value();
      if (good) topic.module_id = *module;
    }
    if (good && skip(rest, "messages/events") && (rest.empty() || skip(rest, "/"))) {
      topic.bag = rest;
      return PublishTopic{std::move(topic)};
    }
  }
  return fail(Fault::invalid_input,
              "topic: expected 'devices/{device}/messages/events/' or 'devices/{device}/modules/{module}/messages/events/'");
}

}  // namespace

Result<PublishTopic> parse_publish_topic(std::string_view topic) {
  std::string_view rest = topic;
  if (skip(rest, devices)) return parse_events(rest);
  if (skip(rest, twin_get)) {
    TRY_LET(std::string id, request_id(rest, "twin read"));
    return PublishTopic{TwinGetTopic{std::move(id)}};
  }
  if (skip(rest, twin_patch)) return parse_twin_patch(rest);
  if (skip(rest, method_response)) return parse_method_response(rest);
  return fail(Fault::invalid_input, "topic: expected one under 'devices/', '$iothub/twin/' or '$iothub/methods/res/'");
}

Result<SubscribeTopic> parse_subscribe_topic(std::string_view filter) {
  if (filter == "$iothub/twin/res/#") return SubscribeTopic{SubscribeKind::twin_responses, {}, {}};
  if (filter == "$iothub/twin/PATCH/properties/desired/#") return SubscribeTopic{SubscribeKind::desired_changes, {}, {}};
  if (filter == "$iothub/methods/POST/#") return SubscribeTopic{SubscribeKind::methods, {}, {}};
  std::string_view rest = filter;
  if (skip(rest, devices)) {
    const auto device = cut_segment(rest);
    if (device && rest == "messages/devicebound/#") return SubscribeTopic{SubscribeKind::cloud_to_device, std::string(*device), {}};
    if (device && skip(rest, "modules/")) {
      const auto module = cut_segment(rest);
      if (module && (rest == "inputs/#" || rest == "#"))
        return SubscribeTopic{SubscribeKind::module_inputs, std::string(*device), std::string(*module)};
    }
  }
  return fail(Fault::invalid_input,
              "filter: expected 'devices/{device}/messages/devicebound/#', 'devices/{device}/modules/{module}/inputs/#', "
              "'$iothub/twin/res/#', '$iothub/twin/PATCH/properties/desired/#' or '$iothub/methods/POST/#'");
}

std::string event_topic(std::string_view device, std::string_view module, std::string_view bag) {
  if (module.empty()) return fmt::format("devices/{}/messages/events/{}", device, bag);
  return fmt::format("devices/{}/modules/{}/messages/events/{}", device, module, bag);
}

std::string twin_response_topic(int status, std::string_view id, std::string_view version) {
  if (version.empty()) return fmt::format("$iothub/twin/res/{}/?$rid={}", status, id);
  return fmt::format("$iothub/twin/res/{}/?$rid={}&$version={}", status, id, version);
}

std::string desired_change_topic(std::int64_t version) {
  return fmt::format("$iothub/twin/PATCH/properties/desired/?$version={}", version);
}

std::string method_topic(std::string_view method, std::string_view id) {
  return fmt::format("$iothub/methods/POST/{}/?$rid={}", method, id);
}

std::string input_topic(std::string_view device, std::string_view module, std::string_view input, std::string_view bag) {
  return fmt::format("devices/{}/modules/{}/inputs/{}/{}", device, module, input, bag);
}

std::string cloud_to_device_topic(std::string_view device, std::string_view bag) {
  return fmt::format("devices/{}/messages/devicebound/{}", device, bag);
}

}  // namespace nacelle::telemetry
