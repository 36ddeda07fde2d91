#pragma once
// Operating regimes of training rows: given, by k-means, or by the settings' tolerances. Private to ml/feature.

#include "ml/feature/detail/tables.h"

namespace nacelle::feature {

/// Sets tables.regimes and tables.set_points, the most frequent first (given ones stay in their order). `held`: each row's
/// settings, silent ones held, [rows][settings]; rows with one that is not finite are passed over. Fault::invalid_input if no row
/// is left.
Result<> learn_regimes(std::span<const double> held, Pipeline::Tables& tables);

}  // namespace nacelle::feature
