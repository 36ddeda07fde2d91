#include "net/mqtt/detail/session.h"

#include <algorithm>

namespace nacelle::net {

std::optional<mqtt::QoS> Session::granted(const std::vector<mqtt::Subscription>& subscriptions, std::string_view topic) {
  std::optional<mqtt::QoS> best;
  for (const auto& subscription : subscriptions)
    if (mqtt::topic_matches(subscription.filter, topic) && (!best || *best < subscription.qos)) best = subscription.qos;
  return best;
}

std::optional<mqtt::QoS> Session::granted(std::string_view topic) const { return granted(subscriptions_, topic); }

void Session::replace_subscriptions(std::vector<mqtt::Subscription> subscriptions) {
  subscriptions_ = std::move(subscriptions);
  published_.publish(subscriptions_);
}

mqtt::PacketId Session::next_id() {
  const auto in_use = [this](mqtt::PacketId id) {
    return std::any_of(unacknowledged_.begin(), unacknowledged_.end(), [id](const auto& sent) { return sent.id == id; });
  };
  // Ids wrap; only a delivery that was not acknowledged for 65535 others can be in the way.
  do {
    last_id_ = last_id_ == 65535 ? 1 : static_cast<mqtt::PacketId>(last_id_ + 1);
  } while (in_use(last_id_));
  return last_id_;
}

const Session::Unacknowledged& Session::remember(std::string topic, Bytes payload, Delivered done) {
  bytes_ += topic.size() + payload.size();
  unacknowledged_.push_back({next_id(), std::move(topic), std::move(payload), std::move(done)});
  return unacknowledged_.back();
}

Session::Delivered Session::acknowledge(mqtt::PacketId id) {
  const auto at = std::find_if(unacknowledged_.begin(), unacknowledged_.end(), [id](const auto& sent) { return sent.id == id; });
  if (at == unacknowledged_.end()) return {};
  Delivered done = std::move(at->done);
  bytes_ -= at->topic.size() + at->payload.size();
  unacknowledged_.erase(at);
  return done;
}

void Session::abandon(const char* why) {
  std::deque<Unacknowledged> all;
  all.swap(unacknowledged_);
  bytes_ = 0;
  for (const auto& sent : all)
    if (sent.done) sent.done(fail(Fault::unavailable, why));
}

}  // namespace nacelle::net
