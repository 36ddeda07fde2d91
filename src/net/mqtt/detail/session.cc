#include "net/mqtt/detail/session.h"

#include <algorithm>

namespace nacelle::net {

Incoming::State Incoming::state() const {
  const std::lock_guard lock(mutex_);
  if (!result_) return State::pending;
  return *result_ ? State::stored : State::failed;
}

void Incoming::wait(Done done) {
  {
    const std::lock_guard lock(mutex_);
    if (!result_) return waiting_.push_back(std::move(done));
  }
  done(*result_);  // written once
}

void Incoming::finish(const Result<>& result) {
  std::vector<Done> waiting;
  {
    const std::lock_guard lock(mutex_);
    result_ = result;
    waiting.swap(waiting_);
  }
  for (const Done& done : waiting) done(result);
}

std::optional<Session::Grant> Session::granted(const Subscriptions& subscriptions, std::string_view topic) {
  std::optional<Grant> grant;
  for (const auto& subscription : subscriptions) {
    if (!mqtt::topic_matches(subscription.filter, topic)) continue;
    if (!grant) grant.emplace();
    grant->qos = std::max(grant->qos, subscription.qos);
    if (subscription.options.id != 0) grant->subscription_ids.push_back(subscription.options.id);
  }
  return grant;
}

void Session::replace_subscriptions(Subscriptions subscriptions) {
  subscriptions_ = std::move(subscriptions);
  published_.publish(subscriptions_);
}

mqtt::PacketId Session::next_id() {
  const auto in_use = [this](mqtt::PacketId id) { return find(id) != nullptr; };
  // Ids wrap; only a delivery that was not acknowledged for 65535 others can be in the way.
  do {
    last_id_ = last_id_ == 65535 ? 1 : static_cast<mqtt::PacketId>(last_id_ + 1);
  } while (in_use(last_id_));
  return last_id_;
}

Session::Unacknowledged& Session::remember(Delivery delivery) {
  unacknowledged_.push_back({next_id(), false, std::move(delivery)});
  return unacknowledged_.back();
}

void Session::restore(Unacknowledged sent) {
  if (find(sent.id) != nullptr) sent.id = next_id();
  bytes += sent.delivery.bytes();
  unacknowledged_.push_back(std::move(sent));
}

void Session::restore_incoming(mqtt::PacketId id) {
  const auto stored = std::make_shared<Incoming>();
  stored->finish({});
  incoming_[id] = stored;
}

Session::Unacknowledged* Session::find(mqtt::PacketId id) {
  const auto at = std::find_if(unacknowledged_.begin(), unacknowledged_.end(), [id](const auto& sent) { return sent.id == id; });
  return at == unacknowledged_.end() ? nullptr : &*at;
}

Session::Delivery Session::settle(mqtt::PacketId id) {
  const auto at = std::find_if(unacknowledged_.begin(), unacknowledged_.end(), [id](const auto& sent) { return sent.id == id; });
  INVARIANT(at != unacknowledged_.end(), "the caller has found it");
  Delivery delivery = std::move(at->delivery);
  bytes -= delivery.bytes();
  unacknowledged_.erase(at);
  return delivery;
}

void Session::abandon(const char* why) {
  std::list<Unacknowledged> sent;
  std::list<Delivery> waiting;
  sent.swap(unacknowledged_);
  waiting.swap(waiting_);
  bytes = 0;
  for (const auto& each : sent) each.delivery.answer(fail(Fault::unavailable, why));
  for (const auto& each : waiting) each.answer(fail(Fault::unavailable, why));
}

}  // namespace nacelle::net
