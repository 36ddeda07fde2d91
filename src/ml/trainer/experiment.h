#pragma once
// From a table of engines to a model artifact: features learned, a trainer run, judged on engines it has not seen. Whatever is
// learned (regimes, z-scores, fusion, trees) is learned again in every fold from that fold's training engines: promise P6.
// An engine whose end_rul in the table is NaN is still running: its life is longer than what was seen. Trainers that can
// (Trainer::takes_censored) learn from it; nobody is judged on it.

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "foundation/result.h"
#include "ml/dataset/fleet_table.h"
#include "ml/evaluation/metrics.h"
#include "ml/feature/recipe.h"
#include "ml/model/artifact.h"
#include "ml/trainer/trainer.h"

namespace nacelle::trainer {

/// Where held-out engines are asked: an engine is cut at a random point of its last `max_rul` cycles, after at least `min_rows`
/// readings, as the test sets of C-MAPSS were cut; `per_engine` such cuts of each.
struct CutProtocol {
  std::size_t per_engine = 20;
  double max_rul = 150;
  std::size_t min_rows = 20;
};

struct Plan {
  std::string model_name = "turbofan-rul";
  std::string trainer = "xgboost";
  json::Value parameters = json::Object{};
  feature::Recipe recipe;
  double cap = 125;  ///< of target and prediction
  std::size_t folds = 5;
  std::size_t fold_row_stride =
      3;  ///< fold models learn from every n-th row of an engine: a third of the time; CV RMSE moves by 0.02 to 0.13
  std::size_t late_joins = 16;  ///< for each engine, at most so many histories that begin late are learned from, too: a trainer
                                ///< that does not keep them apart takes two (docs/decisions/0270)
  std::size_t judge_late = 0;   ///< folds are asked about engines whose first so many cycles were not seen, too; 0: they are not
  std::size_t late_folds = 1;   ///< so many of them, as learning late joins doubles a fold's time
  CutProtocol cuts;
  double coverage = 0.9;  ///< nominal, of the intervals
  std::uint64_t seed = 1;
  int threads = 2;
  std::string code_version;
  /// What is going on, and the part of the whole that is done; false cancels. Called on the caller's thread. May be empty.
  std::function<bool(const std::string& what, double done)> progress;
};

/// A held-out engine asked at one point of its life.
struct Cut {
  std::size_t engine = 0;  ///< index into table.engines
  std::size_t row = 0;     ///< of the whole table
  double truth = 0;        ///< raw RUL
  double predicted = 0;
};

struct Fold {
  std::vector<std::size_t> held_out;  ///< engine indices
  evaluation::Metrics metrics;        ///< against capped truth
};

/// Cuts asked again after the engine's first plan.judge_late cycles are taken away, those that leave min_late_rows readings.
struct LateCuts {
  std::vector<double> truth;    ///< capped
  std::vector<double> whole;    ///< what is said with the whole history
  std::vector<double> counted;  ///< with the rest of it, the cycle count known
  std::vector<double> unknown;  ///< and not known
};
constexpr std::size_t min_late_rows = 10;

struct CrossValidation {
  std::vector<Fold> folds;
  std::vector<Cut> cuts;       ///< of all folds
  evaluation::Metrics capped;  ///< over all cuts, truth capped
  evaluation::Metrics raw;
  double interval_coverage = 0;  ///< of intervals made from the other folds' residuals
  double interval_width = 0;     ///< mean
  LateCuts late;                 ///< empty unless plan.judge_late
};

/// Engine indices of each fold: shuffled by the seed, dealt in turn. Fault::invalid_input: fewer engines than folds, or folds < 2.
Result<std::vector<std::vector<std::size_t>>> deal_folds(std::size_t engines, std::size_t folds, std::uint64_t seed);

/// What one fold's model says of the fold's held-out engines.
struct JudgedFold {
  Fold fold;
  std::vector<Cut> cuts;
  LateCuts late;
};
/// Fits to the engines of all other folds and asks those of fold `index` (below plan.folds). A whole cross-validation is combine()
/// of all folds in order, wherever and whenever each was judged: successive halving judges a few first. Fault::invalid_input.
Result<JudgedFold> judge_fold(const dataset::FleetTable& table, const Plan& plan, std::size_t index);
/// At least one fold. Intervals are judged if there are two.
CrossValidation combine(std::vector<JudgedFold> folds, const Plan& plan);

/// The folds are judged side by side on plan.threads threads.
Result<CrossValidation> cross_validate(const dataset::FleetTable& table, const Plan& plan);

/// Residual quantiles of `cuts` by prediction: the narrowest intervals that hold `coverage` of further engines' cuts.
model::ConformalBins learn_intervals(const std::vector<Cut>& cuts, double cap, double coverage);

/// Trains on all engines. Intervals and the metrics in the provenance come from `judged`.
Result<model::Artifact> train(const dataset::FleetTable& table, const Plan& plan, const CrossValidation& judged);

struct Trained {
  CrossValidation judged;
  model::Artifact artifact;
};
/// What cross_validate() and then train() give, the same bits; the fits are made side by side on plan.threads threads.
Result<Trained> judge_and_train(const dataset::FleetTable& table, const Plan& plan);

/// The table as Pipeline::learn() wants it. Borrows table and rul.
feature::Pipeline::TrainingRows training_rows(const dataset::FleetTable& table, const feature::Recipe& recipe,
                                              const std::vector<double>& rul);

/// A table's rows in the order of a pipeline's inputs. Borrows the table; one thread.
class TableColumns {
 public:
  /// Fault::invalid_input: the table lacks a column.
  static Result<TableColumns> of(const feature::Pipeline& pipeline, const dataset::FleetTable& table);
  std::span<const double> row(std::size_t index) const;  ///< until the next call

 private:
  std::vector<const double*> columns_;
  mutable std::vector<double> values_;
};

/// Every row's features: each engine's readings, fed in turn to a new state.
Result<FeatureRows> make_features(const feature::Pipeline& pipeline, const dataset::FleetTable& table);

}  // namespace nacelle::trainer
