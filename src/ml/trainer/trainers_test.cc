// What every trainer promises, on a small set whose answer is known; and parity with the libraries that have a prediction of their
// own.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <numeric>

#include "ml/dataset/seeded.h"
#include "ml/dataset/synthetic.h"
#include "ml/model/estimator.h"
#include "ml/model/explanation.h"
#include "ml/trainer/blend.h"
#include "ml/trainer/detail/net.h"
#include "ml/trainer/detail/svm_api.h"
#include "ml/trainer/detail/training_set.h"
#include "ml/trainer/detail/xgboost_api.h"
#include "ml/trainer/experiment.h"

namespace nacelle::trainer {
namespace {

constexpr std::size_t steps = 6;

/// Engines of 60 cycles whose one channel tells the life that is left, with noise; a feature that says nothing, one that never
/// changes, the channel's last steps, and the cycle.
TrainingSet small_set(std::size_t engines, std::uint64_t seed, double noise = 0.02) {
  TrainingSet set{.feature_names = {"level", "noise", "constant"}};
  for (std::size_t step = 0; step < steps; ++step) set.feature_names.push_back(fmt::format("health.step{}", step));
  set.feature_names.push_back("cycle");
  set.rows.features = set.feature_names.size();
  dataset::Seeded random(seed);
  for (std::size_t engine = 0; engine < engines; ++engine) {
    std::vector<double> channel;
    for (int cycle = 0; cycle < 60; ++cycle) {
      const double life = 59 - cycle;
      channel.push_back(std::sqrt(life) / 8 + noise * random.normal());
      std::vector<double> row = {channel.back(), random.normal(), 7};
      for (std::size_t step = 0; step < steps; ++step)
        row.push_back(channel[channel.size() - 1 - std::min(step, channel.size() - 1)]);
      row.push_back(cycle);
      for (const double x : row) set.rows.values.push_back(static_cast<float>(x));
      set.target.push_back(static_cast<float>(life));
      set.engine.push_back(static_cast<std::uint32_t>(engine));
      ++set.rows.rows;
    }
  }
  return set;
}

json::Value quick(std::string_view trainer) {
  if (trainer == "xgboost" || trainer == "survival") return json::Object{{"rounds", 60}, {"eta", 0.15}, {"min_child_weight", 2.0}};
  if (trainer == "random_forest" || trainer == "extra_trees") return json::Object{{"trees", 20}, {"min_leaf", 3}};
  if (trainer == "svr") return json::Object{{"max_rows", 300}};
  if (trainer == "mlp") return json::Object{{"nets", 2}, {"epochs", 15}};
  if (trainer == "lstm" || trainer == "cnn") {
    json::Object parameters{{"nets", 2}, {"epochs", 15}, {"steps", static_cast<std::int64_t>(steps)}, {"rate", 0.01}};
    if (trainer == "cnn") parameters.set("taps", 2);
    return parameters;
  }
  if (trainer == "similarity") return json::Object{{"steps", static_cast<std::int64_t>(steps)}, {"neighbours", 5}};
  if (trainer == "blend")
    return *json::parse(R"({"members":["ridge",{"trainer":"extra_trees","parameters":{"trees":10}}],"folds":2})");
  return json::Object{};
}

model::Regressor fit(const Trainer& trainer, const TrainingSet& set, std::uint64_t seed = 1, int threads = 1) {
  auto fitted = trainer.fit(set, {.parameters = quick(trainer.name()), .seed = seed, .threads = threads});
  EXPECT_TRUE(fitted) << trainer.name() << ": " << (fitted ? "" : fitted.error().message);
  return std::move(fitted).value();
}

double rmse_on(const model::Regressor& regressor, const TrainingSet& set) {
  double squares = 0;
  for (std::size_t row = 0; row < set.rows.rows; ++row) {
    const double apart = model::predict(regressor, {set.rows.row(row), set.rows.features}) - static_cast<double>(set.target[row]);
    squares += apart * apart / static_cast<double>(set.rows.rows);
  }
  return std::sqrt(squares);
}

class EveryTrainer : public testing::TestWithParam<const Trainer*> {
 protected:
  const Trainer& trainer() const { return *GetParam(); }
};

TEST_P(EveryTrainer, finds_the_known_answer_on_engines_it_has_not_seen) {
  constexpr double constant = 17.3;  // RMSE of the best constant over lives 0 to 59
  const double rmse = rmse_on(fit(trainer(), small_set(20, 1)), small_set(6, 2));
  EXPECT_LT(rmse, (trainer().name() == "ridge" ? 0.4 : 0.3) * constant);
}

TEST_P(EveryTrainer, gives_the_same_bytes_for_the_same_seed_whatever_the_threads) {
  const TrainingSet set = small_set(6, 3);
  const Bytes first = model::encode(fit(trainer(), set, 7, 1));
  EXPECT_EQ(model::encode(fit(trainer(), set, 7, 1)), first);
  EXPECT_EQ(model::encode(fit(trainer(), set, 7, 3)), first);
  const bool draws = trainer().name() != "ridge" && trainer().name() != "svr" && trainer().name() != "similarity";
  EXPECT_EQ(model::encode(fit(trainer(), set, 8, 1)) != first, draws);
}

TEST_P(EveryTrainer, comes_back_from_its_bytes_with_the_same_predictions) {
  const TrainingSet set = small_set(6, 4);
  const model::Regressor fitted = fit(trainer(), set);
  const Bytes bytes = model::encode(fitted);
  const auto back = model::decode(model::kind_of(fitted), bytes);
  ASSERT_TRUE(back) << back.error().message;
  for (std::size_t row = 0; row < set.rows.rows; ++row) {
    const std::span<const float> features(set.rows.row(row), set.rows.features);
    ASSERT_EQ(model::predict(*back, features), model::predict(fitted, features));
  }
  EXPECT_FALSE(model::decode(model::kind_of(fitted), BytesView(bytes).substr(0, bytes.size() / 2)));
}

TEST_P(EveryTrainer, refuses_what_is_no_number_and_says_where) {
  const auto refusal = [this](TrainingSet set) {
    const auto fitted = trainer().fit(set, {.parameters = quick(trainer().name()), .threads = 1});
    EXPECT_FALSE(fitted);
    if (fitted) return std::string();
    EXPECT_EQ(fitted.error().fault, Fault::invalid_input);
    return fitted.error().message;
  };
  TrainingSet set = small_set(3, 5);
  set.rows.values[5 * set.rows.features + 1] = NAN;
  EXPECT_NE(refusal(set).find("row 5, feature noise"), std::string::npos);
  set = small_set(3, 5);
  set.rows.values[0] = INFINITY;
  EXPECT_NE(refusal(set).find("row 0, feature level"), std::string::npos);
  set = small_set(3, 5);
  set.target[9] = NAN;
  EXPECT_NE(refusal(set).find("row 9"), std::string::npos);
  set.target.pop_back();
  EXPECT_NE(refusal(set).find("targets"), std::string::npos);
  EXPECT_NE(refusal({}).find("found none"), std::string::npos);
}

TEST_P(EveryTrainer, learns_from_one_engine_one_row_and_constant_columns) {
  TrainingSet constant = small_set(4, 6);
  for (float& value : constant.rows.values) value = 3;
  TrainingSet flat = small_set(4, 6);
  for (float& target : flat.target) target = 42;
  TrainingSet one_row = small_set(1, 6);
  one_row.rows.rows = 1;
  one_row.rows.values.resize(one_row.rows.features);
  one_row.target.resize(1), one_row.engine.resize(1);
  for (const TrainingSet& set : {constant, flat, one_row, small_set(1, 6)}) {
    const model::Regressor fitted = fit(trainer(), set);
    const auto [least, most] = std::minmax_element(set.target.begin(), set.target.end());
    const double predicted = model::predict(fitted, {set.rows.row(0), set.rows.features});
    EXPECT_GT(predicted, static_cast<double>(*least) - 10);
    EXPECT_LT(predicted, static_cast<double>(*most) + 10);
  }
}

TEST_P(EveryTrainer, can_be_cancelled) {
  const auto fitted = trainer().fit(
      small_set(3, 7), {.parameters = quick(trainer().name()), .threads = 1, .progress = [](double) { return false; }});
  ASSERT_FALSE(fitted);
  EXPECT_EQ(fitted.error().fault, Fault::conflict);
}

TEST_P(EveryTrainer, tells_what_its_predictions_are_made_of) {
  const TrainingSet set = small_set(8, 9);
  const model::Regressor fitted = fit(trainer(), set);
  const model::Background background = background_of(set);
  for (std::size_t row = 5; row < set.rows.rows; row += 71) {
    const std::span<const float> features(set.rows.row(row), set.rows.features);
    const auto told = model::explain(fitted, features, background);
    ASSERT_TRUE(told) << told.error().message;
    ASSERT_EQ(told->features.size(), set.rows.features);
    const double sum = std::accumulate(told->features.begin(), told->features.end(), told->base);
    EXPECT_NEAR(sum, model::predict(fitted, features), 1e-4) << "row " << row;
    EXPECT_GT(told->base, 10) << "somewhere in the middle of lives of 0 to 59";
    EXPECT_LT(told->base, 50);
    EXPECT_EQ(told->features[2], 0) << "a constant adds nothing";
    EXPECT_EQ(model::explain(fitted, features, background)->features, told->features) << "the same again";
  }
  const std::span<const float> any(set.rows.row(0), set.rows.features);
  const auto without = model::explain(fitted, any);
  EXPECT_EQ(without.has_value(), !model::needs_background(fitted));
  if (!without) {
    EXPECT_EQ(without.error().fault, Fault::unavailable);
  }
}

INSTANTIATE_TEST_SUITE_P(Trainers, EveryTrainer, testing::ValuesIn(trainers()),
                         [](const auto& tested) { return std::string(tested.param->name()); });

/// P5, with features made by the pipeline: what is predicted reading by reading has the bits of the batch; gaps in the cycles, an
/// engine of one reading and constant sensors (every fifth of the synthetic fleet) are in it.
TEST(Serve, every_trainer_predicts_the_same_bits_streaming_and_in_batch) {
  dataset::FleetTable table = dataset::make_synthetic_fleet({.engines = 9, .seed = 5});
  dataset::TableBuilder builder;
  for (std::size_t row = 0; row < table.row_count(); ++row) {
    const bool gap = table.unit[row] == 2 && table.cycle[row] % 7 == 3;
    const bool short_life = table.unit[row] == 3 && table.cycle[row] > 1;
    if (!gap && !short_life) builder.add(table.unit[row], table.cycle[row], table.row(row));
  }
  table = builder.finish().value();
  for (const Trainer* trainer : trainers()) {
    SCOPED_TRACE(trainer->name());
    Plan plan{.trainer = std::string(trainer->name()), .parameters = quick(trainer->name()), .fold_row_stride = 3, .threads = 1};
    const auto artifact = train(table, plan, {});
    ASSERT_TRUE(artifact) << artifact.error().message;
    const auto estimator = model::Estimator::parse(model::encode_artifact(*artifact));
    ASSERT_TRUE(estimator) << estimator.error().message;
    const FeatureRows features = make_features(artifact->pipeline, table).value();
    const std::span<const float> last(features.row(features.rows - 1), features.features);
    const auto why = (*estimator)->explain(last);  // what it takes is in the artifact
    ASSERT_TRUE(why) << why.error().message;
    EXPECT_NEAR(std::clamp(std::accumulate(why->features.begin(), why->features.end(), why->base), 0.0, plan.cap),
                (*estimator)->predict(last), 1e-3);
    for (std::size_t e = 0; e < 4; ++e) {
      feature::EngineState state;
      for (std::size_t row = table.engines[e].begin; row < table.engines[e].end; ++row) {
        if (row % 5 == 0) {  // as if the program had been started again
          state = feature::EngineState::parse(state.serialise(artifact->pipeline), artifact->pipeline).value();
        }
        const double batch = (*estimator)->predict({features.row(row), features.features});
        const auto streamed = (*estimator)->step(state, {table.cycle[row], table.row(row)});
        ASSERT_TRUE(streamed);
        ASSERT_EQ(std::memcmp(&batch, &*streamed, sizeof batch), 0) << "row " << row;
      }
    }
  }
}

TEST(Forest, a_step_is_learned_exactly_and_equal_rows_make_one_leaf) {
  TrainingSet set{.rows = {.rows = 40, .features = 1, .values = {}}, .target = {}};
  for (int i = 0; i < 40; ++i) {
    set.rows.values.push_back(static_cast<float>(i / 4));
    set.target.push_back(i / 4 < 5 ? 10.0f : 90.0f);
  }
  for (const char* name : {"random_forest", "extra_trees"}) {
    const auto fitted =
        (*find_trainer(name))->fit(set, {.parameters = json::Object{{"trees", 9}, {"min_leaf", 1}, {"features", 1.0}}});
    ASSERT_TRUE(fitted);
    for (const float x : {0.0f, 4.0f, 5.0f, 9.0f})
      EXPECT_NEAR(model::predict(*fitted, {&x, 1}), x < 5 ? 10 : 90, 1e-4) << name << x;
  }
}

template <class Build>
void check_gradient(Eigen::Index sequence, Eigen::Index channels, Eigen::Index beside, const Build& build) {
  using Matrix = Net<double>::Matrix;
  Net<double> net(sequence, channels, beside);
  build(net);
  dataset::Seeded random(11);
  net.initialise(random);
  const Eigen::Index inputs = sequence * channels + beside;
  Matrix x(inputs, 5), y(1, 5);
  for (Eigen::Index i = 0; i < x.size(); ++i) x.data()[i] = random.normal();
  for (Eigen::Index i = 0; i < y.size(); ++i) y.data()[i] = random.normal();
  for (Eigen::Index i = 0; i < net.parameters().size(); ++i) net.parameters()[i] += 0.1 * random.normal();  // biases, too
  const auto loss = [&] { return 0.5 * (net.forward(x) - y).squaredNorm(); };
  const Matrix by_output = net.forward(x) - y;
  net.backward(x, by_output);
  const Net<double>::Vector told = net.gradient();
  for (Eigen::Index i = 0; i < told.size(); ++i) {
    constexpr double little = 1e-6;
    const double kept = net.parameters()[i];
    net.parameters()[i] = kept + little;
    const double above = loss();
    net.parameters()[i] = kept - little;
    const double below = loss();
    net.parameters()[i] = kept;
    EXPECT_NEAR(told[i], (above - below) / (2 * little), 1e-6 * std::max(1.0, std::abs(told[i]))) << "parameter " << i;
  }
}

using Kind = model::Layer::Kind;
using Activation = model::Layer::Activation;

TEST(Net, gradients_are_those_of_small_differences) {
  check_gradient(0, 0, 4, [](Net<double>& net) {
    net.add(Kind::dense, 5, Activation::tanh);
    net.add(Kind::dense, 3, Activation::relu);
    net.add(Kind::dense, 1, Activation::none);
  });
  check_gradient(7, 2, 3, [](Net<double>& net) {
    net.add(Kind::convolution, 3, Activation::relu, 3);
    net.add(Kind::convolution, 2, Activation::tanh, 2);
    net.add(Kind::dense, 4, Activation::relu);
    net.add(Kind::dense, 1, Activation::none);
  });
  check_gradient(5, 2, 2, [](Net<double>& net) {
    net.add(Kind::lstm, 3, Activation::none);
    net.add(Kind::dense, 4, Activation::tanh);
    net.add(Kind::dense, 1, Activation::none);
  });
  check_gradient(6, 2, 1, [](Net<double>& net) {  // a layer's gradient goes on through an LSTM
    net.add(Kind::convolution, 3, Activation::tanh, 2);
    net.add(Kind::lstm, 2, Activation::tanh);
    net.add(Kind::dense, 1, Activation::none);
  });
}

TEST(Net, says_what_the_served_network_says) {
  Net<float> net(6, 2, 1);
  net.add(Kind::convolution, 5, Activation::relu, 2);
  net.add(Kind::lstm, 7, Activation::none);
  net.add(Kind::dense, 9, Activation::tanh);
  net.add(Kind::dense, 1, Activation::none);
  dataset::Seeded random(4);
  net.initialise(random);
  model::Network served{.row_features = 13, .steps = 6, .channels = 2, .members = {net.layers_of(net.parameters())}};
  for (std::uint16_t c = 0; c < 13; ++c) served.columns.push_back(c), served.centre.push_back(0), served.scale.push_back(1);
  ASSERT_TRUE(served.check()) << served.check().error().message;
  for (int trial = 0; trial < 20; ++trial) {
    Net<float>::Matrix x(13, 1);
    for (Eigen::Index i = 0; i < 13; ++i) x(i, 0) = static_cast<float>(2 * random.normal());
    EXPECT_NEAR(served.predict(x.data()), static_cast<double>(net.forward(x)(0, 0)), 2e-5);
  }
}

TEST(Svr, predicts_what_libsvm_predicts) {
  const TrainingSet set = small_set(5, 8);
  for (const char* kernel : {"rbf", "linear"}) {
    const auto fitted =
        (*find_trainer("svr"))->fit(set, {.parameters = json::Object{{"kernel", kernel}, {"max_rows", 250}, {"c", 2.0}}});
    ASSERT_TRUE(fitted) << fitted.error().message;
    EXPECT_EQ(model::kind_of(*fitted), kernel == std::string("rbf") ? "kernel" : "linear");
  }
  const auto fitted = (*find_trainer("svr"))->fit(set, {.parameters = json::Object{{"max_rows", 250}}});
  const auto& ours = std::get<model::KernelModel>(*fitted);
  // The same model as libsvm keeps it.
  const SvmApi& api = **svm_api();
  std::vector<std::vector<svm_node>> rows;
  const auto nodes_of = [&](const float* row) {
    std::vector<svm_node> nodes;
    for (std::size_t f = 0; f < set.rows.features; ++f)
      nodes.push_back({static_cast<int>(f + 1), static_cast<double>((row[f] - ours.centre[f]) * ours.scale[f])});
    nodes.push_back({-1, 0});
    return nodes;
  };
  std::vector<svm_node*> pointers;
  std::vector<double> target;
  for (std::size_t i = 0; i < 250; ++i) {
    const std::size_t row = i * set.rows.rows / 250;
    rows.push_back(nodes_of(set.rows.row(row)));
    target.push_back((static_cast<double>(set.target[row]) - ours.target_centre) / ours.target_scale);
  }
  for (auto& row : rows) pointers.push_back(row.data());
  const svm_problem problem{.l = 250, .y = target.data(), .x = pointers.data()};
  svm_parameter how{};
  how.svm_type = EPSILON_SVR, how.kernel_type = RBF, how.gamma = ours.gamma, how.cache_size = 200, how.eps = 0.005, how.C = 5;
  how.p = 0.1, how.shrinking = 1;
  svm_model* theirs = api.train(&problem, &how);
  for (std::size_t row = 0; row < set.rows.rows; ++row) {
    const double told = ours.target_centre + ours.target_scale * api.predict(theirs, nodes_of(set.rows.row(row)).data());
    EXPECT_NEAR(ours.predict(set.rows.row(row)), told, 1e-9 * std::abs(told) + 1e-9);
  }
  api.free_model(&theirs);
}

TEST(Survival, sums_to_xgboosts_bits_and_tells_the_life_it_tells) {
  const TrainingSet set = small_set(5, 9);
  const auto fitted = (*find_trainer("survival"))->fit(set, {.parameters = quick("survival"), .seed = 3, .threads = 1});
  ASSERT_TRUE(fitted) << fitted.error().message;
  const auto& ours = std::get<model::LogLifeTrees>(*fitted);

  const XgboostApi& api = **xgboost_api();
  std::vector<float> lower = set.target, upper;
  double mean = 0;
  for (float& y : lower) {
    y += 10;
    upper.push_back(y);
    mean += static_cast<double>(y) / static_cast<double>(lower.size());
  }
  DMatrixHandle matrix = nullptr;
  ASSERT_EQ(api.matrix_create(set.rows.values.data(), set.rows.rows, set.rows.features, NAN, &matrix), 0);
  ASSERT_EQ(api.matrix_set_floats(matrix, "label_lower_bound", lower.data(), lower.size()), 0);
  ASSERT_EQ(api.matrix_set_floats(matrix, "label_upper_bound", upper.data(), upper.size()), 0);
  BoosterHandle booster = nullptr;
  ASSERT_EQ(api.booster_create(&matrix, 1, &booster), 0);
  const std::string base = fmt::format("{}", static_cast<float>(mean));
  for (const auto& [key, value] : std::vector<std::pair<const char*, std::string>>{{"verbosity", "0"},
                                                                                   {"booster", "gbtree"},
                                                                                   {"tree_method", "hist"},
                                                                                   {"base_score", base},
                                                                                   {"nthread", "1"},
                                                                                   {"seed", "3"},
                                                                                   {"objective", "survival:aft"},
                                                                                   {"aft_loss_distribution", "normal"},
                                                                                   {"aft_loss_distribution_scale", "0.15"},
                                                                                   {"max_depth", "4"},
                                                                                   {"eta", "0.15"},
                                                                                   {"subsample", "0.6"},
                                                                                   {"colsample_bytree", "0.3"},
                                                                                   {"min_child_weight", "2.0"},
                                                                                   {"lambda", "1.0"}})
    ASSERT_EQ(api.booster_set_parameter(booster, key, value.c_str()), 0) << key;
  for (int round = 0; round < 60; ++round) ASSERT_EQ(api.booster_update(booster, round, matrix), 0);
  bst_ulong count = 0;
  const float* sums = nullptr;
  ASSERT_EQ(api.booster_predict(booster, matrix, 1, 0, 0, &count, &sums), 0);  // 1: the sum, untransformed
  for (std::size_t row = 0; row < set.rows.rows; ++row) ASSERT_EQ(ours.trees.predict(set.rows.row(row)), sums[row]) << row;
  const float* lives = nullptr;
  ASSERT_EQ(api.booster_predict(booster, matrix, 0, 0, 0, &count, &lives), 0);
  for (std::size_t row = 0; row < set.rows.rows; ++row)  // theirs is in single precision
    ASSERT_NEAR(ours.predict(set.rows.row(row)) + 10, static_cast<double>(lives[row]), 3e-7 * static_cast<double>(lives[row]));
  api.booster_free(booster);
  api.matrix_free(matrix);
}

TEST(Survival, running_engines_make_lives_longer) {
  TrainingSet set = small_set(8, 10);
  const auto mean_prediction = [&set] {
    const model::Regressor fitted = fit(**find_trainer("survival"), set);
    double mean = 0;
    for (std::size_t row = 0; row < set.rows.rows; ++row) mean += model::predict(fitted, {set.rows.row(row), set.rows.features});
    return mean / static_cast<double>(set.rows.rows);
  };
  const double known = mean_prediction();
  set.censored.assign(set.rows.rows, 0);
  for (std::size_t row = 0; row < set.rows.rows; row += 2) set.censored[row] = 1;  // "at least so long" now
  EXPECT_GT(mean_prediction(), known + 1);
}

TEST(Weigh, finds_the_weights_that_made_the_truth_and_none_below_zero) {
  dataset::Seeded random(3);
  std::vector<std::vector<double>> predictions(3, std::vector<double>(200));
  std::vector<double> truth(200);
  for (std::size_t i = 0; i < 200; ++i) {
    for (auto& of_member : predictions) of_member[i] = 60 + 20 * random.normal();
    truth[i] = 0.7 * predictions[0][i] + 0.3 * predictions[2][i];
  }
  const auto weights = weigh(predictions, truth);
  EXPECT_NEAR(weights[0], 0.7, 1e-6);
  EXPECT_NEAR(weights[1], 0, 1e-6);
  EXPECT_NEAR(weights[2], 0.3, 1e-6);
  for (std::size_t i = 0; i < 200; ++i) truth[i] = predictions[0][i] - 0.5 * predictions[1][i];
  for (const double weight : weigh(predictions, truth)) EXPECT_GE(weight, 0);
  EXPECT_EQ(weigh({{0, 0}, {0, 0}}, std::vector<double>{1, 2}), (std::vector<double>{0.5, 0.5}));
  EXPECT_NEAR(blend(predictions, weights)[7], 0.7 * predictions[0][7] + 0.3 * predictions[2][7], 1e-4);
}

/// P6 inside the blend: a member that knows its engines by heart is weighed by engines that it has not seen. Fitted rows would give
/// it all the weight.
TEST(Blend, weights_come_from_engines_that_the_members_did_not_learn_from) {
  TrainingSet set = small_set(12, 12, 0.1);
  dataset::Seeded random(5);
  for (std::size_t row = 0; row < set.rows.rows; ++row) {  // life with an offset of the engine's own, which a feature gives away
    const std::uint32_t engine = set.engine[row];
    set.rows.values[row * set.rows.features + 1] = static_cast<float>((engine * 7919) % 101);
    set.target[row] += static_cast<float>((engine * 31) % 60);
  }
  const auto fitted =
      (*find_trainer("blend"))->fit(set, {.parameters = *json::parse(R"({"members":["ridge",{"trainer":"extra_trees","parameters":
        {"trees":20,"min_leaf":1,"features":1.0}}],"folds":4})")});
  ASSERT_TRUE(fitted) << fitted.error().message;
  const auto& blended = std::get<model::Blend>(*fitted);
  double heart = 0, line = 0;
  for (const auto& member : blended.members)
    (std::holds_alternative<model::LinearModel>(member.model) ? line : heart) += member.weight;
  const double in_sample = [&] {
    const auto forest =
        (*find_trainer("extra_trees"))->fit(set, {.parameters = json::Object{{"trees", 20}, {"min_leaf", 1}, {"features", 1.0}}});
    return rmse_on(*forest, set);
  }();
  EXPECT_LT(in_sample, 5);  // it does know them by heart
  EXPECT_LT(heart, 0.9);    // and yet is not believed alone
  EXPECT_NEAR(heart + line, 1, 0.25);
}

TEST(Blend, members_and_weights_are_checked) {
  const Trainer& trainer = **find_trainer("blend");
  const TrainingSet set = small_set(3, 13);
  for (const char* wrong : {R"({"members":[]})", R"({"members":["blend"]})", R"({"members":["oracle"]})", R"({"members":[3]})",
                            R"({"members":"mlp"})", R"({"members":[{"trainer":"ridge","parameters":{"depth":1}}]})",
                            R"({"members":["ridge"],"weights":[0.5,0.5]})", R"({"members":["ridge"],"weights":[-1]})",
                            R"({"members":["ridge"],"weights":["a"]})", R"({"members":["ridge"],"weights":[0]})"}) {
    const auto fitted = trainer.fit(set, {.parameters = *json::parse(wrong)});
    ASSERT_FALSE(fitted) << wrong;
    EXPECT_EQ(fitted.error().fault, Fault::invalid_input) << wrong;
  }
  const auto given = trainer.fit(set, {.parameters = *json::parse(R"({"members":["ridge","ridge"],"weights":[0.25,0.5]})")});
  ASSERT_TRUE(given) << given.error().message;
  const auto& blended = std::get<model::Blend>(*given);
  EXPECT_EQ(blended.members[0].weight, 0.25);
  EXPECT_EQ(blended.members[1].weight, 0.5);
}

TEST(Sequences, too_long_or_absent_ones_are_refused_with_the_reason) {
  TrainingSet set = small_set(3, 14);
  for (const char* name : {"lstm", "cnn", "similarity"}) {
    const Trainer& trainer = **find_trainer(name);
    feature::Recipe recipe;
    EXPECT_FALSE(trainer.prepare(recipe, json::Object{{"steps", 100}})) << name;
    ASSERT_TRUE(trainer.prepare(recipe, json::Object{})) << name;
    EXPECT_GT(recipe.sequence_steps, 0u) << name;
    const auto fitted = trainer.fit(set, {.parameters = json::Object{{"steps", 40}}});
    ASSERT_FALSE(fitted) << name;
    EXPECT_NE(fitted.error().message.find("sequence of 40 steps"), std::string::npos) << fitted.error().message;
  }
  EXPECT_FALSE((*find_trainer("cnn"))->fit(set, {.parameters = json::Object{{"steps", 6}, {"taps", 5}}}));
}

}  // namespace
}  // namespace nacelle::trainer
