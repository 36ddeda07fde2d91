#pragma once
// How models are weighed against each other: least squares with weights that are not negative, on predictions of rows that none of
// them learned from. Source: Breiman, "Stacked regressions", Machine Learning 24 (1996).

#include <span>
#include <vector>

namespace nacelle::trainer {

/// Weights w >= 0 that make the sum over m of w[m] * predictions[m] least far from `truth`. All of one length. Coordinate descent:
/// the same bits for the same input. Equal shares if nothing is better than nothing.
std::vector<double> weigh(const std::vector<std::vector<double>>& predictions, std::span<const double> truth);

/// The weighted sum at each row.
std::vector<double> blend(const std::vector<std::vector<double>>& predictions, std::span<const double> weights);

}  // namespace nacelle::trainer
