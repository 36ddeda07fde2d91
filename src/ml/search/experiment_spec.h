#pragma once
// Experiment: a sweep over trainers and their parameters as a person declares it, in one JSON file (docs/experiments.md).

#include <optional>
#include <string>
#include <vector>

#include "codec/json/value.h"
#include "ml/search/space.h"

namespace nacelle::search {

/// What trials are ranked by, from the predictions at the cut points of held-out engines. Less is better.
enum class Metric { rmse, mae, phm08_per_engine, rmse_raw };
std::string_view metric_name(Metric metric);  ///< "rmse", "mae", "phm08PerEngine", "rmseRaw": the members of a run's metrics

struct Experiment {
  std::string name;
  std::vector<std::string> data;  ///< files or names of data sets; joined
  std::string rul;                ///< remaining lives of engines that were cut off; may be empty
  std::string schema;             ///< file; empty: turbofans
  std::uint64_t seed = 1;
  std::vector<Space> spaces;

  std::size_t trials = 40;
  std::optional<double> seconds;  ///< no new trial is started after so long; the best so far are judged to the end
  std::size_t keep_one_in = 3;    ///< of each rung, successive halving; 1: every trial is judged on all folds
  std::size_t finalists = 3;      ///< judged on all folds, at least

  std::size_t blend = 0;  ///< the best of so many trainers are offered to a blend, which takes part; 0: none is

  Metric metric = Metric::rmse;
  std::size_t folds = 5;
  std::size_t fold_row_stride = 3;
  double cap = 125;
  double coverage = 0.9;
  std::size_t cuts_per_engine = 20;
  double cut_max_rul = 150;
  std::size_t cut_min_rows = 20;
  std::optional<json::Value> recipe;  ///< feature recipe; absent: the data's default

  std::size_t keep = 1;  ///< of the best, how many are fitted to all engines and kept as artifacts
  std::string register_as;
  std::size_t trial_memory_mb = 4096;  ///< a trial that needs more fails alone
  double trial_seconds = 600;          ///< and one that takes longer
  int trial_threads = 1;

  /// Unknown members and values out of range are Fault::invalid_input by name. `data` and `name` may be absent: a command line may
  /// give them.
  static Result<Experiment> from_json(const json::Value& document);
  json::Value to_json() const;  ///< reads back to the same
};

}  // namespace nacelle::search
