#pragma once
// MqttMessage: a message on its way to subscribers, shared by all of them.

#include <memory>
#include <optional>
#include <string>

#include "codec/mqtt/packet.h"
#include "foundation/clock.h"

namespace nacelle::net {

/// Where a message lies in whatever made it durable before it was published.
struct MqttPlace {
  std::uint32_t partition = 0;
  std::uint64_t offset = 0;
  bool operator==(const MqttPlace&) const = default;
};

struct MqttMessage {
  std::string topic;
  Bytes payload;
  mqtt::QoS qos = mqtt::QoS::at_most_once;
  bool retain = false;
  /// What is passed on: payload format, content type, response topic, correlation data, user properties. Null: nothing.
  mqtt::PropertiesPtr properties;
  std::optional<Timestamp> expires_at;  ///< the message expiry of MQTT 5
  std::optional<MqttPlace> kept_at;     ///< nothing: it does not outlive the server

  ByteCount bytes() const { return sizeof(MqttMessage) + topic.size() + payload.size() + (properties ? 512 : 0); }
};
using MqttMessagePtr = std::shared_ptr<const MqttMessage>;

/// What of a publish's properties is passed on, beside its expiry. Null: nothing.
mqtt::PropertiesPtr passed_on(const mqtt::Properties& from);
/// The message of a publish that arrived `now`: its own copy, without what concerned only the sender's connection.
std::shared_ptr<MqttMessage> make_message(const mqtt::Publish& publish, Timestamp now);

}  // namespace nacelle::net
