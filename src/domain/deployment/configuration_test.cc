#include "domain/deployment/configuration.h"

#include <gtest/gtest.h>

namespace nacelle::deployment {
namespace {

Configuration make(const std::string& id, int priority, const std::string& content) {
  auto made = parse_configuration(
      json::parse(R"({"targetCondition":"*","priority":)" + std::to_string(priority) + R"(,"content":)" + content + "}").value(),
      id);
  EXPECT_TRUE(made.has_value()) << (made ? "" : made.error().message);
  return made.value();
}
json::Object object(const std::string& text) { return json::parse(text).value().as_object(); }

TEST(Configuration, a_difference_turns_one_document_into_the_other) {
  const std::pair<const char*, const char*> pairs[] = {{R"({"a":1,"b":{"c":2,"d":3}})", R"({"a":1,"b":{"c":5},"e":[1]})"},
                                                       {R"({"a":{"b":1}})", R"({"a":7})"},
                                                       {R"({})", R"({"a":{"b":{}}})"},
                                                       {R"({"a":1})", R"({})"}};
  for (const auto& [from, to] : pairs) {
    json::Value result = object(from);
    json::merge_patch(result, difference(object(from), object(to)));
    EXPECT_EQ(json::print(result), json::print(json::Value(object(to))));
  }
  EXPECT_TRUE(difference(object(R"({"a":{"b":1}})"), object(R"({"a":{"b":1}})")).empty());
}

TEST(Configuration, what_is_wholly_covered_is_not_in_effect) {
  const auto low = make("low", 1, R"({"deviceContent":{"properties.desired.a.b":1}})");
  const auto high = make("high", 2, R"({"deviceContent":{"properties.desired.a":{"c":2}}})");
  const Effect effect = effect_on_twin({&low, &high}, json::Object{{"kept", 1}});
  EXPECT_EQ(json::print(effect.content), R"({"kept":1,"a":{"c":2}})");
  EXPECT_EQ(effect.in_effect, (std::vector<bool>{false, true}));
  EXPECT_TRUE(weaker(low, high));
}

TEST(Configuration, a_layer_under_the_base_waits) {
  const char* whole =
      R"({"modulesContent":{"$edgeAgent":{"properties.desired":{"schemaVersion":"1.1","runtime":{"type":"docker","settings":{}},
    "systemModules":{"edgeAgent":{"type":"docker","settings":{"image":"a"}},"edgeHub":{"type":"docker","settings":{"image":"h"}}},"modules":{}}}}})";
  const auto under = make("under", 1, R"({"modulesContent":{"m":{"properties.desired.x":1}}})");
  const auto base = make("base", 5, whole);
  const auto over = make("over", 9, R"({"modulesContent":{"m":{"properties.desired.x":2}}})");
  EXPECT_TRUE(under.layered());
  EXPECT_FALSE(base.layered());
  const Effect effect = effect_on_edge({&under, &base, &over});
  EXPECT_EQ(effect.in_effect, (std::vector<bool>{false, true, true}));
  EXPECT_EQ(json::print(*effect.content.at_path({"modulesContent", "m", "properties.desired"})), R"({"x":2})");
  EXPECT_TRUE(effect_on_edge({&under}).content.is_null());
}

TEST(Configuration, mistakes_are_named) {
  const auto refused = [](const std::string& text) { return !parse_configuration(json::parse(text).value(), "c").has_value(); };
  EXPECT_TRUE(refused("[]"));
  EXPECT_TRUE(refused(R"({"content":{}})"));
  EXPECT_TRUE(refused(R"({"content":{"deviceContent":{"properties.desired.a":1},"moduleContent":{"properties.desired.a":1}}})"));
  EXPECT_TRUE(refused(R"({"content":{"deviceContent":{"tags.a":1}}})"));
  EXPECT_TRUE(refused(R"({"content":{"deviceContent":{"properties.desired":5}}})"));
  EXPECT_TRUE(refused(R"({"content":{"deviceContent":{"properties.desired.a":1}},"metrics":{"queries":{"m":"SELECT"}}})"));
  EXPECT_TRUE(refused(R"({"content":{"deviceContent":{"properties.desired.a":1}},"priority":-1})"));
  EXPECT_FALSE(check_configuration_id("Upper").has_value());
}

}  // namespace
}  // namespace nacelle::deployment
