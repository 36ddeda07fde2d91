#pragma once
// ClientEngine: the body of MqttClient. Private to net/mqtt.

#include <boost/asio/cancellation_signal.hpp>

#include <atomic>
#include <deque>
#include <mutex>
#include <vector>

#include "net/mqtt/client.h"
#include "net/mqtt/detail/publish_queue.h"

namespace nacelle::net {

/// Belongs to its own strand; publish(), connected(), waiting() and reconnects() are for any thread. While it runs it
/// keeps itself alive.
class ClientEngine : public std::enable_shared_from_this<ClientEngine> {
 public:
  using Done = std::function<void(Result<>)>;

  ClientEngine(Executor executor, MqttClientOptions options, MqttClient::OnMessage on_message, MqttClient::OnState on_state);

  const Executor& strand() const { return strand_; }
  void publish(Outgoing message);
  bool connected() const { return connected_; }
  std::size_t waiting() const { return waiting_; }
  std::uint64_t reconnects() const { return reconnects_; }

  // On the strand.
  void start(std::chrono::steady_clock::duration give_up_after, bool keep_trying, Done done);
  void subscribe(std::string filter, mqtt::QoS qos, Done done);
  void close(std::function<void(bool)> ended);

 private:
  struct Wanted {  // a subscription
    std::string filter;
    mqtt::QoS qos;
    bool granted = false;
    mqtt::PacketId id = 0;  // of the SUBSCRIBE that was sent
    std::vector<Done> waiting;
  };
  struct Acknowledgement {
    mqtt::PacketId id;
    bool ready;
  };
  /// One connection.
  struct Link {
    explicit Link(StreamPtr s, std::size_t max_packet_bytes);
    StreamPtr stream;
    PacketReader reader;
    PacketWriter writer;
    asio::steady_timer pulse;
    asio::steady_timer renewal;
    std::deque<Acknowledgement> acknowledgements;  // of deliveries, in the order of arrival
    std::uint64_t first_acknowledgement = 0;       // ticket of the front
    bool heard = false;                            // a packet came since the last pulse
    bool productive = false;                       // a packet came after CONNACK
    bool draining = false;                         // nothing new is sent: a planned reconnect is near
    bool writer_running = false;
    Wake writer_ended;
  };
  using LinkPtr = std::shared_ptr<Link>;

  awaitable<void> run();
  awaitable<void> pause();
  awaitable<Result<LinkPtr>> open(bool& session_present);
  awaitable<Result<mqtt::Connect>> make_connect();
  awaitable<Result<>> serve(LinkPtr link, bool session_present);
  awaitable<Result<>> read_all(LinkPtr link);
  void finish_run();

  Result<> handle(const LinkPtr& link, const mqtt::Packet& packet);
  void on_publish(const LinkPtr& link, const mqtt::Publish& publish);
  void acknowledge_delivery(const LinkPtr& link, std::uint64_t ticket);
  void on_suback(const mqtt::Suback& suback);
  void send_subscribe(Wanted& wanted);

  void collect();
  void pump();
  void start_pulse(LinkPtr link);
  void start_renewal(LinkPtr link);
  void disconnect(const LinkPtr& link);
  void answer_start(Result<> result);
  void attempt_failed(const Error& error);
  void stop();

  const Executor strand_;
  const MqttClientOptions options_;
  MqttClient::OnMessage on_message_;
  MqttClient::OnState on_state_;

  std::mutex mutex_;
  std::vector<Outgoing> inbox_;  // guarded by mutex_
  bool scheduled_ = false;       // guarded by mutex_
  ByteCount bytes_ = 0;          // of all publishes not yet done; guarded by mutex_
  bool closed_ = false;          // guarded by mutex_

  PublishQueue queue_;
  std::vector<Wanted> subscriptions_;
  LinkPtr link_;  // while connected
  asio::cancellation_signal cancel_;
  asio::steady_timer timer_;  // back-off
  asio::steady_timer give_up_;
  std::chrono::milliseconds back_off_;
  bool running_ = false;
  bool stopping_ = false;
  bool keep_trying_ = false;
  Done start_done_;
  std::string last_error_ = "no attempt has ended";
  std::vector<std::function<void(bool)>> on_ended_;
  std::uint64_t connects_ = 0;

  std::atomic<bool> connected_ = false;
  std::atomic<std::size_t> waiting_ = 0;
  std::atomic<std::uint64_t> reconnects_ = 0;
};

}  // namespace nacelle::net
