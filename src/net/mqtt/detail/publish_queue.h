#pragma once
// PublishQueue: what a client wants to publish, in order: waiting, then in flight until acknowledged. It survives
// connections. Private to net/mqtt.

#include <bitset>
#include <deque>
#include <functional>

#include "net/mqtt/detail/packet_stream.h"

namespace nacelle::net {

struct Outgoing {
  std::string topic;
  Bytes payload;
  mqtt::QoS qos = mqtt::QoS::at_most_once;
  std::function<void(Result<>)> done;
  mqtt::PacketId id = 0;
  std::chrono::steady_clock::time_point sent{};

  ByteCount bytes() const { return 128 + topic.size() + payload.size(); }  // and what it costs to keep it
};

/// Belongs to the client's strand.
class PublishQueue {
 public:
  explicit PublishQueue(std::size_t max_in_flight) : max_in_flight_(max_in_flight) {}

  void push(Outgoing message) { waiting_.push_back(std::move(message)); }
  /// Sends as much as window and writer allow.
  void pump(PacketWriter& writer);
  /// On a new connection: what is in flight once more, with DUP, in the old order (MQTT 3.1.1 section 4.4, 4.6).
  void resend(PacketWriter& writer);
  /// Its `done` is called with success. False for an id that is not in flight.
  bool acknowledge(mqtt::PacketId id);
  /// Every `done` is called with unavailable.
  void abandon(const char* why);

  bool in_flight() const { return !in_flight_.empty(); }
  bool waiting() const { return !waiting_.empty(); }
  /// When the oldest unacknowledged message was sent.
  std::optional<std::chrono::steady_clock::time_point> oldest() const;

  /// Ids are shared with SUBSCRIBE.
  mqtt::PacketId take_id();
  void return_id(mqtt::PacketId id) { used_.reset(id); }

 private:
  static void send(PacketWriter& writer, Outgoing& message, bool duplicate);

  const std::size_t max_in_flight_;
  std::deque<Outgoing> waiting_;
  std::deque<Outgoing> in_flight_;
  std::bitset<65536> used_;
  mqtt::PacketId last_id_ = 0;
};

}  // namespace nacelle::net
