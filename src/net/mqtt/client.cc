#include "net/mqtt/client.h"

#include <atomic>
#include <bitset>
#include <deque>
#include <mutex>
#include <random>

#include <fmt/format.h>

#include "foundation/log.h"
#include "foundation/task_scope.h"
#include "net/mqtt/detail/packet_stream.h"

namespace nacelle::net {
namespace {

constexpr std::size_t max_incoming_packet = 16 * 1024 * 1024;  // servers set their own bound, which is far lower
constexpr std::size_t max_unwritten = 1024 * 1024;             // beyond it publishes wait in order, not as bytes
constexpr std::chrono::seconds connack_within{15};

using PublishDone = std::function<void(Result<>)>;

struct Outgoing {
  std::string topic;
  Bytes payload;
  mqtt::QoS qos;
  PublishDone done;
  mqtt::PacketId id = 0;  // once sent

  std::size_t bytes() const { return topic.size() + payload.size() + 64; }
};

struct Subscribing {
  mqtt::Subscription wanted;
  PublishDone done;        // empty once answered: kept for the next session
  mqtt::PacketId id = 0;   // of the SUBSCRIBE under way on this connection
  bool confirmed = false;  // on this session
};

/// One established connection. On the client's strand.
struct Link {
  explicit Link(StreamPtr s) : stream(std::move(s)), reader(*stream, max_incoming_packet), writer(*stream) {}
  StreamPtr stream;
  PacketReader reader;
  PacketWriter writer;
  bool heard = true;      // since the last tick of the keep-alive
  bool draining = false;  // a planned reconnect: nothing new is sent
};

std::string_view refusal(mqtt::ConnectCode code) {
  switch (code) {
    case mqtt::ConnectCode::unacceptable_protocol: return "unacceptable protocol version";
    case mqtt::ConnectCode::identifier_rejected: return "client id rejected";
    case mqtt::ConnectCode::bad_user_name: return "malformed user name or password";
    case mqtt::ConnectCode::not_authorized: return "not authorised";
    default: return "server unavailable";
  }
}

/// Belongs to strand_, but for the members marked otherwise.
class Core : public std::enable_shared_from_this<Core> {
 public:
  Core(Executor executor, MqttClientOptions options, MqttClient::OnMessage on_message, MqttClient::OnState on_state)
      : options_(std::move(options)), on_message_(std::move(on_message)), on_state_(std::move(on_state)),
        strand_(asio::make_strand(executor)), tasks_(strand_), jitter_(std::random_device{}()) {}

  const Executor& strand() const { return strand_; }
  bool connected() const { return connected_; }
  std::size_t waiting() const { return waiting_; }
  std::uint64_t reconnects() const { return reconnects_; }

  /// Any thread.
  void publish(Outgoing message) {
    const std::size_t bytes = message.bytes();
    if (const auto before = waiting_bytes_.fetch_add(bytes); before > 0 && before + bytes > options_.max_waiting_bytes) {
      waiting_bytes_ -= bytes;
      return message.done(fail(Fault::exhausted, fmt::format("{}: {} bytes wait to be sent already", name(), options_.max_waiting_bytes)));
    }
    ++waiting_;
    const std::lock_guard lock(inbox_mutex_);
    inbox_.push_back(std::move(message));
    if (inbox_.size() > 1) return;  // the visit is on its way
    asio::post(strand_, [self = shared_from_this()] { self->collect(); });
  }

  void begin(std::chrono::steady_clock::duration give_up_after, bool keep_trying, PublishDone first) {
    first_ = std::move(first);
    keep_trying_ = keep_trying;
    tasks_.spawn(run(shared_from_this()));
    tasks_.spawn(give_up(shared_from_this(), give_up_after));
  }

