#pragma once
// Connection: one client of the server, from CONNECT to the end. Private to net/mqtt.

#include <atomic>
#include <deque>

#include "net/mqtt/detail/budget.h"
#include "net/mqtt/detail/mailbox.h"
#include "net/mqtt/detail/packet_stream.h"
#include "net/mqtt/detail/session.h"
#include "net/mqtt/server.h"

namespace nacelle::net {

/// What a connection needs of its server. It outlives its connections.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual MqttPolicy& policy() = 0;
  virtual const MqttLimits& limits() const = 0;
  virtual const Clock& clock() const = 0;
  virtual Budget& budget() = 0;
};

/// Belongs to the stream's strand; the members of MqttConnection, mailbox() and live() are for any thread.
class Connection final : public MqttConnection, public std::enable_shared_from_this<Connection> {
 public:
  Connection(ConnectionHost& host, StreamPtr stream);
  void start();  ///< once it is shared

  const std::string& client_id() const override { return connect_.client_id; }
  const std::string& user_name() const override { return user_name_; }
  std::string peer_address() const override { return peer_; }
  void close(std::string reason) override { mailbox_->close(std::move(reason)); }

  /// Waits for CONNECT and asks the policy. False: refused, answered, and closed.
  awaitable<bool> accept();
  bool clean_session() const { return connect_.clean_session; }
  /// Serves an accepted connection until it ends, between the policy's connected() and disconnected().
  awaitable<void> serve(std::shared_ptr<Session> session, bool session_present);
  /// Closes the stream without a CONNACK or after it.
  void abort();

  /// Keeps the subscriptions somewhere durable; set by the server for sessions that outlive the connection.
  std::function<Result<>(const std::vector<mqtt::Subscription>&)> save_subscriptions;

  Mailbox& mailbox() { return *mailbox_; }
  bool live() const { return live_; }  ///< between CONNACK and the end
  bool closing() const { return closing_; }
  /// At the server's end no will is published: the clients have not failed.
  void discard_will() { will_discarded_ = true; }

 private:
  struct InFlight {
    mqtt::PacketId id;
    mqtt::QoS qos;
    Mailbox::Answer answer;
    std::uint32_t bytes;
  };

  awaitable<Result<mqtt::Connect>> read_connect();
  awaitable<void> refuse(mqtt::ConnectCode code);
  awaitable<void> read_all();
  bool has_room() const;
  awaitable<void> wait_for_room();
  void settle();
  void set_deadline();
  void begin_close(std::string_view reason);
  std::string deadline_reason() const;

  Result<> handle(BytesView frame);
  Result<> on(const mqtt::Publish& packet);
  Result<> on(const mqtt::Puback& packet);
  Result<> on(const mqtt::Subscribe& packet);
  Result<> on(const mqtt::Unsubscribe& packet);
  Result<> on(const mqtt::Pingreq& packet);
  Result<> on(const mqtt::Disconnect& packet);
  template <class Other>
  Result<> on(const Other& packet);

  void collect();
  void answer_in_order();
  void send(Mailbox::Delivery delivery);
  void resend_unacknowledged();
  void answer_leftovers();
  void publish_will();

  ConnectionHost& host_;
  const StreamPtr stream_;
  const std::string peer_;
  PacketReader reader_;
  PacketWriter writer_;
  std::shared_ptr<Mailbox> mailbox_;
  Mailbox::Mail mail_;
  mqtt::Connect connect_;
  std::string user_name_;
  std::shared_ptr<Session> session_;
  std::optional<Timestamp> expires_at_;
  std::chrono::seconds keep_alive_{0};

  std::deque<InFlight> in_flight_;  // publishes handed to the policy, in the order of arrival
  std::uint64_t first_ticket_ = 0;  // of in_flight_.front()
  ByteCount in_flight_bytes_ = 0;
  std::size_t gathered_ = 0;  // the last of in_flight_, which the policy has gathered and not yet settled
  Wake room_;                 // the reader waits here while too much is in flight
  Wake writer_ended_;
  bool writer_running_ = false;
  bool clean_ = false;  // DISCONNECT was received
  std::atomic<bool> closing_ = false;
  std::atomic<bool> live_ = false;
  std::atomic<bool> will_discarded_ = false;
};

}  // namespace nacelle::net
