#include "ml/model/regressor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "ml/model/xgboost_json.h"

namespace nacelle::model {
namespace {

using Plain = TreeEnsemble::PlainNode;
constexpr float silent = std::numeric_limits<float>::quiet_NaN();

/// x0 < 1 ? (x1 < 2 ? 10 : 20) : 30; a silent x0 goes left, a silent x1 right.
std::vector<Plain> small_tree() {
  return {{.left = 1, .right = 2, .feature = 0, .threshold = 1, .silent_left = true},
          {.left = 3, .right = 4, .feature = 1, .threshold = 2},
          {.value = 30},
          {.value = 10},
          {.value = 20}};
}

float predict(const TreeEnsemble& trees, float x0, float x1) {
  const float row[] = {x0, x1};
  return trees.predict(row);
}

TEST(TreeEnsemble, walks_every_leaf_whatever_the_number_of_trees) {
  for (const std::size_t count : {1u, 2u, 7u, 8u, 9u, 16u, 17u}) {
    std::vector<std::vector<Plain>> plain(count, small_tree());
    plain.back() = {{.value = 1}};  // a tree that is only a leaf
    const auto trees = TreeEnsemble::build(0.5f, 2, plain);
    ASSERT_TRUE(trees);
    const auto n = static_cast<float>(count - 1);
    EXPECT_EQ(predict(*trees, 0, 0), 1.5f + 10 * n);
    EXPECT_EQ(predict(*trees, 0, 2), 1.5f + 20 * n);
    EXPECT_EQ(predict(*trees, 1, 0), 1.5f + 30 * n);
    EXPECT_EQ(predict(*trees, silent, 0), 1.5f + 10 * n);
    EXPECT_EQ(predict(*trees, 0, silent), 1.5f + 20 * n);
    EXPECT_EQ(predict(*trees, std::numeric_limits<float>::infinity(), 0), 1.5f + 30 * n);
    EXPECT_EQ(predict(*trees, -std::numeric_limits<float>::infinity(), 0), 1.5f + 10 * n);
  }
}

TEST(TreeEnsemble, what_is_no_tree_is_refused) {
  const auto build = [](std::vector<Plain> nodes) { return TreeEnsemble::build(0, 2, {std::move(nodes)}); };
  EXPECT_FALSE(build({}));
  EXPECT_FALSE(build({{.left = 0, .right = 0, .feature = 0, .threshold = 1}}));                // a loop
  EXPECT_FALSE(build({{.left = 1, .right = 9, .feature = 0, .threshold = 1}, {.value = 1}}));  // a child that is not there
  EXPECT_FALSE(
      build({{.left = 1, .right = 2, .feature = 2, .threshold = 1}, {.value = 1}, {.value = 2}}));  // a feature that is not there
  EXPECT_FALSE(build({{.left = 1, .right = 2, .feature = 0, .threshold = silent}, {.value = 1}, {.value = 2}}));
}

TEST(Regressor, comes_back_from_its_bytes_and_every_cut_is_corrupt) {
  const Regressor trees = TreeEnsemble::build(0.25f, 2, {small_tree(), small_tree()}).value();
  const Regressor linear = LinearModel{.intercept = 1, .centre = {1, 2}, .scale = {0.5, 2}, .weight = {3, 4}};
  const float row[] = {0.5f, 3};
  EXPECT_EQ(predict(linear, row), 1 + 3 * (0.5 - 1) * 0.5 + 4 * (3.0 - 2) * 2);
  for (const Regressor& regressor : {trees, linear}) {
    const Bytes bytes = encode(regressor);
    const auto back = decode(kind_of(regressor), bytes);
    ASSERT_TRUE(back) << back.error().message;
    EXPECT_EQ(predict(*back, row), predict(regressor, row));
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      const auto cut = decode(kind_of(regressor), BytesView(bytes).substr(0, size));
      ASSERT_FALSE(cut) << size;
      EXPECT_EQ(cut.error().fault, Fault::corrupt);
    }
    EXPECT_FALSE(decode(kind_of(regressor), bytes + "x"));
  }
  EXPECT_FALSE(decode("forest", encode(trees)));
}

/// Flipped bytes may give another model, but never one that reads outside its tables (run under AddressSanitizer).
TEST(Regressor, flipped_bytes_never_lead_outside_the_tables) {
  const Bytes bytes = encode(TreeEnsemble::build(0.25f, 2, std::vector(9, small_tree())).value());
  for (std::size_t at = 0; at < bytes.size(); ++at)
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      Bytes flipped = bytes;
      flipped[at] = static_cast<char>(flipped[at] ^ flip);
      const auto decoded = decode("trees", flipped);
      if (!decoded || feature_count(*decoded) > 64) continue;
      const std::vector<float> row(64, 1.5f);
      (void)predict(*decoded, row);
    }
}

TEST(ReadXgboost, other_models_are_refused_with_a_reason) {
  EXPECT_FALSE(read_xgboost(*json::parse("{}")));
  const auto logistic = read_xgboost(*json::parse(
      R"({"learner":{"learner_model_param":{"base_score":"0.5","num_feature":"2"},"objective":{"name":"binary:logistic"},"gradient_booster":{"model":{"trees":[]}}}})"));
  ASSERT_FALSE(logistic);
  EXPECT_NE(logistic.error().message.find("reg:squarederror"), std::string::npos);
  const auto one = read_xgboost(*json::parse(
      R"({"learner":{"learner_model_param":{"base_score":"5E-1","num_feature":"2"},"objective":{"name":"reg:squarederror"},"gradient_booster":{"model":{"trees":[
       {"left_children":[1,-1,-1],"right_children":[2,-1,-1],"split_indices":[1,0,0],"split_conditions":[1.5,-2E0,3E0],"default_left":[1,0,0]}]}}}})"));
  ASSERT_TRUE(one) << one.error().message;
  EXPECT_EQ(predict(*one, 0, 1), -1.5f);
  EXPECT_EQ(predict(*one, 0, 1.5f), 3.5f);
}

}  // namespace
}  // namespace nacelle::model
