#pragma once
// Tree models grown by XGBoost's C API and read back into our own tables: boosting, forests, survival. Private to ml/trainer.

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "ml/trainer/trainer.h"

namespace nacelle::trainer {

struct Growth {
  std::int64_t rounds = 1;
  double base_score = 0;
  std::vector<std::pair<std::string, std::string>> settings;  ///< as XGBoost calls them; objective and all
  std::vector<float> upper_bound;                             ///< of each target, for survival; empty: the target is known
};

/// XGBoost's model as its JSON document, the split features those of set.rows. Fault::conflict if cancelled.
Result<json::Value> grow(const TrainingSet& set, const FitOptions& options, const Growth& growth);

/// What every boosted trainer may be told: rounds, depth, rate, samples of rows and features, leaves.
std::vector<Parameter> boosting_parameters(int standard_depth);

/// A merged parameter as XGBoost takes it, which is as text.
std::string as_text(const json::Value& value);

double mean_of(std::span<const float> values);

}  // namespace nacelle::trainer
