// What others have for a connection: answers about its publishes, messages for its client, the order to close.

#include <algorithm>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "net/mqtt/detail/connection.h"

namespace nacelle::net {
namespace {

using mqtt::Reason;

constexpr std::size_t longest_reason = 200;

/// What a client of MQTT 5 is told about a publish that was not taken.
Reason refusal_reason(Fault fault) {
  switch (fault) {
    case Fault::invalid_input: return Reason::topic_name_invalid;
    case Fault::denied: return Reason::not_authorized;
    case Fault::exhausted: return Reason::quota_exceeded;
    default: return Reason::unspecified_error;
  }
}

}  // namespace

/// What could not be handed to the client any more: messages for its subscriptions wait in a session that is kept.
void Connection::answer_leftovers() {
  Mailbox::Mail last = mailbox_->shut();
  host_.budget().give(std::exchange(in_flight_bytes_, 0));
  for (auto& delivery : last.deliveries) {
    const bool waits = delivery.for_subscription && delivery.qos != mqtt::QoS::at_most_once && session_->persistent() &&
                       session_->waiting().size() < host_.limits().max_waiting;
    if (waits) {
      session_->bytes += delivery.bytes();
      session_->waiting().push_back(std::move(delivery));
    } else {
      if (delivery.for_subscription && session_->persistent()) host_.count_dropped();
      delivery.answer(fail(Fault::unavailable, "the client has left"));
    }
  }
}

void Connection::collect() {
  mailbox_->take(mail_);
  for (const auto& completion : mail_.completions)
    for (std::size_t i = 0; i < completion.count; ++i) in_flight_[completion.ticket - first_ticket_ + i].answer = completion.answer;
  for (auto& refusal : mail_.refusals) refusals_.push_back(std::move(refusal));
  answer_in_order();
  for (auto& delivery : mail_.deliveries) send(std::move(delivery));
  for (const auto& call : mail_.calls) call();
  if (mail_.close) begin_close(mail_.close->why, mail_.close->reason);
}

void Connection::answer_in_order() {
  // A QoS 1 publish is acknowledged only after all before it (section 4.6), so one that waits holds back the others.
  ByteCount answered = 0;
  while (!in_flight_.empty() && in_flight_.front().answer != Mailbox::Answer::pending) {
    const InFlight& first = in_flight_.front();
    if (first.answer == Mailbox::Answer::acknowledge && first.qos == mqtt::QoS::at_least_once) {
      if (!closing_) writer_.put(mqtt::Puback{first.id});
    } else {
      answer_otherwise(first);
    }
    answered += first.bytes;
    if (first.qos == mqtt::QoS::at_least_once) --in_flight_qos_1_;
    in_flight_.pop_front();
    ++first_ticket_;
  }
  writer_.push();
  in_flight_bytes_ -= answered;
  if (answered > 0) host_.budget().give(answered);
  room_.notify();
}

/// The reason in words, if the client wants it.
mqtt::PropertiesPtr Connection::because(std::string_view reason) const {
  if (!tells_reasons_ || reason.empty()) return {};
  mqtt::Properties properties;
  properties.reason_string = reason.substr(0, text::valid_utf8_prefix(reason.substr(0, longest_reason)));
  return std::make_shared<const mqtt::Properties>(std::move(properties));
}

/// QoS 2, and (to clients of MQTT 5) refusals.
void Connection::answer_otherwise(const InFlight& publish) {
  if (publish.answer == Mailbox::Answer::acknowledge) {
    if (publish.qos == mqtt::QoS::exactly_once && !closing_) writer_.send(mqtt::Pubrec{publish.id});
    return;
  }
  const auto speaks_of_it = [this](const auto& each) {
    return each.ticket <= first_ticket_ && first_ticket_ < each.ticket + each.count;
  };
  const auto at = std::find_if(refusals_.begin(), refusals_.end(), speaks_of_it);
  if (at == refusals_.end()) return;  // 3.1.1: the client sends it again, or was closed
  const Error error = at->error;
  if (first_ticket_ + 1 == at->ticket + at->count) refusals_.erase(at);
  if (publish.qos == mqtt::QoS::exactly_once) session_->incoming().erase(publish.id);  // section 4.3.3: the id is free again
  if (closing_) return;
  const Reason reason = refusal_reason(error.fault);
  const mqtt::PropertiesPtr why = because(error.message);
  const bool goes_on = publish.qos != mqtt::QoS::at_most_once;  // else its end is logged, with the reason
  if (goes_on) log::info("mqtt", "{} {}: publish refused: {}", peer_, client_id(), error.message);
  switch (publish.qos) {
    case mqtt::QoS::at_least_once: return writer_.send(mqtt::Puback{publish.id, reason, why});
    case mqtt::QoS::exactly_once: return writer_.send(mqtt::Pubrec{publish.id, reason, why});
    case mqtt::QoS::at_most_once: break;  // nothing to answer with: what it may not do ends it, what we cannot do is lost
  }
  if (error.fault == Fault::invalid_input || error.fault == Fault::denied) begin_close("publish refused: " + error.message, reason);
}

/// For one client: addressed to it, or for a subscription of its.
void Connection::send(Mailbox::Delivery delivery) {
  if (!delivery.for_subscription) {
    if (!live_) return delivery.answer(fail(Fault::unavailable, "the client is not connected"));
    auto granted = session_->granted(delivery.message->topic);
    if (!granted) return delivery.answer(fail(Fault::unavailable, "the client has no subscription for it"));
    delivery.qos = std::min(granted->qos, delivery.qos);
    delivery.subscription_ids = std::move(granted->subscription_ids);
  }
  outbound_.send(std::move(delivery));
}

}  // namespace nacelle::net
