#pragma once
// WebSockets (RFC 6455), as byte streams: a route takes over the connections of an HTTP server that ask for it.

#include <functional>
#include <string>
#include <vector>

#include "net/socket/stream.h"

namespace nacelle::net {

/// The stream holds what binary messages hold, without their bounds; text messages end it.
struct WebSocketRoute {
  std::string path;                    ///< percent-decoded, without a query
  std::vector<std::string> protocols;  ///< of which the client must offer one (without case); it is answered as it was sent
  /// On the connection's strand; the connection ends with it.
  std::function<awaitable<void>(StreamPtr)> serve;
};

}  // namespace nacelle::net
