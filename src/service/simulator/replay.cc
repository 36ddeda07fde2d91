#include "service/simulator/replay.h"

#include <fmt/format.h>

#include <atomic>
#include <cmath>
#include <iterator>

#include "codec/sas/token.h"
#include "codec/text/encoding.h"
#include "domain/telemetry/message.h"
#include "domain/telemetry/topic.h"
#include "foundation/task_scope.h"
#include "net/mqtt/client.h"

namespace nacelle::simulator {
namespace {

constexpr std::chrono::hours token_lifetime{1};
constexpr std::chrono::minutes token_renewal{45};
// Messages of one engine on their way at once: enough to keep the line busy over the hub's group commits.
constexpr std::size_t window = 64;

/// What every engine of one replay shares. The counters are written by the clients' strands and read by the watcher.
struct Run {
  Target target;
  const Clock* clock = nullptr;  // outlives the replay: its caller's
  std::shared_ptr<const dataset::FleetTable> table;
  ReplayOptions options;
  std::uint64_t total = 0;
  std::atomic<std::uint64_t> sent{0};
  std::atomic<std::uint64_t> acked{0};
  std::atomic<std::size_t> running{0};
  std::atomic<const struct Engine*> first_failed{nullptr};
};

/// One engine: its client, and why it stopped if it did.
struct Engine {
  Feed feed;
  std::unique_ptr<net::MqttClient> client;
  Result<> outcome;  // written by the engine's task before `running` falls
};

awaitable<Result<std::string>> fresh_token(std::shared_ptr<Run> run, std::string device_id, std::string key) {
  const std::string resource = sas::device_resource(run->target.hub_name, device_id);
  co_return sas::make_token(resource, key, run->clock->now() + token_lifetime);
}

net::MqttClientOptions client_options(const std::shared_ptr<Run>& run, const Feed& feed) {
  telemetry::UserName user;
  user.hub = run->target.hub_name;
  user.device_id = feed.device_id;
  user.api_version = "2021-04-12";
  user.client_type = "nacelle-simulator";
  net::MqttClientOptions options;
  options.endpoint = run->target.endpoint;
  options.tls = run->target.tls;
  options.server_name = run->target.server_name;
  options.client_id = feed.device_id;
  options.user_name = telemetry::print_user_name(user);
  options.password = [run, id = feed.device_id, key = feed.key_base64] { return fresh_token(run, id, key); };
  options.reconnect_before_expiry = token_renewal;
  options.max_in_flight = window;
  return options;
}

std::string topic_of(const Run& run, const std::string& device_id) {
  telemetry::Message message;
  message.system.set("contentType", "application/json");
  message.system.set("contentEncoding", "utf-8");
  message.system.set("iothub-creation-time-utc", format_iso8601(run.clock->now(), 6));
  return telemetry::event_topic(device_id, "", telemetry::print_property_bag(message, false));
}

/// Counts what is on its way, in callbacks that may outlive the task.
struct Flight {
  std::atomic<std::size_t> unanswered{0};
  std::atomic<bool> failed{false};
};

void send(const std::shared_ptr<Run>& run, net::MqttClient* client, const std::shared_ptr<Flight>& flight, std::string topic,
          std::string body) {
  ++run->sent;
  ++flight->unanswered;
  client->publish(std::move(topic), std::move(body), mqtt::QoS::at_least_once, [run, flight](Result<> acked) {
    if (acked)
      ++run->acked;
    else
      flight->failed = true;
    --flight->unanswered;
  });
}

/// Back when at most `most` messages are unanswered; false if the wait is cancelled.
awaitable<bool> settle(std::shared_ptr<Flight> flight, std::size_t most) {
  while (flight->unanswered > most) {
    const bool awake = co_await sleep_for(std::chrono::milliseconds{1});
    if (!awake) co_return false;
  }
  co_return true;
}

/// Acknowledgements are counted one by one: a hub that is out of room withholds one and may give the next.
awaitable<Result<>> send_all(std::shared_ptr<Run> run, net::MqttClient* client, Feed feed) {
  using Steady = std::chrono::steady_clock;
  const double rate = run->options.messages_per_second;
  const Steady::time_point began = Steady::now();
  const auto flight = std::make_shared<Flight>();
  std::size_t number = 0;
  for (std::size_t row = feed.rows.begin; row < feed.rows.end && !flight->failed; ++row, ++number) {
    bool go_on = true;
    if (rate > 0) {
      const auto due =
          began + std::chrono::duration_cast<Steady::duration>(std::chrono::duration<double>(static_cast<double>(number) / rate));
      go_on = co_await sleep_for(due - Steady::now());
    }
    if (go_on && flight->unanswered >= window) go_on = co_await settle(flight, window / 2);
    if (!go_on) co_return fail(Fault::unavailable, "stopped");
    send(run, client, flight, topic_of(*run, feed.device_id), reading_body(*run->table, row));
  }
  const bool settled = co_await settle(flight, 0);
  if (!settled || flight->failed) co_return fail(Fault::unavailable, "stopped before everything was acknowledged");
  co_return Result<>{};
}

awaitable<Result<>> connect_and_send(std::shared_ptr<Run> run, net::MqttClient* client, Feed feed) {
  const auto started = co_await client->start(run->options.give_up_after);
  CO_TRY(in(started, fmt::format("connecting {}", feed.device_id)));
  const auto sent = co_await send_all(run, client, feed);
  CO_TRY(in(sent, feed.device_id));
  co_return Result<>{};
}

/// Engines live until every task has ended: the caller closes the scope first.
awaitable<void> run_engine(std::shared_ptr<Run> run, Engine* engine) {
  engine->outcome = co_await connect_and_send(run, engine->client.get(), engine->feed);
  if (!engine->outcome) {
    const Engine* none = nullptr;
    run->first_failed.compare_exchange_strong(none, engine);
  }
  co_await engine->client->close();
  --run->running;
}

Progress progress_of(const Run& run, const std::vector<Engine>& engines) {
  Progress progress{.total = run.total, .sent = run.sent, .acked = run.acked};
  for (const Engine& engine : engines) progress.reconnects += engine.client->reconnects();
  return progress;
}

/// Back when every engine has ended or one has failed, or with the reason to stop them.
awaitable<Result<>> watch(std::shared_ptr<Run> run, const std::vector<Engine>* engines) {
  using Steady = std::chrono::steady_clock;
  std::uint64_t last_acked = 0;
  Steady::time_point moved = Steady::now();
  while (run->running > 0 && !run->first_failed.load()) {
    const bool awake = co_await sleep_for(std::chrono::milliseconds{50});
    if (!awake) co_return fail(Fault::unavailable, "interrupted");
    if (run->options.on_progress) run->options.on_progress(progress_of(*run, *engines));
    if (run->acked != last_acked) {
      last_acked = run->acked;
      moved = Steady::now();
    } else if (Steady::now() - moved > run->options.give_up_after) {
      co_return fail(Fault::timed_out, fmt::format("nothing was acknowledged for {} s", run->options.give_up_after.count()));
    }
  }
  co_return Result<>{};
}

}  // namespace

std::string reading_body(const dataset::FleetTable& table, std::size_t row) {
  const std::vector<std::string>& names = dataset::turbofan_columns();
  std::string body = fmt::format("{{\"CycleTime\":{}", table.cycle[row]);
  for (std::size_t c = 0; c < names.size(); ++c) {
    const double value = table.value(row, c);
    if (!std::isfinite(value)) continue;
    // A JSON reader takes "-0" for an integer and drops its sign, a bit that NASA's "-0.0000" has.
    const bool minus_zero = value == 0 && std::signbit(value);
    fmt::format_to(std::back_inserter(body), ",\"{}\":{}{}", names[c], value, minus_zero ? ".0" : "");
  }
  body += '}';
  return body;
}

awaitable<Result<ReplaySummary>> replay(Executor executor, const Clock& clock, Target target, std::vector<Feed> feeds,
                                        std::shared_ptr<const dataset::FleetTable> table, ReplayOptions options) {
  const auto began = std::chrono::steady_clock::now();
  const auto run = std::make_shared<Run>();
  run->target = std::move(target);
  run->clock = &clock;
  run->table = std::move(table);
  run->options = std::move(options);
  run->running = feeds.size();

  std::vector<Engine> engines(feeds.size());
  TaskScope tasks(executor);
  for (std::size_t i = 0; i < feeds.size(); ++i) {
    run->total += feeds[i].rows.size();
    engines[i].feed = std::move(feeds[i]);
    const Executor strand = asio::make_strand(executor);
    engines[i].client = net::MqttClient::make(strand, client_options(run, engines[i].feed));
    tasks.spawn(strand, run_engine(run, &engines[i]));
  }
  const Result<> watched = co_await watch(run, &engines);
  // Closing a client answers what waits in it, so that every task ends by itself; only then is the scope joined.
  if (run->running > 0) {
    for (Engine& engine : engines) co_await engine.client->close();
  }
  co_await tasks.close();
  const Progress counts = progress_of(*run, engines);
  if (run->options.on_progress) run->options.on_progress(counts);
  const std::string so_far = fmt::format("{} of {} messages acknowledged", counts.acked, counts.total);
  CO_TRY(in(watched, so_far));
  if (const Engine* failed = run->first_failed.load()) CO_TRY(in(failed->outcome, so_far));
  ReplaySummary summary;
  summary.engines = engines.size();
  summary.counts = counts;
  summary.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  co_return summary;
}

}  // namespace nacelle::simulator
