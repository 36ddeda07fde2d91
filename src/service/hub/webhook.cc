#include "service/hub/webhook.h"

#include <fmt/format.h>

#include <algorithm>

#include "foundation/log.h"
#include "foundation/random.h"
#include "net/http/client.h"
#include "net/tls/context.h"
#include "service/hub/events.h"

namespace nacelle::hub {
namespace {

using storage::Offset;
using storage::Partition;

constexpr ByteCount batch_bytes = 1_MiB;  // of messages in one request
constexpr ByteCount look_bytes = 64_KiB;  // read from the log at a time
constexpr ByteCount longest_look = 16_MiB;
constexpr std::chrono::milliseconds longest_back_off{60'000};
constexpr std::chrono::seconds longest_rest{1};  // a wait that cannot be cancelled
// A route that takes nothing still moves its cursor on disk now and then, lest a restart looks at everything again.
constexpr std::uint64_t passed_before_saving = 10'000;

}  // namespace

std::string_view name_of(EndpointStatus::Health health) {
  static constexpr std::string_view names[] = {"healthy", "degraded", "dead"};
  return names[static_cast<std::size_t>(health)];
}

/// One route. run() belongs to its strand; the status is published.
class Webhooks::Stream {
 public:
  Stream(Executor executor, const Parts& parts, HubRoute route)
      : parts_(parts), route_(std::move(route)), strand_(asio::make_strand(executor)), tasks_(strand_) {
    status_.route = route_.name;
    status_.endpoint = route_.endpoint_name();
  }

  const HubRoute& route() const { return route_; }
  bool same_as(const HubRoute& other) const {
    return route_.name == other.name && route_.source == other.source && route_.condition.text() == other.condition.text() &&
           route_.webhook.url == other.webhook.url && route_.webhook.max_batch == other.webhook.max_batch &&
           route_.webhook.timeout == other.webhook.timeout && route_.enrichments == other.enrichments;
  }

  /// On disk.capture(). Without a row in the table: from now on.
  Result<> load() {
    TRY_LET(const auto rows, parts_.tables.query("SELECT partition, next FROM endpoint_cursor WHERE route = ?", route_.name));
    for (Partition partition = 0; partition < parts_.log.partitions(); ++partition) next_[partition] = parts_.log.head(partition);
    for (const auto& row : rows) {
      const auto partition = static_cast<Partition>(storage::integer(row[0]));
      const auto next = static_cast<Offset>(storage::integer(row[1]));
      if (partition >= parts_.log.partitions()) continue;
      // Beyond the log's end: a cursor of another log. Everything there is, then.
      next_[partition] = next > parts_.log.next(partition) ? parts_.log.oldest(partition) : next;
    }
    publish();
    return save(next_);
  }

  Result<> start() {
    TRY_LET(place_, route_.webhook.place());
    net::HttpClientOptions options;
    options.endpoint = {place_.host, place_.port, {}};
    options.timeout = route_.webhook.timeout;
    options.max_body_bytes = 1_MiB;
    if (place_.tls) {
      TRY_LET(options.tls, net::TlsClientContext::make({}));
    }
    client_.emplace(std::move(options));
    tasks_.spawn(run());
    return {};
  }
  awaitable<void> close() { co_await tasks_.close(); }

  EndpointStatus status() const {
    EndpointStatus status = *published_.get();
    const auto next = at_.get();
    for (const auto& [partition, offset] : *next) {
      const Offset head = parts_.log.head(partition);
      status.behind += head > offset ? head - offset : 0;
    }
    return status;
  }

 private:
  struct Batch {
    json::Array events;
    Positions next;
    std::uint64_t passed = 0;  // records looked at
    std::uint64_t lost = 0;
    std::uint64_t not_enriched = 0;
  };

  /// On disk.capture().
  Result<> save(const Positions& next) {
    const auto write = [&]() -> Result<> {
      for (const auto& [partition, offset] : next)
        TRY(
            parts_.tables.run("INSERT INTO endpoint_cursor VALUES (?, ?, ?) ON CONFLICT (route, partition) DO UPDATE SET next = "
                              "excluded.next",
                              route_.name, partition, offset));
      return {};
    };
    return parts_.tables.transaction(write);
  }

