#include "net/socket/plain.h"

#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <fmt/format.h>
#include <boost/asio/basic_socket_acceptor.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <cstring>

#include "foundation/log.h"
#include "foundation/task_scope.h"
#include "net/socket/detail/socket_stream.h"
#include "net/socket/runtime.h"

namespace nacelle::net {
namespace {

using asio::ip::tcp;
using AnyProtocol = asio::generic::stream_protocol;
using Acceptor = asio::basic_socket_acceptor<AnyProtocol>;
using boost::system::error_code;

/// After running out of descriptors and the like: long enough not to spin, short enough not to be noticed.
constexpr auto accept_pause = std::chrono::milliseconds{100};

tcp::endpoint as_tcp(const AnyProtocol::endpoint& any) {
  tcp::endpoint endpoint;
  const auto size = std::min(any.size(), endpoint.capacity());
  std::memcpy(endpoint.data(), any.data(), size);
  endpoint.resize(size);
  return endpoint;
}

std::string describe(const AnyProtocol::endpoint& any) {
  if (any.protocol().family() == AF_UNIX) return "unix";
  const auto endpoint = as_tcp(any);
  return to_string(Endpoint{endpoint.address().to_string(), endpoint.port(), {}});
}

/// A program's main coroutine runs on a strand, and hands that on: on a strand of it every connection would wait for every other.
Executor below_strands(Executor executor) {
  while (const auto* strand = executor.target<asio::strand<Executor>>()) executor = strand->get_inner_executor();
  return executor;
}

Result<AnyProtocol::endpoint> unix_endpoint(const std::string& path) {
  if (path.size() >= sizeof(sockaddr_un::sun_path))
    return fail(Fault::invalid_input,
                fmt::format("unix socket path '{}' is longer than {} bytes", path, sizeof(sockaddr_un::sun_path) - 1));
  return AnyProtocol::endpoint(asio::local::stream_protocol::endpoint(path));
}

struct State : std::enable_shared_from_this<State> {
  State(Executor ex, Listener::Serve on_stream, std::size_t most, Serving how)
      : executor(below_strands(std::move(ex))),
        strand(asio::make_strand(executor)),
        acceptor(strand),
        serve(std::move(on_stream)),
        max_connections(most),
        serving(how),
        tasks(strand) {}

  const Executor executor;
  const Executor strand;  // of the acceptor
  Acceptor acceptor;
  const Listener::Serve serve;
  const std::size_t max_connections;
  const Serving serving;
  std::string unix_path;
  std::uint16_t port = 0;
  TaskScope tasks;

  /// A socket file whose process is gone stands in the way of a restart; one that answers does not belong to us.
  Result<> clear_stale(const std::string& path, const AnyProtocol::endpoint& endpoint) {
    struct stat facts {};
    if (::lstat(path.c_str(), &facts) != 0) return {};
    if (!S_ISSOCK(facts.st_mode)) return fail(Fault::unavailable, fmt::format("{} exists and is not a socket", path));
    AnySocket probe(strand);
    error_code error;
    probe.connect(endpoint, error);
    if (!error) return fail(Fault::unavailable, fmt::format("{} is in use by another process", path));
    ::unlink(path.c_str());
    return {};
  }

  Result<> open(const Endpoint& at) {
    AnyProtocol::endpoint endpoint;
    if (!at.unix_path.empty()) {
      TRY_LET(endpoint, unix_endpoint(at.unix_path));
      TRY(clear_stale(at.unix_path, endpoint));
    } else {
      error_code error;
      tcp::resolver resolver(executor);
      const auto found =
          resolver.resolve(at.host, std::to_string(at.port), tcp::resolver::passive | tcp::resolver::numeric_service, error);
      if (error || found.empty())
        return fail(Fault::unavailable, fmt::format("listening on {}: {}", to_string(at), error.message()));
      endpoint = AnyProtocol::endpoint(found.begin()->endpoint());
    }
    return bind(at, endpoint);
  }

  Result<> bind(const Endpoint& at, const AnyProtocol::endpoint& endpoint) {
    error_code error;
    const auto refuse = [&] {
      return fail(Fault::unavailable, fmt::format("listening on {}: {}", to_string(at), error.message()));
    };
    if (acceptor.open(endpoint.protocol(), error); error) return refuse();
    if (at.unix_path.empty()) acceptor.set_option(asio::socket_base::reuse_address(true), error);
    if (acceptor.bind(endpoint, error); error) return refuse();
    // Before listen(), nobody can connect: there is no moment with wider rights.
    if (!at.unix_path.empty() && ::chmod(at.unix_path.c_str(), 0600) != 0) {
      error.assign(errno, boost::system::system_category());
      return refuse();
    }
    if (acceptor.listen(asio::socket_base::max_listen_connections, error); error) return refuse();
    unix_path = at.unix_path;
    if (unix_path.empty()) port = as_tcp(acceptor.local_endpoint(error)).port();
    return {};
  }
};

void start_serving(const std::shared_ptr<State>& state, AnySocket socket) {
  error_code ignored;
  const auto peer = describe(socket.remote_endpoint(ignored));
  if (state->tasks.running() > state->max_connections) {
    log::warn("listener", "{}: refused, {} connections are open", peer, state->max_connections);
    return;
  }
  if (state->unix_path.empty()) socket.set_option(tcp::no_delay(true), ignored);
  const Executor strand = socket.get_executor();
  state->tasks.spawn(strand, state->serve(make_stream(std::move(socket), peer)));
}

awaitable<void> accept_all(std::shared_ptr<State> state) {
  while (state->acceptor.is_open()) {
    const bool own = state->serving == Serving::own_thread;
    const Executor strand = own ? own_thread(state->executor) : Executor(asio::make_strand(state->executor));
    auto [error, socket] = co_await state->acceptor.async_accept(strand, as_result);
    if (!error) {
      start_serving(state, std::move(socket));
    } else if (error == asio::error::operation_aborted) {
      break;
    } else {
      log::warn("listener", "accepting: {}", error.message());
      const bool slept = co_await sleep_for(accept_pause);
      if (!slept) break;
    }
  }
}

class PlainListener final : public Listener {
 public:
  explicit PlainListener(std::shared_ptr<State> state) : state_(std::move(state)) {}
  std::uint16_t port() const override { return state_->port; }
  awaitable<void> close() override {
    const auto state = state_;
    asio::post(state->strand, [state] {
      error_code ignored;
      state->acceptor.close(ignored);
    });
    co_await state->tasks.close();
    if (!state->unix_path.empty()) ::unlink(state->unix_path.c_str());
  }

