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
/// beside it, but changes of operating regime are not: only readings under nearly the settings of the one before count, and their
/// median.
double noise_of(const FleetTable& table, std::size_t column, const std::vector<feature::Setting>& settings) {
  std::vector<double> differences;
  for (const EngineRows& engine : table.engines)
    for (std::size_t row = engine.begin + 1; row < engine.end; ++row) {
      const bool same_regime = std::all_of(settings.begin(), settings.end(), [&](const feature::Setting& setting) {
        const auto at = table.find_column(setting.name);
        return !at || std::abs(table.columns[*at][row] - table.columns[*at][row - 1]) <= setting.tolerance;
      });
      if (!same_regime) continue;
      const double difference = std::abs(table.columns[column][row] - table.columns[column][row - 1]);
      if (std::isfinite(difference)) differences.push_back(difference);
    }
  if (differences.empty()) return 0;
  std::nth_element(differences.begin(), differences.begin() + static_cast<std::ptrdiff_t>(differences.size() / 2),
                   differences.end());
  constexpr double normal_median = 0.6745;  // of the absolute value
  return differences[differences.size() / 2] / normal_median / std::sqrt(2.0);
}

std::string_view count_text(Count count) {
  switch (count) {
    case Count::not_told: return "not told";
    case Count::begun_again: return "begun again";
    case Count::kept: break;
  }
  return "kept";
}

void worst_first(std::vector<Stress>& stresses) {
  std::stable_sort(stresses.begin(), stresses.end(),
                   [](const Stress& a, const Stress& b) { return a.capped.rmse > b.capped.rmse; });
}

class Judge {
 public:
  Judge(const model::Estimator& estimator, const std::vector<double>& truth, double cap)
      : estimator_(estimator), truth_(capped(truth, cap)) {}

  Result<std::vector<double>> predict(const FleetTable& table, bool tell_cycles = true) const {
    TRY_LET(const auto engines, predict_fleet(estimator_, table, tell_cycles));
    std::vector<double> predicted;
    for (const EnginePrediction& engine : engines) predicted.push_back(engine.rul);
    return predicted;
  }

  Result<Metrics> metrics(const FleetTable& table) const {
    TRY_LET(const std::vector<double> predicted, predict(table));
    return measure(truth_, predicted);
  }

  /// `whole`: what is said of the engines of `table` with all their readings.
  Result<LateJoin> late_join(const FleetTable& table, const std::vector<double>& whole, std::size_t cycles, Count count) const {
    LateJoin join{.cycles = cycles, .count = count, .all = {}};
    const FleetTable cut = cut_beginnings(table, cycles, count == Count::begun_again, join.least);
    TRY_LET(const std::vector<double> predicted, predict(cut, count != Count::not_told));
    const double whole_rmse = measure(truth_, whole).rmse;
    const auto loss = [whole_rmse](double rmse) { return whole_rmse > 0 ? rmse / whole_rmse - 1 : 0; };
    join.all = {.name = fmt::format("first {} cycles cut, counter {}", cycles, count_text(count)),
                .capped = measure(truth_, predicted)};
    join.all.loss = loss(join.all.capped.rmse);
    std::vector<double> truth, before, after, mixed = whole;
    for (std::size_t e = 0; e < table.engines.size(); ++e) {
      if (table.engines[e].size() < cycles + join.least) continue;
      truth.push_back(truth_[e]);
      before.push_back(whole[e]);
      after.push_back(predicted[e]);
      mixed[e] = predicted[e];
    }
    join.engines = truth.size();
    join.rmse_whole = measure(truth, before).rmse;
    join.rmse_cut = measure(truth, after).rmse;
    join.rmse_mixed = measure(truth_, mixed).rmse;
    join.loss_mixed = loss(join.rmse_mixed);
    return join;
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
  TRY_LET(const std::vector<double> whole, judge.predict(table));
  result.whole = measure(capped(truth, cap), whole);
  for (const std::size_t cycles : {50u, 100u})
    for (const Count count : {Count::kept, Count::not_told, Count::begun_again}) {
      TRY_LET(LateJoin join, judge.late_join(table, whole, cycles, count));
      result.late_joins.push_back(std::move(join));
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
      const double noise = noise_of(table, sensor, estimator.pipeline().recipe().settings);
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
  json::Array joins;
  for (const LateJoin& join : robustness.late_joins)
    joins.emplace_back(json::Object{{"name", join.all.name},
                                    {"rmse", join.all.capped.rmse},
                                    {"phm08", join.all.capped.phm08},
                                    {"loss", join.all.loss},
                                    {"engines", join.engines},
                                    {"rmseWholeOfThese", join.rmse_whole},
                                    {"rmseOfThese", join.rmse_cut},
                                    {"rmseMixed", join.rmse_mixed},
                                    {"lossMixed", join.loss_mixed}});
  return json::Object{{"rmse", robustness.whole.rmse},
                      {"lateJoins", std::move(joins)},
                      {"dead", list(robustness.dead)},
                      {"stuck", list(robustness.stuck)},
                      {"noisy", list(robustness.noisy)}};
}

}  // namespace nacelle::evaluation
