#pragma once
// Running an experiment: trials judged rung by rung (successive halving), each recorded as a run, the best fitted to all engines
// and registered. Everything that is known is in the store after each trial, so that a killed sweep goes on where it was.

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "ml/search/experiment_spec.h"
#include "service/workbench/store.h"
#include "service/workbench/sweep_trials.h"
#include "service/workbench/trial.h"

namespace nacelle::workbench {

/// What is going on, for people who wait.
struct SweepProgress {
  std::size_t rung = 0;  ///< from 1
  std::size_t rungs = 0;
  std::size_t done = 0;  ///< trials of this rung, of `all`
  std::size_t all = 0;
  double seconds = 0;
  std::string what;       ///< the last thing that happened: "trial 7, xgboost: 8.31 on 2 folds"
  std::vector<Run> best;  ///< so far, at most five; those judged on most folds first
};

struct SweepResult {
  Sweep sweep;
  Run best;                      ///< fitted to all engines: the first of the leaderboard, or a blend that holds against it
  std::vector<Run> leaderboard;  ///< best first
  std::optional<ModelVersion> registered;
};

struct SweepOptions {
  std::string code_version;
  std::string model_name;                              ///< kept in artifacts; empty: that of `register`, else the default
  std::function<void(const SweepProgress&)> progress;  ///< may be empty
  std::function<double()> seconds_now;                 ///< a steady clock; empty: budgets of seconds are not kept
};

/// Begins a sweep of `experiment` (its name and spaces are checked first: nothing is recorded of a wrong one) and runs it.
/// Fault::conflict: another process works on the experiment. Fault::unavailable: interrupted; resume_sweep() goes on. If every
/// trial fails, the first one's reason.
Result<SweepResult> run_sweep(WorkbenchStore& store, const search::Experiment& experiment, const dataset::FleetTable& table,
                              TrialWorkers& workers, const SweepOptions& options);

/// Goes on with the newest sweep of the experiment if it is not finished. Fault::conflict: it is, or the data are others.
Result<SweepResult> resume_sweep(WorkbenchStore& store, const std::string& experiment, const dataset::FleetTable& table,
                                 TrialWorkers& workers, const SweepOptions& options);

/// The features that an experiment asks for, of such a table: its recipe, else one of the table's schema.
Result<feature::Recipe> recipe_of(const search::Experiment& experiment, const dataset::FleetSchema& schema);
/// Recipe A over the schema's settings and sensors.
feature::Recipe default_recipe(const dataset::FleetSchema& schema);

/// A search space without parameters of its own takes those that its trainer documents; they are written down with the experiment,
/// so that it means the same when it is resumed.
Result<> fill_spaces(search::Experiment& experiment);
/// Every trial's trainer and parameters, and the name it is registered under. Fault::invalid_input.
Result<> check_spaces(const search::Experiment& experiment);

}  // namespace nacelle::workbench
