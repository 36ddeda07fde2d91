// Where regimes come from: tolerances, a chosen number, or a list.
#include "ml/feature/detail/regimes.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ml/dataset/seeded.h"

namespace nacelle::feature {
namespace {

/// Three set points of two settings, the second much the larger number; 50, 30 and 20 rows with a little noise, and one silent row.
std::vector<double> rows() {
  dataset::Seeded random(3);
  std::vector<double> held = {std::nan(""), 100};
  for (int i = 0; i < 100; ++i) {
    const int at = i % 10 < 5 ? 0 : i % 10 < 8 ? 1 : 2;
    held.push_back(0.1 * at + 0.002 * random.normal());
    held.push_back(1000.0 * (at == 2 ? 0 : at) + 20 * random.normal());
  }
  return held;
}

Recipe recipe() {
  Recipe made;
  made.settings = {{"a", 0.03}, {"b", 300}};
  return made;
}

Pipeline::Tables learned(const Recipe& recipe) {
  Pipeline::Tables tables;
  tables.recipe = recipe;
  const auto done = learn_regimes(rows(), tables);
  EXPECT_TRUE(done) << done.error().message;
  return tables;
}

TEST(Regimes, a_chosen_number_finds_the_set_points_that_tolerances_find) {
  Recipe chosen = recipe();
  chosen.regime_count = 3;
  const auto by_number = learned(chosen), by_tolerance = learned(recipe());
  ASSERT_EQ(by_number.regimes, 3u);
  ASSERT_EQ(by_tolerance.regimes, 3u);
  const std::vector<double> expected = {0, 0, 0.1, 1000, 0.2, 0};  // the most frequent first
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_NEAR(by_number.set_points[i], expected[i], i % 2 == 0 ? 0.005 : 20) << i;
    EXPECT_EQ(by_number.set_points[i], by_tolerance.set_points[i]) << i;
  }
  EXPECT_EQ(learned(chosen).set_points, by_number.set_points);
}

TEST(Regimes, a_smaller_number_lays_neighbours_together_and_a_larger_one_parts_them) {
  Recipe chosen = recipe();
  chosen.regime_count = 1;
  EXPECT_EQ(learned(chosen).regimes, 1u);
  chosen.regime_count = 200;  // there are 100 distinct rows
  EXPECT_EQ(learned(chosen).regimes, 100u);
}

TEST(Regimes, given_ones_are_taken_in_their_order) {
  Recipe given = recipe();
  given.regime_points = {{0.2, 0}, {0, 0}};
  const auto tables = learned(given);
  EXPECT_EQ(tables.regimes, 2u);
  EXPECT_EQ(tables.set_points, (std::vector<double>{0.2, 0, 0, 0}));
  const auto back = Recipe::from_json(*json::parse(json::print(given.to_json())));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_EQ(back->regime_points, given.regime_points);
}

TEST(Regimes, what_is_no_list_of_set_points_is_refused) {
  for (const char* wrong :
       {R"({"regime_points":[]})", R"({"regime_points":7})", R"({"regime_points":[[1,2]]})", R"({"regime_points":[[1,2,"x"]]})",
        R"({"regime_count":-1})", R"({"regime_count":257})", R"({"regime_count":2,"regime_points":[[1,2,3]]})"}) {
    const auto refused = Recipe::from_json(*json::parse(wrong));
    ASSERT_FALSE(refused) << wrong;
    EXPECT_NE(refused.error().message.find("regime"), std::string::npos) << refused.error().message;
  }
  Recipe plain;
  EXPECT_EQ(plain.to_json().find("regime_count"), nullptr) << "recipes of before keep their identity";
}

TEST(Regimes, settings_that_nobody_tells_are_a_fault_and_no_settings_are_one_regime) {
  Pipeline::Tables tables;
  tables.recipe = recipe();
  const std::vector<double> silent = {std::nan(""), 1, 2, std::nan("")};
  const auto refused = learn_regimes(silent, tables);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::invalid_input);
  tables.recipe.settings.clear();
  ASSERT_TRUE(learn_regimes({}, tables));
  EXPECT_EQ(tables.regimes, 1u);
}

}  // namespace
}  // namespace nacelle::feature
