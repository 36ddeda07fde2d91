#pragma once
// Who is let in, and as whom: identities of the registry, plain clients of the open namespace, registrants. Private to
// service/endpoint.

#include <optional>
#include <string>
#include <vector>

#include "net/mqtt/server.h"
#include "service/endpoint/detail/client.h"
#include "service/endpoint/device_endpoint.h"

namespace nacelle::endpoint {

/// Any strand; holds nothing of a connection. What it is made with outlives it.
class Gate {
 public:
  Gate(DeviceBackend& backend, RegistrationBackend* registrations, const std::optional<OpenNamespace>& open,
       std::vector<std::string> hub_names)
      : backend_(backend), registrations_(registrations), open_(open), hub_names_(std::move(hub_names)) {}

  /// The answer to a CONNECT; its context is the Client. A refusal is counted.
  awaitable<net::MqttAccept> admit(const mqtt::Connect& connect, const Bytes& certificates_der);

  /// A client that is `who`, whatever protocol it speaks, if its token or, without one, its certificates say so. Its credentials
  /// end at Client::principal.until. Faults as DeviceBackend::authenticate.
  awaitable<Result<ClientPtr>> identify(device::IdentityName who, telemetry::UserName user_name, std::string password,
                                        Bytes certificates_der);

 private:
  awaitable<net::MqttAccept> decide(const mqtt::Connect& connect, const Bytes& certificates_der);
  awaitable<net::MqttAccept> admit_identity(const mqtt::Connect& connect, Bytes certificates_der);
  awaitable<net::MqttAccept> admit_registrant(RegistrationName name, std::string token, Bytes certificates_der, bool agrees);
  awaitable<net::MqttAccept> admit_plain(mqtt::Connect connect, Bytes certificates_der);
  void name_device(Client& client);

  DeviceBackend& backend_;
  RegistrationBackend* const registrations_;
  const std::optional<OpenNamespace>& open_;
  const std::vector<std::string> hub_names_;
};

}  // namespace nacelle::endpoint
