#pragma once
// Connection: one client of the server, from CONNECT to the end. Private to net/mqtt.

#include <atomic>
#include <deque>

#include "net/mqtt/detail/budget.h"
#include "net/mqtt/detail/mailbox.h"
#include "net/mqtt/detail/outbound.h"
#include "net/mqtt/detail/packet_stream.h"
#include "net/mqtt/detail/session.h"
#include "net/mqtt/server.h"

namespace nacelle::net {

/// A will whose delay runs, and who left it.
struct HeldWill {
  mqtt::Will will;
  MqttConnectionPtr from;
  std::uint64_t kept_id = 0;  ///< in the MqttMessageStore; 0: it is not kept
};

/// `published` is called with the outcome.
void publish_will_of(MqttPolicy& policy, const mqtt::Will& will, const MqttConnectionPtr& from,
                     std::function<void(const Result<>&)> published = {});
/// What stays of a connection whose will is still to be published.
MqttConnectionPtr former_connection(std::string client_id, std::string user_name, std::string peer, std::shared_ptr<void> context);

/// What a connection needs of its server. It outlives its connections. Any thread.
class ConnectionHost {
 public:
  virtual ~ConnectionHost() = default;
  virtual MqttPolicy& policy() = 0;
  virtual const MqttLimits& limits() const = 0;
  virtual const Clock& clock() const = 0;
  virtual Budget& budget() = 0;
  virtual MqttMessageStore* messages() = 0;  ///< or null

  virtual bool broadcasts(std::string_view filter) const = 0;
  virtual void subscribed(const std::string& client_id, const mqtt::Subscription& subscription) = 0;
  virtual void unsubscribed(const std::string& client_id, const std::string& filter) = 0;
  virtual std::vector<MqttMessagePtr> retained(const std::string& filter) = 0;
  /// Gives a delivery outside of a publish its place among what is kept.
  virtual void keep(const std::string& client_id, Mailbox::Delivery& delivery) = 0;
  virtual void hold_will(const std::string& client_id, HeldWill will, std::chrono::seconds delay) = 0;
  virtual void count_dropped() = 0;
};

/// Belongs to the stream's strand; the members of MqttConnection, mailbox() and live() are for any thread.
class Connection final : public MqttConnection, public std::enable_shared_from_this<Connection> {
 public:
  Connection(ConnectionHost& host, StreamPtr stream);
  void start();  ///< once it is shared

  const std::string& client_id() const override { return connect_.client_id; }
  const std::string& user_name() const override { return user_name_; }
  std::string peer_address() const override { return peer_; }
  std::optional<Timestamp> kept_since() const override {
    return session_ && session_->persistent() ? std::optional(session_->began_at()) : std::nullopt;
  }
  void close(std::string reason) override { close_for(std::move(reason), mqtt::Reason::administrative_action); }
  void close_for(std::string why, mqtt::Reason reason) { mailbox_->close(std::move(why), reason); }

  /// Waits for CONNECT and asks the policy. False: refused, answered, and closed.
  awaitable<bool> accept();
  /// Accepted, and yet there is no room for another session: answered, and closed.
  awaitable<void> refuse_for_room();
  bool clean_start() const { return connect_.clean_session; }
  std::uint32_t session_expiry() const { return session_expiry_; }
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
  struct Refusal {
    mqtt::ConnectCode code;
    mqtt::Reason reason;
    std::string why;
  };

  // connection.cc: the life of it.
  awaitable<Result<mqtt::Connect>> read_connect();
  std::optional<Refusal> examine();
  void settle_terms(const MqttAccept& verdict, bool id_assigned);
  awaitable<void> refuse(Refusal refusal);
  awaitable<void> read_all();
  bool has_room() const;
  awaitable<void> wait_for_room();
  void settle();
  void set_deadline();
  bool v5() const { return version_ == mqtt::Version::v5; }
  void begin_close(std::string_view reason, mqtt::Reason code);
  void end_for(const Error& violation);
  awaitable<void> linger();
  bool credentials_expired() const;
  std::string deadline_reason() const;
  void publish_will();

  // connection_packets.cc: packets from the client.
  Failure violation(mqtt::Reason reason, std::string why);
  Result<> handle(BytesView frame);
  Result<> on(const mqtt::Publish& packet);
  Result<> on(const mqtt::Puback& packet);
  Result<> on(const mqtt::Pubrec& packet);
  Result<> on(const mqtt::Pubrel& packet);
  Result<> on(const mqtt::Pubcomp& packet);
  Result<> on(const mqtt::Subscribe& packet);
  Result<> on(const mqtt::Unsubscribe& packet);
  Result<> on(const mqtt::Pingreq& packet);
  Result<> on(const mqtt::Disconnect& packet);
  template <class Other>
  Result<> on(const Other& packet);

  Result<mqtt::Publish> resolve(const mqtt::Publish& packet);
  std::uint64_t enter(const mqtt::Publish& packet);
  void hand_over(const mqtt::Publish& packet);
  void take_exactly_once(const mqtt::Publish& packet);
  std::uint8_t decide(const mqtt::Subscription& wanted, std::vector<mqtt::Subscription>& subscriptions, bool& fresh);
  void send_retained(const mqtt::Subscription& subscription, bool fresh);

  // connection_mail.cc: mail from other threads.
  void collect();
  void answer_leftovers();
  void answer_in_order();
  mqtt::PropertiesPtr because(std::string_view reason) const;
  void answer_otherwise(const InFlight& publish);
  void send(Mailbox::Delivery delivery);

  ConnectionHost& host_;
  const StreamPtr stream_;
  const std::string peer_;
  PacketReader reader_;
  PacketWriter writer_;
  Outbound outbound_;
  std::shared_ptr<Mailbox> mailbox_;
  Mailbox::Mail mail_;
  mqtt::Connect connect_;
  mqtt::Version version_ = mqtt::Version::v3_1_1;
  std::string user_name_;
  std::shared_ptr<Session> session_;
  std::optional<Timestamp> expires_at_;
  std::chrono::seconds keep_alive_{0};
  std::uint32_t session_expiry_ = 0;
  mqtt::QoS max_qos_ = mqtt::QoS::at_most_once;
  ClientBounds bounds_;
  mqtt::PropertiesPtr terms_;                              // the properties of an accepting CONNACK
  bool tells_reasons_ = false;                             // reason strings are wanted, and fit
  std::vector<std::string> aliases_;                       // the client's, by number less one
  mqtt::Reason violation_ = mqtt::Reason::protocol_error;  // of the handler that has just failed

  std::deque<InFlight> in_flight_;  // publishes handed to the policy, in the order of arrival
  std::uint64_t first_ticket_ = 0;  // of in_flight_.front()
  ByteCount in_flight_bytes_ = 0;
  std::size_t gathered_ = 0;  // the last of in_flight_, which the policy has gathered and not yet settled
  std::size_t in_flight_qos_1_ = 0;
  std::vector<Mailbox::Refusal> refusals_;  // of those in flight
  Wake room_;                               // the reader waits here while too much is in flight
  Wake writer_ended_;
  bool writer_running_ = false;
  bool clean_ = false;  // DISCONNECT was received, and no will is to be published
  bool lingering_ = false;
  std::atomic<bool> closing_ = false;
  std::atomic<bool> live_ = false;
  std::atomic<bool> will_discarded_ = false;
};

}  // namespace nacelle::net
