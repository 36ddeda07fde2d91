#include "ml/model/explanation.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <random>

namespace nacelle::model {
namespace {

using Plain = TreeEnsemble::PlainNode;
constexpr std::size_t features = 5;

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(engine_() % bound); }
  float number() { return static_cast<float>(static_cast<double>(engine_() % 2001) / 100.0 - 10.0); }

 private:
  std::mt19937_64 engine_;
};

/// A random tree whose covers add up, as training leaves them; now and then a node that no row came to.
int grow(Random& random, std::vector<Plain>& tree, std::size_t depth, float cover) {
  const auto index = static_cast<int>(tree.size());
  tree.push_back({.value = random.number(), .cover = cover});
  if (depth == 0 || random.below(5) == 0) return index;
  const float left_cover = std::floor(cover * static_cast<float>(random.below(11)) / 10.0f);
  const auto feature = static_cast<std::uint32_t>(random.below(features));
  const float threshold = random.number();
  const bool silent_left = random.below(2) == 0;
  const int left = grow(random, tree, depth - 1, left_cover);
  const int right = grow(random, tree, depth - 1, cover - left_cover);
  tree[static_cast<std::size_t>(index)] = {.left = left,
                                           .right = right,
                                           .feature = feature,
                                           .threshold = threshold,
                                           .value = 0,
                                           .silent_left = silent_left,
                                           .cover = cover};
  return index;
}

/// What is expected of a row of which only the features in `known` are told.
double expected(const std::vector<Plain>& tree, std::size_t at, const float* row, unsigned known) {
  const Plain& node = tree[at];
  if (node.left < 0) return static_cast<double>(node.value);
  const auto left = static_cast<std::size_t>(node.left), right = static_cast<std::size_t>(node.right);
  if (known >> node.feature & 1) {
    const float x = row[node.feature];
    return expected(tree, (std::isnan(x) ? node.silent_left : x < node.threshold) ? left : right, row, known);
  }
  const double both = static_cast<double>(tree[left].cover) + static_cast<double>(tree[right].cover);
  const double share = both > 0 ? static_cast<double>(tree[left].cover) / both : 0.5;
  return share * expected(tree, left, row, known) + (1 - share) * expected(tree, right, row, known);
}

double expected(const std::vector<std::vector<Plain>>& trees, const float* row, unsigned known) {
  double sum = 0;
  for (const auto& tree : trees) sum += expected(tree, 0, row, known);
  return sum;
}

/// Shapley's own sum, over all subsets of the other features.
double shapley(const std::vector<std::vector<Plain>>& trees, const float* row, std::size_t feature) {
  const auto factorial = [](int n) { return std::tgamma(n + 1.0); };
  double sum = 0;
  for (unsigned known = 0; known < 1u << features; ++known) {
    if (known >> feature & 1) continue;
    const int size = std::popcount(known);
    const double weight =
        factorial(size) * factorial(static_cast<int>(features) - size - 1) / factorial(static_cast<int>(features));
    sum += weight * (expected(trees, row, known | 1u << feature) - expected(trees, row, known));
  }
  return sum;
}

TEST(Explain, equals_shapleys_sum_over_all_subsets_on_random_trees) {
  for (std::uint64_t seed = 1; seed <= 150; ++seed) {
    Random random(seed);
    std::vector<std::vector<Plain>> plain(1 + random.below(4));
    for (auto& tree : plain) grow(random, tree, random.below(8), 1000);  // features repeat along a path
    const auto trees = TreeEnsemble::build(3, features, plain).value();
    for (int r = 0; r < 4; ++r) {
      std::vector<float> row(features);
      for (float& x : row) x = random.below(6) == 0 ? std::numeric_limits<float>::quiet_NaN() : random.number();
      const auto told = explain(trees, row);
      ASSERT_TRUE(told) << told.error().message;
      EXPECT_NEAR(told->base, 3 + expected(plain, row.data(), 0), 1e-9) << "seed " << seed;
      double sum = told->base;
      for (std::size_t f = 0; f < features; ++f) {
        EXPECT_NEAR(told->features[f], shapley(plain, row.data(), f), 1e-9) << "seed " << seed << ", feature " << f;
        sum += told->features[f];
      }
      EXPECT_NEAR(sum, static_cast<double>(trees.predict(row.data())), 1e-4) << "seed " << seed;
    }
  }
}

