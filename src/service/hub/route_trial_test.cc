#include "service/hub/route_trial.h"

#include "service/hub/hub_testing.h"

namespace nacelle::hub {
namespace {

class NoTwins final : public route::TwinLookup {
 public:
  std::shared_ptr<const json::Value> twin_of(const telemetry::Message&) const override { return nullptr; }
};

class RouteTrial : public ::testing::Test {
 protected:
  Result<json::Value> tried(const std::string& request) {
    return try_routes(json::parse(request).value(), routes, NoTwins(), "hub1");
  }
  json::Value answer(const std::string& request) { return tried(request).value(); }
  static const json::Value& first(const json::Value& answer) { return answer.find("routes")->as_array().at(0); }
  static std::string text(const json::Value& object, std::string_view key) { return object.find(key)->as_string(); }

  Routes routes = parse_routes(json::parse(R"({"routes":[
      {"name":"hot","condition":"$body.t > 50 AND $twin.tags.site = 'north'","endpoint":{"type":"storage","container":"abc"}},
      {"name":"life","source":"DeviceLifecycleEvents","endpoint":{"type":"events"}}],
      "enrichments":[{"key":"site","value":"$twin.tags.site","endpointNames":["storage:abc"]}]})")
                                   .value())
                      .value();
};

TEST_F(RouteTrial, sample_message_has_a_json_body_or_text) {
  const auto message = parse_sample_message(
      json::parse(R"({"body":{"a":1},"properties":{"level":"high"},"systemProperties":{"connectionDeviceId":"d1"}})").value());
  ASSERT_TRUE(message);
  EXPECT_EQ(message->body, R"({"a":1})");
  EXPECT_EQ(message->system.get("contentType"), "application/json");
  EXPECT_EQ(message->application.get("level"), "high");
  EXPECT_FALSE(parse_sample_message(json::parse(R"({"boddy":{}})").value()));
}

TEST_F(RouteTrial, a_match_shows_what_the_message_would_carry) {
  const json::Value found =
      answer(R"({"message":{"body":{"t":60},"properties":{"level":"high"}},"twin":{"tags":{"site":"north"}}})");
  EXPECT_TRUE(first(found).find("matches")->as_bool());
  EXPECT_EQ(text(first(found), "result"), "true");
  EXPECT_EQ(json::print(*first(found).find("enriched")), R"({"level":"high","site":"north"})");
  EXPECT_FALSE(found.at_path({"fallback", "takes"})->as_bool());
}

TEST_F(RouteTrial, no_match_says_why) {
  const json::Value cold = answer(R"({"message":{"body":{"t":1}},"twin":{"tags":{"site":"north"}}})");
  EXPECT_EQ(text(first(cold), "result"), "false");
  EXPECT_NE(text(first(cold), "why").find("$body.t is 1"), std::string::npos);
  EXPECT_EQ(first(cold).at_path({"values", "$body.t"})->as_number(), 1);
  EXPECT_TRUE(cold.at_path({"fallback", "takes"})->as_bool());
  const json::Value absent = answer(R"({"message":{"body":{"t":60}}})");
  EXPECT_EQ(text(first(absent), "result"), "undefined");
  EXPECT_NE(text(first(absent), "why").find("no twin is known"), std::string::npos);
  const json::Value other = answer(R"({"message":{"body":{}},"source":"DeviceLifecycleEvents"})");
  EXPECT_NE(text(first(other), "why").find("the route is for DeviceMessages"), std::string::npos);
  EXPECT_TRUE(other.find("routes")->as_array().at(1).find("matches")->as_bool());
}

TEST_F(RouteTrial, one_route_is_tried_by_name_or_before_it_is_set) {
  EXPECT_EQ(answer(R"({"message":{"body":{}},"route":"life"})").find("routes")->as_array().size(), 1u);
  const json::Value fresh =
      answer(R"({"message":{"body":{"x":1}},"route":{"name":"new","condition":"$body.x = 1","endpoint":{"type":"events"}}})");
  EXPECT_TRUE(first(fresh).find("matches")->as_bool());
  EXPECT_EQ(tried(R"({"message":{"body":{}},"route":"unknown"})").error().fault, Fault::not_found);
  const auto mistake =
      tried(R"({"message":{"body":{}},"route":{"name":"new","condition":"$body.x =","endpoint":{"type":"events"}}})");
  ASSERT_FALSE(mistake);
  EXPECT_NE(mistake.error().message.find("column"), std::string::npos) << mistake.error().message;
}

TEST_F(RouteTrial, mistakes_in_the_request_are_named) {
  for (const char* bad : {R"({"message":{"body":{}},"twinn":{}})", R"({"message":{"boddy":{}}})", R"({"message":5})",
                          R"({"message":{"body":{}},"source":"Telemetry"})", R"({"message":{"body":{}},"twin":"x"})", R"([])"}) {
    const auto answered = tried(bad);
    ASSERT_FALSE(answered) << bad;
    EXPECT_EQ(answered.error().fault, Fault::invalid_input) << bad;
  }
}

}  // namespace
}  // namespace nacelle::hub
