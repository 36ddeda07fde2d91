#include "service/hub/amqp_events.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "service/hub/amqp_messages.h"

namespace nacelle::hub {
namespace {

using storage::Offset;

/// One look brings at most so much.
constexpr std::size_t most_at_once = 200;
constexpr ByteCount most_bytes_at_once = 512_KiB;
constexpr ByteCount most_looked_at_once = 16_MiB;
/// How long a reader at the head sleeps at most: its connection's end waits for it.
constexpr std::chrono::seconds longest_sleep{1};

constexpr std::string_view selector_name = "apache.org:selector-filter:string";
constexpr std::string_view annotation = "amqp.annotation.";

Failure bad_selector(std::string_view text) {
  constexpr std::size_t longest_shown = 200;
  return fail(
      Fault::invalid_input,
      fmt::format("selector: expected amqp.annotation.x-opt-offset, -sequence-number or -enqueued-time, > or >=, and a value "
                  "between quotes, found {}",
                  text.substr(0, longest_shown)));
}

/// System properties that have a field of their own in a message, or none at all.
constexpr std::pair<std::string_view, std::string_view> annotations[] = {
    {"connectionDeviceId", "iothub-connection-device-id"},
    {"connectionModuleId", "iothub-connection-module-id"},
    {"connectionAuthMethod", "iothub-connection-auth-method"},
    {"connectionDeviceGenerationId", "iothub-connection-auth-generation-id"},
    {"iothub-interface-id", "iothub-interface-id"},
    {"iothub-creation-time-utc", "iothub-creation-time-utc"},
    {"dt-subject", "dt-subject"},
    {"dt-dataschema", "dt-dataschema"},
    {"outputName", "iothub-outputname"}};

std::string_view event_source(telemetry::Source source) {
  switch (source) {
    case telemetry::Source::twin_changes: return "twinChangeEvents";
    case telemetry::Source::device_lifecycle: return "deviceLifecycleEvents";
    case telemetry::Source::connection_state: return "deviceConnectionStateEvents";
    case telemetry::Source::device_messages:
    case telemetry::Source::module_messages: break;
  }
  return "Telemetry";
}

}  // namespace

Result<> EpochBook::enter(const std::string& place, std::optional<std::int64_t> epoch, const net::AmqpLinkPtr& link,
                          Executor strand) {
  const std::lock_guard lock(mutex_);
  std::erase_if(owners_, [](const auto& each) { return each.second.link.expired(); });
  const auto at = owners_.find(place);
  if (at != owners_.end() && (!epoch || at->second.epoch > *epoch))
    return fail(Fault::conflict, fmt::format("a reader of epoch {} has this partition", at->second.epoch));
  if (!epoch) return {};
  if (at != owners_.end())
    asio::post(at->second.strand, [older = at->second.link] {
      if (const auto stolen = older.lock()) stolen->detach({conditions::stolen, "a reader of the same or a higher epoch has come"});
    });
  owners_[place] = {*epoch, link, std::move(strand)};
  return {};
}

Result<EventSelector> EventSelector::parse(std::string_view text) {
  std::string_view rest = text::trim(text);
  if (!rest.starts_with(annotation)) return bad_selector(text);
  rest.remove_prefix(annotation.size());
  const auto operation = rest.find('>');
  if (operation == std::string_view::npos) return bad_selector(text);
  const std::string name = text::to_lower(text::trim(rest.substr(0, operation)));
  rest.remove_prefix(operation + 1);
  const bool inclusive = rest.starts_with('=');
  if (inclusive) rest.remove_prefix(1);
  rest = text::trim(rest);
  if (rest.size() < 2 || rest.front() != '\'' || rest.back() != '\'') return bad_selector(text);
  const std::string_view value = rest.substr(1, rest.size() - 2);
  EventSelector selector;
  const bool by_place = name == "x-opt-offset" || name == "x-opt-sequence-number";
  if (by_place && text::equal_ignoring_case(value, "@latest")) {
    selector.by = By::end;
    return selector;
  }
  const auto number = text::parse_integer(value, "selector");
  if (!number) return bad_selector(text);
  if (by_place) {
    if (*number < 0) return selector;
    selector.by = By::offset;
    selector.offset = static_cast<Offset>(*number) + (inclusive ? 0 : 1);
    return selector;
  }
  if (name != "x-opt-enqueued-time" && name != "x-opt-enqueuedtimeutc") return bad_selector(text);
  constexpr std::int64_t last_ms = 253'402'300'799'000;
  selector.by = By::time;
  selector.since = Timestamp{std::chrono::milliseconds{std::clamp<std::int64_t>(*number, 0, last_ms) + (inclusive ? 0 : 1)}};
  return selector;
}

Result<EventSelector> EventSelector::of(const amqp::Map& filters) {
  const amqp::Value* filter = amqp::find(filters, selector_name);
  if (!filter) return EventSelector{};
  const auto* described = filter->as<amqp::Described>();
  return parse(described ? described->value->text() : filter->text());
}

amqp::Message event_message(Offset offset, const telemetry::Message& message) {
  amqp::Message sent;
  const auto& system = message.system;
  put_properties(sent, message);
  const amqp::Instant enqueued = instant_of(message.enqueued_at);
  const auto annotate = [&sent](std::string_view name, amqp::Value value) {
    sent.annotations.push_back({amqp::Symbol{std::string(name)}, std::move(value)});
  };
  annotate("x-opt-sequence-number", static_cast<std::int64_t>(offset));
  annotate("x-opt-offset", std::to_string(offset));
  annotate("x-opt-enqueued-time", enqueued);
  if (!message.device_id().empty()) annotate("x-opt-partition-key", std::string(message.device_id()));
  for (const auto& [ours, theirs] : annotations)
    if (const std::string* value = system.find(ours)) annotate(theirs, *value);
  annotate("iothub-enqueuedtime", enqueued);
  annotate("iothub-message-source", std::string(event_source(message.source)));
  sent.data = message.body;
  return sent;
}

// -- A partition

void PartitionLink::begin() {
  if (running_ || ended_) return;
  running_ = true;
  tasks_.spawn(run(shared_from_this()));
}

/// Blocks on the disk.
Offset PartitionLink::start() const {
  switch (from_.by) {
    case EventSelector::By::start: return events_.log.oldest(partition_);
    case EventSelector::By::end: return events_.log.head(partition_);
    case EventSelector::By::offset: return from_.offset;
    case EventSelector::By::time: break;
  }
  return events_.log.offset_at(partition_, from_.since);
}

Result<PartitionLink::Read> PartitionLink::read(Offset from, std::size_t most) const {
  EventReader reader(events_.log, events_.routing);
  Read found;
  found.next = from;
  ByteCount bytes = 0;
  const auto has_room = [&] {
    return found.events.size() < most && bytes < most_bytes_at_once && reader.looked() < most_looked_at_once;
  };
  while (has_room() && !found.at_head) {
    const auto take = [&](EventReader::Found event) {
      bytes += event.bytes;
      found.events.push_back(std::move(event));
    };
    TRY_LET(const std::size_t looked_at, reader.look(partition_, found.next, {}, has_room, take));
    found.at_head = looked_at == 0;
  }
  return found;
}

/// True: all of it. What finds no credit any more is read again.
bool PartitionLink::send(const Read& read) {
  const auto link = link_.lock();
  for (const auto& event : read.events) {
    if (!link || link->credit() == 0) {
      next_ = event.offset;
      return false;
    }
    link->send(event_message(event.offset, event.message), {});
  }
  next_ = read.next;
  return true;
}

awaitable<void> PartitionLink::run(std::shared_ptr<PartitionLink> self) {
  co_await asio::this_coro::throw_if_cancelled(false);
  AmqpEvents& events = self->events_;
  while (!self->ended_) {
    if (!self->next_) {
      auto begin = [self] { return self->start(); };
      self->next_ = co_await run_on(events.disk.files(), begin);
    }
    const auto link = self->link_.lock();
    const std::size_t most = link ? std::min(link->credit(), most_at_once) : 0;
    if (most == 0) break;  // credit() begins again
    const std::uint64_t ticket = events.commits.ticket();
    auto work = [self, from = *self->next_, most] { return self->read(from, most); };
    const Result<Read> found = co_await run_on(events.disk.files(), work);
    if (!found) {
      log::error("hub", "events over AMQP, partition {}: {}", self->partition_, found.error().message);
      break;  // tick() tries again
    }
    const bool all = self->send(*found);
    const auto state = co_await asio::this_coro::cancellation_state;
    if (state.cancelled() != asio::cancellation_type::none) break;
    if (all && found->at_head) co_await events.commits.wait(ticket, longest_sleep);
  }
  self->running_ = false;
}

}  // namespace nacelle::hub
