#pragma once
// HttpServer: HTTP/1.1 with keep-alive over TCP, TLS or a unix socket; one handler for all requests.

#include <functional>
#include <memory>

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
};

class HttpServer {
 public:
  /// Requests for a WebSocket that one of the routes takes do not come here. Runs on the connection's strand. A throw is a bug and
  /// answers 500. May wait (long poll).
  using Handler = std::function<awaitable<HttpResponse>(HttpRequest)>;

  static Result<std::unique_ptr<HttpServer>> listen(Executor executor, const Endpoint& endpoint,
                                                    std::shared_ptr<TlsServerContext> tls, Handler handler, HttpLimits limits = {},
                                                    std::vector<WebSocketRoute> websockets = {});
  virtual ~HttpServer() = default;
  virtual std::uint16_t port() const = 0;
  virtual awaitable<void> close() = 0;
};

}  // namespace nacelle::net
