#pragma once
// AmqpServer: a generic AMQP 1.0 server. Connections, sessions, links, credit, settlement and time-outs are its own; who may attach
// which link, and what comes and goes on it, is said by an AmqpPeer of the server's owner, one for each connection.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>

#include "codec/amqp/message.h"
#include "net/socket/stream.h"

namespace nacelle::net {

/// Why a link, a connection or a delivery is refused: `amqp:not-found`, and a sentence for people.
struct AmqpCondition {
  std::string name;
  std::string description;
};

/// What the peer asked for.
struct AmqpAttach {
  std::string name;
  bool from_peer = false;    ///< the peer sends; else it receives
  std::string address;       ///< our end: the target of what it sends, the source of what it receives
  std::string peer_address;  ///< its own end: where answers to it go
  amqp::Map properties;
  amqp::Map filters;  ///< of the source: by name, described or not
};

enum class AmqpOutcome { accepted, rejected, released, modified };

/// One link, on its connection's strand.
class AmqpLink {
 public:
  virtual ~AmqpLink() = default;
  virtual const AmqpAttach& asked() const = 0;
  virtual bool attached() const = 0;
  /// Messages that may be sent now: the peer's credit, within the limits. When there is some again, AmqpLinkHandler::credit() is
  /// called.
  virtual std::size_t credit() const = 0;
  /// `settled` is called once, on the strand: what the receiver made of it; released, if it left before it said so. Without
  /// credit(), or detached, that is at once.
  using Settled = std::function<void(AmqpOutcome)>;
  virtual void send(const amqp::Message& message, Settled settled) = 0;
  /// Ends the link; its handler's detached() is called.
  virtual void detach(AmqpCondition why) = 0;
};
using AmqpLinkPtr = std::shared_ptr<AmqpLink>;

/// What the server's owner does with a link. On the connection's strand.
class AmqpLinkHandler {
 public:
  virtual ~AmqpLinkHandler() = default;
  /// A message from the peer. `done` is called once, from any thread: nothing accepts it (it is durable), a condition rejects it.
  using Done = std::function<void(std::optional<AmqpCondition>)>;
  virtual void transfer(amqp::Message message, Done done) {
    static_cast<void>(message), done(AmqpCondition{"amqp:not-allowed", "nothing is received here"});
  }
  virtual void credit() {}  ///< there is credit to send
  virtual void detached() {}
};
/// The link's handler, or why it is refused.
using AmqpAttached = std::variant<std::shared_ptr<AmqpLinkHandler>, AmqpCondition>;

/// A live connection. It outlives its AmqpPeer.
class AmqpConnection {
 public:
  virtual ~AmqpConnection() = default;
  virtual Executor executor() = 0;                      ///< its strand. Any thread
  virtual const std::string& peer_address() const = 0;  ///< Any thread
  virtual const Bytes& peer_certificates_der() const = 0;
  virtual void close(AmqpCondition why) = 0;  ///< Any thread; logged once
};
using AmqpConnectionPtr = std::shared_ptr<AmqpConnection>;

/// One connection as the server's owner sees it: made when its first bytes come, gone with it. On its strand.
class AmqpPeer {
 public:
  virtual ~AmqpPeer() = default;
  /// SASL PLAIN. ANONYMOUS and EXTERNAL prove nothing, and are let in. Fault::denied: the connection ends.
  virtual Result<> authenticate(const std::string& user, const std::string& password) {
    return static_cast<void>(user), static_cast<void>(password), fail(Fault::denied, "SASL PLAIN is not taken here");
  }
  virtual void opened(const std::string& hostname, const std::string& container) {
    static_cast<void>(hostname), static_cast<void>(container);
  }
  virtual AmqpAttached attach(const AmqpLinkPtr& link) = 0;
  virtual void tick() {}  ///< about once a second
  /// The connection has ended, and its links with it: back when nothing of the owner's runs for it any more.
  virtual awaitable<void> ended() { co_return; }
};
using AmqpPeerFactory = std::function<std::shared_ptr<AmqpPeer>(const AmqpConnectionPtr&)>;

struct AmqpLimits {
  std::uint32_t max_frame_bytes = 64 * 1024;
  std::uint16_t max_sessions = 16;
  std::size_t max_links = 128;                    ///< of a connection
  std::size_t max_message_bytes = 272 * 1024;     ///< 256 KiB and its properties
  std::size_t incoming_credit = 64;               ///< messages of a link that wait for their handler
  ByteCount max_in_flight_bytes = 4_MiB;          ///< of a connection; beyond it the socket is not read
  ByteCount max_in_flight_bytes_in_all = 64_MiB;  ///< of all connections; beyond it no socket is read
  std::size_t max_unsettled = 1000;               ///< deliveries of a link that the peer has not settled
  ByteCount max_output_bytes = 1_MiB;             ///< of a connection, not yet written
  std::chrono::seconds open_within{60};
  std::chrono::seconds idle{240};  ///< silence that ends a connection; half of it is told to the peer
  std::size_t max_connections = 10'000;
};

struct AmqpCounts {
  std::uint64_t connections = 0;
  std::uint64_t links = 0;
  std::uint64_t received = 0;  ///< transfers since the start
  std::uint64_t sent = 0;
};

class AmqpServer {
 public:
  /// `make_peer` is called on the connection's strand. No listener yet.
  static std::unique_ptr<AmqpServer> make(Executor executor, AmqpPeerFactory make_peer, AmqpLimits limits = {});
  virtual ~AmqpServer() = default;

  virtual Result<std::uint16_t> listen(const Endpoint& endpoint, std::shared_ptr<TlsServerContext> tls) = 0;
  /// Serves one stream that someone else accepted (WebSocket, tests), on the stream's executor; back when it has ended.
  virtual awaitable<void> serve(StreamPtr stream) = 0;
  /// `visit` is called soon for each connection, on its strand. Any thread.
  virtual void for_each(std::function<void(AmqpPeer&)> visit) = 0;
  virtual AmqpCounts counts() const = 0;  ///< Any thread
  /// Idle time-outs and AmqpPeer::tick(). It is called every second; tests call it too.
  virtual void sweep(std::chrono::steady_clock::time_point now) = 0;
  virtual awaitable<void> close() = 0;
};

}  // namespace nacelle::net
