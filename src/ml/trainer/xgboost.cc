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
    std::vector<Parameter> all = boosting_parameters(5);
    const Parameter bins{.name = "max_bin", .standard = 64, .low = 2, .high = 4096, .meaning = "distinct thresholds of a feature"};
    all.push_back(bins);
    return all;
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
