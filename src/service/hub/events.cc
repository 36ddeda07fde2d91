#include "service/hub/events.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/text/encoding.h"
#include "domain/telemetry/message.h"
#include "service/hub/event_reader.h"

namespace nacelle::hub {
namespace {

using storage::Offset;
using storage::Partition;

constexpr std::size_t most_events = 1000;
constexpr std::chrono::seconds longest_wait{60};
// One answer carries at most this much, and one look passes over at most that much for a device that says little.
constexpr ByteCount answer_bytes = 4_MiB;
constexpr ByteCount look_bytes = 64_MiB;

Result<std::int64_t> number_in(const net::HttpRequest& request, std::string_view name, std::int64_t fallback, std::int64_t low,
                               std::int64_t high) {
  const std::string text = request.query(name);
  if (text.empty()) return fallback;
  TRY_LET(const std::int64_t value, text::parse_integer(text, name));
  if (value < low || value > high)
    return fail(Fault::invalid_input, fmt::format("{}: expected {} to {}, found {}", name, low, high, value));
  return value;
}

json::Value to_json(const telemetry::Properties& properties) {
  json::Object object;
  for (const auto& [name, value] : properties) object.set(name, value);
  return object;
}

/// The body as JSON if the message says it is JSON and it is, else as base64 text.
std::pair<json::Value, std::string_view> body_of(const telemetry::Message& message) {
  const std::string type = text::to_lower(message.system.get("contentType"));
  if (type.starts_with("application/json"))
    if (auto parsed = json::parse(message.body)) return {std::move(*parsed), "json"};
  return {text::base64_encode(message.body), "base64"};
}

json::Value to_json(const Positions& positions) {
  json::Object object;
  for (const auto& [partition, offset] : positions) object.set(std::to_string(partition), offset);
  return object;
}

}  // namespace

json::Value event_document(Partition partition, Offset offset, const telemetry::Message& message) {
  auto [body, encoding] = body_of(message);
  return json::Object{{"partition", partition},
                      {"offset", offset},
                      {"enqueuedTimeUtc", format_iso8601(message.enqueued_at, 7)},
                      {"systemProperties", to_json(message.system)},
                      {"properties", to_json(message.application)},
                      {"body", std::move(body)},
                      {"bodyEncoding", encoding}};
}

Result<Positions> parse_positions(const json::Value& document) {
  if (!document.is_object()) return fail(Fault::invalid_input, "next: expected an object of partition and offset");
  Positions positions;
  for (const auto& [key, value] : document.as_object()) {
    TRY_LET(const std::int64_t partition, text::parse_integer(key, "next: a partition"));
    const bool good = partition >= 0 && partition < 65536 && value.is_integer() && value.as_integer() >= 0;
    if (!good)
      return fail(Fault::invalid_input,
                  fmt::format("next: expected a partition and its offset, found '{}': {}", key, json::print(value)));
    positions[static_cast<Partition>(partition)] = static_cast<Offset>(value.as_integer());
  }
  return positions;
}

Result<EventQuery> EventQuery::parse(const net::HttpRequest& request) {
  EventQuery query;
  if (auto group = request.query("consumerGroup"); !group.empty()) query.consumer_group = std::move(group);
  if (query.consumer_group.size() > 128) return fail(Fault::invalid_input, "consumerGroup: longer than 128 characters");
  query.device = request.query("device");
  if (const auto text = request.query("partition"); !text.empty()) {
    TRY_LET(const std::int64_t partition, number_in(request, "partition", 0, 0, 65535));
    query.partition = static_cast<Partition>(partition);
  }
  const std::string from = request.query("from");
  if (from == "start")
    query.from = From::start;
  else if (from == "end")
    query.from = From::end;
  else if (!from.empty() && from != "checkpoint") {
    const auto since = parse_iso8601(from);
    if (!since)
      return fail(Fault::invalid_input,
                  fmt::format("from: expected start, end, checkpoint or a time such as 2030-01-01T10:00:00Z, found '{}'", from));
    query.from = From::time;
    query.since = *since;
  }
  TRY_LET(const std::int64_t most, number_in(request, "maxEvents", 100, 1, most_events));
  query.max_events = static_cast<std::size_t>(most);
  TRY_LET(const std::int64_t wait, number_in(request, "waitSeconds", 20, 0, longest_wait.count()));
  query.wait = std::chrono::seconds{wait};
  if (const auto next = request.query("next"); !next.empty()) {
    TRY_LET(const json::Value document, in(json::parse(next), "next"));
    TRY_LET(query.next, parse_positions(document));
  }
  return query;
}

Result<Positions> Events::checkpoint_of(const std::string& consumer_group) const {
  TRY_LET(const auto rows, tables_.query("SELECT partition, next FROM checkpoint WHERE consumer_group = ?", consumer_group));
  Positions positions;
  for (const auto& row : rows)
    positions[static_cast<Partition>(storage::integer(row[0]))] = static_cast<Offset>(storage::integer(row[1]));
  return positions;
}

/// Where a reader that does not continue an earlier answer begins.
awaitable<Result<Positions>> Events::begin(EventQuery query) {
  Positions known;
  if (query.next)
    known = *query.next;
  else if (query.from == EventQuery::From::checkpoint) {
    auto work = [this, group = query.consumer_group] { return checkpoint_of(group); };
    CO_TRY_LET(known, co_await run_on(disk_.tables(), work));
  } else if (query.from == EventQuery::From::time) {
    auto work = [this, since = query.since] {
      Positions positions;
      for (Partition partition = 0; partition < log_.partitions(); ++partition)
        positions[partition] = log_.offset_at(partition, since);
      return positions;
    };
    known = co_await run_on(disk_.files(), work);
  }
  Positions positions;
  for (Partition partition = 0; partition < log_.partitions(); ++partition) {
    if (query.partition && *query.partition != partition) continue;
    const auto at = known.find(partition);
    if (at != known.end())
      positions[partition] = at->second;
    else
      positions[partition] = query.from == EventQuery::From::end ? log_.head(partition) : log_.oldest(partition);
  }
  if (positions.empty())
    co_return fail(Fault::invalid_input, fmt::format("partition: the log has {} partitions", log_.partitions()));
  co_return positions;
}

Result<Events::Found> Events::look(const EventQuery& query, Positions next) const {
  EventReader reader(log_, routing_);
  Found found;
  ByteCount answered = 0;
  bool more = true;
  const auto has_room = [&] {
    return found.events.size() < query.max_events && answered < answer_bytes && reader.looked() < look_bytes;
  };
  while (more && has_room()) {
    more = false;
    for (auto& [partition, offset] : next) {
      if (!has_room()) break;
      const auto take = [&, at = partition](EventReader::Found event) {
        answered += event.bytes;
        found.events.push_back(event_document(at, event.offset, event.message));
      };
      TRY_LET(const std::size_t looked_at, reader.look(partition, offset, query.device, has_room, take));
      more = more || looked_at > 0;
    }
  }
  found.at_head = !more;
  found.next = std::move(next);
  return found;
}

awaitable<Result<json::Value>> Events::read(EventQuery query) {
  CO_TRY_LET(Positions next, co_await begin(query));
  const auto deadline = std::chrono::steady_clock::now() + query.wait;
  while (true) {
    const std::uint64_t ticket = commits_.ticket();
    auto work = [this, query, next] { return look(query, next); };
    CO_TRY_LET(Found found, co_await run_on(disk_.files(), work));
    const auto left = deadline - std::chrono::steady_clock::now();
    const bool over = left <= std::chrono::seconds::zero();
    if (!found.events.empty() || over || !found.at_head) {
      json::Value answer = json::Object{{"events", std::move(found.events)}, {"next", to_json(found.next)}};
      co_return answer;
    }
    next = std::move(found.next);
    const bool woken = co_await commits_.wait(ticket, left);
    if (!woken) {  // the time is over, or the hub is stopping
      json::Value answer = json::Object{{"events", json::Array{}}, {"next", to_json(next)}};
      co_return answer;
    }
  }
}

awaitable<Result<>> Events::checkpoint(std::string consumer_group, Positions next) {
  if (consumer_group.empty() || consumer_group.size() > 128)
    co_return fail(Fault::invalid_input, "consumerGroup: expected 1 to 128 characters");
  for (const auto& [partition, offset] : next) {
    if (partition >= log_.partitions())
      co_return fail(Fault::invalid_input, fmt::format("next: the log has {} partitions, found {}", log_.partitions(), partition));
    if (offset > log_.next(partition))
      co_return fail(Fault::invalid_input,
                     fmt::format("next: partition {} ends at {}, found {}", partition, log_.next(partition), offset));
  }
  auto work = [this, consumer_group, next]() -> Result<> {
    const auto write = [&]() -> Result<> {
      for (const auto& [partition, offset] : next)
        TRY(tables_.run(
            "INSERT INTO checkpoint VALUES (?, ?, ?) ON CONFLICT (consumer_group, partition) DO UPDATE SET next = excluded.next",
            consumer_group, partition, offset));
      return {};
    };
    return tables_.transaction(write);
  };
  auto written = co_await run_on(disk_.tables(), work);
  co_return written;
}

}  // namespace nacelle::hub
