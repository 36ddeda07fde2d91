// What a trainer learns from, beside whole lives: histories that begin late.

#include "ml/trainer/detail/training_set.h"

#include <gtest/gtest.h>

#include <algorithm>

#include "ml/dataset/labels.h"
#include "ml/dataset/synthetic.h"

namespace nacelle::trainer {
namespace {

/// One begun with the first reading would be among the rows of whole lives, which are to be what they are without late joins.
TEST(TrainingSet, no_history_that_begins_late_looks_like_a_whole_life) {
  const dataset::FleetTable table = dataset::make_synthetic_fleet({.engines = 100});
  Plan plan;
  const std::vector<double> rul = dataset::label_rul(table);
  const auto pipeline = feature::Pipeline::learn(plan.recipe, training_rows(table, plan.recipe, rul)).value();
  const auto make = [&](std::size_t late_joins) {
    plan.late_joins = late_joins;
    return make_training_set(pipeline, table, plan, {.stride = 3, .censored = false, .late_apart = true}).value();
  };
  const TrainingSet whole = make(0), both = make(16);
  ASSERT_GT(both.rows.rows, 2 * whole.rows.rows);
  EXPECT_TRUE(std::equal(whole.rows.values.begin(), whole.rows.values.end(), both.rows.values.begin()));
  const auto names = pipeline.feature_names();
  const auto joined = static_cast<std::size_t>(std::find(names.begin(), names.end(), feature::joined_feature) - names.begin());
  ASSERT_LT(joined, names.size());
  for (std::size_t row = whole.rows.rows; row < both.rows.rows; ++row) EXPECT_GT(both.rows.row(row)[joined], 0.5f) << row;
}

}  // namespace
}  // namespace nacelle::trainer
