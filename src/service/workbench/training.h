#pragma once
// Experiments: several trainers judged on the same folds of the same data, each recorded as a run with its artifact; the best one
// registered.

#include <optional>
#include <string>
#include <vector>

#include "ml/dataset/fleet_table.h"
#include "ml/trainer/experiment.h"
#include "service/workbench/store.h"

namespace nacelle::workbench {

struct ExperimentRequest {
  std::string name;
  std::vector<std::string> trainers;
  trainer::Plan plan;       ///< trainer is taken from the list; parameters must be empty if there are several
  std::string register_as;  ///< empty: nothing is registered
};

struct ExperimentResult {
  std::vector<Run> leaderboard;            ///< of this call, best first
  std::optional<ModelVersion> registered;  ///< the best run's model
};

/// A trainer that fails is recorded as a failed run and the others go on; if all fail, the first one's fault.
Result<ExperimentResult> run_experiment(WorkbenchStore& store, const dataset::FleetTable& table, const ExperimentRequest& request);

/// {"rmse":..,"mae":..,"r2":..,"phm08":..,"rmseRaw":..,"intervalCoverage":..,"intervalWidth":..,"foldRmse":[..]}
json::Value metrics_json(const trainer::CrossValidation& judged);

}  // namespace nacelle::workbench
