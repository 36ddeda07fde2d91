// nacelle top: what a running hub does, live: its Prometheus metrics once an interval, as rates.
#include <fmt/format.h>
#include <unistd.h>

#include <charconv>
#include <cmath>
#include <map>

#include "app/commands/hub_access.h"
#include "net/http/client.h"
#include "net/socket/runtime.h"
#include "service/endpoint/hub_file.h"

namespace nacelle::app {
namespace {

/// One scrape: `name{label="value"}` -> number, as the exposition format has it.
using Sample = std::map<std::string, double, std::less<>>;

Sample parse_metrics(std::string_view page) {
  Sample sample;
  while (!page.empty()) {
    const std::size_t end = std::min(page.find('\n'), page.size());
    const std::string_view line = page.substr(0, end);
    page.remove_prefix(std::min(end + 1, page.size()));
    const std::size_t gap = line.rfind(' ');
    if (line.empty() || line.front() == '#' || gap == std::string_view::npos) continue;
    double value = 0;
    const std::string_view number = line.substr(gap + 1);
    if (std::from_chars(number.data(), number.data() + number.size(), value).ec == std::errc{})
      sample.emplace(line.substr(0, gap), value);
  }
  return sample;
}

double value_of(const Sample& sample, std::string_view name) {
  const auto at = sample.find(name);
  return at == sample.end() ? 0 : at->second;
}

double sum_of(const Sample& sample, const std::string& name) {
  const std::string prefix = name + "{";
  double sum = value_of(sample, name);
  for (auto at = sample.lower_bound(prefix); at != sample.end() && at->first.starts_with(prefix); ++at) sum += at->second;
  return sum;
}

/// Two scrapes and the time between them.
struct Interval {
  Sample before;
  Sample now;
  double seconds = 1;

  double total(std::string_view name) const { return value_of(now, name); }
  double rate(std::string_view name) const { return std::max(0.0, value_of(now, name) - value_of(before, name)) / seconds; }

  /// Over all label values.
  double sum(const std::string& name) const { return sum_of(now, name); }
  double sum_rate(const std::string& name) const { return std::max(0.0, sum_of(now, name) - sum_of(before, name)) / seconds; }

