#pragma once
// Reach: a device or module wherever it is, over MQTT or over AMQP. What the hub has for it goes there.

#include "service/endpoint/device_endpoint.h"
#include "service/hub/amqp_devices.h"

namespace nacelle::hub {

/// What a device is connected by.
enum class Protocol { mqtt, amqp };

/// A device is there over one protocol at a time: the later connection takes over (docs/decisions/0291-one-way-to-a-device.md).
/// Any thread.
class Reach {
 public:
  /// Before anyone connects; `mqtt` outlives every call.
  void serve(endpoint::DeviceEndpoint& mqtt) { mqtt_ = &mqtt; }
  AmqpDevices& amqp() { return amqp_; }

  bool connected(const device::IdentityName& who, Protocol way) const;
  /// `who` has come by `way`: its connection by the other one ends.
  void came(const device::IdentityName& who, Protocol way);
  void disconnect(const device::IdentityName& who, const std::string& reason);

  void notify_desired(const device::IdentityName& who, const json::Value& notification, std::int64_t version);
  /// As DeviceEndpoint::call_method.
  bool call_method(const device::IdentityName& who, const std::string& method, const std::string& request_id, Bytes payload);
  /// Tells a receiver over AMQP that messages wait, which takes and settles them itself; false if there is none.
  bool wake(const device::IdentityName& device);
  bool accepts_cloud_to_device(const device::IdentityName& device) const { return mqtt_->accepts_cloud_to_device(device); }
  void deliver_cloud_to_device(const device::IdentityName& device, const telemetry::Message& message,
                               endpoint::DeviceEndpoint::Delivered done) {
    mqtt_->deliver_cloud_to_device(device, message, std::move(done));
  }

 private:
  endpoint::DeviceEndpoint* mqtt_ = nullptr;
  AmqpDevices amqp_;
};

}  // namespace nacelle::hub