TEST(Explain, a_line_is_weight_times_distance_and_sums_to_the_prediction) {
  const Regressor line = LinearModel{.intercept = 70, .centre = {1, 2}, .scale = {0.5, 2}, .weight = {3, -4}};
  const float row[] = {3, 3};
  const auto told = explain(line, row);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->base, 70);
  EXPECT_EQ(told->features, (std::vector<double>{3, -8}));
  EXPECT_EQ(told->base + told->features[0] + told->features[1], predict(line, row));
}

TEST(Explain, raw_columns_are_parts_of_their_own) {
  const auto pipeline = feature::Pipeline::identity({"a.x", "a.y"}).value();
  const double cycles[] = {1, -2};
  const auto parts = by_channel(pipeline, cycles);
  ASSERT_EQ(parts.size(), 2u);
  EXPECT_EQ(parts[0].name, "a.x");
  EXPECT_EQ(parts[1].cycles, -2);
  EXPECT_EQ(by_sensor(pipeline, cycles).size(), 2u);
}

/// Two sensors fused 3 : 1 into the health index, and the cycle beside it.
TEST(Explain, features_add_up_to_channels_and_channels_divide_among_sensors) {
  const auto document = json::parse(
      R"({"recipe":{"settings":[],"sensors":["p","q"],"mean_windows":[5],"slope_windows":[],"spread_windows":[],"ewma_rates":[],"cycle_count":true,"history_length":false},)"
      R"("regimes":1,"set_points":[],"kept_sensors":["p","q"],"mean":[[0,0]],"inverse_spread":[[1,1]],"fusion":[[3,-1]]})");
  const auto pipeline = feature::Pipeline::from_json(*document);
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  ASSERT_EQ(pipeline->feature_names(), (std::vector<std::string>{"health.mean5", "health.last", "cycle"}));
  const double cycles[] = {6, 2, -5};
  const auto channels = by_channel(*pipeline, cycles);
  ASSERT_EQ(channels.size(), 2u);
  EXPECT_EQ(channels[0].name, "health");
  EXPECT_EQ(channels[0].cycles, 8);
  const auto sensors = by_sensor(*pipeline, cycles);
  ASSERT_EQ(sensors.size(), 3u);
  EXPECT_EQ(sensors[0].cycles, 6);
  EXPECT_EQ(sensors[1].cycles, 2);
  EXPECT_EQ(sensors[2].name, "cycle");
  EXPECT_EQ(sensors[2].cycles, -5);
}

/// Shapley's own sum of any game over three features.
std::vector<double> shapley_of(const std::function<double(unsigned known)>& game) {
  std::vector<double> values(3);
  for (std::size_t f = 0; f < 3; ++f)
    for (unsigned known = 0; known < 8; ++known) {
      if (known >> f & 1) continue;
      const int size = std::popcount(known);
      values[f] += (size == 1 ? 1.0 / 6 : 1.0 / 3) * (game(known | 1u << f) - game(known));
    }
  return values;
}

const Background three_rows{.features = 3, .values = {0, 1, 2, -1, 0.5f, 0, 2, 2, -2}};

/// The mean over background rows of a model's prediction of a row of which only `known` features are told.
double beside(const Regressor& model, std::span<const float> row, unsigned known) {
  double sum = 0;
  for (std::size_t b = 0; b < three_rows.rows(); ++b) {
    std::vector<float> mixed(three_rows.row(b).begin(), three_rows.row(b).end());
    for (std::size_t f = 0; f < 3; ++f)
      if (known >> f & 1) mixed[f] = row[f];
    sum += predict(model, mixed) / static_cast<double>(three_rows.rows());
  }
  return sum;
}

