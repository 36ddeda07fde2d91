#include "service/endpoint/detail/client.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "service/endpoint/detail/batcher.h"

namespace nacelle::endpoint {

Client::Client() = default;
Client::~Client() = default;

void stamp(telemetry::Message& message, const Sender& sender, Timestamp now) {
  const bool module = sender.who.is_module();
  message.source = module ? telemetry::Source::module_messages : telemetry::Source::device_messages;
  message.system.set("connectionDeviceId", sender.who.device.str());
  if (module) message.system.set("connectionModuleId", sender.who.module.str());
  message.system.set("connectionDeviceGenerationId", sender.generation_id);
  message.system.set("connectionAuthMethod",
                     fmt::format(R"({{"scope":"{}","type":"{}","issuer":"iothub","acceptingIpFilterRule":null}})",
                                 module ? "module" : "device", sender.authentication));
  message.system.set("enqueuedTime", format_iso8601(now, 7));
  message.enqueued_at = now;
}

namespace {

void take_properties(telemetry::Message& message, const mqtt::Properties& from) {
  if (from.content_type) message.system.set("contentType", *from.content_type);
  if (from.correlation_data && text::valid_utf8(*from.correlation_data))
    message.system.set("correlationId", *from.correlation_data);
  for (const auto& [name, value] : from.user)
    if (!telemetry::only_server_sets(name)) message.application.set(name, value);
}

}  // namespace

Result<telemetry::Message> read_open_message(const Client& client, const mqtt::Publish& packet, Timestamp now) {
  telemetry::Message message;
  if (packet.properties) take_properties(message, *packet.properties);
  if (packet.retain) message.application.set("mqtt-retain", "true");
  message.system.set("mqttTopic", packet.topic);
  const ByteCount size = message.size_in_bytes() + packet.payload.size();
  if (size > telemetry::max_message_bytes)
    return fail(Fault::invalid_input,
                fmt::format("a message of {} bytes, at most {} are allowed", size, telemetry::max_message_bytes));
  message.body = packet.payload;
  if (!client.who.device.str().empty()) {
    stamp(message, Sender{client.who, client.generation_id, client.authentication}, now);
  } else {
    message.system.set("enqueuedTime", format_iso8601(now, 7));
    message.enqueued_at = now;
  }
  message.system.set("mqttClientId", client.plain ? client.plain_id : client.client_id);
  return message;
}

Result<telemetry::Message> read_message(const telemetry::EventTopic& topic, const mqtt::Publish& packet, const Sender& sender,
                                        Timestamp now) {
  telemetry::Message message;
  TRY(telemetry::read_property_bag(topic.bag, message));
  const ByteCount size = message.size_in_bytes() + packet.payload.size();
  if (size > telemetry::max_message_bytes)
    return fail(Fault::invalid_input,
                fmt::format("a message of {} bytes, at most {} are allowed", size, telemetry::max_message_bytes));
  // Nothing is retained; who reads the message is told that its sender asked for it (wire facts 1.2).
  if (packet.retain) message.application.set("mqtt-retain", "true");
  message.body = packet.payload;
  stamp(message, sender, now);
  return message;
}

}  // namespace nacelle::endpoint
