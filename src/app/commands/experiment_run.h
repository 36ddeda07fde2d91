#pragma once
// Experiments on the command line: run or resumed with trials as processes, watched on the terminal, told as a table or JSON.

#include <string>
#include <vector>

#include "ml/search/experiment_spec.h"
#include "service/workbench/sweep.h"

namespace nacelle::app {

struct ExperimentRun {
  std::string workbench;
  std::string model_name;
  std::string out;  ///< folder for the best model's artifact; may be empty
  int threads = 2;  ///< trials at once x threads of each
  bool json = false;
  bool progress = false;  ///< with `json`: a line {"progress":{..}} on standard output whenever something happens
};

Result<> run_experiment(search::Experiment experiment, const ExperimentRun& run);
Result<> resume_experiment(const std::string& name, const ExperimentRun& run);

/// Runs as a table: trial, trainer, status, folds, metrics, parameters.
void print_leaderboard(const std::vector<workbench::Run>& runs);

}  // namespace nacelle::app
