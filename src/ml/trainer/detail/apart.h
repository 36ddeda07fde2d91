#pragma once
// Trees of their own for engines that joined late. Private to ml/trainer. Why: docs/decisions/0270-late-joins-apart.md.

#include "ml/trainer/detail/boosting.h"

namespace nacelle::trainer {

/// Like grow(), but rows of engines seen from their first cycle and rows of all others (feature::joined_feature) get trees of their
/// own. Tree k of one kind and tree k of the other are joined under a root that asks for the feature, so that what comes out is one
/// model, which says of the first kind exactly what it would if the others had not been there. As grow() if the set does not have
/// the feature, or too few rows of a kind.
Result<json::Value> grow_apart(const TrainingSet& set, const FitOptions& options, const Growth& growth);

/// The mean target of rows of engines seen from their first cycle; of all rows if there is none of them.
double mean_of_whole(const TrainingSet& set);

}  // namespace nacelle::trainer
