#include "domain/route/enrichment.h"

#include <gtest/gtest.h>

namespace nacelle::route {
namespace {

const json::Value twin = json::parse(R"({"tags":{"site":"north","floor":3,"flags":{"hot":true}},
  "properties":{"desired":{"rate":5},"reported":{"fw":"1.2","on":false,"gone":null}}})")
                             .value();

Enrichment make(const std::string& key, const std::string& value) { return Enrichment::make(key, value, {"events"}).value(); }
std::string text(const std::string& value) { return make("k", value).text(&twin, "hub1"); }

TEST(Enrichment, is_a_text_the_hubs_name_or_a_place_in_the_twin) {
  EXPECT_EQ(text("plant 7"), "plant 7");
  EXPECT_EQ(text("$iothubname"), "hub1");
  EXPECT_EQ(text("$twin.tags.site"), "north");
  EXPECT_EQ(text("$twin.tags.floor"), "3");
  EXPECT_EQ(text("$twin.tags.flags"), R"({"hot":true})");
  EXPECT_EQ(text("$twin.properties.desired.rate"), "5");
  EXPECT_EQ(text("$twin.properties.reported.on"), "false");
}

TEST(Enrichment, path_that_leads_nowhere_stays_as_it_is_written) {
  EXPECT_EQ(text("$twin.tags.absent"), "$twin.tags.absent");
  EXPECT_EQ(text("$twin.tags.site.deeper"), "$twin.tags.site.deeper");
  EXPECT_EQ(text("$twin.properties.reported.gone"), "$twin.properties.reported.gone");
  EXPECT_EQ(make("k", "$twin.tags.site").text(nullptr, "hub1"), "$twin.tags.site");
}

TEST(Enrichment, mistakes_are_named) {
  struct Mistake {
    std::string key, value, says;
  };
  const Mistake mistakes[] = {{"", "x", "key"},
                              {"a b", "x", "spaces"},
                              {"$mid", "x", "system properties"},
                              {"connectionDeviceId", "x", "system properties"},
                              {std::string(129, 'k'), "x", "128"},
                              {"k", "", "value"},
                              {"k", std::string(4097, 'v'), "4096"},
                              {"k", "$twin.tags", "$twin.tags.NAME"},
                              {"k", "$twin.tags.", "empty step"},
                              {"k", "$twin.properties.x.y", "desired"},
                              {"k", "$body.x", "$iothubname"}};
  for (const Mistake& mistake : mistakes) {
    const auto made = Enrichment::make(mistake.key, mistake.value, {"events"});
    ASSERT_FALSE(made) << mistake.key << mistake.value;
    EXPECT_EQ(made.error().fault, Fault::invalid_input);
    EXPECT_NE(made.error().message.find(mistake.says), std::string::npos) << made.error().message;
  }
  EXPECT_FALSE(Enrichment::make("k", "v", {}));
}

TEST(Enrichment, what_the_hub_says_replaces_what_the_device_said) {
  telemetry::Message message;
  message.application = {{"Site", "forged"}, {"level", "high"}};
  const Enrichment all[] = {make("site", "$twin.tags.site"), make("hub", "$iothubname")};
  EXPECT_EQ(enrich(message, all, &twin, "hub1"), 0u);
  EXPECT_EQ(message.application.get("site"), "north");
  EXPECT_EQ(message.application.get("hub"), "hub1");
  EXPECT_EQ(message.application.size(), 3u);
}

TEST(Enrichment, a_message_stays_within_its_bound) {
  telemetry::Message message;
  message.body.assign(telemetry::max_message_bytes - 8, 'x');
  const Enrichment all[] = {make("key", "too long"), make("k", "fits")};
  EXPECT_EQ(enrich(message, all, nullptr, ""), 1u);
  EXPECT_EQ(message.application, (telemetry::Properties{{"k", "fits"}}));
  EXPECT_LE(message.size_in_bytes(), telemetry::max_message_bytes);
}

}  // namespace
}  // namespace nacelle::route
