#pragma once
// How far predictions lie from the truth.

#include <cstddef>
#include <span>
#include <vector>

#include "codec/json/value.h"

namespace nacelle::evaluation {

/// All zero if there is nothing to compare. Errors are predicted less true, in cycles.
struct Metrics {
  std::size_t count = 0;
  double rmse = 0;
  double mae = 0;
  double r2 = 0;    ///< 0 if the truth does not vary
  double bias = 0;  ///< mean error; above 0: failures come earlier than said
  /// Sum over engines of exp(-error/13) - 1 (early) or exp(error/10) - 1 (late). Source: Saxena et al., PHM08, eq. 11.
  double phm08 = 0;
};

Metrics measure(std::span<const double> truth, std::span<const double> predicted);
double phm08_penalty(double error);
/// The values, none above `cap`.
std::vector<double> capped(std::span<const double> values, double cap);

json::Value to_json(const Metrics& metrics);

}  // namespace nacelle::evaluation
