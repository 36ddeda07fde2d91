#pragma once
// What devices and modules attach (wire facts 7.3): telemetry, messages to them, twin requests, replies to method calls. What they
// only receive on is DeviceOutLink.

#include "service/hub/amqp_devices.h"
#include "service/hub/cloud_to_device.h"

namespace nacelle::hub {

/// `/devices/{d}[/modules/{m}]/messages/events`: accepted when it is durable.
class DeviceEventsLink final : public AmqpHandler {
 public:
  explicit DeviceEventsLink(std::shared_ptr<AmqpDevice> device) : device_(std::move(device)) {}
  void transfer(amqp::Message message, Done done) override;

 private:
  void refuse(const Error& why, net::AmqpCondition condition, const Done& done);

  const std::shared_ptr<AmqpDevice> device_;
  bool logged_ = false;  // the first refusal is; all are counted
};

/// `/devices/{d}/messages/devicebound`: what waits for the device, each message locked until the device settles it. Accepted: done
/// with; rejected: so too, and the sender may hear of it; released or modified: it comes again, ten times at the most.
class DeviceMessagesLink final : public AmqpHandler, public std::enable_shared_from_this<DeviceMessagesLink> {
 public:
  /// `tasks`: the connection's.
  DeviceMessagesLink(std::shared_ptr<AmqpDevice> device, TaskScope& tasks, net::AmqpLinkPtr link)
      : device_(std::move(device)), tasks_(tasks), link_(std::move(link)) {}
  void begin();
  void credit() override { begin(); }
  void detached() override { device_->gone(this); }

 private:
  static awaitable<void> send_waiting(std::shared_ptr<DeviceMessagesLink> self);
  static awaitable<void> settle(Services& services, device::DeviceId device, std::string lock_token, CloudToDevice::Settlement how);
  bool send(const CloudToDevice::Locked& locked);

  const std::shared_ptr<AmqpDevice> device_;
  TaskScope& tasks_;
  const std::weak_ptr<net::AmqpLink> link_;
  bool sending_ = false;
  bool wanted_ = false;  // there may be something new since the queue was asked
};

/// `/devices/{d}/twin`: requests, answered on the link of the same channel.
class TwinRequestsLink final : public AmqpHandler {
 public:
  TwinRequestsLink(std::shared_ptr<AmqpDevice> device, std::string channel)
      : device_(std::move(device)), channel_(std::move(channel)) {}
  void transfer(amqp::Message message, Done done) override;

 private:
  const std::shared_ptr<AmqpDevice> device_;
  const std::string channel_;
};

/// `/devices/{d}/methods/devicebound`: replies to calls.
class MethodRepliesLink final : public AmqpHandler {
 public:
  explicit MethodRepliesLink(std::shared_ptr<AmqpDevice> device) : device_(std::move(device)) {}
  void transfer(amqp::Message message, Done done) override;

 private:
  const std::shared_ptr<AmqpDevice> device_;
};

/// A module's inputs, on which the hub never sends: modules are routed to each other by their edge.
class ModuleInputsLink final : public AmqpHandler {
 public:
  explicit ModuleInputsLink(std::shared_ptr<AmqpDevice> device) : device_(std::move(device)) {}

 private:
  const std::shared_ptr<AmqpDevice> device_;
};

}  // namespace nacelle::hub
