#pragma once
// Explanation: what each feature adds to a prediction, in cycles (Shapley values). For trees path-dependent TreeSHAP over the
// weights of the training rows in every node (Lundberg et al., "From local explanations to global understanding with explainable AI
// for trees" (2020), algorithm 2), for a line weight times distance from the centre; other kinds are laid beside background rows
// (docs/decisions/0262-explanations.md tells of each kind how).
//
//   TRY_LET(const Explanation why, explain(regressor, row, background));
//   for (const Contribution& part : by_channel(pipeline, why)) print(part.name, part.cycles);

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "foundation/result.h"
#include "ml/feature/pipeline.h"
#include "ml/model/background.h"
#include "ml/model/regressor.h"

namespace nacelle::model {

struct Explanation {
  double base = 0;               ///< what is predicted of a training row about which nothing is known
  std::vector<double> features;  ///< of each feature; with `base` they sum to the prediction before it is clipped
  bool exact = true;             ///< false: the values of sampled orders; the sum is exact all the same
};

/// "exact" or "sampled".
inline std::string_view method_name(const Explanation& explanation) { return explanation.exact ? "exact" : "sampled"; }

struct Contribution {
  std::string name;
  double cycles = 0;
};

/// A blend's parts are the weighted sum of its members'; those of a member whose prediction is cut are cut in proportion.
/// Fault::unavailable: trees made without weights, or no background for a model that needs it.
/// Trees: O(leaves * depth^2) each. Others: some hundreds to thousands of predictions. Allocates. Deterministic.
Result<Explanation> explain(const Regressor& regressor, std::span<const float> row, const Background& background = {});
Result<Explanation> explain(const TreeEnsemble& trees, std::span<const float> row);

/// Features of one channel ("health.mean30", "health.last") together: exact, as Shapley values add up. In order of first feature.
std::vector<Contribution> by_channel(const feature::Pipeline& pipeline, std::span<const double> features);
/// Channels that are sums over sensors are divided among those, by the size of their weights in the channel: how much a sensor is
/// heard, not a Shapley value of its own. What is no channel ("cycle", "history") stays. Recipe's order.
std::vector<Contribution> by_sensor(const feature::Pipeline& pipeline, std::span<const double> features);

}  // namespace nacelle::model
