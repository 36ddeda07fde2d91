#include "net/mqtt/detail/client_engine.h"

#include <fmt/format.h>
#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>

#include "foundation/log.h"
#include "foundation/random.h"

namespace nacelle::net {
namespace {

constexpr auto answer_within = std::chrono::seconds{15};  // CONNACK
constexpr auto farewell_within = std::chrono::seconds{2};
constexpr auto drain_within = std::chrono::seconds{5};
constexpr std::size_t max_packet_bytes = 4 * 1024 * 1024;

}  // namespace

ClientEngine::Link::Link(StreamPtr s, std::size_t most)
    : stream(std::move(s)), reader(*stream, most), writer(*stream), pulse(stream->executor()), renewal(stream->executor()) {}

ClientEngine::ClientEngine(Executor executor, MqttClientOptions options, MqttClient::OnMessage on_message,
                           MqttClient::OnState on_state)
    : strand_(asio::make_strand(std::move(executor))),
      options_(std::move(options)),
      on_message_(std::move(on_message)),
      on_state_(std::move(on_state)),
      queue_(std::max<std::size_t>(1, std::min<std::size_t>(options_.max_in_flight, 60'000))),
      timer_(strand_),
      give_up_(strand_),
      back_off_(options_.first_back_off) {}

// Publishing, from any thread.

void ClientEngine::publish(Outgoing message) {
  const ByteCount size = message.bytes();
  // Counted down when answered, whatever happens to it.
  message.done = [weak = weak_from_this(), size, done = std::move(message.done)](Result<> result) {
    if (const auto self = weak.lock()) {
      --self->waiting_;
      const std::lock_guard lock(self->mutex_);
      self->bytes_ -= size;
    }
    done(std::move(result));
  };
  ++waiting_;
  Fault refused = Fault::exhausted;
  {
    const std::lock_guard lock(mutex_);
    bytes_ += size;
    const bool fits = bytes_ <= options_.max_waiting_bytes || bytes_ == size;
    if (!closed_ && fits) {
      inbox_.push_back(std::move(message));
      if (std::exchange(scheduled_, true)) return;
      asio::post(strand_, [self = shared_from_this()] { self->collect(); });
      return;
    }
    if (closed_) refused = Fault::unavailable;
  }
  message.done(fail(refused, refused == Fault::exhausted ? "too much waits to be published" : "the client is closed"));
}

void ClientEngine::collect() {
  std::vector<Outgoing> messages;
  {
    const std::lock_guard lock(mutex_);
    messages.swap(inbox_);
    scheduled_ = false;
  }
  for (auto& message : messages) queue_.push(std::move(message));
  if (closed_)
    queue_.abandon("the client is closed");
  else
    pump();
}

void ClientEngine::pump() {
  if (link_ && !link_->draining) queue_.pump(link_->writer);
}

// Starting and ending.

void ClientEngine::start(std::chrono::steady_clock::duration give_up_after, bool keep_trying, Done done) {
  if (closed_ || running_) return done(fail(Fault::conflict, "the client was started before"));
  start_done_ = std::move(done);
  keep_trying_ = keep_trying;
  running_ = true;
  stopping_ = false;
  give_up_.expires_after(give_up_after);
  give_up_.async_wait([self = shared_from_this()](const boost::system::error_code& error) {
    if (error || !self->start_done_) return;
    self->answer_start(fail(Fault::unavailable, fmt::format("no connection in time: {}", self->last_error_)));
    if (!self->keep_trying_) self->stop();
  });
  asio::co_spawn(strand_, run(),
                 asio::bind_cancellation_slot(cancel_.slot(), [self = shared_from_this()](std::exception_ptr failure) {
                   if (failure) std::rethrow_exception(failure);
                   self->finish_run();
                 }));
}

void ClientEngine::answer_start(Result<> result) {
  give_up_.cancel();
  if (const auto done = std::exchange(start_done_, {})) done(std::move(result));
}

void ClientEngine::attempt_failed(const Error& error) {
  last_error_ = error.message;
  if (!start_done_) return;
  if (error.fault != Fault::denied) return;
  answer_start(fail(error));
  if (!keep_trying_) stopping_ = true;
}

void ClientEngine::stop() {
  if (std::exchange(stopping_, true)) return;
  if (link_) return disconnect(link_);
  cancel_.emit(asio::cancellation_type::all);
  timer_.cancel();
}

void ClientEngine::disconnect(const LinkPtr& link) {
  link->draining = true;
  link->stream->set_deadline(farewell_within);
  link->writer.send(mqtt::Disconnect{});
  link->writer.finish();
}

void ClientEngine::close(std::function<void(bool)> ended) {
  {
    const std::lock_guard lock(mutex_);
    closed_ = true;
  }
  if (!running_) {
    collect();
    return ended(true);
  }
  on_ended_.push_back(std::move(ended));
  stop();
}

void ClientEngine::finish_run() {
  running_ = false;
  collect();
  queue_.abandon("the client is closed");
  for (auto& wanted : subscriptions_)
    for (const auto& done : std::exchange(wanted.waiting, {})) done(fail(Fault::unavailable, "the client is closed"));
  answer_start(fail(Fault::unavailable, fmt::format("the client was closed: {}", last_error_)));
  for (const auto& ended : std::exchange(on_ended_, {})) ended(true);
}

// One connection after the other.

awaitable<void> ClientEngine::run() {
  co_await asio::this_coro::throw_if_cancelled(false);
  while (!stopping_) {
    bool session_present = false;
    bool planned = false;
    auto link = co_await open(session_present);
    if (link) {
      const auto ended = co_await serve(*link, session_present);
      planned = (*link)->draining;
      if (!planned && !stopping_) log::info("mqtt client", "{}: connection lost: {}", options_.client_id, ended.error().message);
    } else {
      // Once for each reason: an outage of days must not fill the log.
      if (link.error().message != last_error_) log::info("mqtt client", "{}: {}", options_.client_id, link.error().message);
      attempt_failed(link.error());
    }
    if (!stopping_ && !planned) co_await pause();
  }
}

awaitable<void> ClientEngine::pause() {
  // Half of it at random: a fleet must not come back in one instant.
  const auto dice = static_cast<unsigned char>(secure_random(1)[0]);
  timer_.expires_after(back_off_ / 2 + back_off_ * dice / 512);
  back_off_ = std::min(back_off_ * 2, std::max(options_.max_back_off, options_.first_back_off));
  static_cast<void>(co_await timer_.async_wait(as_result));
}

awaitable<Result<mqtt::Connect>> ClientEngine::make_connect() {
  mqtt::Connect connect;
  connect.client_id = options_.client_id;
  connect.clean_session = options_.clean_session;
  connect.keep_alive_seconds = static_cast<std::uint16_t>(std::clamp<std::int64_t>(options_.keep_alive.count(), 0, 65535));
  if (!options_.user_name.empty()) connect.user_name = options_.user_name;
  if (options_.password) {
    CO_TRY_LET(connect.password, co_await options_.password());
    if (!connect.user_name) connect.user_name = "";  // [MQTT-3.1.2-22]
  }
  co_return connect;
}

awaitable<Result<ClientEngine::LinkPtr>> ClientEngine::open(bool& session_present) {
  CO_TRY_LET(const auto connect_packet, co_await make_connect());
  CO_TRY_LET(auto stream, co_await connect(options_.endpoint, options_.tls, options_.server_name));
  if (stopping_) co_return fail(Fault::unavailable, "the client is closed");
  auto link = std::make_shared<Link>(std::move(stream), max_packet_bytes);
  link->stream->set_deadline(answer_within);
  Bytes bytes;
  mqtt::encode(bytes, connect_packet);
  CO_TRY(co_await link->stream->write_all(bytes));
  std::optional<BytesView> frame;
  while (true) {
    CO_TRY_LET(frame, link->reader.next());
    if (frame) break;
    CO_TRY(co_await link->reader.fill());
  }
  CO_TRY_LET(const auto packet, mqtt::decode(*frame));
  const auto* connack = std::get_if<mqtt::Connack>(&packet);
  if (connack == nullptr) co_return fail(Fault::invalid_input, "the server's first packet is not CONNACK");
  if (connack->code == mqtt::ConnectCode::server_unavailable) co_return fail(Fault::unavailable, "the server is not available now");
  if (connack->code != mqtt::ConnectCode::accepted)
    co_return fail(Fault::denied, fmt::format("the server refused the connection (code {})", static_cast<int>(connack->code)));
  session_present = connack->session_present;
  co_return link;
}

awaitable<Result<>> ClientEngine::serve(LinkPtr link, bool session_present) {
  const auto self = shared_from_this();
  link_ = link;
  link->stream->set_deadline(std::nullopt);
  if (connects_++ > 0) ++reconnects_;
  link->writer_running = true;
  link->writer.on_progress = [this] { pump(); };
  asio::co_spawn(strand_, link->writer.run(), [self, link](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
    link->stream->close();
    link->writer_running = false;
    link->writer_ended.notify();
  });
  for (auto& wanted : subscriptions_)
    if (!session_present || !wanted.granted) send_subscribe(wanted);
  queue_.resend(link->writer);
  start_pulse(link);
  start_renewal(link);
  connected_ = true;
  if (on_state_) on_state_(true);
  answer_start({});
  pump();
  const auto ended = co_await read_all(link);
  connected_ = false;
  link_.reset();
  link->pulse.cancel();
  link->renewal.cancel();
  link->writer.close();
  while (link->writer_running) co_await link->writer_ended.wait_for_good();
  link->writer.on_progress = nullptr;
  if (link->productive) back_off_ = options_.first_back_off;
  if (on_state_) on_state_(false);
  co_return ended;
}

awaitable<Result<>> ClientEngine::read_all(LinkPtr link) {
  while (true) {
    CO_TRY_LET(const auto frame, link->reader.next());
    if (frame) {
      link->heard = link->productive = true;
      CO_TRY_LET(const auto packet, mqtt::decode(*frame));
      CO_TRY(handle(link, packet));
      continue;
    }
    // The pulse asks for an answer twice within this time.
    const bool watched = options_.keep_alive.count() > 0 && !stopping_ && !link->draining;
    if (watched) link->stream->set_deadline(options_.keep_alive + options_.keep_alive / 2);
    CO_TRY(co_await link->reader.fill());
  }
}

// Packets from the server.

Result<> ClientEngine::handle(const LinkPtr& link, const mqtt::Packet& packet) {
  if (const auto* publish = std::get_if<mqtt::Publish>(&packet)) {
    on_publish(link, *publish);
  } else if (const auto* puback = std::get_if<mqtt::Puback>(&packet)) {
    queue_.acknowledge(puback->packet_id);
    if (link->draining && !queue_.in_flight()) disconnect(link);
    pump();
  } else if (const auto* suback = std::get_if<mqtt::Suback>(&packet)) {
    on_suback(*suback);
  } else if (!std::holds_alternative<mqtt::Pingresp>(packet)) {
    return fail(Fault::invalid_input, "the server sent a packet that a server may not send now");
  }
  return {};
}

void ClientEngine::on_publish(const LinkPtr& link, const mqtt::Publish& publish) {
  if (publish.qos == mqtt::QoS::at_most_once) {
    if (on_message_) on_message_(publish, [] {});
    return;
  }
  const auto ticket = link->first_acknowledgement + link->acknowledgements.size();
  link->acknowledgements.push_back({publish.packet_id, false});
  auto done = [weak = weak_from_this(), weak_link = std::weak_ptr<Link>(link), strand = strand_, ticket] {
    asio::dispatch(strand, [weak, weak_link, ticket] {
      const auto self = weak.lock();
      const auto same = weak_link.lock();
      if (self && same) self->acknowledge_delivery(same, ticket);
    });
  };
  if (on_message_)
    on_message_(publish, std::move(done));
  else
    done();
}

void ClientEngine::acknowledge_delivery(const LinkPtr& link, std::uint64_t ticket) {
  if (link->writer.closed() || ticket < link->first_acknowledgement) return;
  auto& all = link->acknowledgements;
  all[ticket - link->first_acknowledgement].ready = true;
  while (!all.empty() && all.front().ready) {  // in the order of arrival [MQTT-4.6.0-2]
    link->writer.send(mqtt::Puback{all.front().id});
    all.pop_front();
    ++link->first_acknowledgement;
  }
}

// Subscriptions.

void ClientEngine::subscribe(std::string filter, mqtt::QoS qos, Done done) {
  if (closed_) return done(fail(Fault::unavailable, "the client is closed"));
  auto at = std::find_if(subscriptions_.begin(), subscriptions_.end(), [&](const auto& wanted) { return wanted.filter == filter; });
  if (at == subscriptions_.end()) at = subscriptions_.insert(at, Wanted{std::move(filter), qos, false, 0, {}});
  at->qos = qos;
  at->granted = false;
  at->waiting.push_back(std::move(done));
  if (link_) send_subscribe(*at);
}

void ClientEngine::send_subscribe(Wanted& wanted) {
  if (wanted.id != 0) queue_.return_id(wanted.id);
  wanted.id = queue_.take_id();
  mqtt::Subscribe subscribe;
  subscribe.packet_id = wanted.id;
  subscribe.subscriptions.push_back({wanted.filter, wanted.qos});
  link_->writer.send(subscribe);
}

void ClientEngine::on_suback(const mqtt::Suback& suback) {
  const auto at =
      std::find_if(subscriptions_.begin(), subscriptions_.end(), [&](const auto& wanted) { return wanted.id == suback.packet_id; });
  if (at == subscriptions_.end()) return;
  queue_.return_id(at->id);
  at->id = 0;
  const bool refused = suback.codes.front() == mqtt::subscription_refused;
  at->granted = !refused;
  const auto waiting = std::exchange(at->waiting, {});
  Result<> answer;
  if (refused) {
    answer = fail(Fault::denied, fmt::format("the server refused the subscription to '{}'", at->filter));
    if (waiting.empty()) log::warn("mqtt client", "{}: {}", options_.client_id, answer.error().message);
    if (!waiting.empty()) subscriptions_.erase(at);  // refused at the first asking: not wanted any more
  }
  for (const auto& done : waiting) done(answer);
}

// Timers of a connection.

void ClientEngine::start_pulse(LinkPtr link) {
  if (options_.keep_alive.count() <= 0) return;
  link->pulse.expires_after(std::chrono::duration_cast<std::chrono::milliseconds>(options_.keep_alive) / 2);
  link->pulse.async_wait([weak = weak_from_this(), link](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self || self->link_ != link) return;
    const auto oldest = self->queue_.oldest();
    if (oldest && std::chrono::steady_clock::now() - *oldest > self->options_.keep_alive) {
      // A server out of room withholds the acknowledgement; only a new connection may send the message again.
      log::info("mqtt client", "{}: a publish was not acknowledged in {} s", self->options_.client_id,
                self->options_.keep_alive.count());
      return link->writer.close();
    }
    if (!std::exchange(link->heard, false) || !oldest) link->writer.send(mqtt::Pingreq{});
    self->start_pulse(link);
  });
}

void ClientEngine::start_renewal(LinkPtr link) {
  if (options_.reconnect_before_expiry.count() <= 0) return;
  link->renewal.expires_after(options_.reconnect_before_expiry);
  link->renewal.async_wait([weak = weak_from_this(), link](const boost::system::error_code& error) {
    const auto self = weak.lock();
    if (error || !self || self->link_ != link || self->stopping_) return;
    // What is in flight is acknowledged first: sent again it would be there twice.
    link->draining = true;
    if (!self->queue_.in_flight()) return self->disconnect(link);
    link->stream->set_deadline(drain_within);
  });
}

}  // namespace nacelle::net
