#include "service/hub/capture.h"

#include <algorithm>

#include "foundation/log.h"

namespace nacelle::hub {
namespace {

// At most so often is the log looked at: many commits are taken in one look.
constexpr std::chrono::milliseconds rest_between_looks{50};
// And at least so often, for files that fall due by age.
constexpr std::chrono::milliseconds longest_rest{1000};

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

void Capture::note(const CaptureStream& stream, const Result<>& result) {
  std::string& trouble = trouble_[stream.route().name];
  const std::string now = result ? std::string() : result.error().message;
  if (!now.empty() && now != trouble)
    log::error("hub", "route '{}', partition {}: {}", stream.route().name, stream.partition(), now);
  if (trouble.empty() || result) trouble = now;
}

void Capture::step_all() {
  for (const auto& stream : streams_) note(*stream, stream->step());
  publish();
}

Result<> Capture::flush_all() {
  Result<> first;
  for (const auto& stream : streams_) {
    Result<> flushed = stream->flush();
    note(*stream, flushed);
    if (first && !flushed) first = std::move(flushed);
  }
  publish();
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
      if (const auto trouble = trouble_.find(name); trouble != trouble_.end()) at->trouble = trouble->second;
    }
    at->captured += stream->captured();
    at->gathered += stream->gathered();
    at->behind += stream->behind();
    at->files += stream->files();
    at->lost += stream->lost();
  }
  status_.publish(std::move(status));
}

}  // namespace nacelle::hub
