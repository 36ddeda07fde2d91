#pragma once
// CloudToDevice: messages from services to devices (wire facts 1.7, 2.11): a durable first-in-first-out queue a device,
// emptied over MQTT as the device acknowledges, or over AMQP and HTTPS as it settles what it has locked.

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "domain/telemetry/message.h"
#include "foundation/async.h"
#include "service/hub/counters.h"
#include "service/hub/registry.h"
#include "service/hub/service_queue.h"

namespace nacelle::hub {

/// Belongs to the tables strand. Every change is durable when the call is back. close() it before what it delivers
/// through goes.
class CloudToDevice {
 public:
  /// How messages leave over MQTT; and who takes them itself (AMQP), by receive() and settle(). Called on the tables strand; `done`
  /// comes from any thread, once the device has acknowledged or it is sure that it will not.
  struct Outlet {
    std::function<bool(const device::IdentityName&)> listening;
    std::function<void(const device::IdentityName&, const telemetry::Message&, std::function<void(Result<>)> done)> deliver;
    /// Tells a taker that something waits; false: there is none.
    std::function<bool(const device::IdentityName&)> wake{};
  };
  /// Counts the messages that wait. `tables` is the strand.
  static Result<std::unique_ptr<CloudToDevice>> open(storage::Database& table_file, Registry& registry, ServiceQueue& services,
                                                     Executor tables, Counters& counters, const Clock& clock, Outlet outlet);

  struct Receipt {
    std::int64_t sequence = 0;
    std::string message_id;
    Timestamp expires_at{};
  };
  /// Queues a message for a registered device and, if that listens, sends it on. System properties that count: messageId
  /// (made if absent), expiryTimeUtc (an hour from now if absent, at most 48), ack (none, positive, negative, full).
  /// Fault::exhausted when max_waiting wait already; invalid_input names what no device could be sent.
  Result<Receipt> send(const device::DeviceId& device, telemetry::Message message);
  /// Sends what waits, if the device listens.
  void deliver(const device::DeviceId& device);

  struct Locked {
    std::string lock_token;
    std::int64_t sequence = 0;
    std::int64_t delivery_count = 0;
    telemetry::Message message;
  };
  /// The oldest message that is neither locked nor on its way, locked for lock_time; nothing if there is none.
  Result<std::optional<Locked>> receive(const device::DeviceId& device);
  enum class Settlement { complete, reject, abandon };
  /// Ends a lock. Fault::conflict if it was lost.
  Result<> settle(const device::DeviceId& device, std::string_view lock_token, Settlement how);
  /// Takes all waiting messages away; how many.
  Result<std::int64_t> purge(const device::DeviceId& device);

  std::int64_t waiting(const device::DeviceId& device) const;
  /// Lets expire what has lived long enough, and tries deliveries that failed. Call it now and then.
  Result<> sweep();
  /// A device was deleted, and its messages with it (Registry::remove).
  void forget(const device::DeviceId& device);
  /// Nothing is delivered any more.
  void close() { closed_ = true; }

  static constexpr std::int64_t max_waiting = 50;
  static constexpr std::int64_t max_deliveries = 10;
  static constexpr std::chrono::seconds lock_time{60};
  static constexpr std::chrono::hours default_life{1};
  static constexpr std::chrono::hours longest_life{48};

 private:
  CloudToDevice(storage::Database& table_file, Registry& registry, ServiceQueue& services, Executor tables, Counters& counters,
                const Clock& clock, Outlet outlet)
      : tables_(table_file),
        registry_(registry),
        services_(services),
        strand_(std::move(tables)),
        counters_(counters),
        clock_(clock),
        outlet_(std::move(outlet)) {}
  Result<> load();
  void pass_on(const device::DeviceId& device, std::int64_t sequence, const telemetry::Message& message);
  void delivered(const device::DeviceId& device, std::int64_t sequence, const Result<>& result);
  Result<> end(const device::DeviceId& device, std::int64_t sequence, std::string_view outcome);
  Result<> tell_services(const device::DeviceId& device, const telemetry::Message& message, std::string_view outcome);
  void count(const device::DeviceId& device, std::int64_t change);

  storage::Database& tables_;
  Registry& registry_;
  ServiceQueue& services_;
  const Executor strand_;
  Counters& counters_;
  const Clock& clock_;
  const Outlet outlet_;
  bool closed_ = false;
  std::map<device::DeviceId, std::int64_t> waiting_;                 // devices with messages only
  std::map<device::DeviceId, std::set<std::int64_t>> on_their_way_;  // sent over MQTT, not yet acknowledged
};

}  // namespace nacelle::hub
