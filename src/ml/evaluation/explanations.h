#pragma once
// What a fleet's predictions are made of: each engine's, and over all of them how much each part moves predictions.

#include <limits>
#include <string>
#include <vector>

#include "codec/json/value.h"
#include "ml/dataset/fleet_table.h"
#include "ml/model/estimator.h"

namespace nacelle::evaluation {

/// A prediction after an engine's last reading: base, and what each feature adds, in cycles. The sum is clipped to what is
/// predicted.
struct EngineExplanation {
  std::size_t engine = 0;  ///< index into the table's
  double base = 0;
  bool exact = true;                          ///< as model::Explanation::exact
  std::vector<double> features;               ///< pipeline's order
  std::vector<model::Contribution> channels;  ///< features of one channel together, the largest first
};

/// Mean size of what a part adds, over engines, in cycles; the largest first.
using Importance = std::vector<model::Contribution>;

struct FleetExplanation {
  std::vector<EngineExplanation> engines;  ///< table's order
  bool exact = true;                       ///< all of them are
  Importance features;
  Importance channels;  ///< of the channels' sums, which is less than the sum of their features' sizes
  Importance sensors;   ///< channels divided among their sensors by weight
};

/// Of all engines, or, if there are more, of `most` of them at even steps. Fault::invalid_input: a column is missing.
/// Fault::unavailable: this kind of model does not tell.
Result<FleetExplanation> explain_fleet(const model::Estimator& estimator, const dataset::FleetTable& table,
                                       std::size_t most = std::numeric_limits<std::size_t>::max());

json::Value to_json(const Importance& importance);
json::Value to_json(const EngineExplanation& explanation, const feature::Pipeline& pipeline);
/// A report's chapter: bars of features and of channels. As HTML.
std::string render_importance(const FleetExplanation& explanation);

}  // namespace nacelle::evaluation
