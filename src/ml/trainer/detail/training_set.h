#pragma once
// What trainers learn from: rows of engines with their targets. Private to ml/trainer.

#include "ml/trainer/experiment.h"

namespace nacelle::trainer {

/// Every `stride`-th row of each engine of `table`, and rows of late joins; of engines still running only if `censored`.
Result<TrainingSet> make_training_set(const feature::Pipeline& pipeline, const dataset::FleetTable& table, const Plan& plan,
                                      std::size_t stride, bool censored);

/// Indices of the engines whose end is known, or of those still running.
std::vector<std::size_t> engines_of(const dataset::FleetTable& table, bool running);

}  // namespace nacelle::trainer
