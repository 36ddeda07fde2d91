#pragma once
// MqttServer: a generic MQTT server, 3.1.1 and 5.0. Sessions, subscriptions, retained messages, delayed wills and the
// delivery of what is published are its own; who may connect, publish and subscribe, and what a publish means, is a policy
// laid over it. A publish is acknowledged (PUBACK, PUBREC) only when the policy says the message is durable, in the order of
// arrival (MQTT 5.0 section 4.6).

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "codec/mqtt/packet.h"
#include "net/mqtt/message.h"
#include "net/mqtt/message_store.h"
#include "net/socket/stream.h"

namespace nacelle::net {

/// One live connection of an accepted client. Shared with the policy; every member may be called from any thread.
/// Order per client: connected(new) comes after disconnected(old) when a client id is taken over.
class MqttConnection {
 public:
  virtual ~MqttConnection() = default;
  virtual const std::string& client_id() const = 0;  ///< the name of its session
  virtual const std::string& user_name() const = 0;
  virtual std::string peer_address() const = 0;
  virtual void close(std::string reason) = 0;  ///< logged once
  /// When its session began, if that outlives the connection: with the session's name, which session it is. In calls of the
  /// policy about this connection only.
  virtual std::optional<Timestamp> kept_since() const = 0;
  /// Whatever the policy wants to keep with the connection (set in accept).
  std::shared_ptr<void> context;
};
using MqttConnectionPtr = std::shared_ptr<MqttConnection>;

struct MqttAccept {
  mqtt::ConnectCode code = mqtt::ConnectCode::not_authorized;
  std::optional<Timestamp> expires_at;  ///< the connection is closed then
  std::string reason;                   ///< for the log when refused; no secrets
  std::shared_ptr<void> context;
  /// Publishes and wills above it are refused, subscriptions are granted at most this.
  mqtt::QoS max_qos = mqtt::QoS::at_least_once;
  /// The name its session is known by; empty: its client id. For clients whose ids the policy does not trust to be theirs.
  std::string session{};
};

class MqttPolicy {
 public:
  virtual ~MqttPolicy() = default;

  /// On the connection's strand; may wait.
  virtual awaitable<MqttAccept> accept(const mqtt::Connect& connect, const Bytes& peer_certificates_der,
                                       std::string peer_address) = 0;
  /// After CONNACK was sent; and when the connection has ended, for whatever reason (`clean`: by DISCONNECT).
  virtual void connected(const MqttConnectionPtr& connection) = 0;
  virtual void disconnected(const MqttConnectionPtr& connection, bool clean) = 0;

  /// The granted QoS, or nullopt: SUBACK 0x80.
  virtual std::optional<mqtt::QoS> subscribe(const MqttConnectionPtr& connection, const mqtt::Subscription& wanted) = 0;
  /// After SUBACK was sent.
  virtual void subscribed(const MqttConnectionPtr& connection, const std::string& filter) = 0;