  bool takes(const telemetry::Message& message) const {
    route::Evaluation evaluation(message, &parts_.twins);
    return route_.matches(evaluation);
  }

  /// On disk.files(): up to a batch of what the route takes, from all partitions.
  Result<Batch> gather(Positions next) const {
    Batch batch;
    ByteCount bytes = 0;
    ByteCount looked = 0;
    for (auto& [partition, offset] : next) {
      const Offset oldest = parts_.log.oldest(partition);
      if (offset < oldest && oldest == parts_.log.head(partition)) {  // nothing is left; else the first record there is tells
        batch.lost += oldest - offset;
        offset = oldest;
      }
      while (batch.events.size() < route_.webhook.max_batch && bytes < batch_bytes && looked < longest_look) {
        TRY_LET(const auto records, parts_.log.read(partition, offset, look_bytes));
        if (records.empty()) break;
        for (const auto& record : records) {
          if (batch.events.size() >= route_.webhook.max_batch || bytes >= batch_bytes) break;
          if (record.follows > offset) batch.lost += record.follows - offset;  // damaged, say
          offset = record.offset + 1;
          ++batch.passed;
          looked += record.payload.size();
          auto message = telemetry::decode_record(record.payload);
          if (!message || !takes(*message)) continue;
          batch.not_enriched += route_.enrich(*message, &parts_.twins, parts_.hub);
          bytes += record.payload.size();
          batch.events.push_back(event_document(partition, record.offset, *message));
        }
      }
    }
    batch.next = std::move(next);
    return batch;
  }

  awaitable<void> run() {
    std::uint64_t unsaved = 0;
    while (true) {
      const std::uint64_t ticket = parts_.commits.ticket();
      auto work = [this, next = next_] { return gather(next); };
      auto batch = co_await run_on(parts_.disk.files(), work);
      if (!batch) {
        note_failure(batch.error());
        const bool rested = co_await sleep_for(back_off());
        if (!rested) co_return;
        continue;
      }
      note_lost(batch->lost);
      if (batch->events.empty()) {
        next_ = batch->next;
        unsaved += batch->passed;
        at_.publish(next_);
        if (unsaved >= passed_before_saving) {
          co_await remember();
          unsaved = 0;
        }
        if (batch->passed > 0) continue;
        static_cast<void>(co_await parts_.commits.wait(ticket, longest_rest));
        const auto state = co_await asio::this_coro::cancellation_state;
        const bool cancelled = state.cancelled() != asio::cancellation_type::none;
        if (cancelled) co_return;
        continue;
      }
      const std::size_t count = batch->events.size();
      Bytes body = json::print(json::Value(std::move(batch->events)));
      const bool delivered = co_await deliver(std::move(body));
      if (!delivered) co_return;  // cancelled: after the next start the same batch comes again
      status_.delivered += count;
      status_.not_enriched += batch->not_enriched;
      publish();
      next_ = batch->next;
      at_.publish(next_);
      co_await remember();
      unsaved = 0;
    }
  }

  /// Until it goes well; false if cancelled.
  awaitable<bool> deliver(Bytes body) {
    while (true) {
      net::HttpRequest request;
      request.method = "POST";
      request.target = place_.target;
      request.headers.set("content-type", "application/json; charset=utf-8");
      request.body = body;
      const auto response = co_await client_->send(std::move(request));
      const auto state = co_await asio::this_coro::cancellation_state;
      if (response && response->status >= 200 && response->status < 300) {
        if (status_.failures > 0) log::info("hub", "route '{}': {} takes messages again", route_.name, status_.endpoint);
        status_.failures = 0;
        status_.health = EndpointStatus::Health::healthy;
        status_.why.clear();
        publish();
        co_return true;
      }
      if (state.cancelled() != asio::cancellation_type::none) co_return false;
      note_failure(response ? Error{Fault::unavailable, fmt::format("answered {}", response->status)} : response.error());
      const bool rested = co_await sleep_for(back_off());
      if (!rested) co_return false;
    }
  }

