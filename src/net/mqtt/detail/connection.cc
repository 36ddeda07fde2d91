#include "net/mqtt/detail/connection.h"

#include <fmt/format.h>
#include <algorithm>

#include "foundation/log.h"
#include "foundation/random.h"

namespace nacelle::net {
namespace {

using mqtt::ConnectCode;
using mqtt::Reason;

constexpr std::uint8_t mqtt_3_1_1 = 4;
/// Answers to a client that does not read them: it is not read either until they are gone.
constexpr std::size_t max_unread_answers = 1024 * 1024;
/// A connection closed with unread bytes is reset, and the farewell lost with it: so they are read, within bounds.
constexpr auto linger_for = std::chrono::seconds{2};
constexpr std::size_t linger_bytes = 1024 * 1024;
/// Clients that take less than this get reasons without their text.
constexpr std::uint32_t room_for_reasons = 1024;

Reason reason_of(ConnectCode code) {
  switch (code) {
    case ConnectCode::accepted: return Reason::success;
    case ConnectCode::unacceptable_protocol: return Reason::unsupported_protocol_version;
    case ConnectCode::identifier_rejected: return Reason::client_identifier_not_valid;
    case ConnectCode::server_unavailable: return Reason::server_unavailable;
    case ConnectCode::bad_user_name: return Reason::bad_user_name_or_password;
    case ConnectCode::not_authorized: break;
  }
  return Reason::not_authorized;
}

/// Whether these bytes, which are no good CONNECT, were meant as one of MQTT 5: then a CONNACK can say what is wrong.
bool meant_as_mqtt_5(BytesView frame) {
  const auto at = frame.find(BytesView("\0\4MQTT\5", 7));
  return !frame.empty() && static_cast<unsigned char>(frame[0]) == 0x10 && at != BytesView::npos && at <= 5;
}

class Former final : public MqttConnection {
 public:
  Former(std::string client_id, std::string user_name, std::string peer)
      : client_id_(std::move(client_id)), user_name_(std::move(user_name)), peer_(std::move(peer)) {}
  const std::string& client_id() const override { return client_id_; }
  const std::string& user_name() const override { return user_name_; }
  std::string peer_address() const override { return peer_; }
  std::optional<Timestamp> kept_since() const override { return std::nullopt; }
  void close(std::string) override {}