  /// Of what a histogram has counted in between: the bound of the bucket that holds the quantile; 0 if nothing was counted.
  double quantile(const std::string& name, double q) const {
    const double all = total(name + "_count") - value_of(before, name + "_count");
    if (all <= 0) return 0;
    const std::string prefix = name + "_bucket{le=\"";
    double found = INFINITY;
    for (auto at = now.lower_bound(prefix); at != now.end() && at->first.starts_with(prefix); ++at) {
      const std::string bound = at->first.substr(prefix.size());
      const double limit = bound.starts_with("+Inf") ? INFINITY : std::strtod(bound.c_str(), nullptr);
      if (at->second - value_of(before, at->first) >= q * all) found = std::min(found, limit);
    }
    return found;
  }
};

/// The label values of a metric's series.
std::vector<std::string> labels_in(const Sample& sample, const std::string& metric, std::string_view label) {
  const std::string prefix = fmt::format("{}{{{}=\"", metric, label);
  std::vector<std::string> routes;
  for (auto at = sample.lower_bound(prefix); at != sample.end() && at->first.starts_with(prefix); ++at)
    routes.push_back(at->first.substr(prefix.size(), at->first.size() - prefix.size() - 2));
  return routes;
}

std::vector<std::string> routes_in(const Sample& sample, const std::string& metric) { return labels_in(sample, metric, "route"); }

std::string of_route(const std::string& metric, const std::string& route) { return metric + "{route=\"" + route + "\"}"; }

json::Value summary(const Interval& interval) {
  const auto rounded = [](double value) { return json::Value(static_cast<std::int64_t>(std::llround(value))); };
  json::Array routes;
  for (const auto& route : routes_in(interval.now, "nacelle_hub_captured_total"))
    routes.push_back(json::Object{{"route", route},
                                  {"perSecond", rounded(interval.rate(of_route("nacelle_hub_captured_total", route)))},
                                  {"behind", rounded(interval.total(of_route("nacelle_hub_capture_pending", route)))},
                                  {"lost", rounded(interval.total(of_route("nacelle_hub_capture_lost_total", route)))},
                                  {"health", interval.total(of_route("nacelle_hub_capture_healthy", route))}});
  for (const auto& route : routes_in(interval.now, "nacelle_hub_webhook_delivered_total"))
    routes.push_back(json::Object{{"route", route},
                                  {"perSecond", rounded(interval.rate(of_route("nacelle_hub_webhook_delivered_total", route)))},
                                  {"behind", rounded(interval.total(of_route("nacelle_hub_webhook_behind", route)))},
                                  {"lost", rounded(interval.total(of_route("nacelle_hub_webhook_lost_total", route)))},
                                  {"health", interval.total(of_route("nacelle_hub_webhook_healthy", route))}});
  json::Array groups;
  for (const auto& group : labels_in(interval.now, "nacelle_hub_events_behind", "group"))
    groups.push_back(
        json::Object{{"group", group}, {"behind", rounded(interval.total("nacelle_hub_events_behind{group=\"" + group + "\"}"))}});
  const double commits = interval.rate("nacelle_hub_log_commit_records_count");
  const double records = interval.rate("nacelle_hub_log_commit_records_sum");
  return json::Object{{"connections", rounded(interval.total("nacelle_hub_connections"))},
                      {"receivedPerSecond", rounded(interval.rate("nacelle_hub_messages_received_total"))},
                      {"ackedPerSecond", rounded(interval.rate("nacelle_hub_messages_acked_total"))},
                      {"refusedPerSecond", rounded(interval.sum_rate("nacelle_hub_messages_refused_total"))},
                      {"acked", rounded(interval.total("nacelle_hub_messages_acked_total"))},
                      {"refused", rounded(interval.sum("nacelle_hub_messages_refused_total"))},
                      {"commitsPerSecond", rounded(commits)},
                      {"recordsPerCommit", rounded(commits > 0 ? records / commits : 0)},
                      {"syncMedianMs", interval.quantile("nacelle_hub_log_sync_seconds", 0.5) * 1000},
                      {"syncP99Ms", interval.quantile("nacelle_hub_log_sync_seconds", 0.99) * 1000},
                      {"waitingBytes", rounded(interval.total("nacelle_hub_log_waiting_bytes"))},
                      {"segments", rounded(interval.total("nacelle_hub_log_segments"))},
                      {"refusedFull", rounded(interval.total("nacelle_hub_messages_refused_total{reason=\"full\"}"))},
                      {"ownMessages", rounded(interval.total("nacelle_hub_own_messages_total"))},
                      {"quarantinedSegments", rounded(interval.total("nacelle_hub_log_quarantined_segments_total"))},
                      {"routes", std::move(routes)},
                      {"consumerGroups", std::move(groups)}};
}

std::string number(const json::Value& from, std::string_view name) {
  const json::Value* value = from.find(name);
  return value && value->is_number() ? fmt::format("{:.6g}", value->as_number()) : "-";
}

void draw(const json::Value& now) {
  const bool terminal = ::isatty(STDOUT_FILENO) != 0;
  std::string out = terminal ? "\x1b[H\x1b[2J" : "";  // from the top of an empty screen
  out += fmt::format("connections {:>10}\n", number(now, "connections"));
  out += fmt::format("received/s  {:>10}   acked/s {:>10}   refused/s {:>8}\n", number(now, "receivedPerSecond"),
                     number(now, "ackedPerSecond"), number(now, "refusedPerSecond"));
  out += fmt::format("acked       {:>10}   refused {:>10}   of these, full {:>8}\n", number(now, "acked"), number(now, "refused"),
                     number(now, "refusedFull"));
  out +=
      fmt::format("commits/s   {:>10}   records each {:>5}   sync ms, up to: median {}, 99 % {}\n", number(now, "commitsPerSecond"),
                  number(now, "recordsPerCommit"), number(now, "syncMedianMs"), number(now, "syncP99Ms"));
  out += fmt::format("waiting     {:>10} bytes   segments {}, put aside {}   own messages {}\n\n", number(now, "waitingBytes"),
                     number(now, "segments"), number(now, "quarantinedSegments"), number(now, "ownMessages"));
  out += fmt::format("{:<32} {:>10} {:>10} {:>8} {:>7}\n", "ROUTE", "PER SECOND", "BEHIND", "LOST", "HEALTH");
  for (const json::Value& route : now.find("routes")->as_array())
    out += fmt::format("{:<32} {:>10} {:>10} {:>8} {:>7}\n", route.find("route")->as_string(), number(route, "perSecond"),
                       number(route, "behind"), number(route, "lost"), number(route, "health"));
  const json::Array& groups = now.find("consumerGroups")->as_array();
  if (!groups.empty()) out += fmt::format("\n{:<32} {:>10} {:>10}\n", "CONSUMER GROUP", "", "BEHIND");
  for (const json::Value& group : groups)
    out += fmt::format("{:<32} {:>10} {:>10}\n", group.find("group")->as_string(), "", number(group, "behind"));
  print_line(out);
}

struct TopSettings {
  std::string hub;
  double interval = 1;
  std::uint64_t count = 0;
  bool json = false;
};

awaitable<Result<Sample>> scrape(net::HttpClient& client) {
  net::HttpRequest request;
  request.target = "/metrics";
  CO_TRY_LET(const net::HttpResponse response, co_await client.send(std::move(request)));
  if (response.status != 200) co_return fail(Fault::unavailable, fmt::format("the hub's metrics answered {}", response.status));
  co_return parse_metrics(response.body);
}

awaitable<Result<>> watch_hub(std::shared_ptr<TopSettings> settings, std::uint16_t port) {
  net::HttpClientOptions options;
  options.endpoint = {"127.0.0.1", port, {}};
  net::HttpClient client(std::move(options));
  Interval interval;
  auto then = std::chrono::steady_clock::now();
  CO_TRY_LET(interval.now, co_await scrape(client));
  const auto pause = std::chrono::milliseconds(std::llround(settings->interval * 1000));
  for (std::uint64_t shown = 0; settings->count == 0 || shown < settings->count; ++shown) {
    const bool rested = co_await sleep_for(pause);
    if (!rested) break;
    interval.before = std::move(interval.now);
    CO_TRY_LET(interval.now, co_await scrape(client));
    const auto now = std::chrono::steady_clock::now();
    interval.seconds = std::max(0.001, std::chrono::duration<double>(now - then).count());
    then = now;
    const json::Value shown_now = summary(interval);
    if (settings->json)
      print_line(json::print(shown_now));
    else
      draw(shown_now);
  }
  co_return Result<>{};
}

Result<> run_top(const std::shared_ptr<TopSettings>& settings) {
  TRY_LET(const endpoint::HubFile file, endpoint::read_hub_file(settings->hub));
  if (file.metrics == 0) return fail(Fault::unavailable, "the hub serves no metrics");
  net::Runtime runtime(1);
  return runtime.block_on(watch_hub(settings, file.metrics));
}

}  // namespace

void add_top(CLI::App& root, Outcome& outcome) {
  const auto settings = std::make_shared<TopSettings>();
  CLI::App* command = root.add_subcommand("top", "What the hub does, live: messages, commits, routes, refusals");
  add_hub_option(*command, settings->hub);
  command->add_option("--interval", settings->interval, "seconds between two looks")
      ->check(CLI::Range(0.05, 3600.0))
      ->capture_default_str();
  command->add_option("--count", settings->count, "end after so many looks (default: never)")->type_name("N");
  command->add_flag("--json", settings->json, "one line of JSON a look");
  command->footer("On the hub's own machine: metrics are on loopback.\n\nExample:\n  nacelle top --interval 2");
  command->callback([&outcome, settings] { outcome.take(run_top(settings)); });
}

}  // namespace nacelle::app
