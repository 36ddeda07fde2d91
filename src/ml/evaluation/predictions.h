#pragma once
// What a model says of a fleet: each engine's remaining life after its last reading, through the same Estimator as serving.

#include <optional>
#include <vector>

#include "codec/json/value.h"
#include "ml/dataset/fleet_table.h"
#include "ml/evaluation/metrics.h"
#include "ml/model/estimator.h"

namespace nacelle::evaluation {

struct EnginePrediction {
  std::int64_t unit = 0;
  std::int64_t cycle = 0;  ///< its last
  double rul = 0;
  model::Interval interval;
};

/// One a engine, in the table's order. Fault::invalid_input: the table lacks a column that the model needs.
Result<std::vector<EnginePrediction>> predict_fleet(const model::Estimator& estimator, const dataset::FleetTable& table);

struct Evaluation {
  std::vector<EnginePrediction> engines;
  std::vector<double> truth;  ///< raw RUL of each engine at its last reading
  double cap = 125;
  Metrics capped;  ///< truth cut at the cap: the usual protocol
  Metrics raw;
  double interval_coverage = 0;  ///< part of capped truths inside the model's interval
  double interval_width = 0;     ///< mean, in cycles
};

/// `truth`: one for each engine of the table. Fault::invalid_input otherwise.
Result<Evaluation> evaluate(const model::Estimator& estimator, const dataset::FleetTable& table, std::vector<double> truth,
                            double cap = 125);

json::Value to_json(const Evaluation& evaluation);

}  // namespace nacelle::evaluation
