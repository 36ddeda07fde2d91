#include "app/demo/hub_view.h"

#include <fmt/format.h>

#include <algorithm>
#include <thread>

#include "app/commands/hub_access.h"
#include "codec/text/encoding.h"
#include "foundation/clock.h"
#include "service/simulator/registration.h"

namespace nacelle::app::demo {
namespace {

awaitable<Result<>> get_into(endpoint::HubClient& hub, std::string target, json::Value* out) {
  CO_TRY_LET(*out, co_await hub.get(target));
  co_return Result<>{};
}

awaitable<Result<>> post_nothing(endpoint::HubClient& hub, std::string target) {
  json::Value body = json::Object{};
  CO_TRY(co_await hub.post(target, std::move(body)));
  co_return Result<>{};
}

Result<const json::Value*> member(const json::Value& answer, std::initializer_list<std::string_view> path) {
  const json::Value* value = answer.at_path(path);
  if (!value) return fail(Fault::invalid_input, fmt::format("a command's answer lacks {}", fmt::join(path, ".")));
  return value;
}

/// One captured prediction, from a line of `nacelle avro cat --json`.
Result<> add_prediction(const json::Value& record, Predictions& out) {
  TRY_LET(const std::string device, text_in(record, {"Body", "ConnectionDeviceId"}));
  TRY_LET(const std::uint64_t cycle, count_in(record, {"Body", "CycleTime"}));
  TRY(number_in(record, {"Body", "PredictedRul"}));
  const ReadingKey key{device, static_cast<std::int64_t>(cycle)};
  if (++out.seen[key] > 1) return {};
  const json::Value* created = record.at_path({"Properties", "originalCreationTime"});
  if (!created || !created->is_string()) return {};
  TRY_LET(const std::string enqueued, text_in(record, {"EnqueuedTimeUtc"}));
  TRY_LET(const Timestamp from, parse_iso8601(created->as_string()));
  TRY_LET(const Timestamp to, parse_iso8601(enqueued));
  out.milliseconds.emplace(key, std::chrono::duration<double, std::milli>(to - from).count());
  return {};
}

}  // namespace

Result<json::Value> HubView::get(const std::string& target) const {
  json::Value answer;
  TRY(with_hub(folder_.string(), [&](endpoint::HubClient& hub) { return get_into(hub, target, &answer); }));
  return answer;
}

Result<> HubView::flush_capture() const {
  return with_hub(folder_.string(), [](endpoint::HubClient& hub) { return post_nothing(hub, "/capture/flush"); });
}

Result<std::uint64_t> HubView::routed(const std::string& route) const {
  TRY_LET(const json::Value statistics, get("/statistics/messages"));
  return count_in(statistics, {"routed", route});
}

Result<> wait_until(std::string_view what, std::chrono::seconds within, const std::function<Result<bool>()>& done) {
  const auto deadline = std::chrono::steady_clock::now() + within;
  while (true) {
    TRY_LET(const bool is_done, done());
    if (is_done) return {};
    if (InterruptGuard::interrupted()) return fail(Fault::unavailable, "interrupted");
    if (std::chrono::steady_clock::now() > deadline)
      return fail(Fault::timed_out, fmt::format("waited {} s for {}", within.count(), what));
    std::this_thread::sleep_for(std::chrono::milliseconds{200});
  }
}

std::set<ReadingKey> keys_of(const dataset::FleetTable& table, std::size_t engines, std::int64_t first_unit) {
  std::set<ReadingKey> keys;
  for (std::size_t e = 0; e < std::min(engines, table.engines.size()); ++e) {
    const dataset::EngineRows& rows = table.engines[e];
    const std::string device = simulator::device_name("Client_", first_unit - 1 + rows.unit);
    for (std::size_t row = rows.begin; row < rows.end; ++row) keys.emplace(device, table.cycle[row]);
  }
  return keys;
}

std::size_t Predictions::repeated() const {
  return static_cast<std::size_t>(std::count_if(seen.begin(), seen.end(), [](const auto& one) { return one.second > 1; }));
}

std::size_t Predictions::present(const std::set<ReadingKey>& wanted) const {
  return static_cast<std::size_t>(
      std::count_if(wanted.begin(), wanted.end(), [this](const ReadingKey& key) { return seen.contains(key); }));
}

Result<Predictions> read_predictions(const Cli& cli, const HubView& hub) {
  TRY(hub.flush_capture());
  TRY_LET(const std::string output, cli.text({"avro", "cat", hub.captured("ruldata").string(), "--json"}));
  Predictions predictions;
  for (const std::string_view line : text::split(output, '\n')) {
    if (line.empty()) continue;
    TRY_LET(const json::Value record, in(json::parse(line), "a captured prediction"));
    TRY(in(add_prediction(record, predictions), "a captured prediction"));
  }
  return predictions;
}

std::string latency_text(const Predictions& predictions, const std::set<ReadingKey>& keys) {
  std::vector<double> times;
  for (const ReadingKey& key : keys)
    if (const auto found = predictions.milliseconds.find(key); found != predictions.milliseconds.end())
      times.push_back(found->second);
  if (times.empty()) return "no latencies";
  std::sort(times.begin(), times.end());
  const auto at = [&](double share) { return times[static_cast<std::size_t>(share * static_cast<double>(times.size() - 1))]; };
  return fmt::format("reading to hub: median {:.0f} ms, 95 % {:.0f} ms, 99 % {:.0f} ms", at(0.5), at(0.95), at(0.99));
}

Result<std::uint64_t> count_in(const json::Value& answer, std::initializer_list<std::string_view> path) {
  TRY_LET(const json::Value* value, member(answer, path));
  if (!value->is_integer() || value->as_integer() < 0)
    return fail(Fault::invalid_input, fmt::format("a command's answer: {}: expected a count", fmt::join(path, ".")));
  return static_cast<std::uint64_t>(value->as_integer());
}

Result<double> number_in(const json::Value& answer, std::initializer_list<std::string_view> path) {
  TRY_LET(const json::Value* value, member(answer, path));
  if (!value->is_number())
    return fail(Fault::invalid_input, fmt::format("a command's answer: {}: expected a number", fmt::join(path, ".")));
  return value->as_number();
}

Result<std::string> text_in(const json::Value& answer, std::initializer_list<std::string_view> path) {
  TRY_LET(const json::Value* value, member(answer, path));
  if (!value->is_string())
    return fail(Fault::invalid_input, fmt::format("a command's answer: {}: expected a string", fmt::join(path, ".")));
  return value->as_string();
}

}  // namespace nacelle::app::demo
