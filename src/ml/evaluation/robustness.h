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

/// What a cycle count says of an engine whose first cycles were not seen.
enum class Count { kept, not_told, begun_again };

/// Engines that join in the middle of their life: the first `cycles` readings of each were not seen.
struct LateJoin {
  std::size_t cycles = 0;
  Count count = Count::kept;
  std::size_t least = 10;  ///< of an engine's readings so many stay, however short its life
  Stress all;              ///< over all engines, against the whole histories of all
  /// Of the engines that have `cycles` + `least` readings at least: others have not lived long enough to join so late.
  std::size_t engines = 0;
  double rmse_whole = 0;  ///< what is said of these with their whole histories
  double rmse_cut = 0;
  /// Over all engines, if only these join late and the others are seen from their first cycle.
  double rmse_mixed = 0;
  double loss_mixed = 0;
};

struct Robustness {
  Metrics whole;                     ///< for comparison
  std::vector<LateJoin> late_joins;  ///< the first 50 and 100 cycles cut; the cycle counter kept, not told, or begun again
  std::vector<Stress> dead;          ///< each sensor silent, the worst first
  std::vector<Stress> stuck;         ///< each sensor held at its value of half way, the worst first
  std::vector<Stress> noisy;         ///< all sensors with as much noise as they have, and twice as much, added
};

/// Engines, truth and cap as evaluate() takes them. Takes some 40 times as long.
Result<Robustness> judge_robustness(const model::Estimator& estimator, const dataset::FleetTable& table,
                                    const std::vector<double>& truth, double cap, std::uint64_t seed = 1);

/// The table without the first `cycles` readings of each engine; its last `least` stay. `count_again`: cycles are counted from
/// there.
dataset::FleetTable cut_beginnings(const dataset::FleetTable& table, std::size_t cycles, bool count_again, std::size_t least = 10);

json::Value to_json(const Robustness& robustness);

}  // namespace nacelle::evaluation
