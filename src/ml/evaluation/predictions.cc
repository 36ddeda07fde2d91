#include "ml/evaluation/predictions.h"

#include <fmt/format.h>

#include <algorithm>

namespace nacelle::evaluation {

Result<std::vector<EnginePrediction>> predict_fleet(const model::Estimator& estimator, const dataset::FleetTable& table) {
  const auto& known = dataset::turbofan_columns();
  std::vector<std::size_t> columns;
  for (const std::string& name : estimator.pipeline().input_names()) {
    const auto at = std::find(known.begin(), known.end(), name);
    if (at == known.end())
      return fail(Fault::invalid_input, fmt::format("the data have no column '{}', which the model needs", name));
    columns.push_back(static_cast<std::size_t>(at - known.begin()));
  }
  std::vector<EnginePrediction> predictions;
  feature::Reading reading;
  reading.values.resize(columns.size());
  for (const dataset::EngineRows& engine : table.engines) {
    feature::EngineState state;
    double rul = 0;
    for (std::size_t row = engine.begin; row < engine.end; ++row) {
      reading.cycle = table.cycle[row];
      for (std::size_t i = 0; i < columns.size(); ++i) reading.values[i] = table.columns[columns[i]][row];
      TRY_LET(rul, in(estimator.step(state, reading), fmt::format("engine {}", engine.unit)));
    }
    predictions.push_back(
        {.unit = engine.unit, .cycle = table.cycle[engine.end - 1], .rul = rul, .interval = estimator.interval(rul)});
  }
  return predictions;
}

Result<Evaluation> evaluate(const model::Estimator& estimator, const dataset::FleetTable& table, std::vector<double> truth,
                            double cap) {
  if (truth.size() != table.engines.size())
    return fail(Fault::invalid_input, fmt::format("expected one true remaining life for each of {} engines, found {}",
                                                  table.engines.size(), truth.size()));
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
  }
  evaluation.capped = measure(capped_truth, predicted);
  evaluation.raw = measure(evaluation.truth, predicted);
  return evaluation;
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
  return json::Object{{"cap", evaluation.cap},
                      {"capped", to_json(evaluation.capped)},
                      {"raw", to_json(evaluation.raw)},
                      {"interval", json::Object{{"coverage", evaluation.interval_coverage}, {"width", evaluation.interval_width}}},
                      {"engines", std::move(engines)}};
}

}  // namespace nacelle::evaluation
