#pragma once
// Recipe: what features are to be made, as declared by a person; the defaults are recipe A. JSON both ways; every member
// optional. It is saved inside the model, so that serving needs nothing else.

#include <cstdint>
#include <string>
#include <vector>

#include "codec/json/value.h"
#include "foundation/result.h"

namespace nacelle::feature {

/// An operational setting. Two readings are in one operating regime if all settings differ by less than their tolerance.
struct Setting {
  std::string name;
  double tolerance = 1;
};

struct Recipe {
  /// The inputs are the features, as they are: what models trained elsewhere on raw columns take. Nothing is learned, a silent
  /// value stays NaN, and a column "cycle" or "CycleTime" is the reading's cycle. Of the rest only settings and sensors count.
  bool identity = false;
  /// Tolerances lie well between the noise within a C-MAPSS regime (0.01 kft, 0.001 Mach) and the gaps between regimes.
  std::vector<Setting> settings = {{"OperationalSetting1", 2.0}, {"OperationalSetting2", 0.05}, {"OperationalSetting3", 5.0}};
  std::vector<std::string> sensors = default_sensors();  ///< Sensor1..Sensor21
  std::size_t max_regimes = 32;
  /// Regimes by k-means instead of by tolerances, so many; 0: by tolerances. Distances are in units of the tolerances.
  std::size_t regime_count = 0;
  /// Regimes given: one value of each setting for each; not empty: none is learned.
  std::vector<std::vector<double>> regime_points = {};
  double min_movement = 0.5;         ///< sensors that move less over life (in z-scores) are left out
  std::size_t movement_cycles = 20;  ///< length of the first and last stretch compared for it
  double rul_cap = 125;              ///< the health index is fitted to RUL capped here
  double fusion_ridge = 1;           ///< its ridge penalty, in units of one reading's z-scores
  std::size_t drift_channels = 3;    ///< leading directions of late-life drift
  std::size_t drift_cycles = 30;
  std::vector<std::size_t> mean_windows = {5, 15, 30, 60, 100, 200};  ///< in cycles, ascending, at most 200
  std::vector<std::size_t> slope_windows = {15, 30, 60, 100, 200};
  std::vector<std::size_t> spread_windows = {30};
  std::vector<double> ewma_rates = {0.1, 0.03};
  /// What sequence models read: each channel's mean over `sequence_stride` cycles, so many times, back from the newest.
  std::size_t sequence_steps = 0;
  std::size_t sequence_stride = 5;
  /// So many ridge regressions of life on the other features, and on products of some, are features, too: each of the life capped
  /// at an even part of rul_cap. Trees cut one feature at a time and are slow to find such sums (docs/decisions/0274).
  std::size_t life_fits = 4;
  bool cycle_count = true;
  bool history_length = true;   ///< cycles since the engine was first seen: it may have joined the fleet late
  bool estimate_silent = true;  ///< a silent or stuck sensor is told by the others; else its last z-score is held
  bool joined = true;           ///< how it joined (Joined in pipeline.h); allows readings that do not tell their cycle

  static std::vector<std::string> default_sensors();
  /// Settings, then sensors: the order of a reading's values.
  std::vector<std::string> input_names() const;

  /// Absent members keep their defaults. Fault::invalid_input names the member.
  static Result<Recipe> from_json(const json::Value& document);
  json::Value to_json() const;
};

}  // namespace nacelle::feature
