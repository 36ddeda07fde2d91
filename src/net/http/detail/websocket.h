#pragma once
// The server's side of an opening handshake, and the stream it gives. Private to net/http.

#include "net/http/message.h"
#include "net/http/websocket.h"

namespace nacelle::net::detail {

bool asks_for_websocket(const HttpRequest& request);
/// The route for the request and the protocol as the client spelled it; null if there is none.
struct ChosenRoute {
  const WebSocketRoute* route = nullptr;
  std::string protocol;
};
ChosenRoute choose_route(const HttpRequest& request, const std::vector<WebSocketRoute>& routes);

/// Answers 101 and gives the stream. `ahead`: what was read beyond the request. Fault::invalid_input for a handshake that is
/// none; it has been answered.
awaitable<Result<StreamPtr>> accept_websocket(StreamPtr stream, Bytes ahead, HttpRequest request, std::string protocol);

}  // namespace nacelle::net::detail
