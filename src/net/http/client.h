#pragma once
// HttpClient: one keep-alive connection to one server, reconnected when it was lost. Use it from one coroutine at a time.

#include <memory>

#include "net/http/message.h"
#include "net/socket/stream.h"

namespace nacelle::net {

struct HttpClientOptions {
  Endpoint endpoint;
  std::shared_ptr<TlsClientContext> tls;  ///< null: plain
  std::string server_name;                ///< for the TLS check and the Host header; endpoint.host if empty
  std::chrono::seconds timeout{60};       ///< of a whole exchange
  ByteCount max_body_bytes = 256_MiB;
};

class HttpClient {
 public:
  explicit HttpClient(HttpClientOptions options);
  ~HttpClient();
  HttpClient(HttpClient&&) noexcept;

  /// Any status is a success of the exchange. Fault::unavailable if the server cannot be reached, timed_out. A request
  /// that found a dead kept-alive connection is sent once more on a new one.
  awaitable<Result<HttpResponse>> send(HttpRequest request);

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace nacelle::net
