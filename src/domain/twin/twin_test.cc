#include "domain/twin/twin.h"

#include <gtest/gtest.h>

namespace nacelle::twin {
namespace {

const Timestamp t0 = from_unix_seconds(1'893'456'000);
const Timestamp t1 = t0 + std::chrono::seconds(1);

json::Value doc(std::string_view text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value) << text;
  return value ? *std::move(value) : json::Value();
}

Twin desired(std::string_view text, bool replace = false, Twin from = make_twin(t0)) {
  auto twin = apply(std::move(from), ServicePatch{std::nullopt, doc(text)}, replace, t1);
  EXPECT_TRUE(twin) << text;
  return twin ? *std::move(twin) : Twin();
}

TEST(TwinApply, a_new_twin_is_empty_at_version_one) {
  const Twin twin = make_twin(t0);
  EXPECT_EQ(json::print(device_view(twin)), R"({"desired":{"$version":1},"reported":{"$version":1}})");
  EXPECT_EQ(twin.desired.metadata.find("$lastUpdated")->as_string(), "2030-01-01T00:00:00.0000000Z");
}

TEST(TwinApply, desired_patch_merges_and_raises_versions_and_etag) {
  const Twin twin = desired(R"({"a":null,"b":{"c":2}})", false, desired(R"({"a":1,"b":{"d":[1,2]}})"));
  EXPECT_EQ(twin.desired.values, doc(R"({"b":{"c":2,"d":[1,2]}})"));
  EXPECT_EQ(twin.desired.version, 3);
  EXPECT_EQ(twin.version, 3);
  EXPECT_EQ(twin.etag, 3);
  EXPECT_EQ(twin.reported.version, 1);
}

TEST(TwinApply, replacement_drops_what_was_there_and_its_own_nulls) {
  const Twin twin = desired(R"({"x":1,"y":null,"z":{"w":null}})", true, desired(R"({"a":1})"));
  EXPECT_EQ(twin.desired.values, doc(R"({"x":1,"z":{}})"));
  EXPECT_EQ(twin.desired.metadata.find("a"), nullptr);
  EXPECT_EQ(twin.desired.version, 3);
}

TEST(TwinApply, a_missing_section_is_left_alone_and_an_empty_patch_counts) {
  Twin twin = desired(R"({"a":1})");
  auto tagged = apply(twin, ServicePatch{doc(R"({"site":"north"})"), std::nullopt}, true, t1);
  ASSERT_TRUE(tagged);
  EXPECT_EQ(tagged->desired.version, 2);
  EXPECT_EQ(tagged->etag, 3);
  EXPECT_EQ(tagged->desired.values, doc(R"({"a":1})"));
  EXPECT_EQ(apply(twin, {}, false, t1)->version, twin.version);
  EXPECT_EQ(desired("{}", false, twin).desired.version, 3);
}

TEST(TwinApply, metadata_mirrors_the_tree_at_every_level) {
  const Twin first = desired(R"({"a":{"b":1,"c":2},"k":5})");
  auto second = apply(first, ServicePatch{std::nullopt, doc(R"({"a":{"b":2},"k":null})")}, false, t1 + std::chrono::seconds(1));
  ASSERT_TRUE(second);
  const json::Value& m = second->desired.metadata;
  EXPECT_EQ(m.find("$lastUpdatedVersion")->as_integer(), 3);
  EXPECT_EQ(m.at_path({"a", "$lastUpdatedVersion"})->as_integer(), 3);
  EXPECT_EQ(m.at_path({"a", "b", "$lastUpdatedVersion"})->as_integer(), 3);
  EXPECT_EQ(m.at_path({"a", "c", "$lastUpdatedVersion"})->as_integer(), 2);
  EXPECT_EQ(m.at_path({"a", "b", "$lastUpdated"})->as_string(), "2030-01-01T00:00:02.0000000Z");
  EXPECT_EQ(m.find("k"), nullptr);
}

TEST(TwinApply, an_object_turned_into_a_number_forgets_its_members_metadata) {
  const Twin twin = desired(R"({"a":1})", false, desired(R"({"a":{"b":1}})"));
  EXPECT_EQ(twin.desired.metadata.at_path({"a", "b"}), nullptr);
  const Twin back = desired(R"({"a":{"c":1}})", false, twin);
  EXPECT_NE(back.desired.metadata.at_path({"a", "c"}), nullptr);
}

TEST(TwinReported, patch_raises_reported_and_leaves_the_etag) {
  const auto twin = apply_reported(make_twin(t0), doc(R"({"fw":"1.2","$version":9})"), std::nullopt, t1);
  ASSERT_TRUE(twin);
  EXPECT_EQ(twin->reported.values, doc(R"({"fw":"1.2"})"));
  EXPECT_EQ(twin->reported.version, 2);
  EXPECT_EQ(twin->version, 2);
  EXPECT_EQ(twin->etag, 1);
  EXPECT_EQ(twin->reported.metadata.at_path({"fw", "$lastUpdatedVersion"}), nullptr);
}

TEST(TwinReported, stale_patch_is_refused) {
  const auto twin = apply_reported(make_twin(t0), doc("{}"), 7, t1);
  ASSERT_FALSE(twin);
  EXPECT_EQ(twin.error().fault, Fault::conflict);
  EXPECT_TRUE(apply_reported(make_twin(t0), doc("{}"), 1, t1));
}

TEST(TwinReported, a_patch_must_be_an_object) {
  for (const char* text : {"[]", "1", "null", "\"a\""})
    EXPECT_FALSE(apply_reported(make_twin(t0), doc(text), std::nullopt, t1)) << text;
}

TEST(TwinServicePatch, takes_the_two_sections_and_ignores_the_rest) {
  const auto patch = parse_service_patch(doc(
      R"({"deviceId":"x","tags":{"a":1,"$version":3},"properties":{"desired":{"r":5,"$metadata":{},"$version":2},"reported":{"z":1}},"etag":"q"})"));
  ASSERT_TRUE(patch);
  EXPECT_EQ(*patch->tags, doc(R"({"a":1})"));
  EXPECT_EQ(*patch->desired, doc(R"({"r":5})"));
  EXPECT_FALSE(parse_service_patch(doc(R"({"tags":null})"))->tags);
  for (const char* text : {"[]", R"({"tags":1})", R"({"properties":[]})", R"({"properties":{"desired":"x"}})"})
    EXPECT_FALSE(parse_service_patch(doc(text))) << text;
}

TEST(TwinLimits, each_is_held) {
  const auto refused = [](const std::string& text, std::string_view section = "desired") {
    const auto checked = check_limits(doc(text), section);
    return !checked && checked.error().fault == Fault::invalid_input;
  };
  EXPECT_TRUE(refused(R"({"a b":1})"));
  EXPECT_TRUE(refused(R"({"a.b":1})"));
  EXPECT_TRUE(refused(R"({"$a":1})"));
  EXPECT_TRUE(refused(R"({"a\u0007":1})"));
  EXPECT_TRUE(refused(R"({"":1})"));
  EXPECT_TRUE(refused(R"({"a":[{"b c":1}]})"));
  EXPECT_TRUE(refused("{\"" + std::string(1025, 'k') + "\":1}"));
  EXPECT_FALSE(refused("{\"" + std::string(1024, 'k') + "\":1}"));
  EXPECT_TRUE(refused("{\"a\":\"" + std::string(4097, 's') + "\"}"));
  EXPECT_FALSE(refused("{\"a\":\"" + std::string(4096, 's') + "\"}"));
  EXPECT_TRUE(refused(R"({"a":4503599627370497})"));
  EXPECT_TRUE(refused(R"({"a":-4503599627370497})"));
  EXPECT_FALSE(refused(R"({"a":4503599627370496,"b":1.5e300,"80/tcp":[1]})"));
  EXPECT_FALSE(refused(R"({"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}})"));
  EXPECT_TRUE(refused(R"({"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":{"a":1}}}}}}}}}}})"));
  EXPECT_TRUE(refused("[]"));
  const std::string nine_kilobytes =
      R"({"a":")" + std::string(4000, 'x') + R"(","b":")" + std::string(4000, 'x') + R"(","c":")" + std::string(400, 'x') + "\"}";
  EXPECT_TRUE(refused(nine_kilobytes, "tags"));
  EXPECT_FALSE(refused(nine_kilobytes, "reported"));
}

