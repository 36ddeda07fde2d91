#include "service/hub/capture.h"

#include <algorithm>
#include <optional>

#include "foundation/log.h"

namespace nacelle::hub {
namespace {

// At most so often is the log looked at: many commits are taken in one look.
constexpr std::chrono::milliseconds rest_between_looks{50};
// And at least so often, for files that fall due by age.
constexpr std::chrono::milliseconds longest_rest{1000};
constexpr ByteCount read_together = 1_MiB;

}  // namespace

std::uint64_t CaptureStatus::captured() const {
  std::uint64_t sum = 0;
  for (const auto& one : routes) sum += one.captured;
  return sum;
}

std::uint64_t CaptureStatus::pending() const {
  std::uint64_t sum = 0;
  for (const auto& one : routes) sum += one.gathered + one.behind;
  return sum;
}

Result<Capture::Streams> Capture::make_streams(const Routes& routes, bool begin_at_head) const {
  Streams streams;
  for (const HubRoute& route : routes) {
    if (!route.enabled || route.endpoint != HubRoute::Endpoint::storage) continue;
    // A container that is captured already goes on where it is, even if its route's condition is another now.
    const bool known = std::any_of(streams_.begin(), streams_.end(), [&](const auto& stream) {
      return stream->route().storage.container == route.storage.container;
    });
    for (storage::Partition partition = 0; partition < parts_.log.partitions(); ++partition) {
      TRY_LET(auto stream, CaptureStream::open(parts_, route, partition, begin_at_head && !known));
      streams.push_back(std::move(stream));
    }
  }
  return streams;
}

Result<> Capture::open(const Routes& routes) {
  TRY_LET(streams_, make_streams(routes, false));
  publish();
  return {};
}

awaitable<void> Capture::run() {
  while (true) {
    const std::uint64_t ticket = commits_.ticket();
    auto step = [this] {
      step_all();
      return true;
    };
    co_await run_on(disk_.capture(), step);
    const bool rested = co_await sleep_for(rest_between_looks);
    if (!rested) co_return;
    const bool woken = co_await commits_.wait(ticket, longest_rest);
    const auto cancelled = (co_await asio::this_coro::cancellation_state).cancelled();
    if (!woken && cancelled != asio::cancellation_type::none) co_return;
  }
}

/// Keeps the first failure of each route's streams in one round; a round without one ends the trouble.
void Capture::note(const CaptureStream& stream, const Result<>& result, std::map<std::string, std::string>& failed) {
  if (result) return;
  const std::string& why = result.error().message;
  const auto [at, first] = failed.emplace(stream.route().name, why);
  const auto known = trouble_.find(stream.route().name);
  if (first && (known == trouble_.end() || known->second.why != why))
    log::error("hub", "route '{}', partition {}: {}", stream.route().name, stream.partition(), why);
}

void Capture::end_round(std::map<std::string, std::string> failed) {
  std::erase_if(trouble_, [&](const auto& known) { return !failed.contains(known.first); });
  for (auto& [route, why] : failed) {
    Trouble& trouble = trouble_[route];
    if (trouble.failures++ == 0) trouble.since = parts_.clock.now();
    trouble.why = std::move(why);
  }
  publish();
}

/// What is new in a partition is read and decoded once for all its streams, and a body parsed once for all their conditions.
/// Gaps, full files and failures are each stream's own business: its step() comes after this.
void Capture::look_together(storage::Partition partition) {
  std::vector<CaptureStream*> along;
  for (const auto& stream : streams_)
    if (stream->partition() == partition) along.push_back(stream.get());
  if (along.size() < 2) return;
  const storage::Offset until = parts_.log.head(partition);
  const auto wants_less = [](const CaptureStream* a, const CaptureStream* b) { return a->wants() < b->wants(); };
  storage::Offset next = (*std::min_element(along.begin(), along.end(), wants_less))->wants();
  while (next < until && !along.empty()) {
    std::erase_if(along, [](const CaptureStream* stream) { return stream->pressed(); });
    if (along.empty()) return;
    const auto records = parts_.log.read(partition, next, read_together);
    if (!records || records->empty()) return;
    for (const storage::LogRecord& record : *records) {
      const auto message = telemetry::decode_record(record.payload);
      if (!message)
        log::error("hub", "event log, partition {}, offset {}: {}; passed over", partition, record.offset, message.error().message);
      std::optional<route::Evaluation> evaluation;
      if (message) evaluation.emplace(*message, parts_.twins);
      std::erase_if(along, [&](CaptureStream* stream) { return !stream->offer(record, evaluation ? &*evaluation : nullptr); });
      next = record.offset + 1;
    }
  }
}

void Capture::step_all() {
  for (storage::Partition partition = 0; partition < parts_.log.partitions(); ++partition) look_together(partition);
  std::map<std::string, std::string> failed;
  for (const auto& stream : streams_) note(*stream, stream->step(), failed);
  end_round(std::move(failed));
}

Result<> Capture::flush_all() {
  Result<> first;
  std::map<std::string, std::string> failed;
  for (const auto& stream : streams_) {
    Result<> flushed = stream->flush();
    note(*stream, flushed, failed);
    if (first && !flushed) first = std::move(flushed);
  }
  end_round(std::move(failed));
  return first;
}

awaitable<Result<>> Capture::flush() {
  auto work = [this] { return flush_all(); };
  auto flushed = co_await run_on(disk_.capture(), work);
  co_return flushed;
}

awaitable<Result<>> Capture::change(Routes routes) {
  auto work = [this, routes = std::move(routes)]() -> Result<> {
    TRY(flush_all());
    TRY_LET(Streams next, make_streams(routes, true));
    streams_ = std::move(next);
    trouble_.clear();
    publish();
    return {};
  };
  auto changed = co_await run_on(disk_.capture(), work);
  co_return changed;
}

void Capture::publish() {
  CaptureStatus status;
  for (const auto& stream : streams_) {
    const std::string& name = stream->route().name;
    auto at = std::find_if(status.routes.begin(), status.routes.end(), [&](const auto& one) { return one.route == name; });
    if (at == status.routes.end()) {
      status.routes.push_back({name, stream->route().storage.container});
      at = status.routes.end() - 1;
      if (const auto trouble = trouble_.find(name); trouble != trouble_.end()) {
        at->trouble = trouble->second.why;
        at->since = trouble->second.since;
        at->failures = trouble->second.failures;
      }
    }
    at->captured += stream->captured();
    at->gathered += stream->gathered();
    at->behind += stream->behind();
    at->files += stream->files();
    at->lost += stream->lost();
    at->not_enriched += stream->not_enriched();
  }
  status_.publish(std::move(status));
}

}  // namespace nacelle::hub
