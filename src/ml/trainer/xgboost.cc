// Gradient-boosted trees. Nothing of XGBoost is needed to predict.

#include "ml/model/xgboost_json.h"
#include "ml/trainer/detail/all.h"
#include "ml/trainer/detail/apart.h"
#include "ml/trainer/detail/boosting.h"
#include "ml/trainer/detail/rows.h"

namespace nacelle::trainer {

namespace {

class XgboostTrainer final : public Trainer {
 public:
  std::string_view name() const override { return "xgboost"; }
  std::string_view description() const override { return "gradient-boosted trees (XGBoost, hist)"; }

  bool learns_late_apart() const override { return true; }

  std::vector<Parameter> parameters() const override {
    // Chosen by engine-grouped cross-validation on the training sets: docs/decisions/0050-recipe.md.
    return {{.name = "rounds",
             .standard = 400,
             .low = 1,
             .high = 100'000,
             .search_low = 200,
             .search_high = 1000,
             .logarithmic = true,
             .meaning = "number of trees"},
            {.name = "max_depth", .standard = 5, .low = 1, .high = 16, .search_low = 3, .search_high = 6, .meaning = "of a tree"},
            {.name = "eta",
             .standard = 0.03,
             .low = 1e-6,
             .high = 1,
             .search_low = 0.01,
             .search_high = 0.1,
             .logarithmic = true,
             .meaning = "part of each tree that is added"},
            {.name = "subsample",
             .standard = 0.6,
             .low = 0.01,
             .high = 1,
             .search_low = 0.4,
             .search_high = 0.9,
             .meaning = "part of the rows that a tree sees"},
            {.name = "colsample_bytree",
             .standard = 0.3,
             .low = 0.01,
             .high = 1,
             .search_low = 0.15,
             .search_high = 0.7,
             .meaning = "part of the features that a tree sees"},
            {.name = "min_child_weight",
             .standard = 30.0,
             .low = 0,
             .high = 1e9,
             .search_low = 3,
             .search_high = 100,
             .logarithmic = true,
             .meaning = "fewest rows in a leaf"},
            {.name = "lambda",
             .standard = 1.0,
             .low = 0,
             .high = 1e9,
             .search_low = 0.3,
             .search_high = 30,
             .logarithmic = true,
             .meaning = "L2 penalty on leaves"},
            {.name = "max_bin", .standard = 256, .low = 2, .high = 4096, .meaning = "distinct thresholds of a feature"}};
  }

  Result<model::Regressor> fit(const TrainingSet& set, const FitOptions& options) const override {
    TRY_LET(const json::Value parameters, merge_parameters(*this, options.parameters));
    TRY(check_set(set, name()));
    Growth growth{.rounds = parameters.find("rounds")->as_integer(),
                  .base_score = mean_of_whole(set),
                  .settings = {{"objective", "reg:squarederror"}}};
    for (const auto& [key, value] : parameters.as_object())
      if (key != "rounds") growth.settings.emplace_back(key, as_text(value));
    TRY_LET(const json::Value document, grow_apart(set, options, growth));
    TRY_LET(model::TreeEnsemble trees, model::read_xgboost(document));
    return model::Regressor(std::move(trees));
  }
};

}  // namespace

std::unique_ptr<Trainer> make_xgboost() { return std::make_unique<XgboostTrainer>(); }

}  // namespace nacelle::trainer
