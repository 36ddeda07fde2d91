#pragma once
// Session: what a server remembers of a client beyond one connection (MQTT 5.0 section 4.1; 3.1.1: 3.1.2.4). Private to net/mqtt.

#include <atomic>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "foundation/snapshot.h"
#include "net/mqtt/detail/mailbox.h"

namespace nacelle::net {

/// A publish of QoS 2 from its arrival to its PUBREL. It is told of its end though the connection that brought it may be
/// gone: sent again over another one it must neither be stored twice nor be acknowledged before it is stored.
class Incoming {
 public:
  using Done = std::function<void(Result<>)>;
  enum class State { pending, stored, failed };

  State state() const;
  /// `done` is called with the outcome, now or later. Any thread.
  void wait(Done done);
  void finish(const Result<>& result);  ///< Any thread.

 private:
  mutable std::mutex mutex_;
  std::optional<Result<>> result_;  // guarded by mutex_
  std::vector<Done> waiting_;       // guarded by mutex_
};

/// Belongs to the strand of the connection that serves it, and to the server's mutex while none does.
class Session {
 public:
  using Delivery = Mailbox::Delivery;
  using Subscriptions = std::vector<mqtt::Subscription>;
  /// Sent with QoS 1 or 2 and not settled.
  struct Unacknowledged {
    mqtt::PacketId id;
    bool received = false;  ///< QoS 2: PUBREC has come, PUBREL was sent
    Delivery delivery;
    // QoS 2 in a session whose messages are kept: what is on disk of it. Only then is the packet sent that depends on it.
    bool id_kept = false;
    bool received_kept = false;
  };

  Session(std::uint32_t expiry_seconds, Subscriptions subscriptions, Timestamp began_at)
      : began_at_(began_at),
        was_persistent_(expiry_seconds != 0),
        expiry_seconds_(expiry_seconds),
        subscriptions_(std::move(subscriptions)),
        published_(subscriptions_) {}

  /// With the client's name, which session it is. Any thread.
  Timestamp began_at() const { return began_at_; }

  /// How long it outlives its connection: 0 not at all, mqtt::never_expires for good.
  std::uint32_t expiry_seconds() const { return expiry_seconds_; }
  void set_expiry(std::uint32_t seconds) {
    expiry_seconds_ = seconds;
    if (seconds != 0) was_persistent_ = true;
  }
  bool persistent() const { return expiry_seconds_ != 0; }
  /// There may be something of it on disk.
  bool was_persistent() const { return was_persistent_; }

  /// What subscriptions that match `topic` grant together: the highest QoS (3.1.1 section 3.3.5), every identifier.
  struct Grant {
    mqtt::QoS qos;
    std::vector<std::uint32_t> subscription_ids;
  };
  static std::optional<Grant> granted(const Subscriptions& subscriptions, std::string_view topic);
  std::optional<Grant> granted(std::string_view topic) const { return granted(subscriptions_, topic); }

  const Subscriptions& subscriptions() const { return subscriptions_; }
  void replace_subscriptions(Subscriptions subscriptions);
  /// The subscriptions as last changed. Any thread.
  std::shared_ptr<const Subscriptions> published() const { return published_.get(); }

  // To the client. Lists: empty ones hold no memory, and most clients never get anything.
  std::list<Unacknowledged>& unacknowledged() { return unacknowledged_; }
  /// Waiting for their turn, in order.
  std::list<Delivery>& waiting() { return waiting_; }
  /// Of all that is unacknowledged or waits; the caller counts what it moves in and out of these lists.
  ByteCount bytes = 0;
  Unacknowledged& remember(Delivery delivery);
  /// One that was sent before the server was started, after those that were restored before it.
  void restore(Unacknowledged sent);
  Unacknowledged* find(mqtt::PacketId id);
  /// Takes it out.
  Delivery settle(mqtt::PacketId id);
  bool holds_nothing() const { return unacknowledged_.empty() && waiting_.empty() && incoming_.empty(); }
  /// Answers everything unacknowledged or waiting with unavailable.
  void abandon(const char* why);

  // From the client: QoS 2 packet identifiers not yet released.
  std::map<mqtt::PacketId, std::shared_ptr<Incoming>>& incoming() { return incoming_; }
  /// The identifier of a message that is stored.
  void restore_incoming(mqtt::PacketId id);

 private:
  mqtt::PacketId next_id();

  const Timestamp began_at_;
  std::atomic<bool> was_persistent_;
  std::atomic<std::uint32_t> expiry_seconds_;  // the server reads it on any thread
  Subscriptions subscriptions_;
  Snapshot<Subscriptions> published_;
  std::list<Unacknowledged> unacknowledged_;  // in the order they were sent
  std::list<Delivery> waiting_;
  std::map<mqtt::PacketId, std::shared_ptr<Incoming>> incoming_;
  mqtt::PacketId last_id_ = 0;
};

}  // namespace nacelle::net
