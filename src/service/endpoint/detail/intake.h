#pragma once
// What clients publish on its way to the backend: telemetry, and messages of the open namespace. Private to service/endpoint.

#include <functional>
#include <memory>

#include "service/endpoint/detail/batcher.h"
#include "service/endpoint/detail/client.h"
#include "service/endpoint/device_endpoint.h"

namespace nacelle::endpoint {

using Done = std::function<void(Result<>)>;

/// Counts it, and tells the client.
void refuse_publish(DeviceBackend& backend, Error why, const Done& done);

/// Each call on the strand of the client's connection. What it is made with outlives it.
class TelemetryIntake {
 public:
  TelemetryIntake(DeviceBackend& backend, const Clock& clock) : backend_(backend), clock_(clock) {}

  /// net::MqttPolicy's gather and settle.
  bool gather(Client& client, const mqtt::Publish& packet);
  void settle(Client& client, Done done);

  /// No coroutine and no queue: the backend is called with the message.
  void accept(const Client& client, const telemetry::EventTopic& topic, const mqtt::Publish& packet, bool is_will, Done done);

  /// `message`, of whatever protocol, as `client` sends it for `who`: itself, or one of an edge's scope
  /// (docs/decisions/0041-on-behalf-publishing.md). Fault::denied for anyone else.
  Result<> stamp_for(telemetry::Message& message, const Client& client, const device::IdentityName& who) const;

 private:
  Result<telemetry::Message> read(const Client& client, const telemetry::EventTopic& topic, const mqtt::Publish& packet) const;

  DeviceBackend& backend_;
  const Clock& clock_;
  const std::shared_ptr<BatchPool> pool_ = std::make_shared<BatchPool>();  // batches come back after our end
};

/// To the backend first; once it is durable, it is acknowledged and goes to the subscribers, in the order it was stored.
class OpenIntake {
 public:
  OpenIntake(Executor executor, DeviceBackend& backend, const Clock& clock)
      : backend_(backend), clock_(clock), fan_out_(asio::make_strand(std::move(executor))) {}

  void accept(const net::MqttConnectionPtr& connection, const AccessRules& rules, const std::weak_ptr<net::MqttServer>& server,
              const mqtt::Publish& packet, bool is_will, Done done);

 private:
  DeviceBackend& backend_;
  const Clock& clock_;
  const Executor fan_out_;
};

}  // namespace nacelle::endpoint
