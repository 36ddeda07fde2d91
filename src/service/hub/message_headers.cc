#include "service/hub/message_headers.h"

#include <algorithm>

#include "codec/text/encoding.h"

namespace nacelle::hub {
namespace {

constexpr std::string_view application_prefix = "iothub-app-";

// Header, or property in a batch -> system property.
constexpr std::pair<std::string_view, std::string_view> system_names[] = {{"iothub-messageid", "messageId"},
                                                                          {"iothub-correlationid", "correlationId"},
                                                                          {"iothub-userid", "userId"},
                                                                          {"iothub-to", "to"},
                                                                          {"iothub-expiry", "expiryTimeUtc"},
                                                                          {"iothub-ack", "ack"},
                                                                          {"iothub-contenttype", "contentType"},
                                                                          {"iothub-contentencoding", "contentEncoding"},
                                                                          {"iothub-interface-id", "iothub-interface-id"},
                                                                          {"dt-subject", "dt-subject"},
                                                                          {"iothub-creation-time-utc", "iothub-creation-time-utc"}};

bool is_header_name(std::string_view name) {
  static constexpr std::string_view marks = "!#$%&'*+-.^_`|~";
  const auto token = [](char c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || marks.find(c) != std::string_view::npos;
  };
  return !name.empty() && std::all_of(name.begin(), name.end(), token);
}

}  // namespace

void take_property(telemetry::Message& message, std::string_view name, std::string_view value) {
  const std::string lower = text::to_lower(name);
  for (const auto& [wire, system] : system_names)
    if (lower == wire) {
      message.system.set(system, value);
      return;
    }
  if (!lower.starts_with(application_prefix)) return;
  const std::string_view key = name.substr(application_prefix.size());
  if (!key.empty() && !telemetry::only_server_sets(key)) message.application.set(key, value);
}

telemetry::Message take_message(net::HttpRequest& request) {
  telemetry::Message message;
  for (const auto& [name, value] : request.headers)
    if (!text::equal_ignoring_case(name, "iothub-to")) take_property(message, name, value);
  message.body = std::move(request.body);
  return message;
}

net::HttpResponse message_response(const telemetry::Message& message) {
  net::HttpResponse response{200, {}, message.body};
  for (const auto& [wire, system] : system_names)
    if (const std::string* value = message.system.find(system)) response.headers.set(wire, *value);
  for (const auto& [name, value] : message.application)
    if (is_header_name(name)) response.headers.set(std::string(application_prefix) + name, value);
  return response;
}

}  // namespace nacelle::hub