  awaitable<void> remember() {
    auto write = [this, next = next_] { return save(next); };
    const Result<> saved = co_await run_on(parts_.disk.capture(), write);
    // Not saved: delivered again after a restart; nothing is lost.
    if (!saved) log::error("hub", "route '{}': its cursor: {}", route_.name, saved.error().message);
  }

  void note_failure(const Error& error) {
    const Timestamp now = parts_.clock.now();
    if (status_.failures++ == 0) failing_since_ = now;
    if (status_.why != error.message) log::warn("hub", "route '{}': {}: {}", route_.name, status_.endpoint, error.message);
    status_.why = error.message;
    const bool dead = now - failing_since_ >= endpoint_dead_after;
    status_.health = dead ? EndpointStatus::Health::dead : EndpointStatus::Health::degraded;
    publish();
  }

  void note_lost(std::uint64_t count) {
    if (count == 0) return;
    log::error("hub", "route '{}': {} messages have left the log and were not delivered to {}", route_.name, count,
               status_.endpoint);
    status_.lost += count;
    publish();
  }

  /// Doubles with each failure; a quarter of it at random, so that endpoints of one host are not tried in one instant.
  std::chrono::milliseconds back_off() const {
    const auto doublings = std::min<std::uint64_t>(status_.failures > 0 ? status_.failures - 1 : 0, 16);
    const auto full = std::min(longest_back_off, parts_.first_back_off * (std::int64_t{1} << doublings));
    const auto dice = static_cast<unsigned char>(secure_random(1)[0]);
    return full - full * dice / 1024;
  }

  void publish() {
    published_.publish(status_);
    at_.publish(next_);
  }

  const Parts& parts_;
  const HubRoute route_;
  const Executor strand_;
  WebhookSettings::Place place_;
  std::optional<net::HttpClient> client_;
  Positions next_;
  EndpointStatus status_;
  Timestamp failing_since_{};
  Snapshot<EndpointStatus> published_;
  Snapshot<Positions> at_;
  TaskScope tasks_;
};

Webhooks::Webhooks(Executor executor, Parts parts) : executor_(std::move(executor)), parts_(std::move(parts)) {}
Webhooks::~Webhooks() = default;

awaitable<Result<>> Webhooks::follow(Routes routes) {
  if (following_.exchange(true)) co_return fail(Fault::conflict, "the routes are being changed by another call");
  auto followed = co_await change(std::move(routes));
  following_ = false;
  co_return followed;
}

awaitable<Result<>> Webhooks::change(Routes routes) {
  std::erase_if(routes.list, [](const HubRoute& route) { return !route.enabled || route.endpoint != HubRoute::Endpoint::webhook; });
  Streams streams = *streams_.get();
  Streams ended;
  std::vector<HubRoute> begun;
  for (const HubRoute& route : routes)
    if (std::none_of(streams.begin(), streams.end(), [&](const auto& stream) { return stream->same_as(route); }))
      begun.push_back(route);
  std::erase_if(streams, [&](const auto& stream) {
    const bool stays = std::any_of(routes.begin(), routes.end(), [&](const HubRoute& route) { return stream->same_as(route); });
    if (!stays) ended.push_back(stream);
    return !stays;
  });
  streams_.publish(streams);
  for (const auto& stream : ended) co_await stream->close();
  for (const HubRoute& route : begun) {
    auto stream = std::make_shared<Stream>(executor_, parts_, route);
    auto load = [stream] { return stream->load(); };
    CO_TRY(co_await run_on(parts_.disk.capture(), load));
    CO_TRY(stream->start());
    streams.push_back(std::move(stream));
    streams_.publish(streams);
  }
  co_return Result<>{};
}

std::vector<EndpointStatus> Webhooks::status() const {
  const auto streams = streams_.get();
  std::vector<EndpointStatus> all;
  for (const auto& stream : *streams) all.push_back(stream->status());
  return all;
}

awaitable<void> Webhooks::close() {
  const auto streams = streams_.get();
  for (const auto& stream : *streams) co_await stream->close();
}

}  // namespace nacelle::hub
