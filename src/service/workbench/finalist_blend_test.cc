#include "service/workbench/finalist_blend.h"

#include <gtest/gtest.h>

#include <array>

namespace nacelle::workbench {
namespace {

/// `errors`: of the predictions at each of two cuts in each of two folds.
std::vector<trainer::JudgedFold> judged_with(std::array<double, 4> errors) {
  std::vector<trainer::JudgedFold> folds(2);
  for (std::size_t i = 0; i < errors.size(); ++i)
    folds[i / 2].cuts.push_back({.engine = i,
                                 .row = i,
                                 .truth = 40 + 5.0 * static_cast<double>(i),
                                 .predicted = 40 + 5.0 * static_cast<double>(i) + errors[i]});
  return folds;
}

TEST(FinalistBlend, errors_that_cancel_are_found_and_a_useless_member_is_left_out) {
  const auto high = judged_with({6, 6, 6, 6}), low = judged_with({-6, -6, -6, -6}), wild = judged_with({60, -40, -40, 60});
  const auto made =
      blend_finalists({{"ridge", json::Object{}, &high}, {"mlp", json::Object{}, &low}, {"svr", json::Object{}, &wild}}, 125);
  ASSERT_TRUE(made && *made);
  const json::Array& members = (*made)->parameters.find("members")->as_array();
  ASSERT_EQ(members.size(), 2u);
  EXPECT_EQ(members[0].find("trainer")->as_string(), "ridge");
  for (const json::Value& weight : (*made)->parameters.find("weights")->as_array()) EXPECT_NEAR(weight.as_number(), 0.5, 0.05);
  for (const auto& fold : (*made)->folds) EXPECT_LT(fold.fold.metrics.rmse, 2);
  EXPECT_FALSE(*blend_finalists({{"ridge", json::Object{}, &high}}, 125));  // one is no blend
  auto elsewhere = low;
  elsewhere[1].cuts[0].row = 77;
  EXPECT_FALSE(blend_finalists({{"ridge", json::Object{}, &high}, {"mlp", json::Object{}, &elsewhere}}, 125));
}

/// Four engines, asked once each: what is better on some and worse on others is not worse for certain.
TEST(FinalistBlend, gives_way_only_to_a_single_one_that_is_better_by_more_than_chance) {
  const auto holds = [](std::array<double, 4> blend, std::array<double, 4> single, search::Metric metric) {
    return holds_against(judged_with(blend), judged_with(single), metric, 125);
  };
  for (const search::Metric metric : {search::Metric::rmse, search::Metric::mae, search::Metric::rmse_raw}) {
    EXPECT_TRUE(holds({5, 5, 5, 5}, {6, 6, 6, 6}, metric));
    EXPECT_TRUE(holds({1, 9, 3, 8}, {6, 6, 6, 6}, metric)) << "behind by less than a standard error";
    EXPECT_FALSE(holds({7, 7, 7, 7}, {6, 6, 6, 6}, metric)) << "little, but on every engine";
    EXPECT_FALSE(holds({20, 20, 3, 20}, {6, 6, 6, 6}, metric));
    EXPECT_FALSE(holds({-6.5, -6.5, -6.5, -6.5}, {6, 6, 6, 6}, metric));
  }
  EXPECT_TRUE(holds({-6.5, -6.5, -6.5, -6.5}, {6, 6, 6, 6}, search::Metric::phm08_per_engine)) << "too early costs less";
}

/// What the blend is said to be worth in a fold does not depend on the truth in that fold.
TEST(FinalistBlend, a_folds_weights_are_learned_from_the_other_folds) {
  auto high = judged_with({5, 6, 6, 5}), low = judged_with({-5, -6, -6, -5});
  const auto before = blend_finalists({{"ridge", json::Object{}, &high}, {"mlp", json::Object{}, &low}}, 125);
  for (auto* folds : {&high, &low})
    for (trainer::Cut& cut : (*folds)[0].cuts) cut.truth += 0.5;
  const auto after = blend_finalists({{"ridge", json::Object{}, &high}, {"mlp", json::Object{}, &low}}, 125);
  ASSERT_TRUE(before && *before && after && *after);
  for (std::size_t i = 0; i < 2; ++i) {
    EXPECT_EQ((*before)->folds[0].cuts[i].predicted, (*after)->folds[0].cuts[i].predicted);
    EXPECT_NE((*before)->folds[1].cuts[i].predicted, (*after)->folds[1].cuts[i].predicted);
  }
}

}  // namespace
}  // namespace nacelle::workbench