  void subscribe(mqtt::Subscription wanted, PublishDone done) {
    if (closed_) return done(fail(Fault::unavailable, name() + ": closed"));
    std::erase_if(subscriptions_, [&](const Subscribing& s) { return s.wanted.filter == wanted.filter && !s.done; });
    subscriptions_.push_back({std::move(wanted), std::move(done)});
    if (link_ && connected_) send(subscriptions_.back());
  }

  /// Ends everything; the tasks are joined by tasks_.close().
  void shut() {
    if (closed_) return;
    closed_ = true;
    collect();
    if (link_) {
      if (connected_) link_->writer.send(mqtt::Disconnect{});
      link_->writer.close();
    }
    answer_first(fail(Fault::unavailable, name() + ": closed before it was connected"));
    abandon(in_flight_);
    abandon(queue_);
    for (auto& s : subscriptions_)
      if (auto done = std::exchange(s.done, nullptr)) done(fail(Fault::unavailable, name() + ": closed"));
  }
  TaskScope& tasks() { return tasks_; }

 private:
  std::string name() const { return fmt::format("mqtt client {}", options_.client_id); }

  // -- The connection's life ---------------------------------------------------------------------------------------

  static awaitable<void> run(std::shared_ptr<Core> self) {
    auto pause = self->options_.first_back_off;
    while (!self->closed_) {
      auto connected = co_await self->establish();
      if (connected) {
        pause = self->options_.first_back_off;
        co_await self->serve();
        if (self->closed_) break;
        ++self->reconnects_;
        if (self->planned_) continue;
      } else if (!self->keep_going(connected.error())) {
        break;
      }
      const auto spread = std::uniform_int_distribution<std::int64_t>(pause.count() / 2, pause.count())(self->jitter_);
      const bool slept = co_await sleep_for(std::chrono::milliseconds{spread});
      if (!slept) break;
      pause = std::min(pause * 2, self->options_.max_back_off);
    }
  }

  /// Whether to try again after a connect that failed.
  bool keep_going(const Error& why) {
    if (closed_) return false;
    log::debug("mqtt", "{}: {}", name(), why.message);
    if (why.fault == Fault::denied) answer_first(fail(why));
    last_error_ = why.message;
    return keep_trying_ || first_ || was_connected_;
  }

  static awaitable<void> give_up(std::shared_ptr<Core> self, std::chrono::steady_clock::duration after) {
    const bool waited = co_await sleep_for(after);
    if (waited) self->answer_first(fail(Fault::unavailable, fmt::format("{}: not connected in time{}{}", self->name(), self->last_error_.empty() ? "" : ": ", self->last_error_)));
  }

  void answer_first(Result<> result) {
    if (auto first = std::exchange(first_, nullptr)) first(std::move(result));
  }

  /// Connects, says CONNECT, reads CONNACK.
  awaitable<Result<>> establish() {
    mqtt::Connect hello;
    hello.client_id = options_.client_id;
    hello.clean_session = options_.clean_session;
    hello.keep_alive_seconds = static_cast<std::uint16_t>(std::min<std::int64_t>(options_.keep_alive.count(), 65535));
    if (!options_.user_name.empty()) hello.user_name = options_.user_name;
    if (options_.password) {
      CO_TRY_LET(hello.password, co_await options_.password());
    }
    CO_TRY_LET(auto stream, co_await connect(options_.endpoint, options_.tls, options_.server_name));
    auto link = std::make_unique<Link>(std::move(stream));
    link->stream->set_deadline(connack_within);
    Bytes bytes;
    mqtt::encode(bytes, hello);
    CO_TRY(co_await link->stream->write_all(bytes));
    while (true) {
      CO_TRY_LET(const auto frame, link->reader.next());
      if (frame) {
        CO_TRY_LET(const auto packet, mqtt::decode(*frame));
        const auto* answer = std::get_if<mqtt::Connack>(&packet);
        if (answer == nullptr) co_return fail(Fault::corrupt, name() + ": expected CONNACK first, found another packet");
        if (answer->code != mqtt::ConnectCode::accepted) {
          const bool retry = answer->code == mqtt::ConnectCode::server_unavailable;
          co_return fail(retry ? Fault::unavailable : Fault::denied, fmt::format("{}: refused by {}: {}", name(), link->stream->peer_address(), refusal(answer->code)));
        }
        session_present_ = answer->session_present;
        break;
      }
      CO_TRY(co_await link->reader.fill());
    }
    link->stream->set_deadline(std::nullopt);
    link_ = std::move(link);
    co_return Result<>{};
  }

