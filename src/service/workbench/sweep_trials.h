#pragma once
// The trials of a sweep: what was judged of each so far, in memory and, as it comes, in the store. Which trial is judged when is
// sweep.cc's business.

#include <optional>
#include <string>
#include <vector>

#include "ml/search/experiment_spec.h"
#include "service/workbench/store.h"
#include "service/workbench/trial.h"

namespace nacelle::workbench {

/// One trial: its run and what was judged of it, fold by fold.
struct SweepTrial {
  Run run;
  std::vector<json::Value> documents;
  std::vector<trainer::JudgedFold> folds;
  bool failed = false;
};

/// Borrows the store, for its life.
class SweepTrials {
 public:
  /// `plan`: what all trials have in common.
  SweepTrials(WorkbenchStore& store, const search::Experiment& experiment, trainer::Plan plan)
      : store_(store), experiment_(experiment), plan_(std::move(plan)) {}

  /// Draws the trials of the sweep, and finds again what a former process left of it.
  Result<> prepare(const Sweep& sweep);

  std::size_t size() const { return trials_.size(); }
  SweepTrial& operator[](std::size_t index) { return trials_[index]; }
  const SweepTrial& operator[](std::size_t index) const { return trials_[index]; }

  /// What a process is asked to do with a trial; the folds are the caller's to name.
  TrialRequest request_of(const SweepTrial& trial, const Sweep& sweep) const;
  /// Its metric over the first `folds` folds, less is better. None: it failed, or was not judged on so many.
  std::optional<double> score_of(const SweepTrial& trial, std::size_t folds) const;
  std::optional<double> score_of(std::size_t trial, std::size_t folds) const { return score_of(trials_[trial], folds); }

  Result<> set_status(SweepTrial& trial, const std::string& status, const std::string& message = {});
  /// Takes what a trial's process answered; what to tell people about it.
  Result<std::string> take(SweepTrial& trial, const Result<json::Value>& answer);
  /// Judged on all folds that it will be judged on.
  Result<> finish(SweepTrial& trial);
  /// Those that wait or run get this status.
  Result<> leave_behind(const std::string& status);
  /// A blend of trials joins them, as the last. `folds` as judged.
  Result<> add_blend(const Sweep& sweep, const json::Value& parameters, SweepTrial blend);

  /// Runs so far, those judged on most folds first, and of those the best.
  std::vector<Run> best(std::size_t count) const;
  const std::optional<Error>& first_failure() const { return first_failure_; }

 private:
  trainer::Plan plan_of(const SweepTrial& trial) const;
  Result<> add_fold(SweepTrial& trial, const json::Value& document);
  json::Value metrics_of(const SweepTrial& trial, std::size_t folds) const;

  WorkbenchStore& store_;
  const search::Experiment& experiment_;
  const trainer::Plan plan_;
  std::vector<SweepTrial> trials_;
  std::optional<Run> former_blend_;  ///< of a process before this one
  std::optional<Error> first_failure_;
};

/// {"rmse":..,"mae":..,"r2":..,"phm08PerEngine":..,"rmseRaw":..,"intervalCoverage":..,"intervalWidth":..,"foldRmse":[..]}
json::Value metrics_json(const trainer::CrossValidation& judged);

}  // namespace nacelle::workbench
