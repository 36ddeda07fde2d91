#include "service/hub/hub_messages.h"

#include <fmt/format.h>

namespace nacelle::hub {
namespace {

using device::IdentityName;
using telemetry::Source;

struct Kind {
  std::string_view source;  // wire facts 7.4, `iothub-message-source`
  std::string_view schema;
};

Kind kind_of(Source source) {
  switch (source) {
    case Source::twin_changes: return {"twinChangeEvents", "twinChangeNotification"};
    case Source::device_lifecycle: return {"deviceLifecycleEvents", "deviceLifecycleNotification"};
    case Source::connection_state: return {"deviceConnectionStateEvents", "deviceConnectionStateNotification"};
    case Source::device_messages:
    case Source::module_messages: break;
  }
  return {"Telemetry", ""};
}

}  // namespace

void HubMessages::created(const device::Identity& identity) {
  const std::string_view operation = identity.name.is_module() ? "createModuleIdentity" : "createDeviceIdentity";
  const twin::Twin fresh = twin::make_twin(clock_.now());
  tell(Source::device_lifecycle, identity.name, operation,
       twin::routing_document(fresh, identity.name.device.str(), identity.name.module.str()));
}

void HubMessages::removed(const device::Identity& identity, const twin::Twin& last) {
  const std::string_view operation = identity.name.is_module() ? "deleteModuleIdentity" : "deleteDeviceIdentity";
  tell(Source::device_lifecycle, identity.name, operation,
       twin::routing_document(last, identity.name.device.str(), identity.name.module.str()));
}

void HubMessages::twin_changed(const IdentityName& name, const twin::Twin& before, const twin::Twin& after) {
  tell(Source::twin_changes, name, "updateTwin", twin::change_document(before, after));
}

void HubMessages::connection_changed(const IdentityName& name, bool connected) {
  const std::string operation =
      fmt::format("{}{}", name.is_module() ? "module" : "device", connected ? "Connected" : "Disconnected");
  tell(Source::connection_state, name, operation, json::Object{{"sequenceNumber", next_sequence_number()}});
}

/// Rises from one change of connections to the next, over restarts too: readers tell by it which of two is the later.
std::string HubMessages::next_sequence_number() {
  const auto now = static_cast<std::uint64_t>(clock_.now().time_since_epoch().count());
  last_sequence_ = std::max(last_sequence_ + 1, now);
  return fmt::format("{:064X}", last_sequence_);
}

void HubMessages::tell(Source source, const IdentityName& name, std::string_view operation, const json::Value& body) {
  const Timestamp now = clock_.now();
  const std::string time = format_iso8601(now, 7);
  const Kind kind = kind_of(source);
  telemetry::Message message;
  message.source = source;
  message.enqueued_at = now;
  message.body = json::print(body);
  telemetry::Properties& system = message.system;
  system.set("connectionDeviceId", name.device.str());
  if (name.is_module()) system.set("connectionModuleId", name.module.str());
  system.set("contentType", "application/json");
  system.set("contentEncoding", "utf-8");
  system.set("enqueuedTime", time);
  system.set("iothub-message-source", kind.source);
  telemetry::Properties& application = message.application;
  application.set("hubName", hub_);
  application.set("deviceId", name.device.str());
  if (name.is_module()) application.set("moduleId", name.module.str());
  application.set("operationTimestamp", time);
  application.set("opType", operation);
  application.set("iothub-message-schema", kind.schema);
  log_.append(
      storage::partition_of(name.device.str(), log_.partitions()), telemetry::encode_record(message),
      [&counters = counters_](const Result<storage::Offset>& at) { ++(at ? counters.hub_messages : counters.lost_hub_messages); });
}

}  // namespace nacelle::hub
