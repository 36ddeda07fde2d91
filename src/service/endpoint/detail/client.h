#pragma once
// What the endpoint keeps with each connection, and the message it makes of a publish. Private to service/endpoint.

#include <memory>
#include <optional>
#include <string>

#include "codec/mqtt/packet.h"
#include "domain/device/identity.h"
#include "domain/telemetry/message.h"
#include "domain/telemetry/topic.h"
#include "net/mqtt/server.h"
#include "service/endpoint/open_namespace.h"
#include "service/endpoint/registration.h"
#include "service/endpoint/sender.h"
#include "service/endpoint/twin_calls.h"

namespace nacelle::endpoint {

class Batcher;

/// An accepted client. Written before it is shared; `twin_calls` belongs to the connection's strand.
struct Client {
  Client();
  ~Client();
  device::IdentityName who;
  std::string client_id;
  std::string generation_id;
  std::string authentication;            ///< `sas` or `x509`
  std::optional<Registrant> registrant;  ///< it has no identity yet: it registers, and may do nothing else
  bool plain = false;                    ///< of the open namespace only: it is `principal`, and `who` is empty
  Principal principal;
  Credential credential;
  std::string credential_name;       ///< whose: its client id, or a plain client's user name; empty: nobody's
  std::string plain_id;              ///< the client id as a plain client sent it
  TwinCallerPtr twin_calls;          ///< made with the first twin call
  std::unique_ptr<Batcher> batcher;  ///< where the backend stores batches; belongs to the connection's strand
};
using ClientPtr = std::shared_ptr<Client>;

/// What admission put with the connection.
inline ClientPtr client_of(const net::MqttConnectionPtr& connection) {
  return std::static_pointer_cast<Client>(connection->context);
}

/// What is kept of a client whose will is to be published later, as JSON; read_client makes one that can publish it.
std::string print_client(const Client& client);
Result<ClientPtr> read_client(const std::string& text);

/// The client itself as the sender of a message.
Sender sender_of(const Client& client);

/// The message of a telemetry publish, not stamped yet (wire facts 1.6). Fault::invalid_input for a bag that cannot be read and
/// for more than max_message_bytes.
Result<telemetry::Message> read_message(const telemetry::EventTopic& topic, const mqtt::Publish& packet);

/// The message of a publish in the open namespace: its topic is the system property `mqttTopic`, its sender's client id
/// `mqttClientId`; a device is stamped as in its telemetry. Of MQTT 5's properties content type, correlation data (if text)
/// and user properties are taken over. Fault::invalid_input for more than max_message_bytes.
Result<telemetry::Message> read_open_message(const Client& client, const mqtt::Publish& packet, Timestamp now);

}  // namespace nacelle::endpoint
