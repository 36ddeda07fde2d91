#pragma once
// Plain sockets, TCP and unix: what net/tls builds Listener and connect on.

#include "net/socket/stream.h"

namespace nacelle::net {

/// Accepts; each connection is served on a strand of its own, as Listener promises.
Result<std::unique_ptr<Listener>> listen_plain(Executor executor, const Endpoint& endpoint, Listener::Serve serve,
                                               std::size_t max_connections, Serving serving = Serving::shared);

/// Connects. The stream runs on the caller's executor, which must be a strand.
awaitable<Result<StreamPtr>> connect_plain(Endpoint endpoint, std::chrono::steady_clock::duration timeout);

/// `host:port` or the path, for messages.
std::string to_string(const Endpoint& endpoint);

}  // namespace nacelle::net
