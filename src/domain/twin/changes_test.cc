#include <gtest/gtest.h>

#include "domain/twin/twin.h"

namespace nacelle::twin {
namespace {

constexpr Timestamp now{std::chrono::seconds{1'893'456'000}};

Twin patched(Twin twin, const std::string& patch) {
  return apply(std::move(twin), parse_service_patch(json::parse(patch).value()).value(), false, now).value();
}

TEST(TwinChanges, say_what_changed_in_which_section_and_its_new_version) {
  const Twin before = patched(make_twin(now), R"({"tags":{"a":1,"b":2},"properties":{"desired":{"rate":5,"deep":{"x":1,"y":2}}}})");
  const Twin after = patched(before, R"({"tags":{"a":null},"properties":{"desired":{"deep":{"x":7}}}})");
  const json::Value change = change_document(before, after);
  EXPECT_EQ(change.find("version")->as_integer(), after.version);
  EXPECT_EQ(json::print(*change.find("tags")), R"({"a":null})");
  const json::Value* desired = change.at_path({"properties", "desired"});
  ASSERT_NE(desired, nullptr);
  EXPECT_EQ(json::print(*desired->find("deep")), R"({"x":7})");
  EXPECT_EQ(desired->find("rate"), nullptr);
  EXPECT_EQ(desired->find("$version")->as_integer(), after.desired.version);
  EXPECT_NE(desired->at_path({"$metadata", "deep", "x"}), nullptr);
  EXPECT_EQ(desired->at_path({"$metadata", "rate"}), nullptr);
  EXPECT_EQ(change.at_path({"properties", "reported"}), nullptr);
}

TEST(TwinChanges, a_report_is_a_change_of_reported_alone) {
  const Twin before = make_twin(now);
  const Twin after = apply_reported(before, json::parse(R"({"fw":"1.2"})").value(), std::nullopt, now).value();
  const json::Value change = change_document(before, after);
  EXPECT_EQ(change.find("tags"), nullptr);
  EXPECT_EQ(change.at_path({"properties", "desired"}), nullptr);
  EXPECT_EQ(change.at_path({"properties", "reported", "fw"})->as_string(), "1.2");
}

TEST(TwinChanges, the_patch_makes_the_one_of_the_other) {
  const json::Value from = json::parse(R"({"a":{"b":1,"c":[1]},"gone":true,"same":null})").value();
  const json::Value to = json::parse(R"({"a":{"b":2,"d":{}},"new":{"x":1}})").value();
  json::Value made = from;
  json::merge_patch(made, merge_difference(from, to));
  EXPECT_EQ(made, to);
}

TEST(TwinRouting, document_has_tags_and_both_sections_with_versions) {
  const Twin twin = patched(make_twin(now), R"({"tags":{"site":"north"},"properties":{"desired":{"rate":5}}})");
  const json::Value document = routing_document(twin, "d1", "");
  EXPECT_EQ(document.at_path({"tags", "site"})->as_string(), "north");
  EXPECT_EQ(document.at_path({"properties", "desired", "rate"})->as_integer(), 5);
  EXPECT_EQ(document.at_path({"properties", "desired", "$version"})->as_integer(), twin.desired.version);
  EXPECT_EQ(document.find("moduleId"), nullptr);
  EXPECT_EQ(routing_document(twin, "d1", "m1").find("moduleId")->as_string(), "m1");
}

}  // namespace
}  // namespace nacelle::twin
