#pragma once
// What becomes of a model's error when the data are worse than those it learned from: a dead, noisy or stuck sensor, an engine that
// joins the fleet in the middle of its life.

#include <string>
#include <vector>

#include "ml/evaluation/predictions.h"

namespace nacelle::evaluation {

struct Stress {
  std::string name;  ///< "no Sensor11", "first 100 cycles cut, counter kept"
  Metrics capped;
  double loss = 0;  ///< RMSE over that of whole data, less 1
};

struct Robustness {
  Metrics whole;                   ///< for comparison
  std::vector<Stress> late_joins;  ///< the first 50 and 100 cycles cut; the cycle counter kept, or begun again
  std::vector<Stress> dead;        ///< each sensor silent, the worst first
  std::vector<Stress> stuck;       ///< each sensor held at its value of half way, the worst first
  std::vector<Stress> noisy;       ///< all sensors with as much noise as they have, and twice as much, added
};

/// Engines, truth and cap as evaluate() takes them. Takes some 40 times as long.
Result<Robustness> judge_robustness(const model::Estimator& estimator, const dataset::FleetTable& table,
                                    const std::vector<double>& truth, double cap, std::uint64_t seed = 1);

/// The table without the first `cycles` readings of each engine; its last `least` stay. `count_again`: cycles are counted from
/// there.
dataset::FleetTable cut_beginnings(const dataset::FleetTable& table, std::size_t cycles, bool count_again, std::size_t least = 10);

json::Value to_json(const Robustness& robustness);

}  // namespace nacelle::evaluation
