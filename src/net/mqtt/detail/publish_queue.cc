#include "net/mqtt/detail/publish_queue.h"

#include <algorithm>

namespace nacelle::net {
namespace {

/// More is not encoded before the socket has taken this much.
constexpr std::size_t write_ahead = 256 * 1024;

}  // namespace

void PublishQueue::send(PacketWriter& writer, Outgoing& message, bool duplicate) {
  mqtt::Publish publish;
  publish.topic = message.topic;
  publish.payload = message.payload;
  publish.qos = message.qos;
  publish.packet_id = message.id;
  publish.duplicate = duplicate;
  writer.send(publish);
  message.sent = std::chrono::steady_clock::now();
}

void PublishQueue::pump(PacketWriter& writer) {
  while (!waiting_.empty() && writer.waiting() < write_ahead) {
    Outgoing& next = waiting_.front();
    if (next.qos == mqtt::QoS::at_most_once) {
      send(writer, next, false);
      writer.after_write(std::move(next.done));
    } else {
      if (in_flight_.size() >= max_in_flight_) break;
      next.id = take_id();
      send(writer, next, false);
      in_flight_.push_back(std::move(next));
    }
    waiting_.pop_front();
  }
}

void PublishQueue::resend(PacketWriter& writer) {
  for (auto& message : in_flight_) send(writer, message, true);
}

bool PublishQueue::acknowledge(mqtt::PacketId id) {
  const auto at = std::find_if(in_flight_.begin(), in_flight_.end(), [id](const auto& message) { return message.id == id; });
  if (at == in_flight_.end()) return false;
  const auto done = std::move(at->done);
  in_flight_.erase(at);
  return_id(id);
  done({});
  return true;
}

void PublishQueue::abandon(const char* why) {
  std::deque<Outgoing> all;
  all.swap(in_flight_);
  for (auto& message : waiting_) all.push_back(std::move(message));
  waiting_.clear();
  for (const auto& message : all) {
    return_id(message.id);
    message.done(fail(Fault::unavailable, why));
  }
}

std::optional<std::chrono::steady_clock::time_point> PublishQueue::oldest() const {
  if (in_flight_.empty()) return std::nullopt;
  return in_flight_.front().sent;
}

mqtt::PacketId PublishQueue::take_id() {
  // The window is far below 65535, so there is always a free one.
  do {
    ++last_id_;
  } while (last_id_ == 0 || used_.test(last_id_));
  used_.set(last_id_);
  return last_id_;
}

}  // namespace nacelle::net
