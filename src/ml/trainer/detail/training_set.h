#pragma once
// What trainers learn from: rows of engines with their targets. Private to ml/trainer.

#include "ml/trainer/experiment.h"

namespace nacelle::trainer {

struct LearnsFrom {
  std::size_t stride = 1;   ///< every so manieth row of an engine
  bool censored = false;    ///< engines still running, too
  bool late_apart = false;  ///< the trainer keeps late joins apart (Trainer::learns_late_apart)
};
/// Rows of each engine of `table`, and of late joins.
Result<TrainingSet> make_training_set(const feature::Pipeline& pipeline, const dataset::FleetTable& table, const Plan& plan,
                                      const LearnsFrom& from);

/// A few rows that stand for all: at even steps of the target's order.
model::Background background_of(const TrainingSet& set);

/// Indices of the engines whose end is known, or of those still running.
std::vector<std::size_t> engines_of(const dataset::FleetTable& table, bool running);

}  // namespace nacelle::trainer