TEST(TwinLimits, a_refused_change_is_an_error_that_names_the_place) {
  const auto twin = apply(make_twin(t0), ServicePatch{std::nullopt, doc(R"({"a":{"b c":1}})")}, false, t1);
  ASSERT_FALSE(twin);
  EXPECT_NE(twin.error().message.find("desired.a"), std::string::npos) << twin.error().message;
  EXPECT_FALSE(apply(make_twin(t0), ServicePatch{doc(R"({"a b":1})"), std::nullopt}, true, t1));
  EXPECT_FALSE(apply_reported(make_twin(t0), doc(R"({"a b":1})"), std::nullopt, t1));
}

TEST(TwinDocument, the_rest_document_and_the_devices_view) {
  const Twin twin = desired(R"({"rate":5})");
  const json::Value document = to_json(twin, Facts{.device_id = "dev1", .connected = true, .scope = "ms-azure-iot-edge://e-1"});
  EXPECT_EQ(document.find("etag")->as_string(), "AAAAAAAAAAI=");
  EXPECT_EQ(document.find("connectionState")->as_string(), "Connected");
  EXPECT_EQ(document.at_path({"properties", "desired", "$version"})->as_integer(), 2);
  EXPECT_EQ(document.at_path({"properties", "desired", "$metadata", "rate", "$lastUpdatedVersion"})->as_integer(), 2);
  EXPECT_EQ(document.find("parentScopes")->as_array().size(), 1u);
  EXPECT_EQ(document.find("moduleId"), nullptr);
  const json::Value module = to_json(twin, Facts{.device_id = "e", .module_id = "m"});
  EXPECT_EQ(module.find("moduleId")->as_string(), "m");
  EXPECT_EQ(module.find("capabilities"), nullptr);
  EXPECT_EQ(json::print(desired_notification(doc(R"({"rate":null})"), 4)), R"({"rate":null,"$version":4})");
}