  /// Serves an accepted connection to its end.
  awaitable<void> serve() {
    TaskScope helpers(strand_);
    Link& link = *link_;
    planned_ = false;
    link.writer.on_progress = [this] { pump(); };
    connected_ = true;
    was_connected_ = true;
    begin_session();
    answer_first({});
    if (on_state_) on_state_(true);
    helpers.spawn(link.writer.run());
    helpers.spawn(keep_alive(link));
    if (options_.reconnect_before_expiry.count() > 0) helpers.spawn(renew(link));

    const auto ended = co_await read_all(link);
    connected_ = false;
    if (!ended && !closed_ && !planned_) log::info("mqtt", "{}: connection lost: {}", name(), ended.error().message);
    link.writer.close();
    co_await helpers.close();
    // QoS 0 that was not written is answered by the writer; QoS 1 waits for the next connection.
    link_.reset();
    ++generation_;
    if (on_state_) on_state_(false);
  }

  void begin_session() {
    for (auto& s : subscriptions_)
      if (!session_present_ || !s.confirmed) send(s);
    for (const auto& message : in_flight_) transmit(message, true);
    pump();
  }

  awaitable<Result<>> read_all(Link& link) {
    while (true) {
      CO_TRY_LET(const auto frame, link.reader.next());
      if (!frame) {
        CO_TRY(co_await link.reader.fill());
        continue;
      }
      link.heard = true;
      CO_TRY_LET(const auto packet, mqtt::decode(*frame));
      CO_TRY(std::visit([this](const auto& p) { return on(p); }, packet));
    }
  }

  /// Asks for a sign of life each keep-alive interval; two intervals of silence end the connection.
  awaitable<void> keep_alive(Link& link) {
    if (options_.keep_alive.count() <= 0) co_return;
    while (true) {
      const bool slept = co_await sleep_for(options_.keep_alive);
      if (!slept) co_return;
      if (!link.heard) {
        log::info("mqtt", "{}: the server has been silent for {} s", name(), 2 * options_.keep_alive.count());
        link.writer.close();
        co_return;
      }
      link.heard = false;
      link.writer.send(mqtt::Pingreq{});
    }
  }

  /// The planned reconnect: what is in flight is acknowledged first, so that nothing is sent twice for it.
  awaitable<void> renew(Link& link) {
    const bool slept = co_await sleep_for(options_.reconnect_before_expiry);
    if (!slept) co_return;
    planned_ = true;
    link.draining = true;
    leave_if_drained();
  }

  void leave_if_drained() {
    if (!link_ || !link_->draining || !in_flight_.empty()) return;
    link_->writer.send(mqtt::Disconnect{});
    link_->writer.close();
  }

  // -- Outgoing ----------------------------------------------------------------------------------------------------

  void collect() {
    std::vector<Outgoing> arrived;
    {
      const std::lock_guard lock(inbox_mutex_);
      arrived.swap(inbox_);
    }
    for (auto& message : arrived) queue_.push_back(std::move(message));
    if (closed_) return abandon(queue_);
    pump();
  }

