#include "service/endpoint/sender.h"

#include <fmt/format.h>

namespace nacelle::endpoint {

void stamp(telemetry::Message& message, const Sender& sender, Timestamp now) {
  const bool module = sender.who.is_module();
  message.source = module ? telemetry::Source::module_messages : telemetry::Source::device_messages;
  message.system.set("connectionDeviceId", sender.who.device.str());
  if (module) message.system.set("connectionModuleId", sender.who.module.str());
  message.system.set("connectionDeviceGenerationId", sender.generation_id);
  const std::string_view scope = sender.by_policy ? "hub" : module ? "module" : "device";
  message.system.set(
      "connectionAuthMethod",
      fmt::format(R"({{"scope":"{}","type":"{}","issuer":"iothub","acceptingIpFilterRule":null}})", scope, sender.authentication));
  message.system.set("enqueuedTime", format_iso8601(now, 7));
  message.enqueued_at = now;
}

}  // namespace nacelle::endpoint
