#include "service/endpoint/detail/admission.h"

#include <fmt/format.h>

#include "domain/telemetry/message.h"

namespace nacelle::endpoint {
namespace {

using mqtt::ConnectCode;

Admission refused(ConnectCode code, std::string reason) { return {{}, Refusal{code, std::move(reason)}}; }

Result<> check_will(const mqtt::Will& will, const device::IdentityName& who) {
  TRY_LET(const telemetry::PublishTopic topic, telemetry::parse_publish_topic(will.topic));
  const auto* events = std::get_if<telemetry::EventTopic>(&topic);
  if (!events || events->device_id != who.device.str() || events->module_id != who.module.str())
    return fail(Fault::denied, "expected the client's own telemetry topic");
  if (will.qos == mqtt::QoS::exactly_once) return fail(Fault::denied, "QoS 2 is not offered");
  telemetry::Message message;
  TRY(telemetry::read_property_bag(events->bag, message));
  if (message.size_in_bytes() + will.payload.size() > telemetry::max_message_bytes)
    return fail(Fault::denied, fmt::format("at most {} bytes are allowed", telemetry::max_message_bytes));
  return {};
}

}  // namespace

Admission examine(const mqtt::Connect& connect, const std::vector<std::string>& hub_names) {
  auto who = device::parse_client_id(connect.client_id);
  if (!who) return refused(ConnectCode::identifier_rejected, "client id: " + who.error().message);
  if (!connect.user_name) return refused(ConnectCode::bad_user_name, "user name: expected one, found none");
  auto name = telemetry::parse_user_name(*connect.user_name);
  if (!name) return refused(ConnectCode::bad_user_name, name.error().message);
  if (name->device_id != who->device.str() || name->module_id != who->module.str())
    return refused(ConnectCode::not_authorized, "user name and client id name different identities");
  if (!device::is_hub_name(name->hub, hub_names)) return refused(ConnectCode::not_authorized, "the user name is for another hub");
  if (connect.will) {
    if (const auto will = check_will(*connect.will, *who); !will)
      return refused(ConnectCode::not_authorized, "will: " + will.error().message);
  }
  return {{*std::move(who), *std::move(name)}, std::nullopt};
}

bool speaks_iot_hub(const mqtt::Connect& connect) {
  return connect.user_name && telemetry::parse_user_name(*connect.user_name).has_value();
}

std::string plain_session(const Principal& who, const std::string& client_id) {
  return fmt::format("~{}~{}", who.text(), client_id);
}

mqtt::ConnectCode refusal_code(Fault fault) {
  switch (fault) {
    case Fault::unavailable:
    case Fault::timed_out:
    case Fault::exhausted:
    case Fault::corrupt: return ConnectCode::server_unavailable;
    default: return ConnectCode::not_authorized;
  }
}

}  // namespace nacelle::endpoint