TEST(Explain, support_vectors_tell_the_exact_values_beside_the_background) {
  const Regressor bells = KernelModel{.centre = {0, 1, 0.5f},
                                      .scale = {1, 2, 0.5f},
                                      .gamma = 0.1,
                                      .intercept = 0.25,
                                      .target_centre = 60,
                                      .target_scale = 40,
                                      .coefficient = {1, -0.5, 2},
                                      .vectors = {0, 0, 0, 1, 1, 1, -1, 0.5f, 2}};
  const float row[] = {1, 0.25f, 3};
  const auto told = explain(bells, row, three_rows);
  ASSERT_TRUE(told);
  EXPECT_TRUE(told->exact);
  EXPECT_NEAR(told->base, beside(bells, row, 0), 1e-9);
  const auto expected = shapley_of([&](unsigned known) { return beside(bells, row, known); });
  for (std::size_t f = 0; f < 3; ++f) EXPECT_NEAR(told->features[f], expected[f], 1e-9) << f;
}

TEST(Explain, a_logarithm_of_life_is_carried_over_to_cycles) {
  const auto tree = [](std::uint32_t feature, float low, float high) {
    return std::vector<Plain>{{.left = 1, .right = 2, .feature = feature, .threshold = 0, .cover = 8},
                              {.value = low, .cover = 2},
                              {.value = high, .cover = 6}};
  };
  const LogLifeTrees life{.trees = TreeEnsemble::build(3, 3, {tree(0, -1, 0.5f), tree(1, 0.25f, -0.5f)}).value(), .offset = 10};
  const float row[] = {-1, 1, 7};
  const auto logarithm = explain(life.trees, row).value();
  const auto told = explain(Regressor(life), row);
  ASSERT_TRUE(told);
  EXPECT_NEAR(told->base, std::exp(logarithm.base) - 10, 1e-9);
  const auto expected = shapley_of([&](unsigned known) {
    double sum = logarithm.base;
    for (std::size_t f = 0; f < 3; ++f)
      if (known >> f & 1) sum += logarithm.features[f];
    return std::exp(sum) - 10;
  });
  for (std::size_t f = 0; f < 3; ++f) EXPECT_NEAR(told->features[f], expected[f], 1e-9) << f;
}

/// relu(x0 + x1 - 1) + 2 x2 and a sequence that is one player.
Network bent() {
  Network network{
      .row_features = 3, .columns = {0, 1, 2}, .centre = {0, 0, 0}, .scale = {1, 1, 1}, .target_centre = 5, .target_scale = 3};
  network.members = {{{.kind = Layer::Kind::dense,
                       .activation = Layer::Activation::relu,
                       .inputs = 3,
                       .outputs = 2,
                       .weight = {1, 0, 1, 0, 0, 1},
                       .bias = {-1, 4}},
                      {.kind = Layer::Kind::dense, .inputs = 2, .outputs = 1, .weight = {1, 2}, .bias = {0}}}};
  return network;
}

TEST(Explain, sampled_values_of_a_network_are_near_the_exact_ones_and_sum_up) {
  Background many{.features = 3, .values = {}};  // each row of three_rows several times, for more orders
  for (int i = 0; i < 20; ++i) many.values.insert(many.values.end(), three_rows.values.begin(), three_rows.values.end());
  const Regressor network = bent();
  const float row[] = {2, 1.5f, 1};
  const auto told = explain(network, row, many);
  ASSERT_TRUE(told);
  EXPECT_FALSE(told->exact);
  EXPECT_NEAR(told->base, beside(network, row, 0), 1e-5);
  EXPECT_NEAR(told->base + told->features[0] + told->features[1] + told->features[2], predict(network, row), 1e-5);
  const auto expected = shapley_of([&](unsigned known) { return beside(network, row, known); });
  for (std::size_t f = 0; f < 3; ++f) EXPECT_NEAR(told->features[f], expected[f], 0.3) << f;
  EXPECT_NEAR(told->features[2], expected[2], 1e-5) << "it meets no other feature: every order tells the same";
}

TEST(Explain, all_steps_of_a_sequence_become_known_together) {
  Network network = bent();
  network.steps = 2;
  network.channels = 1;
  const float row[] = {2, 1.5f, 1};
  const auto told = explain(Regressor(network), row, three_rows);
  ASSERT_TRUE(told);
  EXPECT_EQ(told->features[0], told->features[1]);
}

