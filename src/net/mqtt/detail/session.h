#pragma once
// Session: what a server remembers of a client beyond one connection (MQTT 3.1.1 section 3.1.2.4). Private to net/mqtt.

#include <atomic>
#include <deque>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "codec/mqtt/packet.h"
#include "foundation/snapshot.h"

namespace nacelle::net {

/// Belongs to the strand of the connection that serves it, and to the server's mutex while none does.
class Session {
 public:
  using Delivered = std::function<void(Result<>)>;
  struct Unacknowledged {
    mqtt::PacketId id;
    std::string topic;
    Bytes payload;
    Delivered done;
  };

  Session(bool persistent, std::vector<mqtt::Subscription> subscriptions)
      : persistent_(persistent), subscriptions_(std::move(subscriptions)), published_(subscriptions_) {}

  bool persistent() const { return persistent_; }

  /// The QoS granted for messages on `topic`: the highest of the subscriptions that match (section 3.3.5).
  std::optional<mqtt::QoS> granted(std::string_view topic) const;
  static std::optional<mqtt::QoS> granted(const std::vector<mqtt::Subscription>& subscriptions, std::string_view topic);

  const std::vector<mqtt::Subscription>& subscriptions() const { return subscriptions_; }
  void replace_subscriptions(std::vector<mqtt::Subscription> subscriptions);
  /// The subscriptions as last changed. Any thread.
  std::shared_ptr<const std::vector<mqtt::Subscription>> published() const { return published_.get(); }

  const std::deque<Unacknowledged>& unacknowledged() const { return unacknowledged_; }
  ByteCount unacknowledged_bytes() const { return bytes_; }
  const Unacknowledged& remember(std::string topic, Bytes payload, Delivered done);
  /// The delivery's `done`, to be called; empty for an id that was not sent.
  Delivered acknowledge(mqtt::PacketId id);
  /// Answers everything unacknowledged with unavailable.
  void abandon(const char* why);

 private:
  mqtt::PacketId next_id();

  const bool persistent_;
  std::vector<mqtt::Subscription> subscriptions_;
  Snapshot<std::vector<mqtt::Subscription>> published_;
  std::deque<Unacknowledged> unacknowledged_;  // in the order they were sent
  ByteCount bytes_ = 0;
  mqtt::PacketId last_id_ = 0;
};

}  // namespace nacelle::net
