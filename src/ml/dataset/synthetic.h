#pragma once
// A fleet made from a formula, for tests and for machines without the NASA data: wear that starts late and grows fast, seen
// by noisy sensors, in one or several operating regimes. It imitates the shape of C-MAPSS, not its physics.

#include <cstdint>

#include "ml/dataset/fleet_table.h"

namespace nacelle::dataset {

struct SyntheticFleet {
  std::size_t engines = 40;
  std::size_t regimes = 1;
  std::int64_t min_life = 130;
  std::int64_t max_life = 330;
  double noise = 0.4;    ///< of a sensor, in units of its change over life
  bool cut_off = false;  ///< each engine stops at a random point of its life, as in a test set; end_rul tells the rest
  std::uint64_t seed = 1;
};

FleetTable make_synthetic_fleet(const SyntheticFleet& fleet);

}  // namespace nacelle::dataset
