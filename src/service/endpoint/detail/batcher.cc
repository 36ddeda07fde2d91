#include "service/endpoint/detail/batcher.h"

namespace nacelle::endpoint {
namespace {

constexpr std::size_t most_idle = 256;              // batches kept for the next burst
constexpr std::size_t most_idle_bytes = 64 * 1024;  // of one
constexpr std::size_t most_batch_bytes = 1024 * 1024;
constexpr std::size_t longest_kept_bag = 4 * 1024;

telemetry::RecordProperties stamp_of(const Client& client) {
  telemetry::Message message;
  stamp(message, sender_of(client), Timestamp{});
  message.system.erase("enqueuedTime");  // each batch has its own
  return telemetry::encode_properties(message.system, message.application);
}

}  // namespace

storage::RecordBatch BatchPool::take() {
  const std::lock_guard lock(mutex_);
  if (idle_.empty()) return {};
  storage::RecordBatch batch = std::move(idle_.back());
  idle_.pop_back();
  return batch;
}

void BatchPool::give(storage::RecordBatch batch) {
  batch.clear(most_idle_bytes);
  const std::lock_guard lock(mutex_);
  if (idle_.size() < most_idle) idle_.push_back(std::move(batch));
}

Batcher::Batcher(const Client& client)
    : prefix_(telemetry::event_topic(client.who.device.str(), client.who.module.str(), {})),
      source_(client.who.is_module() ? telemetry::Source::module_messages : telemetry::Source::device_messages),
      sender_(stamp_of(client)) {}

bool Batcher::add(const mqtt::Publish& packet, const Clock& clock, BatchPool& pool) {
  if (packet.retain || !packet.topic.starts_with(prefix_) || batch_.bytes() > most_batch_bytes) return false;
  const telemetry::RecordProperties* bag = properties_of(packet.topic.substr(prefix_.size()));
  if (!bag || bag->text_bytes + packet.payload.size() > telemetry::max_message_bytes) return false;
  if (batch_.empty()) begin_batch(clock.now(), pool);
  const telemetry::RecordProperties* const parts[] = {bag, &sender_, &enqueued_};
  telemetry::append_record(batch_.begin(), source_, enqueued_at_, parts, packet.payload);
  batch_.end();
  return true;
}

/// One time for all that came in one piece.
void Batcher::begin_batch(Timestamp now, BatchPool& pool) {
  batch_ = pool.take();
  enqueued_at_ = now;
  enqueued_ = telemetry::encode_properties({{"enqueuedTime", format_iso8601(now, 7)}}, {});
}

/// Null for a bag that cannot be read.
const telemetry::RecordProperties* Batcher::properties_of(std::string_view bag) {
  if (bag_known_ && bag == bag_) return &bag_properties_;
  telemetry::Message message;
  if (!telemetry::read_property_bag(bag, message)) return nullptr;
  bag_properties_ = telemetry::encode_properties(message.system, message.application);
  bag_known_ = bag.size() <= longest_kept_bag;
  bag_.assign(bag_known_ ? bag : std::string_view());
  return &bag_properties_;
}

}  // namespace nacelle::endpoint
