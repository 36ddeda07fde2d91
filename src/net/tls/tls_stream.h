#pragma once
// TLS over any Stream.

#include "net/socket/stream.h"
#include "net/tls/context.h"

namespace nacelle::net {

/// Shakes hands as the server; back when the connection is secure. The deadline is the inner stream's.
awaitable<Result<StreamPtr>> accept_tls(StreamPtr inner, std::shared_ptr<TlsServerContext> context);

/// Shakes hands as the client; the certificate must be trusted and name `server_name` (a host name or an address), else
/// Fault::denied.
awaitable<Result<StreamPtr>> connect_tls(StreamPtr inner, std::shared_ptr<TlsClientContext> context, std::string server_name);

}  // namespace nacelle::net
