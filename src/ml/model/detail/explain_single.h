#pragma once
// Explanations of models that are no trees and no line, against background rows. Private to ml/model.

#include "ml/model/background.h"
#include "ml/model/explanation.h"

namespace nacelle::model {

/// Exact: a sum of products over features (detail/product_game.h), averaged over the background rows.
Explanation explain_kernel(const KernelModel& model, std::span<const float> row, const Background& background);
/// TreeSHAP of the logarithm, carried over to cycles as the values of the product of the parts' exponentials: exact for that
/// product. No background: `base` is the life of which the logarithm is the trees' mean.
Result<Explanation> explain_log_life(const LogLifeTrees& model, std::span<const float> row);
/// Sampled: from each background row to `row`, one player (a feature, or all steps of a channel's sequence) after the other in a
/// random order and in that order reversed; what each step changes is averaged. Seeded by nothing but the count of players: the
/// same row has the same explanation. Source: Castro, Gomez, Tejada, "Polynomial calculation of the Shapley value based on
/// sampling" (2009).
Explanation explain_network(const Network& model, std::span<const float> row, const Background& background);
Explanation explain_trajectories(const TrajectoryLibrary& model, std::span<const float> row, const Background& background);

}  // namespace nacelle::model
