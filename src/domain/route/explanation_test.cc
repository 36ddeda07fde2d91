#include <gtest/gtest.h>

#include "domain/route/route.h"

namespace nacelle::route {
namespace {

telemetry::Message message_with(std::string body) {
  telemetry::Message m;
  m.system = {{"connectionDeviceId", "leaf1"}, {"contentType", "application/json"}, {"contentEncoding", "utf-8"}};
  m.application = {{"level", "high"}};
  m.body = std::move(body);
  return m;
}

Explanation explained(const char* condition, const telemetry::Message& message, const json::Value* twin = nullptr) {
  Evaluation evaluation(message, twin);
  return explain(parse_condition(condition).value(), evaluation);
}
Explanation explained(const char* condition) { return explained(condition, message_with(R"({"temp":20,"word":"x"})")); }

TEST(Explanation, a_condition_that_holds_needs_no_reason) {
  const Explanation found = explained("$body.temp = 20 AND level = 'high'");
  EXPECT_EQ(found.outcome, Explanation::Outcome::yes);
  EXPECT_TRUE(found.why.empty());
  ASSERT_EQ(found.readings.size(), 2u);
  EXPECT_EQ(found.readings[0].name, "$body.temp");
  EXPECT_EQ(found.readings[0].value, "20");
  EXPECT_EQ(found.readings[1].value, "\"high\"");
}

TEST(Explanation, false_shows_what_the_values_are) {
  const Explanation found = explained("$body.temp > 50");
  EXPECT_EQ(found.outcome, Explanation::Outcome::no);
  EXPECT_EQ(found.why, "($body.temp > 50) is false: $body.temp is 20");
}

TEST(Explanation, undefined_names_where_it_comes_from) {
  const auto why = [](const char* condition) {
    const Explanation found = explained(condition);
    EXPECT_EQ(found.outcome, Explanation::Outcome::undefined) << condition;
    return found.why;
  };
  EXPECT_EQ(why("$body.pressure > 50"), "undefined because the body has no pressure");
  EXPECT_EQ(why("severity = 'x'"), "undefined because there is no application property 'severity'");
  EXPECT_EQ(why("$messageId = 'x'"), "undefined because there is no system property 'messageId'");
  EXPECT_EQ(why("$twin.tags.site = 'x'"), "undefined because $twin.tags.site: no twin is known of the sender");
  EXPECT_EQ(why("as_number(level) > 5"), "undefined because as_number(level) has no value: level is \"high\"");
  EXPECT_EQ(why("level = 'high' AND NOT ($body.a[1].b = 1)"), "undefined because the body has no a[1].b");
}

TEST(Explanation, a_body_that_cannot_be_read_says_why) {
  telemetry::Message plain = message_with("{}");
  plain.system = {{"contentType", "text/plain"}};
  EXPECT_NE(explained("$body.temp > 1", plain).why.find("contentType is 'text/plain'"), std::string::npos);
  EXPECT_NE(explained("$body.temp > 1", message_with("{\"temp\":")).why.find("$body.temp: "), std::string::npos);
}

TEST(Explanation, twin_is_asked_for_once_and_only_if_it_is_needed) {
  class Counted final : public TwinLookup {
   public:
    std::shared_ptr<const json::Value> twin_of(const telemetry::Message&) const override {
      ++asked;
      return std::make_shared<const json::Value>(json::parse(R"({"tags":{"site":"north"}})").value());
    }
    mutable int asked = 0;
  } twins;
  const telemetry::Message message = message_with("{}");
  Evaluation evaluation(message, &twins);
  EXPECT_TRUE(parse_condition("level = 'high'")->matches(evaluation));
  EXPECT_EQ(twins.asked, 0);
  EXPECT_TRUE(parse_condition("$twin.tags.site = 'north'")->matches(evaluation));
  EXPECT_FALSE(parse_condition("$twin.tags.site = 'south'")->matches(evaluation));
  EXPECT_EQ(twins.asked, 1);
}

TEST(Explanation, twin_conditions_reach_tags_desired_and_reported) {
  const json::Value twin =
      json::parse(R"({"tags":{"site":{"floor":3}},"properties":{"desired":{"rate":5},"reported":{"list":[1,2]}}})").value();
  const telemetry::Message message = message_with("{}");
  for (const char* condition : {"$twin.tags.site.floor = 3", "$twin.properties.desired.rate < 6",
                                "$twin.properties.reported.list[1] = 2", "IS_OBJECT($twin.tags.site)",
                                "NOT IS_DEFINED($twin.tags.nothing)", "$twin.tags.site.floor + $twin.properties.desired.rate = 8"})
    EXPECT_EQ(explained(condition, message, &twin).outcome, Explanation::Outcome::yes) << condition;
}

}  // namespace
}  // namespace nacelle::route
