// What a trainer answers for alone: exact answers where there are some, and parity with the libraries that have a prediction of
// their own.

#include "ml/trainer/blend.h"
#include "ml/trainer/detail/net.h"
#include "ml/trainer/detail/svm_api.h"
#include "ml/trainer/detail/xgboost_api.h"
#include "ml/trainer/trainers_fixture.h"

namespace nacelle::trainer {
namespace {

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
