#include "net/amqp/detail/sasl.h"

#include <proton/sasl.h>
#include <proton/sasl_plugin.h>
#include <proton/transport.h>

#include "codec/text/encoding.h"

namespace nacelle::net {
namespace {

void forget(pn_transport_t*) {}
const char* mechanisms(pn_transport_t*) { return "ANONYMOUS EXTERNAL PLAIN"; }
bool begin(pn_transport_t* transport) {
  pnx_sasl_set_desired_state(transport, SASL_POSTED_MECHANISMS);
  return true;
}
bool begin_as_client(pn_transport_t*) { return false; }
void nothing_to_write(pn_transport_t*) {}

/// RFC 4616: authorization identity, user and password, parted by NUL.
bool is_plain_good(pn_transport_t* transport, const pn_bytes_t* response) {
  const std::string_view given(response->start, response->size);
  const auto parts = text::split(given, '\0');
  if (parts.size() != 3) return false;
  const auto* server = static_cast<const SaslServer*>(pnx_sasl_get_context(transport));
  return server->plain(std::string(parts[1]), std::string(parts[2])).has_value();
}

void initial(pn_transport_t* transport, const char* mechanism, const pn_bytes_t* response) {
  const std::string_view name(mechanism ? mechanism : "");
  const bool proves_nothing = name == "ANONYMOUS" || name == "EXTERNAL";
  if (proves_nothing || (name == "PLAIN" && is_plain_good(transport, response)))
    pnx_sasl_set_succeeded(transport, "client", nullptr);
  else
    pnx_sasl_set_failed(transport);
  pnx_sasl_set_desired_state(transport, SASL_POSTED_OUTCOME);
}

/// No mechanism of ours has a challenge.
void response_unasked(pn_transport_t* transport, const pn_bytes_t*) {
  pnx_sasl_set_failed(transport);
  pnx_sasl_set_desired_state(transport, SASL_POSTED_OUTCOME);
}

bool for_clients(pn_transport_t*, const char*) { return false; }
void for_clients(pn_transport_t*, const pn_bytes_t*) {}
bool no_encryption(pn_transport_t*) { return false; }
ssize_t nothing(pn_transport_t*) { return 0; }
ssize_t not_coded(pn_transport_t*, pn_bytes_t, pn_bytes_t*) { return 0; }

const pnx_sasl_implementation implementation = {forget,        mechanisms,       begin,       begin_as_client, nothing_to_write,
                                                initial,       response_unasked, for_clients, for_clients,     for_clients,
                                                no_encryption, nothing,          not_coded,   not_coded};

}  // namespace

void offer_sasl(pn_transport_t* transport, SaslServer& server) {
  pn_sasl(transport);
  pn_transport_require_auth(transport, false);
  pnx_sasl_set_implementation(transport, &implementation, &server);
}

}  // namespace nacelle::net
