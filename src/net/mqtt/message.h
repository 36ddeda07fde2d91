#pragma once
// MqttMessage: a message on its way to subscribers, shared by all of them.

#include <memory>
#include <optional>
#include <string>

#include "codec/mqtt/packet.h"
#include "foundation/clock.h"

namespace nacelle::net {

struct MqttMessage {
  std::string topic;
  Bytes payload;
  mqtt::QoS qos = mqtt::QoS::at_most_once;
  bool retain = false;
  /// What is passed on: payload format, content type, response topic, correlation data, user properties. Null: nothing.
  mqtt::PropertiesPtr properties;
  std::optional<Timestamp> expires_at;  ///< the message expiry of MQTT 5

  ByteCount bytes() const { return sizeof(MqttMessage) + topic.size() + payload.size() + (properties ? 512 : 0); }
};
using MqttMessagePtr = std::shared_ptr<const MqttMessage>;

/// The message of a publish that arrived `now`: its own copy, without what concerned only the sender's connection.
MqttMessagePtr make_message(const mqtt::Publish& publish, Timestamp now);

}  // namespace nacelle::net
