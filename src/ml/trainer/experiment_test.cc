#include "ml/trainer/experiment.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <fstream>
#include <set>

#include "ml/dataset/cmapss.h"
#include "ml/dataset/labels.h"
#include "ml/dataset/seeded.h"
#include "ml/dataset/synthetic.h"
#include "ml/evaluation/predictions.h"
#include "ml/evaluation/report.h"
#include "ml/model/xgboost_json.h"
#include "ml/trainer/detail/xgboost_api.h"

namespace nacelle::trainer {
namespace {

using dataset::FleetTable;

/// FD001's training half if the NASA data are there, else a fleet made from a formula.
FleetTable training_fleet() {
  for (const char* variable : {"NACELLE_DATA", "NACELLE_DATA_HINT"})
    if (const char* folder = std::getenv(variable)) {
      std::ifstream in(std::string(folder) + "/train_FD001.txt.gz", std::ios::binary);
      if (in) return dataset::read_cmapss(in, "train_FD001.txt.gz").value();
    }
  return dataset::make_synthetic_fleet({.engines = 60, .seed = 3});
}

Plan quick(const std::string& trainer = "xgboost") {
  Plan plan{.trainer = trainer, .folds = 3, .threads = 1};
  plan.fold_row_stride = 5;
  if (trainer == "xgboost") plan.parameters = json::Object{{"rounds", 60}, {"eta", 0.1}, {"min_child_weight", 10.0}};
  return plan;
}

/// What knows nothing of sensors: the mean capped life of the training engines at each cycle count... and the best constant.
double constant_rmse(const CrossValidation& judged, double cap) {
  double mean = 0, squares = 0;
  for (const Cut& cut : judged.cuts) mean += std::min(cut.truth, cap) / static_cast<double>(judged.cuts.size());
  for (const Cut& cut : judged.cuts) squares += std::pow(std::min(cut.truth, cap) - mean, 2);
  return std::sqrt(squares / static_cast<double>(judged.cuts.size()));
}

TEST(DealFolds, every_engine_is_held_out_once) {
  const auto dealt = deal_folds(23, 5, 7);
  ASSERT_TRUE(dealt);
  std::multiset<std::size_t> seen;
  for (const auto& fold : *dealt) {
    EXPECT_GE(fold.size(), 4u);
    seen.insert(fold.begin(), fold.end());
  }
  EXPECT_EQ(seen.size(), 23u);
  EXPECT_EQ(std::set<std::size_t>(seen.begin(), seen.end()).size(), 23u);
  EXPECT_NE(deal_folds(23, 5, 8).value(), *dealt);
  EXPECT_EQ(deal_folds(23, 5, 7).value(), *dealt);
  for (const std::size_t folds : {0u, 1u, 24u}) EXPECT_FALSE(deal_folds(23, folds, 7));
}

TEST(CrossValidate, no_engine_is_on_both_sides_and_cuts_are_of_held_out_engines) {
  const FleetTable table = dataset::make_synthetic_fleet({.engines = 20});
  const auto judged = cross_validate(table, quick("ridge"));
  ASSERT_TRUE(judged) << judged.error().message;
  std::set<std::size_t> held;
  for (const Fold& fold : judged->folds)
    for (const std::size_t engine : fold.held_out) EXPECT_TRUE(held.insert(engine).second);
  EXPECT_EQ(held.size(), table.engines.size());
  for (const Cut& cut : judged->cuts) {
    EXPECT_GE(cut.row, table.engines[cut.engine].begin + 19);
    EXPECT_LT(cut.row, table.engines[cut.engine].end);
    EXPECT_LE(cut.truth, 150);
  }
}

/// P6: a held-out engine has no say in the model that judges it, neither in its trees nor in its features. What comes after an
/// engine's last cut cannot be seen in its predictions there, but would be in anything learned from it.
TEST(CrossValidate, nothing_is_learned_from_held_out_engines) {
  const FleetTable table = dataset::make_synthetic_fleet({.engines = 12});
  for (const char* trainer : {"ridge", "xgboost"}) {
    Plan plan = quick(trainer);
    plan.folds = 2;
    const auto clean = cross_validate(table, plan);
    ASSERT_TRUE(clean) << clean.error().message;
    FleetTable poisoned = table;
    std::size_t poisoned_rows = 0;
    for (const std::size_t engine : clean->folds[0].held_out) {
      std::size_t last_cut = 0;
      for (const Cut& cut : clean->cuts)
        if (cut.engine == engine) last_cut = std::max(last_cut, cut.row);
      for (std::size_t row = last_cut + 1; row < table.engines[engine].end; ++row, ++poisoned_rows)
        for (std::size_t c = 3; c < poisoned.columns.size(); ++c) poisoned.columns[c][row] += 100 * static_cast<double>(c);
    }
    ASSERT_GT(poisoned_rows, 10u);
    const auto changed = cross_validate(poisoned, plan);
    ASSERT_TRUE(changed) << changed.error().message;
    EXPECT_EQ(changed->folds[0].metrics.rmse, clean->folds[0].metrics.rmse) << trainer;
    EXPECT_NE(changed->folds[1].metrics.rmse, clean->folds[1].metrics.rmse) << trainer;  // which does learn from them
  }
}

TEST(Train, the_known_answer_of_a_synthetic_fleet_is_found) {
  const FleetTable table = dataset::make_synthetic_fleet({.engines = 40, .noise = 0.02});
  for (const char* trainer : {"xgboost", "ridge"}) {
    const auto judged = cross_validate(table, quick(trainer));
    ASSERT_TRUE(judged) << judged.error().message;
    EXPECT_LT(judged->capped.rmse, 0.35 * constant_rmse(*judged, 125)) << trainer;
  }
}

TEST(Train, same_seed_gives_the_same_bytes_whatever_the_threads_and_another_seed_does_not) {
  const FleetTable table = dataset::make_synthetic_fleet({.engines = 15});
  const auto artifact = [&table](std::uint64_t seed, int threads) {
    Plan plan = quick();
    plan.seed = seed;
    plan.threads = threads;
    const CrossValidation judged = cross_validate(table, plan).value();
    return model::encode_artifact(train(table, plan, judged).value());
  };
  const Bytes first = artifact(1, 1);
  EXPECT_EQ(artifact(1, 1), first);
  EXPECT_EQ(artifact(1, 2), first);
  EXPECT_NE(artifact(2, 1), first);
}

TEST(Train, an_engine_that_joins_late_near_failure_is_not_taken_for_new) {
  const FleetTable table = dataset::make_synthetic_fleet({.engines = 30, .noise = 0.1});
  const FleetTable others = dataset::make_synthetic_fleet({.engines = 10, .noise = 0.1, .seed = 99});
  const auto rmse_of_last_readings = [&](std::size_t late_joins) {
    Plan plan = quick();
    plan.late_joins = late_joins;
    const auto artifact = train(table, plan, cross_validate(table, plan).value()).value();
    const auto estimator = model::Estimator::parse(model::encode_artifact(artifact)).value();
    std::vector<double> truth, predicted;
    for (const dataset::EngineRows& engine : others.engines) {
      feature::EngineState state;
      const std::size_t stop = engine.end - 11;
      double last = 0;
      for (std::size_t row = stop - 3; row < stop; ++row)
        last = estimator->step(state, {others.cycle[row], others.row(row)}).value();
      predicted.push_back(last);
      truth.push_back(11);
    }
    return evaluation::measure(truth, predicted).rmse;
  };
  EXPECT_LT(rmse_of_last_readings(2), 25);
  EXPECT_LT(rmse_of_last_readings(2), rmse_of_last_readings(0));
}

/// Trees of their own: what is said of engines seen from their first cycle has the bits it would have without any late joins.
TEST(Train, late_joins_cost_whole_lives_nothing_where_they_are_kept_apart) {
  const FleetTable table = dataset::make_synthetic_fleet({.engines = 20});
  Plan plan = quick();
  const auto predictions = [&](std::size_t late_joins, bool first_cycles_seen) {
    plan.late_joins = late_joins;
    const auto artifact = train(table, plan, {}).value();
    EXPECT_TRUE(std::get<model::TreeEnsemble>(artifact.regressor).has_covers()) << "it can be explained";
    const FeatureRows rows =
        make_features(artifact.pipeline, first_cycles_seen ? table : evaluation::cut_beginnings(table, 50, false)).value();
    std::vector<double> said;
    for (std::size_t row = 0; row < rows.rows; ++row)
      said.push_back(model::predict(artifact.regressor, {rows.row(row), rows.features}));
    return said;
  };
  EXPECT_EQ(predictions(16, true), predictions(0, true));
  EXPECT_NE(predictions(16, false), predictions(0, false));
  // A fold that nobody asks about late joins does not learn from them, and says the same.
  plan.late_joins = 16;
  const auto without = cross_validate(table, plan);
  plan.judge_late = 50;
  plan.late_folds = plan.folds;
  const auto with = cross_validate(table, plan);
  ASSERT_TRUE(without && with);
  EXPECT_EQ(without->capped.rmse, with->capped.rmse);
  EXPECT_TRUE(without->late.truth.empty());
  ASSERT_GT(with->late.truth.size(), 100u);
  EXPECT_EQ(with->late.truth.size(), with->late.unknown.size());
  const auto rmse = [&with](const std::vector<double>& said) { return evaluation::measure(with->late.truth, said).rmse; };
  EXPECT_LT(rmse(with->late.counted), 0.6 * constant_rmse(*with, 125));
  EXPECT_LT(rmse(with->late.unknown), 0.8 * constant_rmse(*with, 125));
}

TEST(Intervals, hold_what_they_promise_and_spend_no_width_where_the_cap_ends_them) {
  dataset::Seeded random(11);
  std::vector<Cut> cuts, others;
  for (std::size_t i = 0; i < 4000; ++i) {
    const double truth = 200 * random.uniform();
    const double predicted = std::clamp(std::min(truth, 125.0) + 8 * random.normal(), 0.0, 125.0);
    (i % 2 ? cuts : others).push_back({.engine = i, .row = 0, .truth = truth, .predicted = predicted});
  }
  const model::ConformalBins bins = learn_intervals(cuts, 125, 0.9);
  ASSERT_EQ(bins.low.size(), bins.edges.size() + 1);
  double inside = 0;
  for (const Cut& cut : others) {
    const std::size_t bin = bins.bin_of(cut.predicted);
    const double truth = std::min(cut.truth, 125.0);
    const double low = std::clamp(cut.predicted + bins.low[bin], 0.0, 125.0);
    inside += truth >= low && truth <= std::clamp(cut.predicted + bins.high[bin], 0.0, 125.0);
  }
  EXPECT_NEAR(inside / static_cast<double>(others.size()), 0.9, 0.025);
  // At the cap nothing lies above: the whole error may be on the lower side.
  EXPECT_GT(bins.low.back(), -8 * 1.645);
  EXPECT_TRUE(learn_intervals({}, 125, 0.9).low.empty());
}

TEST(Intervals, spend_width_where_a_little_holds_more_and_keep_the_promise_over_all) {
  dataset::Seeded random(11);
  std::vector<Cut> cuts, others;
  for (std::size_t i = 0; i < 8000; ++i) {
    const double truth = 150 * random.uniform();
    const double spread = truth < 50 ? 2 : 20;  // near failure little is needed
    const double predicted = std::clamp(std::min(truth, 125.0) + spread * random.normal(), 0.0, 125.0);
    (i % 2 ? cuts : others).push_back({.engine = i, .row = 0, .truth = truth, .predicted = predicted});
  }
  const model::ConformalBins bins = learn_intervals(cuts, 125, 0.9);
  double inside = 0, near = 0, near_inside = 0;
  for (const Cut& cut : others) {
    const std::size_t bin = bins.bin_of(cut.predicted);
    const double truth = std::min(cut.truth, 125.0);
    const bool held = truth >= std::clamp(cut.predicted + bins.low[bin], 0.0, 125.0) &&
                      truth <= std::clamp(cut.predicted + bins.high[bin], 0.0, 125.0);
    inside += held;
    near += cut.truth < 25;
    near_inside += held && cut.truth < 25;
  }
  EXPECT_NEAR(inside / static_cast<double>(others.size()), 0.9, 0.02);
  EXPECT_GT(near_inside / near, 0.925);
}

TEST(Train, beats_the_naive_floor_and_the_line_by_far) {
  const FleetTable table = training_fleet();
  const auto trees = cross_validate(table, quick());
  const auto line = cross_validate(table, quick("ridge"));
  ASSERT_TRUE(trees && line);
  EXPECT_LT(trees->capped.rmse, 0.45 * constant_rmse(*trees, 125));
  EXPECT_LT(trees->capped.rmse, line->capped.rmse);
  EXPECT_NEAR(trees->interval_coverage, 0.9, 0.05);
}

/// P5: what the edge computes reading by reading has the bits of what training computed in batch, and of XGBoost itself.
TEST(Serve, predictions_have_the_bits_of_training_and_of_xgboost) {
  const FleetTable table = training_fleet();
  const Plan plan = quick();
  const CrossValidation judged = cross_validate(table, plan).value();
  const model::Artifact artifact = train(table, plan, judged).value();
  const auto estimator = model::Estimator::parse(model::encode_artifact(artifact));
  ASSERT_TRUE(estimator) << estimator.error().message;
  const FeatureRows features = make_features(artifact.pipeline, table).value();

  for (std::size_t e = 0; e < std::min<std::size_t>(10, table.engines.size()); ++e) {
    feature::EngineState state;
    for (std::size_t row = table.engines[e].begin; row < table.engines[e].end; ++row) {
      const double batch = (*estimator)->predict({features.row(row), features.features});
      const auto streamed = (*estimator)->step(state, {table.cycle[row], table.row(row)});
      ASSERT_TRUE(streamed);
      ASSERT_EQ(std::memcmp(&batch, &*streamed, sizeof batch), 0) << "row " << row;
    }
  }
}

TEST(Serve, own_trees_sum_to_xgboosts_bits) {
  const FleetTable table = training_fleet();
  const auto rul = dataset::label_rul(table);
  const Plan plan = quick();
  const auto pipeline = feature::Pipeline::learn(plan.recipe, training_rows(table, plan.recipe, rul)).value();
  const FeatureRows features = make_features(pipeline, table).value();
  std::vector<float> target(rul.begin(), rul.end());
  for (float& y : target) y = std::min(y, 125.0f);

  // A model grown here by the C API alone, so that nothing but the JSON document goes between the two.
  const XgboostApi& api = **xgboost_api();
  DMatrixHandle matrix = nullptr;
  ASSERT_EQ(api.matrix_create(features.values.data(), features.rows, features.features, NAN, &matrix), 0);
  ASSERT_EQ(api.matrix_set_floats(matrix, "label", target.data(), target.size()), 0);
  BoosterHandle booster = nullptr;
  ASSERT_EQ(api.booster_create(&matrix, 1, &booster), 0);
  for (const auto& [key, value] : std::vector<std::pair<const char*, const char*>>{{"tree_method", "hist"},
                                                                                   {"max_depth", "6"},
                                                                                   {"eta", "0.1"},
                                                                                   {"nthread", "1"},
                                                                                   {"objective", "reg:squarederror"},
                                                                                   {"verbosity", "0"},
                                                                                   {"base_score", "71.25"}})
    ASSERT_EQ(api.booster_set_parameter(booster, key, value), 0);
  for (int round = 0; round < 50; ++round) ASSERT_EQ(api.booster_update(booster, round, matrix), 0);
  bst_ulong size = 0, count = 0;
  const char* text = nullptr;
  ASSERT_EQ(api.booster_save(booster, R"({"format":"json"})", &size, &text), 0);
  const auto trees = model::read_xgboost(json::parse({text, size}).value());
  ASSERT_TRUE(trees) << trees.error().message;
  const float* theirs = nullptr;
  ASSERT_EQ(api.booster_predict(booster, matrix, 0, 0, 0, &count, &theirs), 0);
  ASSERT_EQ(count, features.rows);
  for (std::size_t row = 0; row < features.rows; ++row) {
    const float ours = trees->predict(features.row(row));
    ASSERT_EQ(std::memcmp(&ours, theirs + row, sizeof ours), 0) << "row " << row << ": " << ours << " and " << theirs[row];
  }
  api.booster_free(booster);
  api.matrix_free(matrix);
}

TEST(Artifact, damage_is_found_at_every_cut_and_the_part_is_named) {
  const FleetTable table = dataset::make_synthetic_fleet({.engines = 6});
  const Plan plan{.trainer = "ridge", .folds = 2};
  const CrossValidation judged = cross_validate(table, plan).value();
  const Bytes bytes = model::encode_artifact(train(table, plan, judged).value());
  ASSERT_TRUE(model::Estimator::parse(bytes));
  for (std::size_t size = 0; size < bytes.size(); size += 1 + size / 50) {
    const auto cut = model::Estimator::parse(BytesView(bytes).substr(0, size));
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().fault, Fault::corrupt);
  }
  for (std::size_t at = 0; at < bytes.size(); at += 13) {
    Bytes flipped = bytes;
    flipped[at] = static_cast<char>(flipped[at] ^ 1);
    EXPECT_FALSE(model::Estimator::parse(flipped)) << at;
  }
  EXPECT_FALSE(model::Estimator::parse(bytes + "x"));
  EXPECT_EQ(model::Estimator::load("/nonexistent").error().fault, Fault::not_found);
}

TEST(Evaluate, the_report_holds_its_plots_and_fetches_nothing) {
  const FleetTable table = dataset::make_synthetic_fleet({.engines = 12, .regimes = 2, .cut_off = true, .seed = 9});
  const Plan plan{.trainer = "ridge", .folds = 2};
  const FleetTable learning = dataset::make_synthetic_fleet({.engines = 12, .regimes = 2});
  const CrossValidation judged = cross_validate(learning, plan).value();
  const auto estimator = model::Estimator::parse(model::encode_artifact(train(learning, plan, judged).value())).value();
  const auto evaluated = evaluation::evaluate(*estimator, table, table.end_rul);
  ASSERT_TRUE(evaluated) << evaluated.error().message;
  EXPECT_EQ(evaluated->engines.size(), 12u);
  EXPECT_LE(evaluated->capped.rmse, evaluated->raw.rmse);
  const std::string html = evaluation::render_report({.title = "a < b", .model = "m", .data = "d"}, *estimator, table, *evaluated);
  std::size_t plots = 0;
  for (std::size_t at = html.find("<svg"); at != std::string::npos; at = html.find("<svg", at + 1)) ++plots;
  EXPECT_EQ(plots, 5u + 24u);
  for (const char* fetched : {"<script", "http:", "https:", "url(", "src=", "nan ", "nan\"", "nan<", "inf", "a < b"})
    EXPECT_EQ(html.find(fetched), std::string::npos) << fetched;
  EXPECT_FALSE(evaluation::evaluate(*estimator, table, {1, 2}));
}

TEST(CrossValidate, engines_still_running_are_neither_learned_from_nor_judged) {
  FleetTable table = dataset::make_synthetic_fleet({.engines = 20});
  std::vector<std::size_t> ended;
  for (std::size_t e = 0; e < 18; ++e) ended.push_back(e);
  const Bytes without = model::encode_artifact(train(table.select(ended), quick("ridge"), {}).value());
  table.end_rul.assign(20, 0);
  table.end_rul[18] = table.end_rul[19] = NAN;
  const auto judged = cross_validate(table, quick("ridge"));
  ASSERT_TRUE(judged) << judged.error().message;
  for (const Cut& cut : judged->cuts) EXPECT_LT(cut.engine, 18u);
  const auto with = train(table, quick("ridge"), {});
  ASSERT_TRUE(with) << with.error().message;
  const auto estimator = model::Estimator::parse(without).value();
  EXPECT_EQ(with->pipeline.hash(), estimator->pipeline().hash());
}

TEST(Trainers, every_parameter_has_a_meaning_and_a_range_that_holds_its_default_and_its_search) {
  for (const Trainer* trainer : trainers()) {
    for (const Parameter& parameter : trainer->parameters()) {
      SCOPED_TRACE(fmt::format("{} {}", trainer->name(), parameter.name));
      EXPECT_FALSE(parameter.meaning.empty());
      if (!parameter.standard.is_number()) continue;
      for (const double value : {parameter.standard.as_number(), parameter.search_low, parameter.search_high}) {
        if (value != parameter.standard.as_number() && parameter.search_low == parameter.search_high) continue;
        EXPECT_GE(value, parameter.low);
        EXPECT_LE(value, parameter.high);
      }
      EXPECT_FALSE(merge_parameters(*trainer, json::Object{{std::string(parameter.name), parameter.high + 1}}));
    }
    EXPECT_TRUE(merge_parameters(*trainer, trainer->defaults()));
  }
}

TEST(Trainers, unknown_names_and_parameters_are_refused_with_what_there_is) {
  EXPECT_NE(find_trainer("oracle").error().message.find("xgboost, random_forest, extra_trees, ridge"), std::string::npos);
  const Trainer& xgboost = *find_trainer("xgboost").value();
  EXPECT_FALSE(merge_parameters(xgboost, json::Object{{"depth", 3}}));
  EXPECT_FALSE(merge_parameters(xgboost, json::Object{{"eta", "0.1"}}));
  EXPECT_FALSE(merge_parameters(xgboost, json::Object{{"rounds", 1.5}}));
  EXPECT_EQ(merge_parameters(xgboost, json::Object{{"rounds", 7}})->find("rounds")->as_integer(), 7);
  const TrainingSet set{.rows = {.rows = 2, .features = 1, .values = {1, 2}}, .target = {1, 2}};
  EXPECT_FALSE(xgboost.fit(set, {.parameters = json::Object{{"rounds", 0}}}));
  EXPECT_FALSE(xgboost.fit(set, {.parameters = json::Object{{"eta", -1.0}}}));
  const auto cancelled = xgboost.fit(set, {.progress = [](double) { return false; }});
  ASSERT_FALSE(cancelled);
  EXPECT_EQ(cancelled.error().fault, Fault::conflict);
}

}  // namespace
}  // namespace nacelle::trainer
