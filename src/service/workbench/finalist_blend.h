#pragma once
// Finalists of an experiment laid together: their predictions of held-out engines are there already, so a blend of them is judged
// without another fit.

#include <optional>
#include <string>
#include <vector>

#include "ml/search/experiment_spec.h"
#include "ml/trainer/experiment.h"

namespace nacelle::workbench {

/// A configuration that was judged on all folds.
struct Finalist {
  std::string trainer;
  json::Value parameters;
  const std::vector<trainer::JudgedFold>* folds = nullptr;
};

struct FinalistBlend {
  json::Value parameters;                  ///< of the trainer `blend`: members and their weights
  std::vector<trainer::JudgedFold> folds;  ///< how it does: each fold's weights were learned from the other folds
};

/// None if fewer than two of them have a say. Fault::corrupt if they were not asked at the same points.
Result<std::optional<FinalistBlend>> blend_finalists(const std::vector<Finalist>& finalists, double cap);

/// Whether `blend` is taken instead of `single`, the best of many trials: unless it is worse by more than one standard error over
/// engines of what it costs more. Both were asked at the same points. Why so: docs/decisions/0276.
bool holds_against(const std::vector<trainer::JudgedFold>& blend, const std::vector<trainer::JudgedFold>& single,
                   search::Metric metric, double cap);

}  // namespace nacelle::workbench
