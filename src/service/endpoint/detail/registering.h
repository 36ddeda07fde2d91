#pragma once
// Registrations of devices that have no identity yet, asked for and answered over MQTT (wire facts 4.1). Private to
// service/endpoint.

#include <memory>

#include "foundation/task_scope.h"
#include "service/endpoint/detail/intake.h"

namespace nacelle::endpoint {

/// accept() on the strand of the client's connection. What it is made with outlives it.
class Registering {
 public:
  Registering(Executor executor, DeviceBackend& backend, RegistrationBackend* registrations)
      : backend_(backend), registrations_(registrations), tasks_(std::move(executor)) {}

  /// A registrant's publish; the answer is published to it.
  void accept(const Client& client, net::MqttServer& server, const mqtt::Publish& packet, const Done& done);
  awaitable<void> close();

 private:
  awaitable<void> answer(Registrant who, std::string session, net::MqttServer& server, RegistrationRequest request, Bytes body);

  DeviceBackend& backend_;
  RegistrationBackend* const registrations_;
  TaskScope tasks_;
};

}  // namespace nacelle::endpoint
