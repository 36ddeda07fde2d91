// Accelerated failure time: the logarithm of the remaining life is a boosted sum of trees and noise of a known form. Engines that
// still run have a say: their life is longer than what was seen. So are lives cut at the cap.
// Source: Barnwal, Cho, Hocking, "Survival regression with accelerated failure time model in XGBoost", JCGS 2022.

#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ml/model/xgboost_json.h"
#include "ml/trainer/detail/all.h"
#include "ml/trainer/detail/apart.h"
#include "ml/trainer/detail/boosting.h"
#include "ml/trainer/detail/rows.h"

namespace nacelle::trainer {

namespace {

/// Lives are counted from the last cycle, which is 0 and has no logarithm.
constexpr double life_offset = 10;

class SurvivalTrainer final : public Trainer {
 public:
  std::string_view name() const override { return "survival"; }
  std::string_view description() const override {
    return "accelerated failure time, boosted trees (XGBoost); learns from running engines";
  }
  bool takes_censored() const override { return true; }
  bool learns_late_apart() const override { return true; }

  std::vector<Parameter> parameters() const override {
    std::vector<Parameter> all = boosting_parameters(4);
    const Parameter form{.name = "noise",
                         .standard = "normal",
                         .choices = {"normal", "logistic", "extreme"},
                         .meaning = "form of the noise on the logarithm of life"};
    all.push_back(form);
    const Parameter spread{.name = "noise_scale",
                           .standard = 0.15,
                           .low = 0.01,
                           .high = 10,
                           .search_low = 0.05,
                           .search_high = 0.5,
                           .logarithmic = true,
                           .meaning = "its spread"};
    all.push_back(spread);
    return all;
  }

  Result<model::Regressor> fit(const TrainingSet& set, const FitOptions& options) const override {
    TRY_LET(const json::Value parameters, merge_parameters(*this, options.parameters));
    TRY(check_set(set, name()));
    TrainingSet lives = set;
    std::vector<float> upper;
    for (std::size_t row = 0; row < set.rows.rows; ++row) {
      if (set.target[row] < 0)
        return fail(Fault::invalid_input,
                    fmt::format("survival: row {}: expected a remaining life, found {}", row, set.target[row]));
      lives.target[row] += static_cast<float>(life_offset);
      const bool longer = (!set.censored.empty() && set.censored[row] != 0) || static_cast<double>(set.target[row]) >= set.cap;
      upper.push_back(longer ? std::numeric_limits<float>::infinity() : lives.target[row]);
    }
    const double base = std::max(mean_of_whole(lives), 1.0);
    Growth growth{.rounds = parameters.find("rounds")->as_integer(),
                  .base_score = base,
                  .settings = {{"objective", "survival:aft"},
                               {"aft_loss_distribution", as_text(*parameters.find("noise"))},
                               {"aft_loss_distribution_scale", as_text(*parameters.find("noise_scale"))}},
                  .upper_bound = std::move(upper)};
    for (const char* key : {"max_depth", "eta", "subsample", "colsample_bytree", "min_child_weight", "lambda"})
      growth.settings.emplace_back(key, as_text(*parameters.find(key)));
    TRY_LET(json::Value document, grow_apart(lives, options, growth));
    TRY(say_that_they_sum(document, base));
    TRY_LET(model::TreeEnsemble trees, model::read_xgboost(document));
    return model::Regressor(model::LogLifeTrees{.trees = std::move(trees), .offset = life_offset});
  }

 private:
  /// The trees sum to the logarithm of life, from the base score's: what is read is the sum.
  static Result<> say_that_they_sum(json::Value& document, double base) {
    json::Value* learner = document.is_object() ? document.as_object().find("learner") : nullptr;
    json::Value* objective = learner && learner->is_object() ? learner->as_object().find("objective") : nullptr;
    json::Value* told = learner && learner->is_object() ? learner->as_object().find("learner_model_param") : nullptr;
    if (!objective || !objective->is_object() || !told || !told->is_object())
      return fail(Fault::unavailable, "survival: XGBoost's model has no objective; expected version 1.6 or later");
    objective->as_object().set("name", "reg:squarederror");
    told->as_object().set("base_score", fmt::format("{}", std::log(static_cast<float>(base))));
    return {};
  }
};

}  // namespace

std::unique_ptr<Trainer> make_survival() { return std::make_unique<SurvivalTrainer>(); }

}  // namespace nacelle::trainer
