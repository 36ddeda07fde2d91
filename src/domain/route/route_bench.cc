// Evaluations a second on one core. The message is the tutorial's: a reading with 26 members, JSON in UTF-8.
//
//   cmake --preset release && ninja -C build/release route_bench && build/release/bench/route_bench
//
// Each evaluation of `$body` reads the body anew, as for a message seen for the first time; the bare pass beside it reads the
// same body with the same parser and looks nothing up: what the language costs is the difference.
#include <benchmark/benchmark.h>

#include "domain/route/route.h"

namespace nacelle::route {
namespace {

telemetry::Message tutorial_message() {
  telemetry::Message message;
  message.system = {{"connectionDeviceId", "Client_001"}, {"contentType", "application/json"}, {"contentEncoding", "utf-8"}};
  message.application = {{"level", "high"}};
  message.body = R"({"DeviceId":"Client_001","CycleTime":1,"OperationalSetting1":-0.0007,"OperationalSetting2":-0.0004,)"
                 R"("OperationalSetting3":100.0)";
  for (int i = 1; i <= 21; ++i) message.body += R"(,"Sensor)" + std::to_string(i) + "\":" + std::to_string(500.125 + i);
  message.body += "}";
  return message;
}

void condition(benchmark::State& state, const char* text) {
  const telemetry::Message message = tutorial_message();
  const Condition compiled = parse_condition(text).value();
  std::size_t matched = 0;
  for (auto _ : state) {
    Evaluation evaluation(message);
    matched += compiled.matches(evaluation) ? 1 : 0;
  }
  if (matched != static_cast<std::size_t>(state.iterations())) state.SkipWithError("the condition should hold");
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK_CAPTURE(condition, body_defined, "IS_DEFINED($body.OperationalSetting1)");
BENCHMARK_CAPTURE(condition, body_last_member, "$body.Sensor21 > 500 AND $body.CycleTime < 300");
BENCHMARK_CAPTURE(condition, properties_only, "level = 'high' AND $connectionDeviceId <> 'other'");

void both_default_routes(benchmark::State& state) {
  const telemetry::Message message = tutorial_message();
  const Condition readings = parse_condition("IS_DEFINED($body.OperationalSetting1)").value();
  const Condition predictions =
      parse_condition("IS_DEFINED($body.PredictedRul) AND NOT IS_DEFINED($body.OperationalSetting1)").value();
  for (auto _ : state) {
    Evaluation evaluation(message);
    benchmark::DoNotOptimize(readings.matches(evaluation));
    benchmark::DoNotOptimize(predictions.matches(evaluation));
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()) * 2);
}
BENCHMARK(both_default_routes);

void bare_read(benchmark::State& state) {
  const telemetry::Message message = tutorial_message();
  json::View view;
  for (auto _ : state) benchmark::DoNotOptimize(view.read(message.body));
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations()));
}
BENCHMARK(bare_read);

}  // namespace
}  // namespace nacelle::route
