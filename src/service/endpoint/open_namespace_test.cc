#include "service/endpoint/open_namespace.h"

#include <gtest/gtest.h>

#include "codec/mqtt/packet.h"

namespace nacelle::endpoint {
namespace {

AccessRules rules(const std::string& text) { return AccessRules::parse(json::parse(text).value()).value(); }
Principal device(std::string name) { return {Principal::Kind::device, std::move(name), {}}; }
Principal policy(std::string name) { return {Principal::Kind::policy, std::move(name), {}}; }

TEST(OpenNamespace, hub_topics_lie_outside_of_it) {
  for (const char* topic : {"plant/1", "devices2/x", "/devices/x", "a/$b", "+/x", "#"}) EXPECT_TRUE(is_open_topic(topic)) << topic;
  for (const char* topic : {"devices", "devices/d/messages/events/", "$iothub/twin/GET/", "$SYS/x", "$dps/x"})
    EXPECT_FALSE(is_open_topic(topic)) << topic;
  EXPECT_TRUE(is_open_filter("$share/g/plant/#"));
  EXPECT_FALSE(is_open_filter("$share/g/$iothub/#"));
  EXPECT_FALSE(is_open_filter("$share/g/devices/#"));
}

TEST(AccessRules, what_no_rule_allows_is_refused) {
  const auto some = rules(R"({"rules":[
    {"who":"device:pump-*","publish":["plant/%n/#"],"subscribe":["plant/%n/commands/+","alarms/#"]},
    {"who":"policy:service","subscribe":["#"]},
    {"who":"anonymous","subscribe":["board/+"]}]})");
  EXPECT_TRUE(some.may_publish(device("pump-1"), "plant/pump-1/speed"));
  EXPECT_TRUE(some.may_publish(device("pump-1"), "plant/pump-1"));
  EXPECT_FALSE(some.may_publish(device("pump-1"), "plant/pump-2/speed"));
  EXPECT_FALSE(some.may_publish(device("fan-1"), "plant/fan-1/speed"));
  EXPECT_FALSE(some.may_publish(policy("service"), "plant/pump-1/speed"));
  EXPECT_FALSE(some.may_publish({}, "board/1"));
  EXPECT_TRUE(some.may_subscribe(device("pump-1"), "plant/pump-1/commands/+"));
  EXPECT_TRUE(some.may_subscribe(device("pump-1"), "alarms/+/x/#"));
  EXPECT_FALSE(some.may_subscribe(device("pump-1"), "plant/+/commands/stop"));
  EXPECT_FALSE(some.may_subscribe(device("pump-1"), "plant/pump-1/#"));
  EXPECT_FALSE(some.may_subscribe(device("pump-1"), "#"));
  EXPECT_TRUE(some.may_subscribe(policy("service"), "#"));
  EXPECT_FALSE(some.may_subscribe(policy("service"), "devices/#"));
  EXPECT_FALSE(some.may_subscribe(policy("other"), "plant/x"));
  EXPECT_TRUE(some.may_subscribe({}, "board/+"));
  EXPECT_FALSE(some.may_subscribe({}, "board/#"));
}

TEST(AccessRules, a_name_with_a_wild_card_stands_for_nothing) {
  const auto some = rules(R"({"rules":[{"who":"*","publish":["own/%n"],"subscribe":["own/%n/#"]}]})");
  EXPECT_TRUE(some.may_publish(device("a"), "own/a"));
  for (const char* name : {"#", "+", "a+"}) {
    EXPECT_FALSE(some.may_publish(device(name), "own/b")) << name;
    EXPECT_FALSE(some.may_subscribe(device(name), "own/b/c")) << name;
  }
  EXPECT_FALSE(some.may_publish({}, "own/"));  // anonymous has no name
}

TEST(AccessRules, broken_rules_say_what_is_wrong) {
  const std::pair<const char*, const char*> cases[] = {
      {R"([])", "array 'rules'"},
      {R"({"rules":[1]})", "rules[0]: expected an object"},
      {R"({"rules":[{"publish":["a"]}]})", "who"},
      {R"({"rules":[{"who":"device:"}]})", "who: expected"},
      {R"({"rules":[{"who":"*"},{"who":"*","write":["a"]}]})", "rules[1]: unknown member 'write'"},
      {R"({"rules":[{"who":"*","publish":["a#"]}]})", "publish: expected topic filters"},
      {R"({"rules":[{"who":"*","subscribe":["devices/#"]}]})", "subscribe: expected topic filters"},
      {R"({"rules":[{"who":"*","subscribe":"a"}]})", "subscribe: expected an array"},
  };
  for (const auto& [text, why] : cases) {
    const auto parsed = AccessRules::parse(json::parse(text).value());
    ASSERT_FALSE(parsed) << text;
    EXPECT_NE(parsed.error().message.find(why), std::string::npos) << parsed.error().message;
  }
}

}  // namespace
}  // namespace nacelle::endpoint
