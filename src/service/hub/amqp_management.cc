// What `$management` says of the hub and its partitions (wire facts 7.4).
#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "service/hub/amqp_events.h"
#include "service/hub/amqp_messages.h"

namespace nacelle::hub {
namespace {

using storage::Offset;
using storage::Partition;

constexpr std::string_view hub_type = "com.microsoft:eventhub";
constexpr std::string_view partition_type = "com.microsoft:partition";

amqp::Message reply_with(const amqp::Message& request, std::int32_t status, std::string description, amqp::Value body) {
  amqp::Message reply;
  reply.correlation_id = request.message_id;
  reply.application = {{"status-code", status}, {"status-description", std::move(description)}};
  reply.value = std::move(body);
  return reply;
}

amqp::Map describe_hub(const AmqpEvents& events, const std::string& name) {
  amqp::Array ids;
  for (Partition partition = 0; partition < events.log.partitions(); ++partition)
    ids.elements.emplace_back(std::to_string(partition));
  return {{"name", name},
          {"type", hub_type},
          {"created_at", instant_of(events.since)},
          {"partition_count", static_cast<std::int32_t>(events.log.partitions())},
          {"partition_ids", std::move(ids)}};
}

Result<amqp::Map> describe_partition(const AmqpEvents& events, const std::string& name, Partition partition) {
  const Offset oldest = events.log.oldest(partition);
  const Offset head = events.log.head(partition);
  const bool empty = head == oldest;
  Timestamp last_time{};
  if (!empty) {
    TRY_LET(const auto records, events.log.read(partition, head - 1, 1));
    if (!records.empty()) last_time = records.back().appended_at;
  }
  const std::int64_t last = static_cast<std::int64_t>(head) - 1;
  return amqp::Map{{"name", name},
                   {"type", partition_type},
                   {"partition", std::to_string(partition)},
                   {"begin_sequence_number", static_cast<std::int64_t>(oldest)},
                   {"last_enqueued_sequence_number", last},
                   {"last_enqueued_offset", std::to_string(last)},
                   {"last_enqueued_time_utc", instant_of(last_time)},
                   {"is_partition_empty", empty}};
}

}  // namespace

amqp::Message answer_management(const AmqpEvents& events, const amqp::Message& request) {
  const auto text_at = [&request](std::string_view key) { return std::string(amqp::text_at(request.application, key)); };
  if (text_at("operation") != "READ") return reply_with(request, 400, "operation: expected READ", {});
  const std::string name = text_at("name");
  const std::string type = text_at("type");
  if (type == hub_type) return reply_with(request, 200, "OK", describe_hub(events, name));
  if (type != partition_type) return reply_with(request, 400, fmt::format("type: expected {} or {}", hub_type, partition_type), {});
  const amqp::Value* wanted = amqp::find(request.application, "partition");
  const auto number = text::parse_integer(wanted ? text_of(*wanted).value_or("") : "", "partition");
  if (!number || *number < 0 || *number >= std::int64_t{events.log.partitions()})
    return reply_with(request, 404, fmt::format("partition: the hub has {} of them", events.log.partitions()), {});
  auto described = describe_partition(events, name, static_cast<Partition>(*number));
  if (!described) return reply_with(request, 500, described.error().message, {});
  return reply_with(request, 200, "OK", *std::move(described));
}

}  // namespace nacelle::hub