TEST(TwinStored, round_trip_and_refusal_of_anything_else) {
  const Twin twin = desired(R"({"rate":5,"deep":{"x":[1,null,2.5]}})");
  const std::string text = print_stored(twin);
  const auto again = parse_stored(text);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(print_stored(*again), text);
  for (std::size_t size = 0; size < text.size(); ++size) {
    const auto cut = parse_stored(std::string_view(text).substr(0, size));
    ASSERT_FALSE(cut);
    EXPECT_EQ(cut.error().fault, Fault::corrupt);
  }
  EXPECT_FALSE(parse_stored(R"({"version":1,"etag":1,"tags":{},"desired":{"values":{}},"reported":{}})"));
}

TEST(TwinEtag, every_spelling_of_if_match) {
  EXPECT_EQ(etag_text(1), "AAAAAAAAAAE=");
  for (const char* text : {"", "*", "\"*\"", "\"AAAAAAAAAAE=\"", "AAAAAAAAAAE=", " \"AAAAAAAAAAE=\" ", "W/\"AAAAAAAAAAE=\""})
    EXPECT_TRUE(etag_matches(text, 1)) << text;
  for (const char* text : {"AAAAAAAAAAI=", "\"AAAAAAAAAAI=\"", "1", "\"", "**"}) EXPECT_FALSE(etag_matches(text, 1)) << text;
}

}  // namespace
}  // namespace nacelle::twin
