#include "service/edge/mirrored_twin.h"

#include <gtest/gtest.h>

namespace nacelle::edge {
namespace {

json::Value doc(std::string_view text) { return *json::parse(text); }

TEST(MirroredTwin, the_first_view_is_told_whole_and_the_next_as_a_difference) {
  MirroredTwin twin;
  EXPECT_FALSE(twin.known());
  const auto first = twin.take_view(doc(R"({"desired":{"a":1,"b":{"c":2},"$version":4},"reported":{"$version":1}})"));
  ASSERT_TRUE(first);
  EXPECT_EQ(*first, doc(R"({"a":1,"b":{"c":2},"$version":4})"));
  const auto next = twin.take_view(doc(R"({"desired":{"a":2,"b":{},"$version":6},"reported":{"$version":1}})"));
  ASSERT_TRUE(next);
  EXPECT_EQ(*next, doc(R"({"a":2,"b":{"c":null},"$version":6})"));
  EXPECT_FALSE(twin.take_view(doc(R"({"desired":{"a":2,"b":{},"$version":6},"reported":{"$version":1}})")));
}

TEST(MirroredTwin, a_replacement_that_came_as_a_patch_is_found_out_by_the_next_view) {
  MirroredTwin twin;
  twin.take_view(doc(R"({"desired":{"a":1,"b":2,"$version":1},"reported":{}})"));
  ASSERT_TRUE(*twin.take_desired_patch(doc(R"({"b":3,"$version":2})")));
  const auto told = twin.take_view(doc(R"({"desired":{"b":3,"$version":2},"reported":{}})"));
  ASSERT_TRUE(told);
  EXPECT_EQ(*told, doc(R"({"a":null,"$version":2})"));
}

TEST(MirroredTwin, a_stale_patch_is_passed_over_and_a_gap_is_a_conflict) {
  MirroredTwin twin;
  twin.take_view(doc(R"({"desired":{"a":1,"$version":5},"reported":{}})"));
  const auto stale = twin.take_desired_patch(doc(R"({"a":0,"$version":5})"));
  ASSERT_TRUE(stale);
  EXPECT_FALSE(*stale);
  const auto gap = twin.take_desired_patch(doc(R"({"a":9,"$version":7})"));
  ASSERT_FALSE(gap);
  EXPECT_EQ(gap.error().fault, Fault::conflict);
  EXPECT_EQ(twin.desired(), doc(R"({"a":1,"$version":5})"));
}

TEST(MirroredTwin, reports_made_offline_survive_a_restart_and_the_hubs_view) {
  MirroredTwin twin;
  twin.take_view(doc(R"({"desired":{"$version":1},"reported":{"x":1,"y":1,"$version":3}})"));
  EXPECT_EQ(*twin.report(doc(R"({"x":2})"), {}), 4);
  EXPECT_EQ(*twin.report(doc(R"({"y":null})"), 4), 5);
  MirroredTwin again = MirroredTwin::from_json(doc(json::print(twin.to_json())));
  EXPECT_EQ(again.pending(), doc(R"({"x":2,"y":null})"));
  again.take_view(doc(R"({"desired":{"$version":1},"reported":{"x":1,"y":1,"$version":3}})"));
  EXPECT_EQ(*again.view().find("reported"), doc(R"({"x":2,"$version":5})"));
}

TEST(MirroredTwin, a_report_against_another_version_is_refused) {
  MirroredTwin twin;
  twin.take_view(doc(R"({"desired":{"$version":1},"reported":{"$version":3}})"));
  const auto refused = twin.report(doc("{}"), 2);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::conflict);
}

TEST(MirroredTwin, what_failed_on_its_way_goes_again_under_what_came_since) {
  MirroredTwin twin;
  ASSERT_TRUE(twin.report(doc(R"({"a":1,"b":{"c":1,"d":1}})"), {}));
  twin.pending_sent();
  EXPECT_TRUE(twin.pending().is_null());
  ASSERT_TRUE(twin.report(doc(R"({"b":{"c":2}})"), {}));
  twin.pending_failed();
  EXPECT_EQ(twin.pending(), doc(R"({"a":1,"b":{"c":2,"d":1}})"));
  twin.pending_sent();
  twin.pending_delivered(9);
  EXPECT_TRUE(twin.pending().is_null());
  EXPECT_EQ(twin.view().find("reported")->find("$version")->as_integer(), 9);
}

TEST(MergeDifference, applying_it_gives_the_target) {
  const json::Value from = doc(R"({"a":{"b":1,"c":[1]},"d":2,"e":{"f":1}})");
  const json::Value to = doc(R"({"a":{"b":1,"c":[2]},"e":5,"g":{}})");
  json::Value made = from;
  json::merge_patch(made, merge_difference(from, to));
  EXPECT_EQ(made, to);
}

}  // namespace
}  // namespace nacelle::edge
