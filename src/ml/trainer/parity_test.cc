// Our engines and explanations beside XGBoost's own, on models grown by its C API alone: nothing but the saved model goes between.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "codec/json/ubj.h"
#include "ml/dataset/seeded.h"
#include "ml/model/explanation.h"
#include "ml/model/xgboost_json.h"
#include "ml/trainer/detail/xgboost_api.h"

namespace nacelle::trainer {
namespace {

constexpr std::size_t features = 12;
constexpr std::size_t row_count = 1500;

/// A booster grown on a made-up function with noise and silent values.
class Grown {
 public:
  explicit Grown(const std::vector<std::pair<const char*, const char*>>& settings, int rounds) {
    dataset::Seeded random(11);
    values_.resize(row_count * features);
    std::vector<float> target(row_count);
    for (std::size_t r = 0; r < row_count; ++r) {
      float* x = &values_[r * features];
      for (std::size_t f = 0; f < features; ++f) x[f] = static_cast<float>(random.uniform() * 20 - 10);
      target[r] = 60 + 3 * x[0] + x[1] * x[2] + (x[3] > 2 ? 15.0f : 0.0f) + static_cast<float>(random.uniform());
      for (std::size_t f = 0; f < features; ++f)
        if (random.uniform() < 0.1) x[f] = std::numeric_limits<float>::quiet_NaN();
    }
    check(api_.matrix_create(values_.data(), row_count, features, std::numeric_limits<float>::quiet_NaN(), &matrix_));
    check(api_.matrix_set_floats(matrix_, "label", target.data(), target.size()));
    check(api_.booster_create(&matrix_, 1, &booster_));
    for (const auto& [key, value] : settings) check(api_.booster_set_parameter(booster_, key, value));
    for (const auto& [key, value] : std::vector<std::pair<const char*, const char*>>{
             {"nthread", "1"}, {"verbosity", "0"}, {"objective", "reg:squarederror"}, {"base_score", "61.3"}})
      check(api_.booster_set_parameter(booster_, key, value));
    for (int round = 0; round < rounds; ++round) check(api_.booster_update(booster_, round, matrix_));
  }
  Grown(const Grown&) = delete;
  Grown& operator=(const Grown&) = delete;
  ~Grown() {
    api_.booster_free(booster_);
    api_.matrix_free(matrix_);
  }

  std::string saved(const char* config) const {
    bst_ulong size = 0;
    const char* bytes = nullptr;
    check(api_.booster_save(booster_, config, &size, &bytes));
    return {bytes, size};
  }
  /// Predictions, or contributions (`mask` 4): [rows][features + 1].
  std::vector<float> told(int mask) const {
    bst_ulong count = 0;
    const float* out = nullptr;
    check(api_.booster_predict(booster_, matrix_, mask, 0, 0, &count, &out));
    return {out, out + count};
  }
  std::span<const float> row(std::size_t r) const { return {&values_[r * features], features}; }
  const float* rows() const { return values_.data(); }

 private:
  static void check(int code) { ASSERT_EQ(code, 0); }
  const XgboostApi& api_ = **xgboost_api();
  std::vector<float> values_;
  DMatrixHandle matrix_ = nullptr;
  BoosterHandle booster_ = nullptr;
};

using Settings = std::vector<std::pair<const char*, const char*>>;
const Settings boosted = {{"tree_method", "hist"}, {"max_depth", "4"}, {"eta", "0.1"}, {"subsample", "0.7"}};
const Settings forest = {
    {"tree_method", "exact"}, {"max_depth", "14"}, {"eta", "1"}, {"num_parallel_tree", "30"}, {"subsample", "0.6"}};
const Settings lossguide = {{"tree_method", "hist"}, {"grow_policy", "lossguide"}, {"max_leaves", "40"}, {"max_depth", "0"}};

TEST(XgboostParity, every_engine_has_its_bits_silent_values_and_deep_trees_too) {
  for (const auto& [settings, rounds] : std::vector<std::pair<Settings, int>>{{boosted, 120}, {forest, 1}, {lossguide, 40}}) {
    const Grown grown(settings, rounds);
    const auto trees = model::read_xgboost(json::parse(grown.saved(R"({"format":"json"})")).value());
    ASSERT_TRUE(trees) << trees.error().message;
    const std::vector<float> theirs = grown.told(0);
    ASSERT_EQ(theirs.size(), row_count);
    for (const model::Engine engine : trees->engines()) {
      std::vector<float> ours(row_count);
      trees->predict_rows(engine, grown.rows(), row_count, ours.data());
      EXPECT_EQ(std::memcmp(ours.data(), theirs.data(), row_count * sizeof(float)), 0) << model::engine_name(engine);
      for (std::size_t r = 0; r < row_count; ++r) ours[r] = trees->predict(engine, grown.row(r).data());
      EXPECT_EQ(std::memcmp(ours.data(), theirs.data(), row_count * sizeof(float)), 0) << model::engine_name(engine);
    }
  }
}

TEST(XgboostParity, the_binary_model_is_the_same_model) {
  const Grown grown(boosted, 30);
  const auto document = json::parse_ubj(grown.saved(R"({"format":"ubj"})"));
  ASSERT_TRUE(document) << document.error().message;
  const auto binary = model::read_xgboost(*document);
  ASSERT_TRUE(binary) << binary.error().message;
  const auto text = model::read_xgboost(json::parse(grown.saved(R"({"format":"json"})")).value());
  Bytes first, second;
  binary->encode(first);
  text->encode(second);
  EXPECT_EQ(first, second);
}

/// XGBoost sums contributions in single precision.
TEST(XgboostParity, explanations_are_its_pred_contribs) {
  for (const auto& [settings, rounds] : std::vector<std::pair<Settings, int>>{{boosted, 60}, {forest, 1}}) {
    const Grown grown(settings, rounds);
    const auto trees = model::read_xgboost(json::parse(grown.saved(R"({"format":"json"})")).value()).value();
    ASSERT_TRUE(trees.has_covers());
    const std::vector<float> predictions = grown.told(0);
    const std::vector<float> theirs = grown.told(4);
    ASSERT_EQ(theirs.size(), row_count * (features + 1));
    for (std::size_t r = 0; r < row_count; r += 97) {
      const auto ours = model::explain(trees, grown.row(r)).value();
      const float* their = &theirs[r * (features + 1)];
      double sum = ours.base;
      for (std::size_t f = 0; f < features; ++f) {
        EXPECT_NEAR(ours.features[f], static_cast<double>(their[f]), 2e-3) << "row " << r << ", feature " << f;
        sum += ours.features[f];
      }
      EXPECT_NEAR(ours.base, static_cast<double>(their[features]), 2e-3);
      EXPECT_NEAR(sum, static_cast<double>(predictions[r]), 1e-3);
    }
  }
}

}  // namespace
}  // namespace nacelle::trainer
