#pragma once
// How a message of the open namespace was published, kept with its record so that it can be handed out again after a restart.
// Format: docs/formats/message-record.md.

#include "domain/telemetry/message.h"
#include "net/mqtt/message_store.h"

namespace nacelle::endpoint {

/// What Message::published holds of this publish. `since`: when the session began, if it is kept.
Bytes print_published(const mqtt::Publish& publish, const std::string& session, std::optional<Timestamp> since);

struct Published {
  std::shared_ptr<net::MqttMessage> message;
  net::MqttKeptIdentifier identifier;  ///< of the sender: its session always, a packet id only with QoS 2 in a kept session
};
/// The publish of a record, as it was handed out. Fault::corrupt says what does not fit.
Result<Published> read_published(const telemetry::Message& message);

}  // namespace nacelle::endpoint
