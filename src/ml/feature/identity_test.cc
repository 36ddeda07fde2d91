#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <limits>

#include "ml/feature/pipeline.h"

namespace nacelle::feature {
namespace {

TEST(IdentityPipeline, passes_values_and_silence_and_the_cycle_through) {
  const auto pipeline = Pipeline::identity({"a", "cycle", "b"});
  ASSERT_TRUE(pipeline) << pipeline.error().message;
  EXPECT_EQ(pipeline->input_names(), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(pipeline->feature_names(), (std::vector<std::string>{"a", "cycle", "b"}));
  EXPECT_FALSE(pipeline->needs_cycle());
  EngineState state;
  std::array<float, 3> row{};
  EXPECT_TRUE(*pipeline->step(state, {.cycle = 7, .values = {1.5, 2}}, row));
  EXPECT_EQ(row, (std::array<float, 3>{1.5f, 7, 2}));
  EXPECT_FALSE(*pipeline->step(state, {.cycle = 6, .values = {9, 9}}, row)) << "a late reading changes nothing";
  EXPECT_EQ(row, (std::array<float, 3>{1.5f, 7, 2}));
  EXPECT_TRUE(*pipeline->step(state, {.cycle = 0, .values = {std::numeric_limits<double>::infinity(), 3}}, row));
  EXPECT_TRUE(std::isnan(row[0]));
  EXPECT_EQ(row[1], 8) << "a reading that tells no cycle is the next";
}

TEST(IdentityPipeline, document_and_state_come_back) {
  const auto pipeline = Pipeline::identity({"a", "b"}).value();
  const auto again = Pipeline::from_json(pipeline.to_json());
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->hash(), pipeline.hash());
  EngineState state;
  std::array<float, 2> row{}, resumed{};
  ASSERT_TRUE(pipeline.step(state, {.cycle = 3, .values = {std::numeric_limits<double>::quiet_NaN(), 4}}, row));
  auto restored = EngineState::parse(state.serialise(pipeline), *again);
  ASSERT_TRUE(restored) << restored.error().message;
  EXPECT_EQ(restored->last_cycle(), 3);
  EXPECT_FALSE(*again->step(*restored, {.cycle = 3, .values = {0, 0}}, resumed));
  EXPECT_TRUE(std::isnan(resumed[0]));
  EXPECT_EQ(resumed[1], 4);
}

TEST(IdentityPipeline, columns_that_are_none_or_named_twice_are_refused) {
  EXPECT_FALSE(Pipeline::identity(std::vector<std::string>{}));
  EXPECT_FALSE(Pipeline::identity({"a", "a"}));
  EXPECT_FALSE(Pipeline::identity({"cycle"}));
  EXPECT_FALSE(Pipeline::identity(std::vector<std::string>(1001, "x")));
}

}  // namespace
}  // namespace nacelle::feature
