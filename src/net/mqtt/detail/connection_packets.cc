// Packets from the client.

#include <algorithm>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "net/mqtt/detail/broker.h"
#include "net/mqtt/detail/connection.h"

namespace nacelle::net {
namespace {

using mqtt::Reason;

/// Of one client; modules with every feature need six.
constexpr std::size_t max_subscriptions = 1000;
/// What a publish takes on its way beside topic and payload, about: envelope, record header, bookkeeping.
constexpr std::size_t publish_overhead = 300;

constexpr std::uint8_t code_of(Reason reason) { return static_cast<std::uint8_t>(reason); }

}  // namespace

Failure Connection::violation(Reason reason, std::string why) {
  violation_ = reason;
  return fail(Fault::invalid_input, std::move(why));
}

Result<> Connection::handle(BytesView frame) {
  TRY_LET(const auto packet, mqtt::decode(frame, version_, &violation_));
  return std::visit([this](const auto& each) { return on(each); }, packet);
}

// Publishes.

Result<> Connection::on(const mqtt::Publish& packet) {
  if (packet.qos > max_qos_) return violation(Reason::qos_not_supported, "PUBLISH with a QoS that is not offered");
  if (!v5() && packet.qos != mqtt::QoS::exactly_once) {
    hand_over(packet);
    return {};
  }
  TRY_LET(const mqtt::Publish resolved, resolve(packet));
  if (resolved.qos == mqtt::QoS::exactly_once)
    take_exactly_once(resolved);
  else
    hand_over(resolved);
  return {};
}

void Connection::hand_over(const mqtt::Publish& packet) {
  const auto self = shared_from_this();
  const bool gathered = host_.policy().gather(self, packet);
  if (!gathered) settle();
  const auto ticket = enter(packet);
  if (gathered)
    ++gathered_;
  else
    host_.policy().publish(self, packet, mailbox_->promise(ticket));
}

/// What the client said short, said in full, and what only MQTT 5 can break.
Result<mqtt::Publish> Connection::resolve(const mqtt::Publish& packet) {
  const auto& limits = host_.limits();
  mqtt::Publish resolved = packet;
  const std::size_t held = session_->incoming().size() + (v5() ? in_flight_qos_1_ : 0);
  if (packet.qos != mqtt::QoS::at_most_once && held >= limits.receive_maximum && !session_->incoming().contains(packet.packet_id))
    return violation(Reason::receive_maximum_exceeded, "more publishes are in flight than the receive maximum allows");
  const auto* properties = packet.properties.get();
  if (properties == nullptr) return resolved;
  if (!properties->subscription_ids.empty())  // [MQTT-3.3.4-6]
    return violation(Reason::protocol_error, "PUBLISH with a subscription identifier");
  if (properties->payload_format.value_or(0) == 1 && !text::valid_utf8(packet.payload))
    return violation(Reason::payload_format_invalid, "a payload that says it is UTF-8 and is not");
  if (!properties->topic_alias) return resolved;
  const std::size_t alias = *properties->topic_alias;
  if (alias > limits.topic_alias_maximum) return violation(Reason::topic_alias_invalid, "a topic alias above the maximum");
  if (aliases_.size() < alias) aliases_.resize(alias);
  std::string& topic = aliases_[alias - 1];
  if (!packet.topic.empty()) {
    topic = packet.topic;
  } else {
    if (topic.empty()) return violation(Reason::protocol_error, "a topic alias that was not given a topic");
    resolved.topic = topic;
  }
  return resolved;
}

/// The publish's place among those to be answered.
std::uint64_t Connection::enter(const mqtt::Publish& packet) {
  const auto bytes = static_cast<std::uint32_t>(packet.topic.size() + packet.payload.size() + publish_overhead);
  const auto ticket = first_ticket_ + in_flight_.size();
  in_flight_.push_back({packet.packet_id, packet.qos, Mailbox::Answer::pending, bytes});
  in_flight_bytes_ += bytes;
  host_.budget().take(bytes);
  if (packet.qos == mqtt::QoS::at_least_once) ++in_flight_qos_1_;
  return ticket;
}

/// A repetition is acknowledged again, and not published again (MQTT 5.0 section 4.3.3).
void Connection::take_exactly_once(const mqtt::Publish& packet) {
  settle();
  auto& incoming = session_->incoming();
  const auto at = incoming.find(packet.packet_id);
  const auto ticket = enter(packet);
  if (at != incoming.end() && at->second->state() != Incoming::State::failed) {
    at->second->wait(mailbox_->promise(ticket));
    return;
  }
  const auto fresh = std::make_shared<Incoming>();
  incoming[packet.packet_id] = fresh;
  fresh->wait(mailbox_->promise(ticket));
  host_.policy().publish(shared_from_this(), packet, [fresh](const Result<>& result) { fresh->finish(result); });
}

Result<> Connection::on(const mqtt::Pubrel& packet) {
  const auto at = session_->incoming().find(packet.packet_id);
  const bool known = at != session_->incoming().end();
  if (known && at->second->state() == Incoming::State::pending) return violation(Reason::protocol_error, "PUBREL before PUBREC");
  if (!known) {
    writer_.send(mqtt::Pubcomp{packet.packet_id, Reason::packet_identifier_not_found, {}});
    return {};
  }
  const auto release = [this, id = packet.packet_id, released = at->second] {
    auto& incoming = session_->incoming();
    const auto there = incoming.find(id);
    if (there != incoming.end() && there->second == released) incoming.erase(there);
    writer_.send(mqtt::Pubcomp{id});
  };
  MqttMessageStore* const kept = session_->persistent() ? host_.messages() : nullptr;
  if (kept == nullptr) return release(), Result<>{};
  // Once it is released the client may use the identifier again: that must not be taken for a repetition after a crash.
  kept->released(client_id(), packet.packet_id, [mailbox = mailbox_, release](const Result<>& done) {
    if (done) mailbox->call(release);  // else the client asks again on its next connection
  });
  return {};
}

// Acknowledgements of what was sent to the client.

Result<> Connection::on(const mqtt::Puback& packet) {
  outbound_.acknowledged(packet.packet_id, packet.reason);
  return {};
}

Result<> Connection::on(const mqtt::Pubrec& packet) {
  outbound_.received(packet.packet_id, packet.reason);
  return {};
}

Result<> Connection::on(const mqtt::Pubcomp& packet) {
  outbound_.completed(packet.packet_id);
  return {};
}

// Subscriptions.

/// The granted QoS or the refusal; `subscriptions` is brought up to date.
std::uint8_t Connection::decide(const mqtt::Subscription& wanted, std::vector<mqtt::Subscription>& subscriptions, bool& fresh) {
  const auto refused = [this](Reason reason) { return v5() ? code_of(reason) : mqtt::subscription_refused; };
  if (!Broker::subscribable(wanted.filter)) return refused(Reason::topic_filter_invalid);
  const auto granted = host_.policy().subscribe(shared_from_this(), wanted);
  if (!granted) return refused(Reason::not_authorized);
  if (subscriptions.size() >= max_subscriptions) return refused(Reason::quota_exceeded);
  fresh = std::erase_if(subscriptions, [&](const auto& old) { return old.filter == wanted.filter; }) == 0;
  const mqtt::QoS qos = std::min(*granted, max_qos_);
  subscriptions.push_back({wanted.filter, qos, wanted.options});
  return static_cast<std::uint8_t>(qos);
}

Result<> Connection::on(const mqtt::Subscribe& packet) {
  auto subscriptions = session_->subscriptions();
  mqtt::Suback suback{packet.packet_id, {}, {}};
  const auto self = shared_from_this();
  std::vector<char> fresh;
  for (const auto& wanted : packet.subscriptions) {
    bool is_fresh = false;
    suback.codes.push_back(decide(wanted, subscriptions, is_fresh));
    fresh.push_back(is_fresh);
  }
  if (save_subscriptions) {
    const auto saved = save_subscriptions(subscriptions);
    if (!saved) {
      log::error("mqtt", "{}: subscriptions refused: {}", client_id(), saved.error().message);
      suback.codes.assign(suback.codes.size(), mqtt::subscription_refused);
    }
  }
  const auto granted = [&](std::size_t i) { return suback.codes[i] < mqtt::subscription_refused; };
  const bool any =
      std::any_of(suback.codes.begin(), suback.codes.end(), [](auto code) { return code < mqtt::subscription_refused; });
  if (any) session_->replace_subscriptions(std::move(subscriptions));
  writer_.send(suback);
  for (std::size_t i = 0; i < suback.codes.size(); ++i) {
    if (!granted(i)) continue;
    mqtt::Subscription subscription = packet.subscriptions[i];
    subscription.qos = static_cast<mqtt::QoS>(suback.codes[i]);
    if (host_.broadcasts(subscription.filter)) {
      host_.subscribed(client_id(), subscription);
      send_retained(subscription, fresh[i]);
    }
    host_.policy().subscribed(self, subscription.filter);
  }
  return {};
}

void Connection::send_retained(const mqtt::Subscription& subscription, bool fresh) {
  const auto& options = subscription.options;
  const bool wanted = options.retain_handling == mqtt::RetainHandling::send ||
                      (options.retain_handling == mqtt::RetainHandling::send_if_new && fresh);
  if (!wanted || subscription.filter.starts_with("$share/")) return;  // section 4.8.2: not to shared ones
  for (const MqttMessagePtr& message : host_.retained(subscription.filter)) {
    Mailbox::Delivery delivery;
    delivery.message = message;
    delivery.qos = std::min(message->qos, subscription.qos);
    delivery.for_subscription = true;
    delivery.retain = true;
    if (options.id != 0) delivery.subscription_ids.push_back(options.id);
    host_.keep(client_id(), delivery);
    delivery.done = [&host = host_, kept_id = delivery.kept_id](const Result<>& sent) {
      if (!sent && sent.error().fault == Fault::exhausted) host.count_dropped();
      if (kept_id != 0) host.messages()->settled(kept_id);
    };
    outbound_.send(std::move(delivery));
  }
}

Result<> Connection::on(const mqtt::Unsubscribe& packet) {
  auto subscriptions = session_->subscriptions();
  mqtt::Unsuback unsuback{packet.packet_id, {}, {}};
  for (const auto& filter : packet.filters) {
    const bool had = std::erase_if(subscriptions, [&](const auto& old) { return old.filter == filter; }) > 0;
    unsuback.codes.push_back(had ? Reason::success : Reason::no_subscription_existed);
  }
  if (save_subscriptions) {
    violation_ = Reason::unspecified_error;
    TRY(save_subscriptions(subscriptions));
  }
  session_->replace_subscriptions(std::move(subscriptions));
  for (const auto& filter : packet.filters) host_.unsubscribed(client_id(), filter);
  writer_.send(unsuback);
  return {};
}

// The rest.

Result<> Connection::on(const mqtt::Pingreq&) {
  writer_.send(mqtt::Pingresp{});
  return {};
}

Result<> Connection::on(const mqtt::Disconnect& packet) {
  const auto* properties = packet.properties.get();
  if (properties != nullptr && properties->session_expiry) {
    if (session_->expiry_seconds() == 0 && *properties->session_expiry != 0)  // section 3.14.2.2.2
      return violation(Reason::protocol_error, "DISCONNECT lengthens a session that was to end with it");
    session_->set_expiry(*properties->session_expiry);
  }
  clean_ = packet.reason != Reason::disconnect_with_will;
  begin_close({}, Reason::success);
  return {};
}

template <class Other>
Result<> Connection::on(const Other&) {
  // A second CONNECT too: [MQTT-3.1.0-2].
  return violation(Reason::protocol_error, "a packet that a client may not send now");
}

}  // namespace nacelle::net
