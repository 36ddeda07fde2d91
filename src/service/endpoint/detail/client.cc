#include "service/endpoint/detail/client.h"

#include <fmt/format.h>

#include "codec/json/value.h"
#include "codec/text/encoding.h"
#include "service/endpoint/detail/batcher.h"

namespace nacelle::endpoint {

Client::Client() = default;
Client::~Client() = default;

Sender sender_of(const Client& client) {
  return {client.who, client.generation_id, client.authentication, !client.credential.policy.empty()};
}

std::string print_client(const Client& client) {
  json::Object kept{{"clientId", client.client_id},
                    {"generationId", client.generation_id},
                    {"authentication", client.authentication},
                    {"principal", client.principal.text()}};
  if (!client.who.device.str().empty()) kept.set("identity", client.who.client_id());
  if (client.plain) kept.set("plainId", client.plain_id);
  return json::print(json::Value(std::move(kept)));
}

Result<ClientPtr> read_client(const std::string& text) {
  TRY_LET(const json::Value kept, json::parse(text));
  auto client = std::make_shared<Client>();
  TRY_LET(client->client_id, json::get_string(kept, "clientId", "client"));
  TRY_LET(client->generation_id, json::get_string(kept, "generationId", "client"));
  TRY_LET(client->authentication, json::get_string(kept, "authentication", "client"));
  TRY_LET(const std::string principal, json::get_string(kept, "principal", "client"));
  const std::size_t colon = principal.find(':');
  if (colon != std::string::npos) {
    client->principal.kind = principal.starts_with("device:") ? Principal::Kind::device : Principal::Kind::policy;
    client->principal.name = principal.substr(colon + 1);
  }
  if (kept.find("identity") != nullptr) {
    TRY_LET(const std::string identity, json::get_string(kept, "identity", "client"));
    TRY_LET(client->who, device::parse_client_id(identity));
  }
  client->plain = kept.find("plainId") != nullptr;
  if (client->plain) {
    TRY_LET(client->plain_id, json::get_string(kept, "plainId", "client"));
  }
  return client;
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
    stamp(message, sender_of(client), now);
  } else {
    message.system.set("enqueuedTime", format_iso8601(now, 7));
    message.enqueued_at = now;
  }
  message.system.set("mqttClientId", client.plain ? client.plain_id : client.client_id);
  return message;
}

Result<telemetry::Message> read_message(const telemetry::EventTopic& topic, const mqtt::Publish& packet) {
  telemetry::Message message;
  TRY(telemetry::read_property_bag(topic.bag, message));
  const ByteCount size = message.size_in_bytes() + packet.payload.size();
  if (size > telemetry::max_message_bytes)
    return fail(Fault::invalid_input,
                fmt::format("a message of {} bytes, at most {} are allowed", size, telemetry::max_message_bytes));
  // Nothing is retained; who reads the message is told that its sender asked for it (wire facts 1.2).
  if (packet.retain) message.application.set("mqtt-retain", "true");
  message.body = packet.payload;
  return message;
}

}  // namespace nacelle::endpoint
