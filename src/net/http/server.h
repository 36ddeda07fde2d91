#pragma once
// HttpServer: HTTP/1.1 with keep-alive over TCP, TLS or a unix socket; one handler for all requests.

#include <functional>
#include <memory>
#include <optional>

#include "net/http/message.h"
#include "net/http/websocket.h"
#include "net/socket/stream.h"

namespace nacelle::net {

struct HttpLimits {
  ByteCount max_header_bytes = 32_KiB;
  ByteCount max_body_bytes = 8_MiB;  ///< beyond it 413
  std::chrono::seconds idle{120};    ///< between requests
  std::chrono::seconds request{60};  ///< from first byte to whole
  std::size_t max_connections = 10000;
  // Bodies above `small_body` are held by few at a time: one waits unread until there is room, and after `room_within` is
  // answered 503 with Retry-After. One of unknown length (chunked) then counts as max_body_bytes until it is there.
  ByteCount small_body = 64_KiB;
  ByteCount max_bodies_bytes = 256_MiB;  ///< of all connections together
  std::chrono::seconds room_within{10};
};

class HttpServer {
 public:
  /// Requests for a WebSocket that one of the routes takes do not come here. Runs on the connection's strand. A throw is a bug and
  /// answers 500. May wait (long poll).
  using Handler = std::function<awaitable<HttpResponse>(HttpRequest)>;

  /// Asked about a body above HttpLimits::small_body before any of it is read, with the head of its request: an answer refuses it
  /// and ends the connection. On the connection's strand; must not block.
  using BeforeBody = std::function<std::optional<HttpResponse>(const HttpRequest& head)>;

  static Result<std::unique_ptr<HttpServer>> listen(Executor executor, const Endpoint& endpoint,
                                                    std::shared_ptr<TlsServerContext> tls, Handler handler, HttpLimits limits = {},
                                                    std::vector<WebSocketRoute> websockets = {}, BeforeBody before_body = {});
  virtual ~HttpServer() = default;
  virtual std::uint16_t port() const = 0;
  virtual awaitable<void> close() = 0;
};

}  // namespace nacelle::net