  void pump() {
    if (!link_ || !connected_ || link_->draining) return;
    while (!queue_.empty() && link_->writer.waiting() < max_unwritten) {
      Outgoing& next = queue_.front();
      if (next.qos == mqtt::QoS::at_most_once) {
        transmit(next, false);
        link_->writer.after_write([self = shared_from_this(), bytes = next.bytes(), done = std::move(next.done)](Result<> result) { self->finish(bytes, done, std::move(result)); });
        queue_.pop_front();
        continue;
      }
      if (in_flight_.size() >= options_.max_in_flight) return;
      next.id = take_id();
      transmit(next, false);
      in_flight_.push_back(std::move(next));
      queue_.pop_front();
    }
  }

  void transmit(const Outgoing& message, bool again) {
    link_->writer.send(mqtt::Publish{.topic = message.topic, .payload = message.payload, .qos = message.qos, .retain = false, .duplicate = again, .packet_id = message.id});
  }

  void finish(std::size_t bytes, const PublishDone& done, Result<> result) {
    waiting_bytes_ -= bytes;
    --waiting_;
    if (done) done(std::move(result));
  }

  void abandon(std::deque<Outgoing>& messages) {
    std::deque<Outgoing> all;
    all.swap(messages);
    for (const auto& message : all) finish(message.bytes(), message.done, fail(Fault::unavailable, name() + ": closed before the message was acknowledged"));
  }

  void send(Subscribing& subscription) {
    if (subscription.id != 0) used_.reset(subscription.id);  // asked on a connection that was lost
    subscription.id = take_id();
    subscription.confirmed = false;
    link_->writer.send(mqtt::Subscribe{.packet_id = subscription.id, .subscriptions = {subscription.wanted}});
  }

  mqtt::PacketId take_id() {
    do {
      if (++last_id_ == 0) last_id_ = 1;
    } while (used_.test(last_id_));
    used_.set(last_id_);
    return last_id_;
  }

  // -- Incoming ----------------------------------------------------------------------------------------------------

  Result<> on(const mqtt::Puback& packet) {
    for (auto at = in_flight_.begin(); at != in_flight_.end(); ++at) {
      if (at->id != packet.packet_id) continue;
      Outgoing message = std::move(*at);
      in_flight_.erase(at);
      used_.reset(message.id);
      pump();
      leave_if_drained();
      finish(message.bytes(), message.done, {});
      return {};
    }
    return {};  // of a publish answered before the connection was lost
  }

  Result<> on(const mqtt::Suback& packet) {
    for (auto at = subscriptions_.begin(); at != subscriptions_.end(); ++at) {
      if (at->id != packet.packet_id) continue;
      used_.reset(at->id);
      at->id = 0;
      const bool granted = packet.codes.size() == 1 && packet.codes[0] != mqtt::subscription_refused;
      at->confirmed = granted;
      auto done = std::exchange(at->done, nullptr);
      const std::string filter = at->wanted.filter;
      if (!granted) subscriptions_.erase(at);
      if (done) done(granted ? Result<>{} : fail(Fault::denied, fmt::format("{}: subscription to '{}' refused", name(), filter)));
      return {};
    }
    return {};
  }

  Result<> on(const mqtt::Publish& packet) {
    if (packet.qos == mqtt::QoS::exactly_once) return fail(Fault::corrupt, "a QoS 2 message, which was never subscribed to");
    std::function<void()> done = [] {};
    if (packet.qos == mqtt::QoS::at_least_once) {
      done = [weak = weak_from_this(), generation = generation_, id = packet.packet_id] {
        const auto self = weak.lock();
        if (!self) return;
        asio::dispatch(self->strand_, [self, generation, id] {
          if (self->link_ && self->generation_ == generation) self->link_->writer.send(mqtt::Puback{.packet_id = id});
        });
      };
    }
    if (on_message_) on_message_(packet, std::move(done));
    return {};
  }

  Result<> on(const mqtt::Pingresp&) { return {}; }
  Result<> on(const mqtt::Unsuback&) { return {}; }
  template <class Other>
  Result<> on(const Other&) {
    return fail(Fault::corrupt, "a packet that servers do not send");
  }

