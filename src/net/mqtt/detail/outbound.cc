#include "net/mqtt/detail/outbound.h"

#include <algorithm>

namespace nacelle::net {
namespace {

using mqtt::QoS;
using Delivery = Mailbox::Delivery;

/// Aliases of our own making: the first topics of a connection get them, and keep them.
constexpr std::uint16_t most_aliases = 64;
/// A topic too short to be worth one.
constexpr std::size_t least_aliased = 8;

}  // namespace

void Outbound::begin(mqtt::Version version, const ClientBounds& bounds, Session& session, MqttMessageStore* kept,
                     std::shared_ptr<Mailbox> mailbox) {
  version_ = version;
  bounds_ = bounds;
  bounds_.topic_alias_maximum = std::min(bounds.topic_alias_maximum, most_aliases);
  session_ = &session;
  kept_ = kept;
  mailbox_ = std::move(mailbox);
}

std::size_t Outbound::window() const { return std::min<std::size_t>(bounds_.receive_maximum, limits_.max_deliveries); }

void Outbound::resume() {
  for (const auto& sent : session_->unacknowledged()) to_resend_.push_back(sent.id);
  pump();
}

bool Outbound::expired(const Delivery& delivery) const {
  return delivery.message->expires_at && *delivery.message->expires_at <= clock_.now();
}

void Outbound::send(Delivery delivery) {
  const auto refuse = [&](Fault fault, const char* why) { delivery.answer(fail(fault, why)); };
  if (expired(delivery)) return refuse(Fault::timed_out, "the message has expired");
  if (!fits(delivery)) return refuse(Fault::invalid_input, "the message is larger than the client takes");
  if (writer_.waiting() + session_->bytes + delivery.bytes() > limits_.max_outbound_bytes)
    return refuse(Fault::exhausted, "the client's queue is full");
  if (delivery.qos == QoS::at_most_once) {
    write(delivery, 0, false);
    if (delivery.done) writer_.after_write(std::move(delivery.done));
    return;
  }
  auto& waiting = session_->waiting();
  const std::size_t held = session_->unacknowledged().size() + waiting.size();
  if (!delivery.for_subscription && held >= limits_.max_deliveries)
    return refuse(Fault::exhausted, "too many deliveries wait for the client's acknowledgement");
  if (delivery.for_subscription && waiting.size() >= limits_.max_waiting)
    return refuse(Fault::exhausted, "too many messages wait for the client");
  session_->bytes += delivery.bytes();
  if (waiting.empty() && to_resend_.empty() && in_flight() < window()) return send_now(std::move(delivery));
  waiting.push_back(std::move(delivery));
}

bool Outbound::fits(const Delivery& delivery) {
  if (bounds_.max_packet_bytes >= mqtt::max_packet_bytes) return true;
  mqtt::Publish publish;
  publish.topic = delivery.message->topic;
  publish.payload = delivery.message->payload;
  publish.qos = delivery.qos;
  publish.properties = properties_for(delivery);
  constexpr std::size_t alias_bytes = 4;  // the property, and a longer length before it
  return mqtt::encoded_size(publish, version_) + alias_bytes <= bounds_.max_packet_bytes;
}

void Outbound::send_now(Delivery delivery) { transmit(session_->remember(std::move(delivery)), false); }

Session::Unacknowledged* Outbound::find_kept(mqtt::PacketId id, std::uint64_t kept_id) {
  auto* sent = session_->find(id);
  return sent != nullptr && sent->delivery.kept_id == kept_id ? sent : nullptr;
}

/// A kept QoS 2 message leaves once its identifier is on disk: sent again after a crash, it has the same one, and the client
/// knows that it has it (section 4.3.3).
void Outbound::transmit(Session::Unacknowledged& sent, bool duplicate) {
  const std::uint64_t kept_id = sent.delivery.kept_id;
  if (sent.delivery.qos != QoS::exactly_once || kept_ == nullptr || kept_id == 0 || sent.id_kept)
    return write(sent.delivery, sent.id, duplicate);
  auto go_on = [this, id = sent.id, kept_id, duplicate] {
    auto* waiting = find_kept(id, kept_id);
    if (waiting == nullptr || waiting->id_kept) return;
    waiting->id_kept = true;
    write(waiting->delivery, id, duplicate);
  };
  kept_->sent(kept_id, sent.id, [mailbox = mailbox_, go_on](const Result<>& kept) {
    if (kept) mailbox->call(go_on);  // else it is sent on the next connection
  });
}

/// PUBREL, once it is on disk that PUBREC has come: the message is not sent again from then on.
void Outbound::release(Session::Unacknowledged& sent) {
  const std::uint64_t kept_id = sent.delivery.kept_id;
  if (kept_ == nullptr || kept_id == 0 || sent.received_kept) return writer_.send(mqtt::Pubrel{sent.id});
  auto go_on = [this, id = sent.id, kept_id] {
    auto* waiting = find_kept(id, kept_id);
    if (waiting == nullptr || waiting->received_kept) return;
    waiting->received_kept = true;
    writer_.send(mqtt::Pubrel{id});
  };
  kept_->received(kept_id, [mailbox = mailbox_, go_on](const Result<>& kept) {
    if (kept) mailbox->call(go_on);
  });
}

void Outbound::pump() {
  auto& waiting = session_->waiting();
  while (in_flight() < window()) {
    if (!to_resend_.empty()) {
      auto* sent = session_->find(to_resend_.front());
      to_resend_.pop_front();
      if (sent != nullptr) resend(*sent);
    } else if (!waiting.empty()) {
      Delivery next = std::move(waiting.front());
      waiting.pop_front();
      if (!expired(next) && fits(next)) {
        send_now(std::move(next));
        continue;
      }
      session_->bytes -= next.bytes();
      next.answer(fail(Fault::timed_out, "the message has expired, or the client now takes only smaller ones"));
    } else {
      return;
    }
  }
}

void Outbound::resend(Session::Unacknowledged& sent) {
  if (sent.received)
    release(sent);
  else
    transmit(sent, true);
}

bool Outbound::acknowledged(mqtt::PacketId id, mqtt::Reason reason) {
  const auto* sent = session_->find(id);
  if (sent == nullptr || sent->delivery.qos != QoS::at_least_once) return false;
  const Delivery delivery = session_->settle(id);
  delivery.answer(mqtt::is_error(reason) ? Result<>(fail(Fault::denied, std::string(mqtt::reason_name(reason)))) : Result<>{});
  pump();
  return true;
}

void Outbound::received(mqtt::PacketId id, mqtt::Reason reason) {
  auto* sent = session_->find(id);
  if (sent == nullptr || sent->delivery.qos != QoS::exactly_once) {
    // PUBREL of something long settled, so that the client can settle it too (section 3.6.2.1).
    writer_.send(mqtt::Pubrel{id, mqtt::Reason::packet_identifier_not_found, {}});
    return;
  }
  if (mqtt::is_error(reason)) {  // section 4.3.3: the client has not taken it, and nothing more is sent
    session_->settle(id).answer(fail(Fault::denied, std::string(mqtt::reason_name(reason))));
    return pump();
  }
  sent->received = true;
  release(*sent);
}

bool Outbound::completed(mqtt::PacketId id) {
  const auto* sent = session_->find(id);
  if (sent == nullptr || !sent->received) return false;
  session_->settle(id).answer({});
  pump();
  return true;
}

// Packets.

mqtt::PropertiesPtr Outbound::properties_for(const Delivery& delivery) const {
  const MqttMessage& message = *delivery.message;
  if (version_ != mqtt::Version::v5) return {};
  if (!message.expires_at && delivery.subscription_ids.empty()) return message.properties;
  auto own = std::make_shared<mqtt::Properties>();
  if (message.properties) *own = *message.properties;
  own->subscription_ids = delivery.subscription_ids;
  if (message.expires_at) {  // what is left of it (section 3.3.2.3.3)
    const auto left = std::chrono::ceil<std::chrono::seconds>(*message.expires_at - clock_.now()).count();
    own->message_expiry = static_cast<std::uint32_t>(std::clamp<std::int64_t>(left, 0, 0xffffffff));
  }
  return own;
}

void Outbound::apply_alias(mqtt::Publish& publish) {
  if (bounds_.topic_alias_maximum == 0 || publish.topic.size() < least_aliased) return;
  auto at = aliases_.find(std::string(publish.topic));
  const bool known = at != aliases_.end();
  if (!known) {
    if (aliases_.size() >= bounds_.topic_alias_maximum) return;
    at = aliases_.emplace(publish.topic, static_cast<std::uint16_t>(aliases_.size() + 1)).first;
  }
  auto own = std::make_shared<mqtt::Properties>();
  if (publish.properties) *own = *publish.properties;
  own->topic_alias = at->second;
  publish.properties = std::move(own);
  if (known) publish.topic = {};
}

void Outbound::write(const Delivery& delivery, mqtt::PacketId id, bool duplicate) {
  mqtt::Publish publish;
  publish.topic = delivery.message->topic;
  publish.payload = delivery.message->payload;
  publish.qos = delivery.qos;
  publish.retain = delivery.retain;
  publish.duplicate = duplicate;
  publish.packet_id = id;
  publish.properties = properties_for(delivery);
  apply_alias(publish);
  writer_.send(publish);
}

}  // namespace nacelle::net
