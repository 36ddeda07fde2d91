#include "ml/model/tree_ensemble.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <random>

namespace nacelle::model {
namespace {

using Plain = TreeEnsemble::PlainNode;
constexpr float silent = std::numeric_limits<float>::quiet_NaN();
constexpr float infinite = std::numeric_limits<float>::infinity();

class Random {
 public:
  explicit Random(std::uint64_t seed) : engine_(seed) {}
  std::size_t below(std::size_t bound) { return static_cast<std::size_t>(engine_() % bound); }
  bool one_in(std::size_t n) { return below(n) == 0; }
  float number() { return static_cast<float>(static_cast<double>(engine_() % 4001) / 100.0 - 20.0); }
  /// Now and then what is awkward: zeros of both signs, infinities, values that thresholds are equal to.
  float awkward() {
    const float odd[] = {0.0f, -0.0f, infinite, -infinite, 1.0f, std::numeric_limits<float>::denorm_min()};
    return one_in(4) ? odd[below(6)] : number();
  }

 private:
  std::mt19937_64 engine_;
};

int grow(Random& random, std::vector<Plain>& tree, std::size_t features, std::size_t depth, std::size_t leaf_chance) {
  const auto index = static_cast<int>(tree.size());
  tree.push_back({.value = random.awkward()});
  if (depth == 0 || features == 0 || random.one_in(leaf_chance)) return index;
  const auto feature = static_cast<std::uint32_t>(random.below(features));
  const float threshold = random.awkward();
  const bool silent_left = random.one_in(2);
  const int left = grow(random, tree, features, depth - 1, leaf_chance);
  const int right = grow(random, tree, features, depth - 1, leaf_chance);
  tree[static_cast<std::size_t>(index)] = {
      .left = left, .right = right, .feature = feature, .threshold = threshold, .silent_left = silent_left};
  return index;
}

/// All trees ask the same first, as those do whose late joins were grown apart; a leaf is on the one side or on the other.
void put_under_one_root(Random& random, std::vector<std::vector<Plain>>& trees, std::size_t features) {
  const Plain root{.left = 1,
                   .right = 2,
                   .feature = static_cast<std::uint32_t>(random.below(features)),
                   .threshold = random.awkward(),
                   .silent_left = random.one_in(2)};
  for (std::size_t t = 0; t < trees.size(); ++t) {
    std::vector<Plain> under{root, {.value = random.awkward()}};
    if (t % 2 == 1) std::swap(under[0].left, under[0].right);
    for (Plain node : trees[t]) {
      if (node.left >= 0) node.left += 2, node.right += 2;
      under.push_back(node);
    }
    trees[t] = std::move(under);
  }
}

struct Case {
  TreeEnsemble trees;
  std::vector<std::vector<Plain>> plain;
  std::size_t features;
  float base;
};

Case random_case(Random& random) {
  Case made{.trees = {}, .plain = {}, .features = 1 + random.below(40), .base = random.awkward()};
  const std::size_t depth = random.below(random.one_in(5) ? 14 : 8);
  const std::size_t leaf_chance = 2 + random.below(20);
  made.plain.resize(random.below(40));
  for (auto& tree : made.plain) grow(random, tree, made.features, random.one_in(6) ? 0 : depth, leaf_chance);
  if (random.one_in(2)) put_under_one_root(random, made.plain, made.features);
  made.trees = TreeEnsemble::build(made.base, made.features, made.plain).value();
  return made;
}

std::vector<float> random_rows(Random& random, std::size_t rows, std::size_t features, bool with_silence) {
  std::vector<float> values(rows * features);
  for (float& value : values) value = with_silence && random.one_in(7) ? silent : random.awkward();
  return values;
}

/// The meaning of a tree, from its plain form.
float leaf_of(const std::vector<Plain>& tree, const float* row) {
  std::size_t at = 0;
  while (tree[at].left >= 0) {
    const float x = row[tree[at].feature];
    const bool left = std::isnan(x) ? tree[at].silent_left : x < tree[at].threshold;
    at = static_cast<std::size_t>(left ? tree[at].left : tree[at].right);
  }
  return tree[at].value;
}

std::uint32_t bits(float value) { return std::isnan(value) ? 0x7fc00000u : std::bit_cast<std::uint32_t>(value); }

TEST(TreeEngines, all_give_the_same_bits_on_random_ensembles) {
  std::size_t complete = 0;
  for (std::uint64_t seed = 1; seed <= 400; ++seed) {
    Random random(seed);
    const Case made = random_case(random);
    const std::size_t rows = 1 + random.below(40);
    const auto values = random_rows(random, rows, made.features, random.one_in(2));
    std::vector<float> expected;
    for (std::size_t r = 0; r < rows; ++r) {
      float sum = made.base;
      for (const auto& tree : made.plain) sum += leaf_of(tree, &values[r * made.features]);
      expected.push_back(sum);
    }
    const auto engines = made.trees.engines();
    complete += engines.size() > 2 ? 1 : 0;
    for (const Engine engine : engines) {
      std::vector<float> out(rows + 1, 77);
      made.trees.predict_rows(engine, values.data(), rows, out.data());
      EXPECT_EQ(out[rows], 77) << "wrote beyond its rows";
      for (std::size_t r = 0; r < rows; ++r) {
        const auto where = std::string(engine_name(engine)) + ", seed " + std::to_string(seed) + ", row " + std::to_string(r);
        ASSERT_EQ(bits(out[r]), bits(expected[r])) << where;
        ASSERT_EQ(bits(made.trees.predict(engine, &values[r * made.features])), bits(expected[r])) << where;
      }
    }
  }
  EXPECT_GT(complete, 100u) << "the random trees must be of the kind that every engine runs";
  EXPECT_LT(complete, 400u);
}

TEST(TreeEngines, picked_ones_are_among_those_that_can_run) {
  Random random(7);
  std::vector<std::vector<Plain>> shallow(20), deep(20);
  for (auto& tree : shallow) grow(random, tree, 5, 4, 50);
  for (auto& tree : deep) grow(random, tree, 5, 9, 50);
  const auto small = TreeEnsemble::build(0, 5, shallow).value();
  EXPECT_EQ(small.row_engine(), Engine::complete);
  EXPECT_EQ(small.rows_engine(), small.engines().back());
  EXPECT_GE(small.engines().size(), 4u);
  const auto large = TreeEnsemble::build(0, 5, deep).value();
  EXPECT_EQ(large.engines(), (std::vector<Engine>{Engine::reference, Engine::interleaved}));
  EXPECT_EQ(large.row_engine(), Engine::interleaved);
}

TEST(TreeEnsemble, comes_back_from_bytes_and_from_plain_trees_with_covers) {
  for (std::uint64_t seed = 1; seed <= 60; ++seed) {
    Random random(seed);
    Case made = random_case(random);
    if (random.one_in(2))
      for (auto& tree : made.plain)
        for (Plain& node : tree) node.cover = static_cast<float>(1 + random.below(100));
    const auto trees = TreeEnsemble::build(made.base, made.features, made.plain).value();
    Bytes bytes;
    trees.encode(bytes);
    const auto decoded = TreeEnsemble::decode(bytes);
    ASSERT_TRUE(decoded) << decoded.error().message;
    Bytes again, replanted;
    decoded->encode(again);
    EXPECT_EQ(again, bytes) << seed;
    TreeEnsemble::build(made.base, made.features, trees.plain_trees()).value().encode(replanted);
    EXPECT_EQ(replanted, bytes) << seed;
    EXPECT_EQ(decoded->has_covers(), trees.has_covers());
    EXPECT_EQ(decoded->row_engine(), trees.row_engine());
  }
}

TEST(TreeEnsemble, trees_without_features_predict_their_sum) {
  const auto trees = TreeEnsemble::build(1, 0, {{{.value = 2}}, {{.value = 3}}}).value();
  for (const Engine engine : trees.engines()) EXPECT_EQ(trees.predict(engine, nullptr), 6);
  EXPECT_EQ(TreeEnsemble::build(1, 3, {}).value().depth(), 0u);
}

TEST(TreeEnsemble, covers_that_are_no_weights_are_refused) {
  EXPECT_FALSE(TreeEnsemble::build(0, 1, {{{.value = 2, .cover = -1}}}));
  EXPECT_FALSE(TreeEnsemble::build(0, 1, {{{.value = 2, .cover = infinite}}}));
  EXPECT_FALSE(TreeEnsemble::build(0, 1, {{{.value = 2, .cover = silent}}}));
}

}  // namespace
}  // namespace nacelle::model