  const MqttClientOptions options_;
  const MqttClient::OnMessage on_message_;
  const MqttClient::OnState on_state_;
  const Executor strand_;
  TaskScope tasks_;
  std::minstd_rand jitter_;

  std::mutex inbox_mutex_;
  std::vector<Outgoing> inbox_;                  // guarded by inbox_mutex_
  std::atomic<std::size_t> waiting_ = 0;         // any thread
  std::atomic<std::size_t> waiting_bytes_ = 0;   // any thread
  std::atomic<bool> connected_ = false;          // read by any thread
  std::atomic<std::uint64_t> reconnects_ = 0;    // read by any thread

  std::unique_ptr<Link> link_;                   // null: not connected
  std::uint64_t generation_ = 0;                 // of link_: an acknowledgement belongs to the connection it came on
  std::deque<Outgoing> in_flight_;               // QoS 1, sent and not acknowledged, in the order of sending
  std::deque<Outgoing> queue_;                   // not sent yet
  std::vector<Subscribing> subscriptions_;
  std::bitset<65536> used_;
  mqtt::PacketId last_id_ = 0;
  PublishDone first_;                            // start()'s answer
  std::string last_error_;
  bool keep_trying_ = false;
  bool was_connected_ = false;
  bool session_present_ = false;
  bool planned_ = false;
  bool closed_ = false;
};

class Client final : public MqttClient {
 public:
  explicit Client(std::shared_ptr<Core> core) : core_(std::move(core)) {}
  ~Client() override {
    asio::post(core_->strand(), [core = core_] { core->shut(); });
  }

  awaitable<Result<>> start(std::chrono::steady_clock::duration give_up_after, bool keep_trying) override {
    const auto core = core_;
    auto begin = [core, give_up_after, keep_trying](std::function<void(Result<>)> done) {
      asio::dispatch(core->strand(), [core, give_up_after, keep_trying, done] { core->begin(give_up_after, keep_trying, done); });
    };
    auto result = co_await await_callback<Result<>>(std::move(begin));
    co_return result;
  }

  void publish(std::string topic, Bytes payload, mqtt::QoS qos, std::function<void(Result<>)> done) override {
    core_->publish({std::move(topic), std::move(payload), qos, std::move(done)});
  }

  awaitable<Result<>> publish(std::string topic, Bytes payload, mqtt::QoS qos) override {
    const auto core = core_;
    auto begin = [core, t = std::move(topic), p = std::move(payload), qos](std::function<void(Result<>)> done) { core->publish({t, p, qos, std::move(done)}); };
    auto result = co_await await_callback<Result<>>(std::move(begin));
    co_return result;
  }

  awaitable<Result<>> subscribe(std::string filter, mqtt::QoS qos) override {
    const auto core = core_;
    auto begin = [core, f = std::move(filter), qos](std::function<void(Result<>)> done) {
      asio::dispatch(core->strand(), [core, f, qos, done] { core->subscribe({f, qos}, done); });
    };
    auto result = co_await await_callback<Result<>>(std::move(begin));
    co_return result;
  }

  bool connected() const override { return core_->connected(); }
  std::size_t waiting() const override { return core_->waiting(); }
  std::uint64_t reconnects() const override { return core_->reconnects(); }

  awaitable<void> close() override {
    const auto core = core_;
    auto shut = [core](std::function<void(bool)> done) {
      asio::dispatch(core->strand(), [core, done] {
        core->shut();
        done(true);
      });
    };
    co_await await_callback<bool>(std::move(shut));
    co_await core->tasks().close();
  }

 private:
  std::shared_ptr<Core> core_;
};

}  // namespace

std::unique_ptr<MqttClient> MqttClient::make(Executor executor, MqttClientOptions options, OnMessage on_message, OnState on_state) {
  return std::make_unique<Client>(std::make_shared<Core>(std::move(executor), std::move(options), std::move(on_message), std::move(on_state)));
}

}  // namespace nacelle::net
