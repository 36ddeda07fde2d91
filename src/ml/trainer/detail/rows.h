#pragma once
// What trainers ask of a training set before they learn from it, and how they look at it. Private to ml/trainer.

#include "ml/trainer/trainer.h"

namespace nacelle::trainer {

/// Fault::invalid_input: no rows, sizes that disagree, or a value that is not a finite number, with its place.
Result<> check_set(const TrainingSet& set, std::string_view trainer);

/// Mean and inverse standard deviation of each column; 0 for one that does not vary.
struct Standard {
  std::vector<float> centre;
  std::vector<float> scale;
};
Standard standardise(const FeatureRows& rows, const std::vector<std::uint16_t>& columns);

/// The engines that are in the set, ascending. One of number 0 if the set does not tell.
std::vector<std::uint32_t> engines_in(const TrainingSet& set);

/// The columns of the newest `steps` of each channel's sequence, oldest step first, channel by channel within a step. Empty if the
/// set has fewer. `channels`: how many there are.
struct SequenceColumns {
  std::size_t channels = 0;
  std::vector<std::uint16_t> columns;
};
SequenceColumns sequence_columns(const TrainingSet& set, std::size_t steps);
/// All columns that are no sequence's.
std::vector<std::uint16_t> plain_columns(const TrainingSet& set);

}  // namespace nacelle::trainer
