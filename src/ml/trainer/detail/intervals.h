#pragma once
// How well intervals hold, within a cross-validation. Private to ml/trainer.

#include "ml/trainer/experiment.h"

namespace nacelle::trainer {

/// Coverage and width of intervals, each engine's made from the cuts of the other folds' engines; two folds at least.
void judge_intervals(CrossValidation& result, const Plan& plan);

}  // namespace nacelle::trainer