 private:
  const std::string client_id_;
  const std::string user_name_;
  const std::string peer_;
};

}  // namespace

MqttConnectionPtr former_connection(std::string client_id, std::string user_name, std::string peer, std::shared_ptr<void> context) {
  const auto former = std::make_shared<Former>(std::move(client_id), std::move(user_name), std::move(peer));
  former->context = std::move(context);
  return former;
}

Connection::Connection(ConnectionHost& host, StreamPtr stream)
    : host_(host),
      stream_(std::move(stream)),
      peer_(stream_->peer_address()),
      reader_(*stream_, host.limits().max_packet_bytes),
      writer_(*stream_),
      outbound_(writer_, host.limits(), host.clock()) {
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

void Connection::begin_close(std::string_view reason, Reason code) {
  if (closing_.exchange(true)) return;
  if (reason.starts_with(peer_)) reason.remove_prefix(std::min(reason.size(), peer_.size() + 2));  // "peer: what went wrong"
  if (!reason.empty()) log::info("mqtt", "{} {}: closing: {}", peer_, client_id(), reason);
  const bool farewell = v5() && live_ && code != Reason::success;
  live_ = false;
  if (farewell) writer_.send(mqtt::Disconnect{code, lingering_ ? because(reason) : nullptr});
  if (farewell && lingering_) {
    stream_->set_deadline(linger_for);
    writer_.finish();
  } else {
    writer_.close();
  }
  room_.notify();
}

/// The client broke a rule: it is told which (MQTT 5), and the connection ends (MQTT 5.0 section 4.13). Called by the reader.
void Connection::end_for(const Error& error) {
  lingering_ = v5() && live_;
  begin_close(error.message, violation_);
}

/// On the reader's coroutine, once everything is written.
awaitable<void> Connection::linger() {
  co_await stream_->end_writing();
  Bytes unread(16 * 1024, '\0');
  for (std::size_t read = 0; read < linger_bytes;) {
    const auto more = co_await stream_->read_some(unread.data(), unread.size());
    if (!more) break;
    read += *more;
  }
  stream_->close();
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
  auto packet = mqtt::decode(*frame, mqtt::Version::v3_1_1, &violation_);
  if (!packet) {
    if (meant_as_mqtt_5(*frame)) version_ = mqtt::Version::v5;
    co_return fail(std::move(packet).error());
  }
  auto* connect = std::get_if<mqtt::Connect>(&*packet);
  if (connect == nullptr) co_return fail(Fault::invalid_input, "the first packet is not CONNECT");  // [MQTT-3.1.0-1]
  co_return std::move(*connect);
}

awaitable<void> Connection::refuse(Refusal refusal) {
  log::info("mqtt", "{} {}: refused ({}): {}", peer_, client_id(), mqtt::reason_name(refusal.reason), refusal.why);
  mqtt::Connack connack{false, refusal.code, refusal.reason, {}};
  Bytes bytes;
  mqtt::encode(bytes, connack, version_);
  const auto sent = co_await stream_->write_all(bytes);
  if (sent && v5()) {
    stream_->set_deadline(linger_for);
    co_await linger();
  }
  abort();
}

awaitable<void> Connection::refuse_for_room() {
  Refusal refusal{ConnectCode::server_unavailable, Reason::quota_exceeded, "more sessions are kept than there is room for"};
  co_await refuse(std::move(refusal));
}

/// What is wrong with a well-formed CONNECT, whoever sent it.
std::optional<Connection::Refusal> Connection::examine() {
  if (connect_.protocol_level != mqtt_3_1_1 && !connect_.v5())
    return Refusal{ConnectCode::unacceptable_protocol, Reason::unsupported_protocol_version,
                   fmt::format("protocol level {}; MQTT 3.1.1 (4) and 5.0 (5) are spoken", connect_.protocol_level)};
  if (connect_.client_id.empty() && !connect_.clean_session && !v5())  // [MQTT-3.1.3-8]
    return Refusal{ConnectCode::identifier_rejected, Reason::client_identifier_not_valid, "a kept session needs a client id"};
  const auto* properties = connect_.properties.get();
  if (properties != nullptr && properties->authentication_method)
    return Refusal{ConnectCode::not_authorized, Reason::bad_authentication_method, "no authentication method is offered"};
  return std::nullopt;
}

awaitable<bool> Connection::accept() {
  auto connect = co_await read_connect();
  if (!connect) {
    if (v5()) {
      Refusal malformed{ConnectCode::not_authorized, violation_, connect.error().message};
      co_await refuse(std::move(malformed));
      co_return false;
    }
    if (!closing_) log::info("mqtt", "no CONNECT: {}", connect.error().message);
    abort();
    co_return false;
  }
  connect_ = std::move(*connect);
  if (connect_.v5()) version_ = mqtt::Version::v5;
  user_name_ = connect_.user_name.value_or("");
  std::optional<Refusal> refusal = examine();
  if (refusal) {
    co_await refuse(std::move(*refusal));
    co_return false;
  }
  const bool id_assigned = connect_.client_id.empty();
  if (id_assigned) connect_.client_id = "auto-" + random_uuid();
  const Bytes certificate = stream_->peer_certificates_der();
  const MqttAccept verdict = co_await host_.policy().accept(connect_, certificate, peer_);
  connect_.password.reset();  // not needed any more, so not kept
  if (verdict.code != ConnectCode::accepted) {
    refusal = Refusal{verdict.code, reason_of(verdict.code), verdict.reason};
  } else if (connect_.will && connect_.will->qos > verdict.max_qos && v5()) {  // section 3.2.2.3.4
    refusal = Refusal{ConnectCode::not_authorized, Reason::qos_not_supported, "the QoS of its will is not offered"};
  }
  if (refusal) {
    co_await refuse(std::move(*refusal));
    co_return false;
  }
  settle_terms(verdict, id_assigned);
  co_return true;
}

/// What both sides keep to from now on.
void Connection::settle_terms(const MqttAccept& verdict, bool id_assigned) {
  const auto& limits = host_.limits();
  expires_at_ = verdict.expires_at;
  context = verdict.context;
  max_qos_ = verdict.max_qos;
  const std::chrono::seconds wanted{connect_.keep_alive_seconds};
  keep_alive_ = wanted.count() == 0 ? limits.max_keep_alive : std::min(limits.max_keep_alive, wanted + wanted / 2);
  session_expiry_ = connect_.clean_session ? 0 : mqtt::never_expires;
  if (v5()) {
    static const mqtt::Properties nothing;
    const mqtt::Properties& asked = connect_.properties ? *connect_.properties : nothing;
    session_expiry_ = asked.session_expiry.value_or(0);
    bounds_.receive_maximum = asked.receive_maximum.value_or(65'535);
    bounds_.max_packet_bytes = asked.maximum_packet_size.value_or(bounds_.max_packet_bytes);
    bounds_.topic_alias_maximum = asked.topic_alias_maximum.value_or(0);
    tells_reasons_ = asked.request_problem_information.value_or(1) == 1 && bounds_.max_packet_bytes >= room_for_reasons;
    mqtt::Properties terms;
    if (id_assigned) terms.assigned_client_id = client_id();
    const auto longest = limits.max_keep_alive.count() * 2 / 3;  // section 3.1.2.10: half of it is grace
    if (wanted.count() == 0 || wanted.count() > longest)
      terms.server_keep_alive = static_cast<std::uint16_t>(std::min<std::int64_t>(longest, 65'535));
    terms.receive_maximum = limits.receive_maximum;
    terms.topic_alias_maximum = limits.topic_alias_maximum;
    terms.maximum_packet_size = static_cast<std::uint32_t>(limits.max_packet_bytes);
    if (max_qos_ != mqtt::QoS::exactly_once) terms.maximum_qos = static_cast<std::uint8_t>(max_qos_);
    terms_ = std::make_shared<const mqtt::Properties>(std::move(terms));
    mailbox_->tell_refusals();
  }
  writer_.set_version(version_);
  if (!verdict.session.empty()) connect_.client_id = verdict.session;
  connect_.properties.reset();
}

// The life of an accepted connection.

awaitable<void> Connection::serve(std::shared_ptr<Session> session, bool session_present) {
  const auto self = shared_from_this();
  session_ = std::move(session);
  session_->set_expiry(session_expiry_);
  outbound_.begin(version_, bounds_, *session_, session_->persistent() ? host_.messages() : nullptr, mailbox_);
  writer_running_ = true;
  asio::co_spawn(stream_->executor(), writer_.run(), [self](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
    self->writer_running_ = false;
    self->writer_ended_.notify();
    self->begin_close("the connection broke while writing", Reason::success);
  });
  writer_.send(mqtt::Connack{session_present, ConnectCode::accepted, Reason::success, terms_});
  live_ = !closing_;
  outbound_.resume();
  host_.policy().connected(self);
  co_await read_all();
  begin_close({}, Reason::success);
  while (writer_running_) co_await writer_ended_.wait_for_good();
  if (lingering_) co_await linger();
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
  if (!go_on) begin_close("the server ends", Reason::server_shutting_down);
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
      violation_ = frame.error().fault == Fault::exhausted ? Reason::packet_too_large : Reason::malformed_packet;
      end_for(frame.error());
    } else if (*frame) {
      moved = true;
      const auto handled = handle(**frame);
      if (!handled) end_for(handled.error());
    } else {
      settle();
      if (moved) set_deadline();
      moved = false;
      const auto filled = co_await reader_.fill();
      if (filled) continue;
      const auto cancellation = co_await asio::this_coro::cancellation_state;
      if (cancellation.cancelled() != asio::cancellation_type::none) {
        discard_will();
        begin_close("the server ends", Reason::server_shutting_down);
        continue;
      }
      if (filled.error().fault == Fault::timed_out)
        begin_close(deadline_reason(), credentials_expired() ? Reason::maximum_connect_time : Reason::keep_alive_timeout);
      else
        begin_close(filled.error().message, Reason::success);
    }
  }
  settle();  // what came before the end counts
}

void Connection::set_deadline() {
  std::chrono::steady_clock::duration wait = keep_alive_;
  if (expires_at_) wait = std::min<std::chrono::steady_clock::duration>(wait, *expires_at_ - host_.clock().now());
  stream_->set_deadline(wait);
}

bool Connection::credentials_expired() const { return expires_at_ && *expires_at_ <= host_.clock().now(); }

std::string Connection::deadline_reason() const {
  if (credentials_expired()) return "its credentials have expired";
  return fmt::format("nothing was received for {} s, one and a half times the keep-alive", keep_alive_.count());
}

void Connection::publish_will() {
  if (clean_ || will_discarded_ || !connect_.will) return;
  const auto& will = *connect_.will;
  const auto* properties = will.properties.get();
  // The session's end publishes it too, whichever is first (MQTT 5.0 section 3.1.2.5).
  const std::uint32_t asked = properties != nullptr ? properties->will_delay.value_or(0) : 0;
  const std::uint32_t delay = std::min(asked, session_->expiry_seconds());
  if (delay > 0) {
    const auto former = former_connection(client_id(), user_name_, peer_, context);
    return host_.hold_will(client_id(), {will, former}, std::chrono::seconds{delay});
  }
  publish_will_of(host_.policy(), will, shared_from_this());
}

void publish_will_of(MqttPolicy& policy, const mqtt::Will& will, const MqttConnectionPtr& from,
                     std::function<void(const Result<>&)> published) {
  mqtt::Publish publish;
  publish.topic = will.topic;
  publish.payload = will.payload;
  publish.qos = will.qos;
  publish.retain = will.retain;
  publish.properties = will.properties;
  policy.will(from, publish,
              [peer = from->peer_address(), id = from->client_id(), published = std::move(published)](const Result<>& result) {
                if (!result) log::warn("mqtt", "{} {}: its will was not published: {}", peer, id, result.error().message);
                if (published) published(result);
              });
}

}  // namespace nacelle::net
