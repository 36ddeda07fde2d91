#include "ml/trainer/detail/boosting.h"

#include <fmt/format.h>

#include <limits>
#include <memory>

#include "ml/trainer/detail/all.h"
#include "ml/trainer/detail/xgboost_api.h"

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

constexpr int rounds_between_reports = 20;

Result<Matrix> make_matrix(const XgboostApi& api, const TrainingSet& set, const Growth& growth) {
  DMatrixHandle handle = nullptr;
  const FeatureRows& rows = set.rows;
  TRY(api.check(api.matrix_create(rows.values.data(), rows.rows, rows.features, std::numeric_limits<float>::quiet_NaN(), &handle)));
  Matrix matrix(handle, FreeMatrix{&api});
  const auto put = [&](const char* field, const std::vector<float>& values) {
    return api.check(api.matrix_set_floats(handle, field, values.data(), values.size()));
  };
  if (growth.upper_bound.empty()) {
    TRY(put("label", set.target));
  } else {
    TRY(put("label_lower_bound", set.target));
    TRY(put("label_upper_bound", growth.upper_bound));
  }
  return matrix;
}

Result<Booster> make_booster(const XgboostApi& api, const Matrix& matrix, const FitOptions& options, const Growth& growth) {
  BoosterHandle handle = nullptr;
  const DMatrixHandle matrices[] = {matrix.get()};
  TRY(api.check(api.booster_create(matrices, 1, &handle)));
  Booster booster(handle, FreeBooster{&api});
  const auto set = [&api, handle](const std::string& key, const std::string& value) {
    return api.check(api.booster_set_parameter(handle, key.c_str(), value.c_str()));
  };
  TRY(set("verbosity", "0"));
  TRY(set("booster", "gbtree"));
  TRY(set("tree_method", "hist"));
  TRY(set("base_score", fmt::format("{}", static_cast<float>(growth.base_score))));
  TRY(set("nthread", fmt::format("{}", options.threads)));
  TRY(set("seed", fmt::format("{}", options.seed & 0x7fffffff)));
  for (const auto& [key, value] : growth.settings) TRY(set(key, value));
  return booster;
}

}  // namespace

std::vector<Parameter> boosting_parameters(int standard_depth) {
  return {{.name = "rounds",
           .standard = 400,
           .low = 1,
           .high = 100'000,
           .search_low = 200,
           .search_high = 1000,
           .logarithmic = true,
           .meaning = "number of trees"},
          {.name = "max_depth",
           .standard = standard_depth,
           .low = 1,
           .high = 16,
           .search_low = 3,
           .search_high = 6,
           .meaning = "of a tree"},
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
           .meaning = "least sum of second derivatives in a leaf; of squared error: fewest rows"},
          {.name = "lambda",
           .standard = 1.0,
           .low = 0,
           .high = 1e9,
           .search_low = 0.3,
           .search_high = 30,
           .logarithmic = true,
           .meaning = "L2 penalty on leaves"}};
}

std::string as_text(const json::Value& value) { return value.is_string() ? value.as_string() : json::print(value); }

double mean_of(std::span<const float> values) {
  double mean = 0;
  for (const float y : values) mean += static_cast<double>(y) / static_cast<double>(values.size());
  return mean;
}

Result<json::Value> grow(const TrainingSet& set, const FitOptions& options, const Growth& growth) {
  TRY_LET(const XgboostApi* api, xgboost_api());
  TRY_LET(const Matrix matrix, make_matrix(*api, set, growth));
  TRY_LET(const Booster booster, make_booster(*api, matrix, options, growth));
  for (int round = 0; round < growth.rounds; ++round) {
    TRY(api->check(api->booster_update(booster.get(), round, matrix.get())));
    const bool told = round % rounds_between_reports == rounds_between_reports - 1 || growth.rounds < rounds_between_reports;
    if (told && options.progress && !options.progress(static_cast<double>(round + 1) / static_cast<double>(growth.rounds)))
      return cancelled();
  }
  bst_ulong size = 0;
  const char* text = nullptr;
  TRY(api->check(api->booster_save(booster.get(), R"({"format":"json"})", &size, &text)));
  return json::parse({text, size}, {.max_bytes = std::size_t{1} << 30, .max_depth = 64});
}

}  // namespace nacelle::trainer
