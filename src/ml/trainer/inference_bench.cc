// One prediction: our tables against XGBoost's own call for one row, and a whole step from reading to prediction. On generated
// data.

#include <benchmark/benchmark.h>

#include <cmath>

#include "ml/dataset/synthetic.h"
#include "ml/model/estimator.h"
#include "ml/model/xgboost_json.h"
#include "ml/trainer/detail/xgboost_api.h"
#include "ml/trainer/experiment.h"

namespace {

using namespace nacelle;

struct Setting {
  dataset::FleetTable table = dataset::make_synthetic_fleet({.engines = 30});
  std::shared_ptr<const model::Estimator> estimator;
  trainer::FeatureRows features;
  BoosterHandle booster = nullptr;
  model::TreeEnsemble trees;

  Setting() {
    trainer::Plan plan{.folds = 2, .fold_row_stride = 10, .threads = 1};
    const auto judged = trainer::cross_validate(table, plan).value();
    const auto artifact = trainer::train(table, plan, judged).value();
    estimator = model::Estimator::parse(model::encode_artifact(artifact)).value();
    features = trainer::make_features(artifact.pipeline, table).value();
    const trainer::XgboostApi& api = **trainer::xgboost_api();
    std::vector<float> target(features.rows);
    for (std::size_t row = 0; row < features.rows; ++row)
      target[row] = static_cast<float>(estimator->predict({features.row(row), features.features}));
    DMatrixHandle matrix = nullptr;
    api.matrix_create(features.values.data(), features.rows, features.features, NAN, &matrix);
    api.matrix_set_floats(matrix, "label", target.data(), target.size());
    api.booster_create(&matrix, 1, &booster);
    for (const auto& [key, value] : std::vector<std::pair<const char*, const char*>>{
             {"tree_method", "hist"}, {"max_depth", "4"}, {"eta", "0.03"}, {"nthread", "1"}, {"verbosity", "0"}})
      api.booster_set_parameter(booster, key, value);
    for (int round = 0; round < 400; ++round) api.booster_update(booster, round, matrix);
    bst_ulong size = 0;
    const char* text = nullptr;
    api.booster_save(booster, R"({"format":"json"})", &size, &text);
    trees = model::read_xgboost(json::parse({text, size}).value()).value();
  }
};

const Setting& setting() {
  static const Setting made;
  return made;
}

void own_trees(benchmark::State& state) {
  const Setting& s = setting();
  std::size_t row = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(s.trees.predict(s.features.row(row)));
    row = (row + 37) % s.features.rows;
  }
}

/// XGBoost's call for one row, through a matrix made for it (its fastest in-place call needs a proxy matrix and JSON arguments).
void xgboost_one_row(benchmark::State& state) {
  const Setting& s = setting();
  const trainer::XgboostApi& api = **trainer::xgboost_api();
  std::size_t row = 0;
  for (auto _ : state) {
    DMatrixHandle one = nullptr;
    api.matrix_create(s.features.row(row), 1, s.features.features, NAN, &one);
    bst_ulong count = 0;
    const float* out = nullptr;
    api.booster_predict(s.booster, one, 0, 0, 0, &count, &out);
    benchmark::DoNotOptimize(out[0]);
    api.matrix_free(one);
    row = (row + 37) % s.features.rows;
  }
}

void reading_to_prediction(benchmark::State& state) {
  const Setting& s = setting();
  feature::EngineState engine;
  std::int64_t cycle = 0;
  feature::Reading reading{0, s.table.row(100)};
  for (auto _ : state) {
    reading.cycle = ++cycle;
    benchmark::DoNotOptimize(s.estimator->step(engine, reading).value());
  }
}

BENCHMARK(own_trees);
BENCHMARK(xgboost_one_row);
BENCHMARK(reading_to_prediction);

}  // namespace
