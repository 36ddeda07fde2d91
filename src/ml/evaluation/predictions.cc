#include "ml/evaluation/predictions.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace nacelle::evaluation {

Result<std::vector<EnginePrediction>> predict_fleet(const model::Estimator& estimator, const dataset::FleetTable& table,
                                                    bool tell_cycles) {
  std::vector<std::size_t> columns;
  for (const std::string& name : estimator.pipeline().input_names()) {
    const auto at = table.find_column(name);
    if (!at) return fail(Fault::invalid_input, fmt::format("the data have no column '{}', which the model needs", name));
    columns.push_back(*at);
  }
  std::vector<EnginePrediction> predictions;
  feature::Reading reading;
  reading.values.resize(columns.size());
  for (const dataset::EngineRows& engine : table.engines) {
    feature::EngineState state;
    double rul = 0;
    for (std::size_t row = engine.begin; row < engine.end; ++row) {
      reading.cycle = tell_cycles || estimator.pipeline().needs_cycle() ? table.cycle[row] : 0;
      for (std::size_t i = 0; i < columns.size(); ++i) reading.values[i] = table.columns[columns[i]][row];
      TRY_LET(rul, in(estimator.step(state, reading), fmt::format("engine {}", engine.unit)));
    }
    predictions.push_back(
        {.unit = engine.unit, .cycle = table.cycle[engine.end - 1], .rul = rul, .interval = estimator.interval(rul)});
  }
  return predictions;
}

namespace {

Horizon judge_horizon(const Evaluation& evaluation, double low, double high) {
  Horizon horizon{.low = low, .high = high};
  std::vector<double> truth, predicted;
  for (std::size_t e = 0; e < evaluation.engines.size(); ++e) {
    const double life = evaluation.truth[e];
    if (life > high || (life <= low && !(low == 0 && life == 0))) continue;
    const EnginePrediction& engine = evaluation.engines[e];
    truth.push_back(std::min(life, evaluation.cap));
    predicted.push_back(engine.rul);
    horizon.interval_coverage += truth.back() >= engine.interval.low && truth.back() <= engine.interval.high ? 1 : 0;
    horizon.interval_width += engine.interval.high - engine.interval.low;
    horizon.late += engine.rul - truth.back() > late_cycles ? 1 : 0;
  }
  horizon.metrics = measure(truth, predicted);
  const auto count = static_cast<double>(std::max<std::size_t>(truth.size(), 1));
  for (double* part : {&horizon.interval_coverage, &horizon.interval_width, &horizon.late}) *part /= count;
  return horizon;
}

std::vector<std::size_t> numbered(std::size_t count) {
  std::vector<std::size_t> engines(count);
  for (std::size_t e = 0; e < count; ++e) engines[e] = e;
  return engines;
}

std::vector<double> predictions_of(const Evaluation& evaluation) {
  std::vector<double> predicted;
  for (const EnginePrediction& engine : evaluation.engines) predicted.push_back(engine.rul);
  return predicted;
}

}  // namespace

