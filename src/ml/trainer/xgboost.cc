// Gradient-boosted trees by XGBoost's C API, read back into our own tables. Nothing of XGBoost is needed to predict.

#include <fmt/format.h>

#include <cmath>
#include <limits>
#include <memory>

#include "ml/model/xgboost_json.h"
#include "ml/trainer/detail/xgboost_api.h"
#include "ml/trainer/trainer.h"

namespace nacelle::trainer {

namespace {

struct FreeMatrix {
  using pointer = DMatrixHandle;
  const XgboostApi* api = nullptr;
  void operator()(DMatrixHandle handle) const { api->matrix_free(handle); }
};
struct FreeBooster {
  using pointer = BoosterHandle;
  const XgboostApi* api = nullptr;
  void operator()(BoosterHandle handle) const { api->booster_free(handle); }
};
using Matrix = std::unique_ptr<void, FreeMatrix>;
using Booster = std::unique_ptr<void, FreeBooster>;

Result<Matrix> make_matrix(const XgboostApi& api, const FeatureRows& rows, std::span<const float> target) {
  DMatrixHandle handle = nullptr;
  TRY(api.check(api.matrix_create(rows.values.data(), rows.rows, rows.features, std::numeric_limits<float>::quiet_NaN(), &handle)));
  Matrix matrix(handle, FreeMatrix{&api});
  TRY(api.check(api.matrix_set_floats(handle, "label", target.data(), target.size())));
  return matrix;
}

/// A parameter as XGBoost takes it, which is as text.
std::string as_text(const json::Value& value) { return value.is_string() ? value.as_string() : json::print(value); }

class XgboostTrainer final : public Trainer {
 public:
  std::string_view name() const override { return "xgboost"; }
  std::string_view description() const override { return "gradient-boosted trees (XGBoost, hist)"; }

  json::Value defaults() const override {
    // Chosen by engine-grouped cross-validation on the training sets: docs/decisions/0050-recipe.md.
    return json::Object{{"rounds", 400},           {"max_depth", 4},           {"eta", 0.03},   {"subsample", 0.6},
                        {"colsample_bytree", 0.3}, {"min_child_weight", 30.0}, {"lambda", 1.0}, {"max_bin", 256}};
  }

  Result<model::Regressor> fit(const FeatureRows& rows, std::span<const float> target, const FitOptions& options) const override {
    TRY_LET(const json::Value parameters, merge_parameters(*this, options.parameters));
    const std::int64_t rounds = parameters.find("rounds")->as_integer();
    if (rounds < 1 || rounds > 100'000)
      return fail(Fault::invalid_input, fmt::format("parameters of xgboost: rounds: expected 1 to 100000, found {}", rounds));
    TRY_LET(const XgboostApi* api, xgboost_api());
    TRY_LET(const Matrix matrix, make_matrix(*api, rows, target));
    TRY_LET(const Booster booster, make_booster(*api, matrix, parameters, target, options));
    for (int round = 0; round < rounds; ++round) {
      TRY(api->check(api->booster_update(booster.get(), round, matrix.get())));
      if (options.progress && round % 20 == 19 && !options.progress(static_cast<double>(round + 1) / static_cast<double>(rounds)))
        return fail(Fault::conflict, "training was cancelled");
    }
    bst_ulong size = 0;
    const char* text = nullptr;
    TRY(api->check(api->booster_save(booster.get(), R"({"format":"json"})", &size, &text)));
    TRY_LET(const json::Value document, json::parse({text, size}, {.max_bytes = std::size_t{1} << 30, .max_depth = 64}));
    TRY_LET(model::TreeEnsemble trees, model::read_xgboost(document));
    return model::Regressor(std::move(trees));
  }

 private:
  static Result<Booster> make_booster(const XgboostApi& api, const Matrix& matrix, const json::Value& parameters,
                                      std::span<const float> target, const FitOptions& options) {
    BoosterHandle handle = nullptr;
    const DMatrixHandle matrices[] = {matrix.get()};
    TRY(api.check(api.booster_create(matrices, 1, &handle)));
    Booster booster(handle, FreeBooster{&api});
    const auto set = [&api, handle](const std::string& key, const std::string& value) {
      return api.check(api.booster_set_parameter(handle, key.c_str(), value.c_str()));
    };
    double mean = 0;
    for (const float y : target) mean += static_cast<double>(y) / static_cast<double>(target.size());
    TRY(set("verbosity", "0"));
    TRY(set("booster", "gbtree"));
    TRY(set("tree_method", "hist"));
    TRY(set("objective", "reg:squarederror"));
    TRY(set("base_score", fmt::format("{}", static_cast<float>(mean))));
    TRY(set("nthread", fmt::format("{}", options.threads)));
    TRY(set("seed", fmt::format("{}", options.seed & 0x7fffffff)));
    for (const auto& [key, value] : parameters.as_object())
      if (key != "rounds") TRY(set(key, as_text(value)));
    return booster;
  }
};

}  // namespace

std::unique_ptr<Trainer> make_xgboost() { return std::make_unique<XgboostTrainer>(); }

}  // namespace nacelle::trainer
