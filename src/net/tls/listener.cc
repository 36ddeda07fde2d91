#include <fmt/format.h>

#include "foundation/log.h"
#include "net/socket/plain.h"
#include "net/tls/tls_stream.h"

namespace nacelle::net {
namespace {

constexpr auto handshake_within = std::chrono::seconds{15};

awaitable<void> serve_tls(StreamPtr inner, std::shared_ptr<TlsServerContext> context,
                          std::shared_ptr<const Listener::Serve> serve) {
  inner->set_deadline(handshake_within);
  const auto peer = inner->peer_address();
  auto secured = co_await accept_tls(std::move(inner), context);
  if (!secured) {
    log::info("tls", "{}", secured.error().message);
    co_return;
  }
  StreamPtr stream = std::move(*secured);
  stream->set_deadline(std::nullopt);
  co_await (*serve)(std::move(stream));
}

}  // namespace

Result<std::unique_ptr<Listener>> Listener::listen(Executor executor, const Endpoint& endpoint,
                                                   std::shared_ptr<TlsServerContext> tls, Serve serve, std::size_t max_connections,
                                                   Serving serving) {
  if (!tls) return listen_plain(std::move(executor), endpoint, std::move(serve), max_connections, serving);
  auto shared = std::make_shared<const Serve>(std::move(serve));
  Serve secured = [tls = std::move(tls), shared](StreamPtr stream) { return serve_tls(std::move(stream), tls, shared); };
  return listen_plain(std::move(executor), endpoint, std::move(secured), max_connections, serving);
}

awaitable<Result<StreamPtr>> connect(Endpoint endpoint, std::shared_ptr<TlsClientContext> tls, std::string server_name,
                                     std::chrono::steady_clock::duration timeout) {
  const auto until = std::chrono::steady_clock::now() + timeout;
  CO_TRY_LET(auto plain, co_await connect_plain(endpoint, timeout));
  if (!tls) co_return std::move(plain);
  plain->set_deadline(until - std::chrono::steady_clock::now());
  std::string name = server_name.empty() ? endpoint.host : server_name;
  CO_TRY_LET(auto secured, co_await connect_tls(std::move(plain), tls, name));
  secured->set_deadline(std::nullopt);
  co_return std::move(secured);
}

}  // namespace nacelle::net
