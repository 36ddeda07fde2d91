#pragma once
// Explanation: what each feature adds to a prediction, in cycles (Shapley values). Exact: for trees path-dependent TreeSHAP over
// the weights of the training rows in every node, for a line weight times distance from the centre. Source: Lundberg et al., "From
// local explanations to global understanding with explainable AI for trees" (2020), algorithm 2.
//
//   TRY_LET(const Explanation why, explain(regressor, row));
//   for (const Contribution& part : by_channel(pipeline, why)) print(part.name, part.cycles);

#include <span>
#include <string>
#include <vector>

#include "foundation/result.h"
#include "ml/feature/pipeline.h"
#include "ml/model/regressor.h"

namespace nacelle::model {

struct Explanation {
  double base = 0;               ///< what is predicted of a training row about which nothing is known
  std::vector<double> features;  ///< of each feature; with `base` they sum to the prediction before it is clipped
};

struct Contribution {
  std::string name;
  double cycles = 0;
};

/// Fault::unavailable: this kind of model, or a tree model made without weights, tells no exact parts.
/// O(leaves * depth^2) for each tree; allocates. Deterministic.
Result<Explanation> explain(const Regressor& regressor, std::span<const float> row);
Result<Explanation> explain(const TreeEnsemble& trees, std::span<const float> row);

/// Features of one channel ("health.mean30", "health.last") together: exact, as Shapley values add up. In order of first feature.
std::vector<Contribution> by_channel(const feature::Pipeline& pipeline, std::span<const double> features);
/// Channels that are sums over sensors are divided among those, by the size of their weights in the channel: how much a sensor is
/// heard, not a Shapley value of its own. What is no channel ("cycle", "history") stays. Recipe's order.
std::vector<Contribution> by_sensor(const feature::Pipeline& pipeline, std::span<const double> features);

}  // namespace nacelle::model
