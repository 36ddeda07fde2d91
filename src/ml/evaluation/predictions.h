#pragma once
// What a model says of a fleet: each engine's remaining life after its last reading, through the same Estimator as serving.

#include <optional>
#include <vector>

#include "codec/json/value.h"
#include "ml/dataset/fleet_table.h"
#include "ml/evaluation/bootstrap.h"
#include "ml/evaluation/metrics.h"
#include "ml/model/estimator.h"

namespace nacelle::evaluation {

struct EnginePrediction {
  std::int64_t unit = 0;
  std::int64_t cycle = 0;  ///< its last
  double rul = 0;
  model::Interval interval;
};

/// One a engine, in the table's order; `tell_cycles` false: readings do not tell their cycle, where the model allows it.
/// Fault::invalid_input: the table lacks a column that the model needs.
Result<std::vector<EnginePrediction>> predict_fleet(const model::Estimator& estimator, const dataset::FleetTable& table,
                                                    bool tell_cycles = true);

/// The engines whose true remaining life lies in low .. high: how well they are told.
struct Horizon {
  double low = 0;   ///< exclusive, but for 0
  double high = 0;  ///< inclusive; infinite in the last
  Metrics metrics;  ///< against capped truth; of no engine: all zero
  double interval_coverage = 0;
  double interval_width = 0;
  double late = 0;  ///< part of the engines that are said to last more than late_cycles longer than they do
};

/// An error above late_cycles is late, one below -early_cycles early: the scales of the PHM08 score.
constexpr double late_cycles = 10;
constexpr double early_cycles = 13;

struct Evaluation {
  std::vector<EnginePrediction> engines;
  std::vector<double> truth;  ///< raw RUL of each engine at its last reading
  double cap = 125;
  Metrics capped;  ///< truth cut at the cap: the usual protocol
  Metrics raw;
  double interval_coverage = 0;  ///< part of capped truths inside the model's interval
  double interval_width = 0;     ///< mean, in cycles
  double early = 0;              ///< part of the engines
  double late = 0;
  MetricRanges capped_ranges;     ///< 5 % to 95 %, over resampled engines
  Horizon near_failure;           ///< true RUL of at most 50
  std::vector<Horizon> horizons;  ///< up to 25, 50, 75, 100, 125, above
};

/// `truth`: one for each engine of the table. Fault::invalid_input otherwise.
Result<Evaluation> evaluate(const model::Estimator& estimator, const dataset::FleetTable& table, std::vector<double> truth,
                            double cap = 125);

/// Two models on the same engines. Paired: Fault::invalid_input if they are not the same.
Result<Comparison> compare(const Evaluation& first, const Evaluation& second);

json::Value to_json(const Evaluation& evaluation);
json::Value to_json(const Horizon& horizon);

}  // namespace nacelle::evaluation
