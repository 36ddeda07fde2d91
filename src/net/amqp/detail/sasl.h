#pragma once
// SASL as a server, in place of proton's own: that would ask the machine's user accounts. Private to net/amqp.

#include <functional>
#include <string>

#include "foundation/result.h"

struct pn_transport_t;

namespace nacelle::net {

/// Offers ANONYMOUS, EXTERNAL and PLAIN to a client that wants a SASL layer. `plain` is asked about user and password.
struct SaslServer {
  std::function<Result<>(const std::string& user, const std::string& password)> plain;
};
/// `server` outlives the transport.
void offer_sasl(pn_transport_t* transport, SaslServer& server);

}  // namespace nacelle::net
