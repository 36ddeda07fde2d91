#include "net/mqtt/message.h"

namespace nacelle::net {

/// Section numbers are those of MQTT 5.0.
mqtt::PropertiesPtr passed_on(const mqtt::Properties& from) {
  mqtt::Properties kept;
  kept.payload_format = from.payload_format;      // [MQTT-3.3.2-4]
  kept.content_type = from.content_type;          // [MQTT-3.3.2-20]
  kept.response_topic = from.response_topic;      // [MQTT-3.3.2-15]
  kept.correlation_data = from.correlation_data;  // [MQTT-3.3.2-16]
  kept.user = from.user;                          // [MQTT-3.3.2-17], in their order
  if (kept == mqtt::Properties{}) return {};
  return std::make_shared<const mqtt::Properties>(std::move(kept));
}

std::shared_ptr<MqttMessage> make_message(const mqtt::Publish& publish, Timestamp now) {
  auto message = std::make_shared<MqttMessage>();
  message->topic = publish.topic;
  message->payload = publish.payload;
  message->qos = publish.qos;
  message->retain = publish.retain;
  if (publish.properties) {
    message->properties = passed_on(*publish.properties);
    if (publish.properties->message_expiry) message->expires_at = now + std::chrono::seconds{*publish.properties->message_expiry};
  }
  return message;
}

}  // namespace nacelle::net
