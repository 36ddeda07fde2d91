#include "net/amqp/detail/link.h"

#include <fmt/format.h>
#include <proton/condition.h>
#include <proton/delivery.h>
#include <proton/disposition.h>
#include <proton/link.h>
#include <proton/session.h>

namespace nacelle::net {
namespace {

// What a delivery's context says once we have settled it; one without a context is not ours.
char settled_mark;
char open_mark;

AmqpOutcome outcome_of(std::uint64_t state) {
  switch (state) {
    case PN_ACCEPTED: return AmqpOutcome::accepted;
    case PN_REJECTED: return AmqpOutcome::rejected;
    case PN_MODIFIED: return AmqpOutcome::modified;
    default: return AmqpOutcome::released;
  }
}

bool is_outcome(std::uint64_t state) {
  return state == PN_ACCEPTED || state == PN_REJECTED || state == PN_RELEASED || state == PN_MODIFIED;
}

}  // namespace

void ServedLink::open() {
  pn_terminus_copy(pn_link_source(link_), pn_link_remote_source(link_));
  pn_terminus_copy(pn_link_target(link_), pn_link_remote_target(link_));
  if (asked_.from_peer) pn_link_set_max_message_size(link_, host_->limits().max_message_bytes);
  pn_link_set_snd_settle_mode(link_, pn_link_remote_snd_settle_mode(link_));
  pn_link_set_rcv_settle_mode(link_, PN_RCV_FIRST);
  pn_link_open(link_);
  if (asked_.from_peer) pn_link_flow(link_, static_cast<int>(host_->limits().incoming_credit));
}

void ServedLink::detach(AmqpCondition why) {
  if (!link_) return;
  pn_condition_t* condition = pn_link_condition(link_);
  if (!why.name.empty()) {
    pn_condition_set_name(condition, why.name.c_str());
    pn_condition_set_description(condition, why.description.c_str());
  }
  pn_link_close(link_);
  host_->changed();
  end();
}

void ServedLink::end() {
  if (!link_) return;
  const auto self = shared_from_this();
  pn_link_set_context(link_, nullptr);
  link_ = nullptr;
  for (const auto& [ticket, incoming] : std::exchange(incoming_, {})) host_->answered(incoming.bytes);
  const auto handler = std::exchange(handler_, nullptr);
  for (auto& [delivery, settled] : std::exchange(outgoing_, {}))
    if (settled) settled(AmqpOutcome::released);
  if (handler) handler->detached();
}

// From the peer.

void ServedLink::look_at(pn_delivery_t* delivery) {
  if (!link_) return;
  if (asked_.from_peer) return read();
  if (pn_delivery_get_context(delivery) == nullptr)
    return host_->broke_rule({"amqp:not-allowed", "a transfer on a link on which the peer receives"});
  const auto at = outgoing_.find(delivery);
  if (at == outgoing_.end()) return;
  const std::uint64_t state = pn_delivery_remote_state(delivery);
  if (!pn_delivery_settled(delivery) && !is_outcome(state)) return pn_delivery_clear(delivery);
  const Settled settled = std::move(at->second);
  outgoing_.erase(at);
  settle(delivery);
  if (settled) settled(outcome_of(state));
}

void ServedLink::settle(pn_delivery_t* delivery) {
  pn_delivery_set_context(delivery, &settled_mark);
  pn_delivery_settle(delivery);
  host_->changed();
}

void ServedLink::read() {
  const auto self = shared_from_this();
  char piece[16 * 1024];
  while (link_) {
    pn_delivery_t* delivery = pn_link_current(link_);
    if (!delivery || !pn_delivery_readable(delivery)) return;
    while (true) {
      const ssize_t count = pn_link_recv(link_, piece, sizeof piece);
      if (count <= 0) break;
      if (partial_.size() + static_cast<std::size_t>(count) > host_->limits().max_message_bytes)
        return detach(
            {"amqp:link:message-size-exceeded", fmt::format("a message has at most {} bytes", host_->limits().max_message_bytes)});
      partial_.append(piece, static_cast<std::size_t>(count));
    }
    if (pn_delivery_aborted(delivery)) {
      partial_.clear();
      pn_link_advance(link_);
      settle(delivery);
      pn_link_flow(link_, 1);
      continue;
    }
    if (pn_delivery_partial(delivery)) return;
    take_whole(delivery);
  }
}

void ServedLink::take_whole(pn_delivery_t* delivery) {
  pn_link_advance(link_);
  if (incoming_.size() >= host_->limits().incoming_credit)
    return host_->broke_rule({"amqp:link:transfer-limit-exceeded", "more transfers than there was credit for"});
  const std::size_t bytes = partial_.size();
  auto message = amqp::decode_message(partial_);
  partial_.clear();
  if (partial_.capacity() > 4096) partial_ = {};
  const std::uint64_t ticket = ++last_ticket_;
  pn_delivery_set_context(delivery, &open_mark);
  incoming_.emplace(ticket, Incoming{delivery, bytes});
  host_->received(bytes);
  if (!message) return answer(ticket, AmqpCondition{"amqp:decode-error", message.error().message});
  auto done = [weak = weak_from_this(), ticket, executor = host_->link_executor()](std::optional<AmqpCondition> refused) {
    asio::post(executor, [weak, ticket, refused = std::move(refused)] {
      if (const auto self = weak.lock()) self->answer(ticket, refused);
    });
  };
  const auto handler = handler_;
  handler->transfer(*std::move(message), std::move(done));
}

void ServedLink::answer(std::uint64_t ticket, const std::optional<AmqpCondition>& refused) {
  const auto at = incoming_.find(ticket);
  if (!link_ || at == incoming_.end()) return;
  const Incoming incoming = at->second;
  incoming_.erase(at);
  if (refused) {
    pn_condition_t* condition = pn_disposition_condition(pn_delivery_local(incoming.delivery));
    pn_condition_set_name(condition, refused->name.c_str());
    pn_condition_set_description(condition, refused->description.c_str());
  }
  pn_delivery_update(incoming.delivery, refused ? PN_REJECTED : PN_ACCEPTED);
  settle(incoming.delivery);
  pn_link_flow(link_, 1);
  host_->answered(incoming.bytes);
}

// To the peer.

bool ServedLink::has_output_room() const { return host_->has_output_room(pn_session_outgoing_bytes(pn_link_session(link_))); }

std::size_t ServedLink::credit() const {
  if (!link_ || asked_.from_peer) return 0;
  const int credit = pn_link_credit(link_);
  if (credit <= 0) return 0;
  const std::size_t most = host_->limits().max_unsettled;
  if (outgoing_.size() >= most || !has_output_room()) {
    held_back_ = true;
    return 0;
  }
  return std::min(static_cast<std::size_t>(credit), most - outgoing_.size());
}

bool ServedLink::was_held_back() {
  if (!held_back_ || !link_ || outgoing_.size() >= host_->limits().max_unsettled || !has_output_room()) return false;
  held_back_ = false;
  return true;
}

void ServedLink::send(const amqp::Message& message, Settled settled) {
  if (credit() == 0) {
    if (settled) settled(AmqpOutcome::released);
    return;
  }
  const std::uint64_t tag = ++last_tag_;
  pn_delivery_t* delivery = pn_delivery(link_, pn_dtag(reinterpret_cast<const char*>(&tag), sizeof tag));
  pn_delivery_set_context(delivery, &open_mark);
  const Bytes bytes = amqp::encode_message(message);
  pn_link_send(link_, bytes.data(), bytes.size());
  pn_link_advance(link_);
  host_->sent();
  if (pn_link_snd_settle_mode(link_) == PN_SND_SETTLED) {
    settle(delivery);
    if (settled) settled(AmqpOutcome::accepted);
    return;
  }
  outgoing_.emplace(delivery, std::move(settled));
  host_->changed();
}

void ServedLink::flow() {
  if (!link_ || asked_.from_peer) return;
  const auto self = shared_from_this();
  if (pn_link_credit(link_) > 0) {
    const auto handler = handler_;
    if (handler) handler->credit();
  }
  if (!link_ || !pn_link_get_drain(link_)) return;
  pn_link_drained(link_);  // what the handler has not used now is given back (section 2.6.7)
  host_->changed();
}

}  // namespace nacelle::net
