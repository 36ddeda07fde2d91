#pragma once
// Runs side by side.

#include <string>
#include <utility>
#include <vector>

#include "ml/evaluation/bootstrap.h"
#include "service/workbench/store.h"

namespace nacelle::workbench {

struct RunComparison {
  std::vector<Run> runs;
  std::vector<std::pair<std::string, std::vector<std::string>>> differences;  ///< parameter; its value in each run, "-": none
  std::vector<std::pair<std::string, evaluation::Comparison>> against_first;  ///< a run's id; it against the first
  std::vector<std::string> notes;                                             ///< why a pair could not be compared
};

/// `names`: runs' ids, or experiments, which stand for their best runs. The out-of-fold predictions of two runs are compared,
/// paired by cut point, on all that both were judged on. Fault::not_found.
Result<RunComparison> compare_runs(const WorkbenchStore& store, const std::vector<std::string>& names);

json::Value to_json(const RunComparison& comparison);

}  // namespace nacelle::workbench