TEST(Explain, a_blend_is_the_weighted_sum_of_its_members_and_a_member_that_is_cut_is_cut_in_proportion) {
  const LinearModel line{.intercept = 70, .centre = {1, 2}, .scale = {0.5, 2}, .weight = {3, -4}};
  const TreeEnsemble trees =
      TreeEnsemble::build(
          50, 1, {{{.left = 1, .right = 2, .threshold = 0, .cover = 4}, {.value = 10, .cover = 1}, {.value = 90, .cover = 3}}})
          .value();
  Blend blend{.row_features = 3, .cap = 100, .members = {}};
  blend.members.push_back({.weight = 0.5, .columns = {2, 0}, .model = line});
  blend.members.push_back({.weight = 0.25, .columns = {1}, .model = trees});
  const float row[] = {3, 1, 3};  // line: 70 + 3 - 8; trees: 50 + 90, of which 100 are left
  const auto told = explain(Regressor(blend), row);
  ASSERT_TRUE(told) << told.error().message;
  EXPECT_TRUE(told->exact);
  EXPECT_NEAR(told->base, 0.5 * 70 + 0.25 * 100, 1e-9);  // the trees' own base is 120
  EXPECT_NEAR(told->features[2], 0.5 * 3, 1e-9);
  EXPECT_NEAR(told->features[0], 0.5 * -8, 1e-9);
  EXPECT_NEAR(told->features[1], 0, 1e-9);
  EXPECT_NEAR(told->base + told->features[0] + told->features[1] + told->features[2], predict(Regressor(blend), row), 1e-9);
  const float low[] = {3, -1, 3};  // trees: 60
  const auto other = explain(Regressor(blend), low);
  EXPECT_NEAR(other->features[1], 0.25 * -40, 1e-9);

  blend.members.push_back({.weight = 1, .columns = {0, 1, 2}, .model = bent()});
  const auto without = explain(Regressor(blend), row);
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().fault, Fault::unavailable);
  EXPECT_TRUE(needs_background(Regressor(blend)));
  const auto with = explain(Regressor(blend), row, three_rows);
  ASSERT_TRUE(with);
  EXPECT_FALSE(with->exact);
}

/// A fitted life of the health index's mean (weight 2), its product with itself (1), and the cycle (-1).
TEST(Explain, fitted_lives_divide_among_what_they_are_made_of) {
  const auto document = json::parse(
      R"({"recipe":{"settings":[],"sensors":["p","q"],"mean_windows":[5],"slope_windows":[],"spread_windows":[],"ewma_rates":[],"cycle_count":true,"history_length":false,"life_fits":1},)"
      R"("regimes":1,"set_points":[],"kept_sensors":["p","q"],"mean":[[0,0]],"inverse_spread":[[1,1]],"fusion":[[3,-1]],)"
      R"("fit_curved":[0],"fits":[{"centre":[[0,0,0]],"scale":[[1,1,1]],"weight":[[2,0,-1,1]],"base":[[0]]}]})");
  const auto pipeline = feature::Pipeline::from_json(*document);
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  ASSERT_EQ(pipeline->feature_names(), (std::vector<std::string>{"health.mean5", "health.last", "cycle", "life.1"}));
  const double cycles[] = {6, 2, -5, 8};
  EXPECT_EQ(by_channel(*pipeline, cycles).back().cycles, 8);
  const auto sensors = by_sensor(*pipeline, cycles);  // of the life 6 are the health index's, 2 the cycle's
  ASSERT_EQ(sensors.size(), 3u);
  EXPECT_EQ(sensors[0].cycles, 6 + 4.5);
  EXPECT_EQ(sensors[1].cycles, 2 + 1.5);
  EXPECT_EQ(sensors[2].name, "cycle");
  EXPECT_EQ(sensors[2].cycles, -5 + 2);
}

TEST(Explain, trees_without_weights_are_refused) {
  const auto trees = TreeEnsemble::build(0, 1, {{{.value = 2}}}).value();
  const float row[] = {1};
  const auto told = explain(trees, row);
  ASSERT_FALSE(told);
  EXPECT_EQ(told.error().fault, Fault::unavailable);
}

}  // namespace
}  // namespace nacelle::model
