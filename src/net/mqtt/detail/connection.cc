#include "net/mqtt/detail/connection.h"

#include <fmt/format.h>
#include <algorithm>

#include "foundation/log.h"
#include "foundation/random.h"

namespace nacelle::net {
namespace {

constexpr std::uint8_t mqtt_3_1_1 = 4;
/// Answers to a client that does not read them: it is not read either until they are gone.
constexpr std::size_t max_unread_answers = 1024 * 1024;
/// Of one client; modules with every feature need six.
constexpr std::size_t max_subscriptions = 1000;
/// What a publish takes on its way beside topic and payload, about: envelope, record header, bookkeeping.
constexpr std::size_t publish_overhead = 300;

}  // namespace

Connection::Connection(ConnectionHost& host, StreamPtr stream)
    : host_(host),
      stream_(std::move(stream)),
      peer_(stream_->peer_address()),
      reader_(*stream_, host.limits().max_packet_bytes),
      writer_(*stream_) {
  writer_.on_progress = [this] { room_.notify(); };
}

void Connection::start() {
  auto collect = [weak = weak_from_this()] {
    if (const auto self = weak.lock()) self->collect();
  };
  mailbox_ = std::make_shared<Mailbox>(stream_->executor(), host_.limits().max_outbound_bytes, std::move(collect));
}

void Connection::abort() {
  closing_ = true;
  mailbox_->shut();
  stream_->close();
}

void Connection::begin_close(std::string_view reason) {
  if (closing_.exchange(true)) return;
  if (reason.starts_with(peer_)) reason.remove_prefix(std::min(reason.size(), peer_.size() + 2));  // "peer: what went wrong"
  if (!reason.empty()) log::info("mqtt", "{} {}: closing: {}", peer_, client_id(), reason);
  live_ = false;
  writer_.close();
  room_.notify();
}

// From CONNECT to CONNACK.

awaitable<Result<mqtt::Connect>> Connection::read_connect() {
  stream_->set_deadline(host_.limits().connect_within);
  std::optional<BytesView> frame;
  while (true) {
    CO_TRY_LET(frame, reader_.next());
    if (frame) break;
    CO_TRY(co_await reader_.fill());
  }
  CO_TRY_LET(auto packet, mqtt::decode(*frame));
  auto* connect = std::get_if<mqtt::Connect>(&packet);
  if (connect == nullptr) co_return fail(Fault::invalid_input, "the first packet is not CONNECT");  // [MQTT-3.1.0-1]
  co_return std::move(*connect);
}

awaitable<void> Connection::refuse(mqtt::ConnectCode code) {
  Bytes bytes;
  mqtt::encode(bytes, mqtt::Connack{false, code});
  static_cast<void>(co_await stream_->write_all(bytes));
  abort();
}

awaitable<bool> Connection::accept() {
  auto connect = co_await read_connect();
  if (!connect) {
    if (!closing_) log::info("mqtt", "no CONNECT: {}", connect.error().message);
    abort();
    co_return false;
  }
  connect_ = std::move(*connect);
  user_name_ = connect_.user_name.value_or("");
  if (connect_.protocol_level != mqtt_3_1_1) {
    log::info("mqtt", "{}: refused: protocol level {}, only MQTT 3.1.1 (4) is spoken", peer_, connect_.protocol_level);
    co_await refuse(mqtt::ConnectCode::unacceptable_protocol);
    co_return false;
  }
  if (connect_.client_id.empty() && !connect_.clean_session) {  // [MQTT-3.1.3-8]
    log::info("mqtt", "{}: refused: a kept session needs a client id", peer_);
    co_await refuse(mqtt::ConnectCode::identifier_rejected);
    co_return false;
  }
  if (connect_.client_id.empty()) connect_.client_id = "auto-" + random_uuid();
  const Bytes certificate = stream_->peer_certificate_der();
  const MqttAccept verdict = co_await host_.policy().accept(connect_, certificate, peer_);
  connect_.password.reset();  // not needed any more, so not kept
  if (verdict.code != mqtt::ConnectCode::accepted) {
    log::info("mqtt", "{} {}: refused ({}): {}", peer_, client_id(), static_cast<int>(verdict.code), verdict.reason);
    co_await refuse(verdict.code);
    co_return false;
  }
  expires_at_ = verdict.expires_at;
  context = verdict.context;
  if (!verdict.session.empty()) connect_.client_id = verdict.session;
  const auto most = host_.limits().max_keep_alive;
  const std::chrono::seconds wanted{connect_.keep_alive_seconds};
  keep_alive_ = wanted.count() == 0 ? most : std::min(most, wanted + wanted / 2);  // section 3.1.2.10
  co_return true;
}

// The life of an accepted connection.

awaitable<void> Connection::serve(std::shared_ptr<Session> session, bool session_present) {
  const auto self = shared_from_this();
  session_ = std::move(session);
  writer_running_ = true;
  asio::co_spawn(stream_->executor(), writer_.run(), [self](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
    self->writer_running_ = false;
    self->writer_ended_.notify();
    self->begin_close("the connection broke while writing");
  });
  writer_.send(mqtt::Connack{session_present, mqtt::ConnectCode::accepted});
  resend_unacknowledged();
  live_ = !closing_;
  host_.policy().connected(self);
  co_await read_all();
  begin_close({});
  while (writer_running_) co_await writer_ended_.wait_for_good();
  publish_will();
  answer_leftovers();
  host_.policy().disconnected(self, clean_);
}

bool Connection::has_room() const {
  const auto& limits = host_.limits();
  return in_flight_.size() < limits.max_in_flight && in_flight_bytes_ < limits.max_in_flight_bytes &&
         writer_.waiting() < max_unread_answers && host_.budget().has_room();
}

awaitable<void> Connection::wait_for_room() {
  settle();  // what is gathered must get its answer, or there will never be room
  if (!host_.budget().has_room()) host_.budget().wait(mailbox_);
  stream_->set_deadline(std::nullopt);  // the client is not silent: it is we who do not listen
  const bool go_on = co_await room_.wait();
  if (!go_on) begin_close("the server ends");
}

/// The policy answers what it has gathered.
void Connection::settle() {
  const std::size_t count = std::exchange(gathered_, 0);
  if (count == 0) return;
  host_.policy().settle(shared_from_this(), mailbox_->promise(first_ticket_ + in_flight_.size() - count, count));
}

awaitable<void> Connection::read_all() {
  bool moved = true;  // a whole packet came: only that counts as a sign of life
  while (!closing_) {
    if (!has_room()) {
      co_await wait_for_room();
      moved = true;
      continue;
    }
    const auto frame = reader_.next();
    if (!frame) {
      begin_close(frame.error().message);
    } else if (*frame) {
      moved = true;
      const auto handled = handle(**frame);
      if (!handled) begin_close(handled.error().message);
    } else {
      settle();
      if (moved) set_deadline();
      moved = false;
      const auto filled = co_await reader_.fill();
      if (!filled) begin_close(filled.error().fault == Fault::timed_out ? deadline_reason() : filled.error().message);
    }
  }
  settle();  // what came before the end counts
}

void Connection::set_deadline() {
  std::chrono::steady_clock::duration wait = keep_alive_;
  if (expires_at_) wait = std::min<std::chrono::steady_clock::duration>(wait, *expires_at_ - host_.clock().now());
  stream_->set_deadline(wait);
}

std::string Connection::deadline_reason() const {
  if (expires_at_ && *expires_at_ <= host_.clock().now()) return "its credentials have expired";
  return fmt::format("nothing was received for {} s, one and a half times the keep-alive", keep_alive_.count());
}

void Connection::publish_will() {
  if (clean_ || will_discarded_ || !connect_.will) return;
  const auto& will = *connect_.will;
  mqtt::Publish publish;
  publish.topic = will.topic;
  publish.payload = will.payload;
  publish.qos = will.qos;
  publish.retain = will.retain;
  host_.policy().will(shared_from_this(), publish, [peer = peer_, id = client_id()](const Result<>& published) {
    if (!published) log::warn("mqtt", "{} {}: its will was not published: {}", peer, id, published.error().message);
  });
}

void Connection::answer_leftovers() {
  Mailbox::Mail last = mailbox_->shut();
  host_.budget().give(std::exchange(in_flight_bytes_, 0));
  for (auto& delivery : last.deliveries) delivery.done(fail(Fault::unavailable, "the client has left"));
}

// Packets from the client.

Result<> Connection::handle(BytesView frame) {
  TRY_LET(const auto packet, mqtt::decode(frame));
  return std::visit([this](const auto& each) { return on(each); }, packet);
}

Result<> Connection::on(const mqtt::Publish& packet) {
  if (packet.qos == mqtt::QoS::exactly_once) return fail(Fault::invalid_input, "PUBLISH with QoS 2, which is not offered");
  const auto self = shared_from_this();
  const bool gathered = host_.policy().gather(self, packet);
  if (!gathered) settle();
  const auto bytes = static_cast<std::uint32_t>(packet.topic.size() + packet.payload.size() + publish_overhead);
  const auto ticket = first_ticket_ + in_flight_.size();
  in_flight_.push_back({packet.packet_id, packet.qos, Mailbox::Answer::pending, bytes});
  in_flight_bytes_ += bytes;
  host_.budget().take(bytes);
  if (gathered)
    ++gathered_;
  else
    host_.policy().publish(self, packet, mailbox_->promise(ticket));
  return {};
}

Result<> Connection::on(const mqtt::Puback& packet) {
  const auto done = session_->acknowledge(packet.packet_id);
  if (done) done({});
  return {};
}

Result<> Connection::on(const mqtt::Subscribe& packet) {
  auto subscriptions = session_->subscriptions();
  mqtt::Suback suback{packet.packet_id, {}};
  const auto self = shared_from_this();
  for (const auto& wanted : packet.subscriptions) {
    const auto granted = host_.policy().subscribe(self, wanted);
    if (subscriptions.size() >= max_subscriptions) {
      suback.codes.push_back(mqtt::subscription_refused);
      continue;
    }
    suback.codes.push_back(granted ? static_cast<std::uint8_t>(*granted) : mqtt::subscription_refused);
    if (!granted) continue;
    std::erase_if(subscriptions, [&](const auto& old) { return old.filter == wanted.filter; });
    subscriptions.push_back({wanted.filter, *granted});
  }
  if (save_subscriptions) {
    const auto saved = save_subscriptions(subscriptions);
    if (!saved) {
      log::error("mqtt", "{}: subscriptions refused: {}", client_id(), saved.error().message);
      suback.codes.assign(suback.codes.size(), mqtt::subscription_refused);
    }
  }
  const bool any =
      std::any_of(suback.codes.begin(), suback.codes.end(), [](auto code) { return code != mqtt::subscription_refused; });
  if (any) session_->replace_subscriptions(std::move(subscriptions));
  writer_.send(suback);
  for (std::size_t i = 0; i < suback.codes.size(); ++i)
    if (suback.codes[i] != mqtt::subscription_refused) host_.policy().subscribed(self, packet.subscriptions[i].filter);
  return {};
}

Result<> Connection::on(const mqtt::Unsubscribe& packet) {
  auto subscriptions = session_->subscriptions();
  std::erase_if(subscriptions, [&](const auto& old) {
    return std::find(packet.filters.begin(), packet.filters.end(), old.filter) != packet.filters.end();
  });
  if (save_subscriptions) TRY(save_subscriptions(subscriptions));
  session_->replace_subscriptions(std::move(subscriptions));
  writer_.send(mqtt::Unsuback{packet.packet_id});
  return {};
}

Result<> Connection::on(const mqtt::Pingreq&) {
  writer_.send(mqtt::Pingresp{});
  return {};
}

Result<> Connection::on(const mqtt::Disconnect&) {
  clean_ = true;
  begin_close({});
  return {};
}

template <class Other>
Result<> Connection::on(const Other&) {
  return fail(Fault::invalid_input, "a packet that a client may not send now");  // a second CONNECT too: [MQTT-3.1.0-2]
}

// Mail from other threads.

void Connection::collect() {
  mailbox_->take(mail_);
  for (const auto& completion : mail_.completions)
    for (std::size_t i = 0; i < completion.count; ++i) in_flight_[completion.ticket - first_ticket_ + i].answer = completion.answer;
  answer_in_order();
  for (auto& delivery : mail_.deliveries) send(std::move(delivery));
  if (mail_.close) begin_close(*mail_.close);
}

void Connection::answer_in_order() {
  // A QoS 1 publish is acknowledged only after all before it (section 4.6), so one that waits holds back the others.
  ByteCount answered = 0;
  while (!in_flight_.empty() && in_flight_.front().answer != Mailbox::Answer::pending) {
    const InFlight& first = in_flight_.front();
    if (first.answer == Mailbox::Answer::acknowledge && first.qos == mqtt::QoS::at_least_once && !closing_)
      writer_.send(mqtt::Puback{first.id});
    answered += first.bytes;
    in_flight_.pop_front();
    ++first_ticket_;
  }
  in_flight_bytes_ -= answered;
  if (answered > 0) host_.budget().give(answered);
  room_.notify();
}

void Connection::send(Mailbox::Delivery delivery) {
  const auto refuse = [&](Fault fault, const char* why) { delivery.done(fail(fault, why)); };
  if (!live_) return refuse(Fault::unavailable, "the client is not connected");
  const auto granted = session_->granted(delivery.topic);
  if (!granted) return refuse(Fault::unavailable, "the client has no subscription for it");
  const auto& limits = host_.limits();
  const auto size = delivery.topic.size() + delivery.payload.size();
  if (writer_.waiting() + session_->unacknowledged_bytes() + size > limits.max_outbound_bytes)
    return refuse(Fault::exhausted, "the client's queue is full");
  mqtt::Publish publish;
  publish.topic = delivery.topic;
  publish.payload = delivery.payload;
  if (std::min(*granted, delivery.qos) == mqtt::QoS::at_most_once) {
    writer_.send(publish);
    writer_.after_write(std::move(delivery.done));
    return;
  }
  if (session_->unacknowledged().size() >= limits.max_deliveries)
    return refuse(Fault::exhausted, "too many deliveries wait for the client's acknowledgement");
  const auto& sent = session_->remember(std::move(delivery.topic), std::move(delivery.payload), std::move(delivery.done));
  publish.topic = sent.topic;
  publish.payload = sent.payload;
  publish.qos = mqtt::QoS::at_least_once;
  publish.packet_id = sent.id;
  writer_.send(publish);
}

void Connection::resend_unacknowledged() {
  for (const auto& sent : session_->unacknowledged()) {
    mqtt::Publish publish;
    publish.topic = sent.topic;
    publish.payload = sent.payload;
    publish.qos = mqtt::QoS::at_least_once;
    publish.packet_id = sent.id;
    publish.duplicate = true;
    writer_.send(publish);
  }
}

}  // namespace nacelle::net
