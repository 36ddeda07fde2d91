#pragma once
// What devices and modules attach (wire facts 7.3): telemetry, messages to them, twin requests, replies to method calls. What they
// only receive on is DeviceOutLink.

#include "service/hub/amqp_devices.h"
#include "service/hub/amqp_locked_queue.h"
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
class DeviceMessagesLink final : public LockedQueueLink {
 public:
  /// `tasks`: the connection's.
  DeviceMessagesLink(const std::shared_ptr<AmqpDevice>& device, TaskScope& tasks, net::AmqpLinkPtr link);
  void detached() override { device_->gone(this); }

 private:
  const std::shared_ptr<AmqpDevice> device_;
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
