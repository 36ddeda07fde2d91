#pragma once
// What a Pipeline has learned, and what an EngineState holds. Private to ml/feature.

#include <array>
#include <memory>

#include "ml/feature/pipeline.h"

namespace nacelle::feature {

constexpr std::size_t max_channels = 9;  ///< the health index and at most 8 drift directions
constexpr std::size_t max_kept = 256;
constexpr std::size_t max_settings = 16;
constexpr std::int64_t max_cycle = 1'000'000'000;
/// A z-score beyond this is a broken sensor, not wear; without the bound one glitch would rule 200 cycles of windows.
constexpr double max_z = 10;
/// A fit is made of what is usual: beyond so many standard deviations of a feature it goes no further.
constexpr double max_fit_z = 4;
constexpr std::size_t max_fit_curved = 40;

/// What is written when the trailing window of `cycles` is complete. Positions are within a channel's block; -1: nothing.
struct Window {
  std::size_t cycles = 0;
  int mean_at = -1;
  int slope_at = -1;
  int spread_at = -1;
};

/// Ridge regressions of life on the terms of the features before them: z = (x - centre) * scale cut at max_fit_z, then the products
/// of those in fit_curved.
struct Fits {
  std::vector<double> centre;  ///< [fit_inputs]
  std::vector<double> scale;   ///< [fit_inputs]; 0: it is not read
  std::vector<double> weight;  ///< [life_fits][fit_terms()]
  std::vector<double> base;    ///< [life_fits]
};

struct Pipeline::Tables {
  // Declared and learned: these are saved.
  Recipe recipe;
  std::size_t regimes = 0;
  std::vector<double> set_points;      ///< [regimes][settings]; the most frequent regime first
  std::vector<std::size_t> kept;       ///< indices into recipe.sensors
  std::vector<double> mean;            ///< [regimes][kept]
  std::vector<double> inverse_spread;  ///< [regimes][kept]; 0: the sensor says nothing in this regime
  std::size_t channels = 0;
  std::vector<double> fusion;  ///< [channels][kept]
  /// [kept][kept]: weights of the other sensors' z-scores in the estimate of a silent one's; 0 on the diagonal. Empty: it is held.
  std::vector<double> coupling;
  std::vector<double> longest_run;  ///< [kept]: readings in a row that told the same value, at most; more: the sensor is stuck

  std::vector<std::size_t> fit_curved;  ///< indices of features, ascending: products of these are terms of the fits, too
  std::vector<Fits> fits;               ///< of engines whose count is known, then (recipe.joined) of others; or none

  // Made of the above by complete().
  std::vector<std::string> input_names;
  std::vector<std::string> feature_names;
  std::vector<Window> windows;  ///< ascending
  std::size_t block = 0;        ///< features of a channel
  std::size_t fit_inputs = 0;   ///< features before the fits
  std::size_t capacity = 1;     ///< rows a state holds: the longest window
  std::string hash;
  std::uint64_t id = 0;  ///< the first 8 bytes of the hash

  std::vector<int> identity_input;  ///< recipe.identity: the reading's value that each feature is; -1: its cycle

  void complete();
  void choose_curved();  ///< fit_curved
  void complete_identity();
  void identify();  ///< hash and id
  json::Value to_json() const;
  /// Of a fit: each input, then the products of curved ones, each with itself and those after it.
  std::size_t fit_terms() const { return fit_inputs + fit_curved.size() * (fit_curved.size() + 1) / 2; }
  std::size_t settings() const { return recipe.settings.size(); }

  /// The nearest set point, distances in units of tolerance; ties go to the more frequent.
  std::size_t regime_of(const double* settings) const;
};

/// One engine's memory. The ring holds the newest rows, oldest at `first`.
struct EngineState::Data {
  std::uint64_t pipeline_id = 0;
  std::int64_t first_cycle = 0;
  std::int64_t last_cycle = 0;
  bool counted = true;  ///< false: no reading told its cycle; they are counted from 1
  std::uint32_t first = 0;
  std::uint32_t count = 0;
  std::vector<std::int64_t> cycles;   ///< [capacity]
  std::vector<float> values;          ///< [capacity][channels]
  std::vector<double> held_settings;  ///< [settings]
  std::vector<double> held_z;         ///< [kept]
  std::vector<double> last_value;     ///< [kept], as read; empty where silent sensors are held
  std::vector<double> run;            ///< [kept]: how often it was read in a row
  std::vector<double> ewma_sum;       ///< [rates][channels]
  std::vector<double> ewma_weight;    ///< [rates]

  Data(const Pipeline::Tables& tables);
};

/// The terms of fits, [fit_terms()], from the features before them.
void write_fit_terms(const Pipeline::Tables& tables, const Fits& fits, const float* row, double* terms);
/// Learns the fits of `tables`, all else of which is learned; `without` is the pipeline without them. Fault::invalid_input.
Result<> learn_fits(const Pipeline& without, const Pipeline::TrainingRows& rows, Pipeline::Tables& tables);

/// Takes a reading in where the inputs are the features.
void take_in_identity(const Pipeline::Tables& tables, std::int64_t cycle, std::span<const double> values, EngineState::Data& state);

}  // namespace nacelle::feature