  /// `done` must be called once, from any thread: success sends PUBACK (QoS 1) or PUBREC (QoS 2). A fault of invalid_input
  /// or denied closes the connection; exhausted or unavailable withholds the acknowledgement and keeps the connection. To a
  /// client of MQTT 5 an acknowledgement with the reason is sent instead of either (QoS 0 has none: it is closed). `publish`
  /// borrows for the call, has its topic even if the client sent an alias, and comes once for a QoS 2 message however
  /// often the client repeats it.
  virtual void publish(const MqttConnectionPtr& connection, const mqtt::Publish& publish, std::function<void(Result<>)> done) = 0;
  /// Publishes that come together can be answered together, without a `done` for each. True: taken, up to the next settle();
  /// `publish` borrows for the call. False (as by default): it goes to publish(), after settle().
  virtual bool gather(const MqttConnectionPtr& connection, const mqtt::Publish& publish) {
    static_cast<void>(connection), static_cast<void>(publish);
    return false;
  }
  /// For now there is no more to gather. `done` answers all that were gathered since the last call, as publish()'s answers one.
  virtual void settle(const MqttConnectionPtr& connection, std::function<void(Result<>)> done) {
    static_cast<void>(connection), done({});
  }
  /// The will of a client that left without DISCONNECT: before disconnected(), or after its delay (MQTT 5), when `connection`
  /// is only a memory of the one that has gone. `done` says what became of it. As long as a policy makes no difference, a
  /// publish like any other.
  virtual void will(const MqttConnectionPtr& connection, const mqtt::Publish& packet, std::function<void(Result<>)> done) {
    publish(connection, packet, std::move(done));
  }
  /// What is kept of a connection whose will is to be published after its delay, perhaps by another process; no secrets.
  virtual std::string describe(const MqttConnectionPtr& connection) { return static_cast<void>(connection), std::string(); }
  /// The context of a connection that was described so. Null: it cannot be had any more, and its will is not published.
  virtual std::shared_ptr<void> recall(const std::string& description) { return static_cast<void>(description), nullptr; }
};

/// A session that outlives its connection.
struct MqttKeptSession {
  std::vector<mqtt::Subscription> subscriptions;
  std::uint32_t expiry_seconds = mqtt::never_expires;
  std::optional<Timestamp> left_at{};  ///< of a session that expires: when its connection ended
  Timestamp began_at{};                ///< no two sessions of a client have the same
};

/// Sessions that outlive a connection, kept by someone durable. Any thread.
class MqttSessionStore {
 public:
  virtual ~MqttSessionStore() = default;
  virtual Result<std::optional<MqttKeptSession>> load(const std::string& client_id) = 0;
  virtual Result<> save(const std::string& client_id, const MqttKeptSession& session) = 0;
  virtual Result<> forget(const std::string& client_id) = 0;
  /// The ids of all; asked once, by a server that broadcasts.
  virtual Result<std::vector<std::string>> clients() = 0;
};

struct MqttLimits {
  std::size_t max_packet_bytes = 272 * 1024;  ///< 256 KiB of message and its topic
  std::chrono::seconds connect_within{60};
  std::chrono::seconds max_keep_alive{1767};  ///< server side cap; 0 from the client counts as this
  std::size_t max_in_flight = 4096;           ///< publishes not yet answered; beyond it the socket is not read
  ByteCount max_in_flight_bytes = 4_MiB;
  ByteCount max_in_flight_bytes_in_all = 48_MiB;  ///< of all connections; beyond it no socket is read
  ByteCount max_outbound_bytes = 16_MiB;  ///< of one client: waiting to be written or acknowledged; beyond it deliver refuses
  std::size_t max_deliveries = 100;       ///< QoS 1 and 2 deliveries not yet acknowledged per client
  std::size_t max_connections = 20000;
  // MQTT 5, and broadcasts.
  std::uint16_t receive_maximum = 4000;    ///< told to clients of MQTT 5; QoS 2 messages not released, of any client
  std::uint16_t topic_alias_maximum = 32;  ///< from a client; each may hold a topic of 64 KiB
  std::size_t max_waiting = 10'000;        ///< messages for a client's subscriptions that wait for it; newer ones are dropped
  ByteCount max_offline_bytes = 256_MiB;   ///< of all that waits for clients that are away
  std::size_t max_retained = 100'000;      ///< retained messages; more are passed on and not retained
  ByteCount max_retained_bytes = 64_MiB;
};

class MqttServer {
 public:
  struct Options {
    MqttLimits limits;
    std::shared_ptr<MqttSessionStore> sessions;  ///< null: kept in memory only
    std::shared_ptr<MqttMessageStore> messages;  ///< null: in memory only; it needs `sessions`, and is closed by close()
    const Clock* clock = nullptr;                ///< for all that expires; null: the system's
    /// Whether a subscription to this filter takes part in publish(). Empty: none does.
    std::function<bool(std::string_view filter)> broadcasts;
  };
  /// `policy` outlives the server. No listener yet.
  static std::unique_ptr<MqttServer> make(Executor executor, MqttPolicy& policy, Options options);
  virtual ~MqttServer() = default;

  /// Adds a listener; the port it got.
  virtual Result<std::uint16_t> listen(const Endpoint& endpoint, std::shared_ptr<TlsServerContext> tls) = 0;
  /// Serves one stream that someone else accepted (WebSocket, tests), on the stream's executor; back when it has ended.
  virtual awaitable<void> serve(StreamPtr stream) = 0;

  using Delivered = std::function<void(Result<>)>;
  /// Sends to one client if it is connected and has a subscription that matches `topic`; the QoS is the lower of `qos`
  /// and the granted one. `done` is called when written (QoS 0) or acknowledged (QoS 1), with Fault::unavailable if the
  /// client is not there, not subscribed, or left for good before acknowledging, Fault::exhausted if its queue is full. A
  /// client with a kept session that leaves gets its unacknowledged QoS 1 deliveries again (DUP) when it comes back, and
  /// `done` waits for that; it is lost with the session (clean session 1, forget, close). Any thread.
  virtual void deliver(const std::string& client_id, std::string topic, Bytes payload, mqtt::QoS qos, Delivered done) = 0;

  /// To every session with a broadcast subscription that matches, live or kept; retains it if it says so. Messages for a
  /// client that is away wait for it (QoS 1 and 2). `from`: the session that published it. Any thread.
  virtual void publish(const MqttMessagePtr& message, const std::string& from) = 0;

  virtual bool connected(const std::string& client_id) const = 0;
  virtual bool subscribed(const std::string& client_id, std::string_view topic) const = 0;
  /// Closes the client's live connection, if there is one.
  virtual void disconnect(const std::string& client_id, std::string reason) = 0;
  /// Forgets the client's session too.
  virtual void forget(const std::string& client_id) = 0;
  virtual std::size_t connections() const = 0;
  virtual std::size_t retained() const = 0;   ///< retained messages
  virtual std::uint64_t dropped() const = 0;  ///< messages for subscriptions that found no room
  /// Does what is due by the clock: ends sessions, publishes delayed wills. It is called every second; tests call it too.
  virtual void sweep() = 0;
  virtual awaitable<void> close() = 0;
};

}  // namespace nacelle::net