Result<Evaluation> evaluate(const model::Estimator& estimator, const dataset::FleetTable& table, std::vector<double> truth,
                            double cap) {
  if (truth.size() != table.engines.size())
    return fail(Fault::invalid_input, fmt::format("expected one true remaining life for each of {} engines, found {}",
                                                  table.engines.size(), truth.size()));
  for (std::size_t e = 0; e < truth.size(); ++e)
    if (!(truth[e] >= 0 && truth[e] < 1e9))
      return fail(
          Fault::invalid_input,
          fmt::format(
              "{} {}: expected a true remaining life of 0 or more, found {}; an engine that still runs cannot judge a model",
              table.schema->machine, table.name_of(e), truth[e]));
  if (!(cap > 0)) return fail(Fault::invalid_input, fmt::format("expected a cap above 0, found {}", cap));
  Evaluation evaluation{.engines = {}, .truth = std::move(truth), .cap = cap};
  TRY_LET(evaluation.engines, predict_fleet(estimator, table));
  const std::vector<double> capped_truth = capped(evaluation.truth, cap);
  std::vector<double> predicted;
  const auto count = static_cast<double>(evaluation.engines.size());
  for (std::size_t e = 0; e < evaluation.engines.size(); ++e) {
    const EnginePrediction& engine = evaluation.engines[e];
    predicted.push_back(engine.rul);
    const bool covered = capped_truth[e] >= engine.interval.low && capped_truth[e] <= engine.interval.high;
    evaluation.interval_coverage += (covered ? 1 : 0) / count;
    evaluation.interval_width += (engine.interval.high - engine.interval.low) / count;
    const double error = engine.rul - capped_truth[e];
    evaluation.late += (error > late_cycles ? 1 : 0) / count;
    evaluation.early += (error < -early_cycles ? 1 : 0) / count;
  }
  evaluation.capped = measure(capped_truth, predicted);
  evaluation.raw = measure(evaluation.truth, predicted);
  evaluation.capped_ranges = bootstrap(capped_truth, predicted, numbered(predicted.size()));
  constexpr double near = 50;
  evaluation.near_failure = judge_horizon(evaluation, 0, near);
  double low = 0;
  for (const double high : {25.0, 50.0, 75.0, 100.0, 125.0, std::numeric_limits<double>::infinity()}) {
    evaluation.horizons.push_back(judge_horizon(evaluation, low, high));
    low = high;
  }
  return evaluation;
}

Result<Comparison> compare(const Evaluation& first, const Evaluation& second) {
  const auto same = [](const EnginePrediction& a, const EnginePrediction& b) { return a.unit == b.unit && a.cycle == b.cycle; };
  if (first.engines.size() != second.engines.size() || first.truth != second.truth || first.cap != second.cap ||
      !std::equal(first.engines.begin(), first.engines.end(), second.engines.begin(), same))
    return fail(Fault::invalid_input, "two models can be compared on the same engines only");
  return compare_models(capped(first.truth, first.cap), predictions_of(first), predictions_of(second),
                        numbered(first.engines.size()), {.level = 0.95});
}

json::Value to_json(const Horizon& horizon) {
  return json::Object{{"low", horizon.low},
                      {"high", std::isfinite(horizon.high) ? json::Value(horizon.high) : json::Value()},
                      {"count", horizon.metrics.count},
                      {"rmse", horizon.metrics.rmse},
                      {"mae", horizon.metrics.mae},
                      {"bias", horizon.metrics.bias},
                      {"late", horizon.late},
                      {"intervalCoverage", horizon.interval_coverage},
                      {"intervalWidth", horizon.interval_width}};
}

json::Value to_json(const Evaluation& evaluation) {
  json::Array engines;
  for (std::size_t e = 0; e < evaluation.engines.size(); ++e) {
    const EnginePrediction& engine = evaluation.engines[e];
    engines.emplace_back(json::Object{{"unit", engine.unit},
                                      {"cycle", engine.cycle},
                                      {"truth", evaluation.truth[e]},
                                      {"rul", engine.rul},
                                      {"low", engine.interval.low},
                                      {"high", engine.interval.high}});
  }
  json::Array horizons;
  for (const Horizon& horizon : evaluation.horizons) horizons.push_back(to_json(horizon));
  return json::Object{{"cap", evaluation.cap},
                      {"capped", to_json(evaluation.capped)},
                      {"raw", to_json(evaluation.raw)},
                      {"interval", json::Object{{"coverage", evaluation.interval_coverage}, {"width", evaluation.interval_width}}},
                      {"early", evaluation.early},
                      {"late", evaluation.late},
                      {"ranges", json::Object{{"rmse", to_json(evaluation.capped_ranges.rmse)},
                                              {"mae", to_json(evaluation.capped_ranges.mae)},
                                              {"phm08", to_json(evaluation.capped_ranges.phm08)}}},
                      {"nearFailure", to_json(evaluation.near_failure)},
                      {"horizons", std::move(horizons)},
                      {"engines", std::move(engines)}};
}

}  // namespace nacelle::evaluation
