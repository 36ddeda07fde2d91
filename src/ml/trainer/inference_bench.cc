// Inference, 400 trees of depth 4: one row and many by our engines, against XGBoost's in-place call (its fastest) in the same run;
// a whole step from reading to prediction; an explanation. On generated data. One thread: XGBoost is told nthread=1.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cmath>

#include "ml/dataset/synthetic.h"
#include "ml/model/estimator.h"
#include "ml/model/explanation.h"
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

void rows_per_second(benchmark::State& state, std::size_t rows) {
  state.counters["rows/s"] =
      benchmark::Counter(static_cast<double>(rows) * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}

void one_row(benchmark::State& state, model::Engine engine) {
  const Setting& s = setting();
  std::size_t row = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(s.trees.predict(engine, s.features.row(row)));
    row = (row + 37) % s.features.rows;
  }
}

void all_rows(benchmark::State& state, model::Engine engine) {
  const Setting& s = setting();
  std::vector<float> out(s.features.rows);
  for (auto _ : state) {
    s.trees.predict_rows(engine, s.features.values.data(), s.features.rows, out.data());
    benchmark::DoNotOptimize(out.data());
  }
  rows_per_second(state, s.features.rows);
}

/// XGBoost's prediction of `rows` rows where they lie. Its arguments are JSON documents, made outside the measured loop.
void xgboost_in_place(benchmark::State& state, std::size_t rows) {
  const Setting& s = setting();
  const trainer::XgboostApi& api = **trainer::xgboost_api();
  const std::string config = R"({"type":0,"iteration_begin":0,"iteration_end":0,"strict_shape":false,"missing":NaN,"cache_id":0})";
  std::vector<std::string> arrays;
  for (std::size_t row = 0; row + rows <= s.features.rows && arrays.size() < 64; row += 37)
    arrays.push_back(fmt::format(R"({{"data":[{},true],"shape":[{},{}],"typestr":"<f4","version":3}})",
                                 reinterpret_cast<std::uintptr_t>(s.features.row(row)), rows, s.features.features));
  std::size_t at = 0;
  for (auto _ : state) {
    const bst_ulong* shape = nullptr;
    bst_ulong dims = 0;
    const float* out = nullptr;
    if (api.booster_predict_in_place(s.booster, arrays[at].c_str(), config.c_str(), nullptr, &shape, &dims, &out) != 0)
      return state.SkipWithError(api.last_error());
    benchmark::DoNotOptimize(out[0]);
    at = (at + 1) % arrays.size();
  }
  rows_per_second(state, rows);
}

void xgboost_one_row(benchmark::State& state) { xgboost_in_place(state, 1); }
void xgboost_all_rows(benchmark::State& state) { xgboost_in_place(state, setting().features.rows); }

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

void explanation(benchmark::State& state) {
  const Setting& s = setting();
  std::size_t row = 0;
  for (auto _ : state) {
    benchmark::DoNotOptimize(model::explain(s.trees, {s.features.row(row), s.features.features}).value());
    row = (row + 37) % s.features.rows;
  }
}

BENCHMARK_CAPTURE(one_row, reference, model::Engine::reference);
BENCHMARK_CAPTURE(one_row, interleaved, model::Engine::interleaved);
BENCHMARK_CAPTURE(one_row, complete, model::Engine::complete);
BENCHMARK(xgboost_one_row);
BENCHMARK_CAPTURE(all_rows, reference, model::Engine::reference);
BENCHMARK_CAPTURE(all_rows, interleaved, model::Engine::interleaved);
BENCHMARK_CAPTURE(all_rows, lanes, model::Engine::lanes);
#if defined(__x86_64__)
BENCHMARK_CAPTURE(all_rows, avx2, model::Engine::avx2);
#endif
BENCHMARK(xgboost_all_rows);
BENCHMARK(reading_to_prediction);
BENCHMARK(explanation);

}  // namespace
