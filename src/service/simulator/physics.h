#pragma once
// A built-in engine simulator: run-to-failure histories in the shape of NASA's C-MAPSS files, for machines that have
// neither the data nor a network. It is a stand-in with the same structure, not a copy of C-MAPSS.
//
// Source of the damage model: A. Saxena, K. Goebel, D. Simon, N. Eklund, "Damage Propagation Modeling for Aircraft
// Engine Run-to-Failure Simulation", PHM08 (2008): wear of efficiency and flow grows exponentially from a random
// initial wear, health is the smallest of the normalised operating margins, and an engine has failed when it is zero.
//
//   TRY_LET(const Fleet fleet, simulate_fleet({.engines = 100, .conditions = 1, .fault_modes = 2, .seed = 7}));
//   write(print_histories(fleet.train));

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "foundation/result.h"

namespace nacelle::simulator {

struct FleetSpec {
  int engines = 100;    ///< 1..10000, of the training set and of the test set each
  int conditions = 1;   ///< 1 (sea level) or 6 operating regimes
  int fault_modes = 1;  ///< 1 (high-pressure compressor) or 2 (compressor or fan)
  std::uint64_t seed = 1;
};

/// One flight: 3 settings (kft, Mach, TRA) and 21 sensors in C-MAPSS order and units, rounded as in NASA's files.
struct Flight {
  std::array<double, 3> settings;
  std::array<double, 21> sensors;
};

/// An engine's flights from its first; a training engine's last flight is the one at which it failed.
using History = std::vector<Flight>;

struct Fleet {
  std::vector<History> train;
  std::vector<History> test;   ///< cut off some time before failure
  std::vector<int> remaining;  ///< of each test engine, flights left after its last
};

/// Deterministic: the same spec gives the same fleet, and engine k does not depend on how many there are.
/// Fault::invalid_input names the member that is out of range.
Result<Fleet> simulate_fleet(const FleetSpec& spec);

/// The 26-column text of NASA's files: unit, cycle, settings, sensors, single spaces, two spaces at the line's end.
std::string print_histories(const std::vector<History>& histories);
/// One number a line, as NASA's RUL files.
std::string print_remaining(const std::vector<int>& remaining);

}  // namespace nacelle::simulator
