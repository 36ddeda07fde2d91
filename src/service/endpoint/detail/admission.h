#pragma once
// What a CONNECT must agree on before its credentials are asked about (wire facts 1.2). Private to service/endpoint.

#include <string>
#include <vector>

#include "codec/mqtt/packet.h"
#include "domain/device/identity.h"
#include "domain/telemetry/topic.h"
#include "service/endpoint/open_namespace.h"

namespace nacelle::endpoint {

struct Claim {
  device::IdentityName who;
  telemetry::UserName user_name;
};

/// A refusal with its CONNACK code and the reason for the log, which holds nothing the client sent.
struct Refusal {
  mqtt::ConnectCode code;
  std::string reason;
};

/// Who the client says it is; null `refusal` if client id, user name and will agree.
struct Admission {
  Claim claim;
  std::optional<Refusal> refusal;
};
Admission examine(const mqtt::Connect& connect, const std::vector<std::string>& hub_names);

/// Whether the user name is one of IoT Hub's; else the client is a plain one, if those are let in.
bool speaks_iot_hub(const mqtt::Connect& connect);
/// The name of a plain client's session. No device's and no other principal's session has it, whatever the client id: `~`
/// stands in no device id.
std::string plain_session(const Principal& who, const std::string& client_id);

/// The CONNACK code for credentials that were not accepted: 3 (come again) when nobody could tell, else 5.
mqtt::ConnectCode refusal_code(Fault fault);

}  // namespace nacelle::endpoint