 private:
  const std::shared_ptr<State> state_;
};

/// One attempt to connect, ended by its timer.
struct Attempt : std::enable_shared_from_this<Attempt> {
  explicit Attempt(const Executor& executor) : resolver(executor), socket(executor), timer(executor) {}
  tcp::resolver resolver;
  AnySocket socket;
  asio::steady_timer timer;
  bool timed_out = false;

  void give_up_after(std::chrono::steady_clock::duration timeout) {
    timer.expires_after(timeout);
    timer.async_wait([self = shared_from_this()](const error_code& error) {
      if (error) return;
      self->timed_out = true;
      self->resolver.cancel();
      error_code ignored;
      self->socket.close(ignored);
    });
  }
};

awaitable<Result<std::vector<AnyProtocol::endpoint>>> resolve(std::shared_ptr<Attempt> attempt, Endpoint to) {
  std::vector<AnyProtocol::endpoint> endpoints;
  if (!to.unix_path.empty()) {
    CO_TRY_LET(auto endpoint, unix_endpoint(to.unix_path));
    endpoints.push_back(std::move(endpoint));
    co_return endpoints;
  }
  error_code not_numeric;
  const auto address = asio::ip::make_address(to.host, not_numeric);
  if (!not_numeric) {
    endpoints.emplace_back(tcp::endpoint(address, to.port));
    co_return endpoints;
  }
  const auto service = std::to_string(to.port);
  const auto [error, found] = co_await attempt->resolver.async_resolve(to.host, service, tcp::resolver::numeric_service, as_result);
  if (error) co_return fail(Fault::unavailable, fmt::format("looking up '{}': {}", to.host, error.message()));
  for (const auto& entry : found) endpoints.emplace_back(entry.endpoint());
  co_return endpoints;
}

}  // namespace

std::string to_string(const Endpoint& endpoint) {
  if (!endpoint.unix_path.empty()) return endpoint.unix_path;
  if (endpoint.host.find(':') != std::string::npos) return fmt::format("[{}]:{}", endpoint.host, endpoint.port);
  return fmt::format("{}:{}", endpoint.host, endpoint.port);
}

Result<std::unique_ptr<Listener>> listen_plain(Executor executor, const Endpoint& endpoint, Listener::Serve serve,
                                               std::size_t max_connections, Serving serving) {
  auto state = std::make_shared<State>(std::move(executor), std::move(serve), max_connections, serving);
  TRY(state->open(endpoint));
  state->tasks.spawn(accept_all(state));
  return std::unique_ptr<Listener>(std::make_unique<PlainListener>(std::move(state)));
}

awaitable<Result<StreamPtr>> connect_plain(Endpoint endpoint, std::chrono::steady_clock::duration timeout) {
  const Executor executor = co_await asio::this_coro::executor;
  const auto cancellation = co_await asio::this_coro::cancellation_state;
  if (cancellation.cancelled() != asio::cancellation_type::none) co_return fail(Fault::unavailable, "cancelled before connecting");
  auto attempt = std::make_shared<Attempt>(executor);
  attempt->give_up_after(timeout);
  CO_TRY_LET(const auto candidates, co_await resolve(attempt, endpoint));
  error_code error = asio::error::host_not_found;
  for (const auto& candidate : candidates) {
    if (attempt->timed_out) break;
    error_code ignored;
    attempt->socket.close(ignored);
    const auto [failed] = co_await attempt->socket.async_connect(candidate, as_result);
    error = failed;
    if (!error) break;
  }
  attempt->timer.cancel();
  if (attempt->timed_out) co_return fail(Fault::timed_out, fmt::format("connecting to {}: no answer in time", to_string(endpoint)));
  if (error) co_return fail(Fault::unavailable, fmt::format("connecting to {}: {}", to_string(endpoint), error.message()));
  error_code ignored;
  if (endpoint.unix_path.empty()) attempt->socket.set_option(tcp::no_delay(true), ignored);
  co_return make_stream(std::move(attempt->socket), to_string(endpoint));
}

}  // namespace nacelle::net
