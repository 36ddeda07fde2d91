#pragma once
// A Stream over one connected socket of any kind. Private to net/socket.

#include <boost/asio/generic/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>

#include "net/socket/stream.h"

namespace nacelle::net {

using AnySocket = asio::generic::stream_protocol::socket;

/// `socket`'s executor is a strand; the stream and all its callers run there.
StreamPtr make_stream(AnySocket socket, std::string peer_address);

}  // namespace nacelle::net
