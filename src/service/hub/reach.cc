#include "service/hub/reach.h"

#include "service/hub/amqp_messages.h"

namespace nacelle::hub {

using device::IdentityName;

bool Reach::connected(const IdentityName& who, Protocol way) const {
  return way == Protocol::amqp ? amqp_.connected(who) : mqtt_->connected(who);
}

void Reach::came(const IdentityName& who, Protocol way) {
  if (way == Protocol::amqp) {
    // Its own connection only: a plain client with the device's key is another one.
    if (mqtt_->connected(who)) mqtt_->server().disconnect(who.client_id(), "the device has connected over AMQP");
  } else if (const auto there = amqp_.find(who)) {
    there->end({conditions::stolen, "the device has connected over MQTT"});
  }
}

void Reach::disconnect(const IdentityName& who, const std::string& reason) {
  mqtt_->disconnect(who, reason);
  if (const auto there = amqp_.find(who)) there->end({conditions::unauthorized, reason});
}

void Reach::notify_desired(const IdentityName& who, const json::Value& notification, std::int64_t version) {
  mqtt_->notify_desired(who, notification, version);
  if (const auto there = amqp_.find(who)) there->notify_desired(json::print(notification), version);
}

bool Reach::call_method(const IdentityName& who, const std::string& method, const std::string& request_id, Bytes payload) {
  if (const auto there = amqp_.find(who); there && there->takes_methods()) {
    there->call_method(method, request_id, std::move(payload));
    return true;
  }
  return mqtt_->call_method(who, method, request_id, std::move(payload));
}

bool Reach::wake(const IdentityName& device) {
  const auto there = amqp_.find(device);
  if (!there || !there->takes_messages()) return false;
  there->wake();
  return true;
}

}  // namespace nacelle::hub
