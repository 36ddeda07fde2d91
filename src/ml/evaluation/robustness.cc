#include "ml/evaluation/robustness.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ml/dataset/seeded.h"

namespace nacelle::evaluation {

namespace {

using dataset::EngineRows;
using dataset::FleetTable;

/// What a sensor shakes by from one reading to the next, within engines: its noise, in its own unit. The sensor's path is smooth
/// beside it, but changes of operating regime are not: the median, not the mean, of squared differences.
double noise_of(const FleetTable& table, std::size_t column) {
  std::vector<double> differences;
  for (const EngineRows& engine : table.engines)
    for (std::size_t row = engine.begin + 1; row < engine.end; ++row) {
      const double difference = std::abs(table.columns[column][row] - table.columns[column][row - 1]);
      if (std::isfinite(difference)) differences.push_back(difference);
    }
  if (differences.empty()) return 0;
  std::nth_element(differences.begin(), differences.begin() + static_cast<std::ptrdiff_t>(differences.size() / 2),
                   differences.end());
  constexpr double normal_median = 0.6745;  // of the absolute value
  return differences[differences.size() / 2] / normal_median / std::sqrt(2.0);
}

void worst_first(std::vector<Stress>& stresses) {
  std::stable_sort(stresses.begin(), stresses.end(),
                   [](const Stress& a, const Stress& b) { return a.capped.rmse > b.capped.rmse; });
}

class Judge {
 public:
  Judge(const model::Estimator& estimator, const std::vector<double>& truth, double cap)
      : estimator_(estimator), truth_(capped(truth, cap)) {}

  Result<Metrics> metrics(const FleetTable& table) const {
    TRY_LET(const auto engines, predict_fleet(estimator_, table));
    std::vector<double> predicted;
    for (const EnginePrediction& engine : engines) predicted.push_back(engine.rul);
    return measure(truth_, predicted);
  }

  Result<Stress> stress(std::string name, const FleetTable& table, const Metrics& whole) const {
    Stress result{.name = std::move(name), .capped = {}};
    TRY_LET(result.capped, metrics(table));
    result.loss = whole.rmse > 0 ? result.capped.rmse / whole.rmse - 1 : 0;
    return result;
  }

 private:
  const model::Estimator& estimator_;
  std::vector<double> truth_;
};

/// The table's sensors that the model reads.
std::vector<std::size_t> sensors_of(const model::Estimator& estimator, const FleetTable& table) {
  std::vector<std::size_t> sensors;
  for (const std::string& name : estimator.pipeline().input_names())
    if (const auto column = table.find_column(name); column && *column >= table.schema->settings.size()) sensors.push_back(*column);
  return sensors;
}

}  // namespace

FleetTable cut_beginnings(const FleetTable& table, std::size_t cycles, bool count_again, std::size_t least) {
  FleetTable cut;
  cut.schema = table.schema;
  cut.end_rul = table.end_rul;
  cut.unit_names = table.unit_names;
  cut.columns.resize(table.columns.size());
  for (const EngineRows& engine : table.engines) {
    const std::size_t kept = std::max(engine.size() - std::min(cycles, engine.size()), std::min(least, engine.size()));
    const std::size_t begin = engine.end - kept;
    const std::int64_t base = count_again ? table.cycle[begin] - 1 : 0;
    cut.engines.push_back({engine.unit, cut.cycle.size(), cut.cycle.size() + kept});
    for (std::size_t row = begin; row < engine.end; ++row) {
      cut.unit.push_back(engine.unit);
      cut.cycle.push_back(table.cycle[row] - base);
      for (std::size_t c = 0; c < table.columns.size(); ++c) cut.columns[c].push_back(table.columns[c][row]);
    }
  }
  return cut;
}

Result<Robustness> judge_robustness(const model::Estimator& estimator, const FleetTable& table, const std::vector<double>& truth,
                                    double cap, std::uint64_t seed) {
  const Judge judge(estimator, truth, cap);
  Robustness result;
  TRY_LET(result.whole, judge.metrics(table));
  for (const std::size_t cycles : {50u, 100u})
    for (const bool again : {false, true}) {
      TRY_LET(Stress stress, judge.stress(fmt::format("first {} cycles cut, counter {}", cycles, again ? "begun again" : "kept"),
                                          cut_beginnings(table, cycles, again), result.whole));
      result.late_joins.push_back(std::move(stress));
    }
  const std::vector<std::size_t> sensors = sensors_of(estimator, table);
  FleetTable worse = table;
  for (const std::size_t sensor : sensors) {
    const std::string& name = table.schema->column(sensor).name;
    std::fill(worse.columns[sensor].begin(), worse.columns[sensor].end(), std::numeric_limits<double>::quiet_NaN());
    TRY_LET(Stress dead, judge.stress("no " + name, worse, result.whole));
    result.dead.push_back(std::move(dead));
    worse.columns[sensor] = table.columns[sensor];
    for (const EngineRows& engine : table.engines) {
      const std::size_t half = engine.begin + engine.size() / 2;
      for (std::size_t row = half; row < engine.end; ++row) worse.columns[sensor][row] = table.columns[sensor][half];
    }
    TRY_LET(Stress stuck, judge.stress(name + " stuck half way", worse, result.whole));
    result.stuck.push_back(std::move(stuck));
    worse.columns[sensor] = table.columns[sensor];
  }
  for (const double times : {1.0, 2.0}) {
    dataset::Seeded random(seed);
    for (const std::size_t sensor : sensors) {
      const double noise = noise_of(table, sensor);
      for (std::size_t row = 0; row < table.row_count(); ++row)
        worse.columns[sensor][row] = table.columns[sensor][row] + times * noise * random.normal();
    }
    TRY_LET(Stress noisy, judge.stress(fmt::format("{:g} times the sensors' noise added", times), worse, result.whole));
    result.noisy.push_back(std::move(noisy));
  }
  worst_first(result.dead);
  worst_first(result.stuck);
  return result;
}

json::Value to_json(const Robustness& robustness) {
  const auto list = [](const std::vector<Stress>& stresses) {
    json::Array all;
    for (const Stress& stress : stresses)
      all.emplace_back(
          json::Object{{"name", stress.name}, {"rmse", stress.capped.rmse}, {"phm08", stress.capped.phm08}, {"loss", stress.loss}});
    return all;
  };
  return json::Object{{"rmse", robustness.whole.rmse},
                      {"lateJoins", list(robustness.late_joins)},
                      {"dead", list(robustness.dead)},
                      {"stuck", list(robustness.stuck)},
                      {"noisy", list(robustness.noisy)}};
}

}  // namespace nacelle::evaluation
