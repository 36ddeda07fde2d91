#pragma once
// Who a message is from, as the hub has established it, and the system properties that say so (wire facts 1.6). For messages of any
// protocol.

#include <string_view>

#include "domain/device/identity.h"
#include "domain/telemetry/message.h"

namespace nacelle::endpoint {

struct Sender {
  const device::IdentityName& who;
  std::string_view generation_id;
  std::string_view authentication = "sas";  ///< or `x509`
  bool by_policy = false;                   ///< with a shared access policy's token, not its own
};

/// Sets what the hub knows of a message's sender, and when it came.
void stamp(telemetry::Message& message, const Sender& sender, Timestamp now);

}  // namespace nacelle::endpoint
