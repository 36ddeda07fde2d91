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
// Partitions take turns, so that none that is full waits long for its own: so much of each.
constexpr ByteCount read_in_a_turn = 8_MiB;
// What all streams together may keep in memory of messages that gather.
constexpr ByteCount kept_in_all = 128_MiB;

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
  const auto is_captured = [](const HubRoute& route) { return route.enabled && route.endpoint == HubRoute::Endpoint::storage; };
  const auto count = static_cast<ByteCount>(std::count_if(routes.begin(), routes.end(), is_captured)) * parts_.log.partitions();
  CaptureStream::Parts parts = parts_;
  parts.max_kept = kept_in_all / std::max<ByteCount>(1, count);
  for (const HubRoute& route : routes) {
    if (!is_captured(route)) continue;
    // A container that is captured already goes on where it is, even if its route's condition is another now.
    const bool known = std::any_of(streams_.begin(), streams_.end(), [&](const auto& stream) {
      return stream->route().storage.container == route.storage.container;
    });
    for (storage::Partition partition = 0; partition < parts_.log.partitions(); ++partition) {
      TRY_LET(auto stream, CaptureStream::open(parts, route, partition, begin_at_head && !known));
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
    auto step = [this] { return step_all(); };
    const bool more = co_await run_on(disk_.capture(), step);
    bool woken = more;
    if (!more) {
      const bool rested = co_await sleep_for(rest_between_looks);
      if (!rested) co_return;
      woken = co_await commits_.wait(ticket, longest_rest);
    }
    const auto cancelled = (co_await asio::this_coro::cancellation_state).cancelled();
    if ((more || !woken) && cancelled != asio::cancellation_type::none) co_return;
  }
}

/// Keeps the first failure of each route's streams in one round; a round without one ends the trouble.
void Capture::note(const CaptureStream& stream, const Result<>& result, Failed& failed) {
  if (result) return;
  const std::string& why = result.error().message;
  const auto [at, first] = failed.emplace(stream.route().name, why);
  const auto known = trouble_.find(stream.route().name);
  if (first && (known == trouble_.end() || known->second.why != why))
    log::error("hub", "route '{}', partition {}: {}", stream.route().name, stream.partition(), why);
}

void Capture::end_round(Failed failed) {
  std::erase_if(trouble_, [&](const auto& known) { return !failed.contains(known.first); });
  for (auto& [route, why] : failed) {
    Trouble& trouble = trouble_[route];
    if (trouble.failures++ == 0) trouble.since = parts_.clock.now();
    trouble.why = std::move(why);
  }
  publish();
}

std::vector<CaptureStream*> Capture::streams_of(storage::Partition partition) const {
  std::vector<CaptureStream*> found;
  for (const auto& stream : streams_)
    if (stream->partition() == partition) found.push_back(stream.get());
  return found;
}

/// Each partition's streams together, a turn each. True: there is more to look at, for one that has not failed.
bool Capture::step_all() {
  Failed failed;
  bool more = false;
  for (storage::Partition partition = 0; partition < parts_.log.partitions(); ++partition) {
    std::vector<CaptureStream*> along = streams_of(partition);
    const storage::Offset until = parts_.log.head(partition);
    follow_log(parts_, partition, along, until, read_in_a_turn, [&](CaptureStream& stream, Result<> why) {
      note(stream, why, failed);
      std::erase(along, &stream);
    });
    for (CaptureStream* stream : along) {
      note(*stream, stream->settle(), failed);
      more = more || stream->wants() < until;
    }
  }
  end_round(std::move(failed));
  return more;
}

Result<> Capture::flush_all() {
  Result<> first;
  Failed failed;
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
    const auto stays = [&](const CaptureStream& stream) {
      return std::any_of(routes.begin(), routes.end(), [&](const HubRoute& route) {
        return route.enabled && route.storage.container == stream.route().storage.container;
      });
    };
    for (const auto& stream : streams_) {
      Result<> flushed = stream->flush();
      if (!flushed && stays(*stream)) return flushed;
      if (!flushed)
        log::error("hub", "route '{}', partition {}: {}; it goes, and what it has not captured yet will not be",
                   stream->route().name, stream->partition(), flushed.error().message);
    }
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
