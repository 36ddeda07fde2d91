#pragma once
// Outbound: what one connection sends to its client: in the client's version, within its window and its bounds, with the
// acknowledgements of QoS 1 and 2. Private to net/mqtt.

#include <unordered_map>

#include "foundation/clock.h"
#include "net/mqtt/detail/packet_stream.h"
#include "net/mqtt/detail/session.h"
#include "net/mqtt/server.h"

namespace nacelle::net {

/// What the client said in CONNECT about what it can take.
struct ClientBounds {
  std::uint16_t receive_maximum = 65'535;
  std::uint32_t max_packet_bytes = mqtt::max_packet_bytes;
  std::uint16_t topic_alias_maximum = 0;
};

/// Belongs to the connection's strand.
class Outbound {
 public:
  Outbound(PacketWriter& writer, const MqttLimits& limits, const Clock& clock) : writer_(writer), limits_(limits), clock_(clock) {}

  /// `kept` (or null) and `mailbox` outlive it: they are asked while the session is one that is kept.
  void begin(mqtt::Version version, const ClientBounds& bounds, Session& session, MqttMessageStore* kept,
             std::shared_ptr<Mailbox> mailbox);
  /// On a resumed session: what was not settled is sent once more (section 4.4), then what waits.
  void resume();

  /// Sends, or lets wait, or refuses. `qos` and subscriptions were decided.
  void send(Mailbox::Delivery delivery);
  /// PUBACK, PUBREC and PUBCOMP from the client; false for an identifier that is not in flight.
  bool acknowledged(mqtt::PacketId id, mqtt::Reason reason);
  void received(mqtt::PacketId id, mqtt::Reason reason);
  bool completed(mqtt::PacketId id);

 private:
  std::size_t window() const;
  std::size_t in_flight() const { return session_->unacknowledged().size() - to_resend_.size(); }
  bool fits(const Mailbox::Delivery& delivery);
  void pump();
  void send_now(Mailbox::Delivery delivery);
  void transmit(Session::Unacknowledged& sent, bool duplicate);
  void release(Session::Unacknowledged& sent);
  void resend(Session::Unacknowledged& sent);
  Session::Unacknowledged* find_kept(mqtt::PacketId id, std::uint64_t kept_id);
  void write(const Mailbox::Delivery& delivery, mqtt::PacketId id, bool duplicate);
  mqtt::PropertiesPtr properties_for(const Mailbox::Delivery& delivery) const;
  void apply_alias(mqtt::Publish& publish);
  bool expired(const Mailbox::Delivery& delivery) const;

  PacketWriter& writer_;
  const MqttLimits& limits_;
  const Clock& clock_;
  mqtt::Version version_ = mqtt::Version::v3_1_1;
  ClientBounds bounds_;
  Session* session_ = nullptr;
  MqttMessageStore* kept_ = nullptr;
  std::shared_ptr<Mailbox> mailbox_;
  std::list<mqtt::PacketId> to_resend_;  // not yet sent on this connection
  std::unordered_map<std::string, std::uint16_t> aliases_;
};

}  // namespace nacelle::net
