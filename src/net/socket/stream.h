#pragma once
// Stream: a connected byte stream, TCP, TLS or unix, behind one interface, so that protocol code is compiled once and
// never sees TLS templates. And the addresses to listen on and connect to.

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "foundation/async.h"
#include "foundation/bytes.h"

namespace nacelle::net {

/// Where to listen or connect: `host:port`, or a unix socket's path.
struct Endpoint {
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;  ///< 0: any free one
  std::string unix_path;   ///< not empty: a unix socket; mode 0600 when listening
};
/// `host:port`, `[::1]:port`, or `unix:///path`. Fault::invalid_input says what was expected.
Result<Endpoint> parse_endpoint(std::string_view text, std::uint16_t default_port);

/// Belongs to its executor, a strand: all calls are made there. One reader and one writer may wait at the same time. A
/// cancelled coroutine's reads and writes fail with unavailable, and the stream stays usable for others.
class Stream {
 public:
  virtual ~Stream() = default;
  /// Up to `size` bytes, at least one. Fault::unavailable at the peer's end or on a broken connection; timed_out after
  /// `set_deadline`.
  virtual awaitable<Result<std::size_t>> read_some(char* data, std::size_t size) = 0;
  virtual awaitable<Result<>> write_all(BytesView bytes) = 0;
  /// As much of `bytes` as can be taken without waiting, while no write_all is under way: how many are taken. If `unsent()`
  /// then, some of those are still here and go out with the next write_all, which may be of nothing.
  virtual std::size_t write_now(BytesView bytes) { return static_cast<void>(bytes), 0; }
  virtual bool unsent() const { return false; }
  /// Tells the peer that nothing more comes; it can still be read. Where that is not possible, nothing happens.
  virtual awaitable<void> end_writing() { co_return; }
  virtual void close() = 0;  ///< on the stream's executor; ends waiting reads and writes
  /// As close(), after handing over what of `farewell` goes out without waiting.
  virtual void close_with(BytesView farewell) { static_cast<void>(farewell), close(); }
  /// Reads and writes fail with timed_out after this time; nullopt: never.
  virtual void set_deadline(std::optional<std::chrono::steady_clock::duration> from_now) = 0;
  virtual Executor executor() = 0;
  virtual std::string peer_address() const = 0;
  /// TLS only: the DER of the peer's certificate, and behind it those it sent to link that to an authority; empty if none.
  virtual Bytes peer_certificates_der() const { return {}; }
};
using StreamPtr = std::unique_ptr<Stream>;

class TlsServerContext;  // net/tls
class TlsClientContext;

/// Which thread serves a connection: any, on a strand; or always the same (`own_thread` of runtime.h), which costs less when
/// many say little at a time, while a long computation for one holds up others.
enum class Serving { shared, own_thread };

/// Accepts connections until closed; each is given to `serve` as a coroutine on a strand of its own. TLS handshakes are
/// made there too, with a deadline, so that a slow peer holds up nobody.
class Listener {
 public:
  using Serve = std::function<awaitable<void>(StreamPtr)>;
  /// Fault::unavailable if the address is taken, naming it.
  static Result<std::unique_ptr<Listener>> listen(Executor executor, const Endpoint& endpoint,
                                                  std::shared_ptr<TlsServerContext> tls, Serve serve,
                                                  std::size_t max_connections = 20000, Serving serving = Serving::shared);
  virtual ~Listener() = default;
  virtual std::uint16_t port() const = 0;
  virtual awaitable<void> close() = 0;  ///< stops accepting, closes every connection, back when all have ended
};

/// Connects (and, with `tls`, shakes hands and checks the name `server_name`, or endpoint.host if empty). The stream
/// runs on the caller's executor, which must be a strand (as under Runtime::block_on and in a Listener's `serve`).
/// Fault::unavailable, timed_out; denied if the server's certificate is not trusted or names another host.
awaitable<Result<StreamPtr>> connect(Endpoint endpoint, std::shared_ptr<TlsClientContext> tls, std::string server_name = {},
                                     std::chrono::steady_clock::duration timeout = std::chrono::seconds{15});

}  // namespace nacelle::net
