#include "service/hub/routes.h"

#include "service/hub/capture_file.h"
#include "service/hub/hub_testing.h"

namespace nacelle::hub {
namespace {

using testing::make_message;

Result<Routes> parse(const std::string& text) { return parse_routes(json::parse(text).value()); }

std::vector<std::string> taking(const Routes& routes, const std::string& body) {
  std::vector<std::string> names;
  for (const auto& route : routes)
    if (route.matches(make_message("d1", "1", body))) names.push_back(route.name);
  return names;
}

TEST(HubRoutes, defaults_are_the_tutorials) {
  using Names = std::vector<std::string>;
  const Routes routes = default_routes();
  EXPECT_EQ(taking(routes, R"({"CycleTime":1,"OperationalSetting1":0.1})"), (Names{"turbofanDeviceDataToStorage", "events"}));
  EXPECT_EQ(taking(routes, R"({"CycleTime":1,"PredictedRul":100})"), (Names{"RulMessageRoute", "events"}));
  EXPECT_EQ(taking(routes, R"({"CycleTime":1,"OperationalSetting1":0.1,"PredictedRul":100})"),
            (Names{"turbofanDeviceDataToStorage", "events"}));
  EXPECT_EQ(taking(routes, "not json"), Names{"events"});
}

TEST(HubRoutes, come_back_from_their_file_as_they_were) {
  hub::testing::TemporaryFolder folder;
  const auto file = folder.path() / "routes.json";
  const Routes first = load_routes(file, storage::real_file_system()).value();
  const Routes again = load_routes(file, storage::real_file_system()).value();
  EXPECT_EQ(json::print(to_json(first)), json::print(to_json(again)));
  EXPECT_EQ(first.size(), 3u);
}

TEST(HubRoutes, mistakes_are_named_with_their_route) {
  struct Mistake {
    const char* text;
    const char* says;
  };
  const Mistake mistakes[] = {
      {R"({})", "routes"},
      {R"({"routes":[{}]})", "routes[0]"},
      {R"({"routes":[{"name":"a"}]})", "endpoint is missing"},
      {R"({"routes":[{"name":"a","endpoint":{"type":"queue"}}]})", "found 'queue'"},
      {R"({"routes":[{"name":"a","conditon":"true","endpoint":{"type":"events"}}]})", "unknown member 'conditon'"},
      {R"({"routes":[{"name":"a","condition":"level >","endpoint":{"type":"events"}}]})", "route 'a'"},
      {R"({"routes":[{"name":"a","source":"Telemetry","endpoint":{"type":"events"}}]})", "DeviceMessages"},
      {R"({"routes":[{"name":"a","endpoint":{"type":"storage","container":"A"}}]})", "lower-case"},
      {R"({"routes":[{"name":"a","endpoint":{"type":"storage","container":"abc","encoding":"xml"}}]})", "avro, avrodeflate, json"},
      {R"({"routes":[],"fallback":true})", "unknown member 'fallback'"},
      {R"({"routes":[],"fallbackRoute":{"enabled":1}})", "fallbackRoute"},
      {R"({"routes":[],"enrichments":[{"key":"a","value":"b","endpointNames":["storage:abc"]}]})",
       "there is no endpoint 'storage:abc'"},
      {R"({"routes":[],"enrichments":[{"key":"a","value":"$twin.x","endpointNames":["events"]}]})", "enrichments[0]"},
      {R"({"routes":[],"enrichments":[{"key":"a","value":"b","endpointNames":"events"}]})", "array of names"},
      {R"({"routes":[],"enrichments":[{},{},{},{},{},{},{},{},{},{},{}]})", "at most 10"},
      {R"({"routes":[{"name":"a","endpoint":{"type":"storage","container":"abc","maxAgeSeconds":0}}]})", "maxAgeSeconds"},
      {R"({"routes":[{"name":"a","endpoint":{"type":"storage","container":"abc","fileNameFormat":"{iothub}/{YYYY}"}}]})",
       "{MM} is missing"},
      {R"({"routes":[{"name":"a","endpoint":{"type":"events"}},{"name":"a","endpoint":{"type":"events"}}]})", "twice"},
      {R"({"routes":[{"name":"a","endpoint":{"type":"storage","container":"abc"}},{"name":"b","endpoint":{"type":"storage","container":"abc"}}]})",
       "belongs to another route"},
  };
  for (const auto& mistake : mistakes) {
    const auto routes = parse(mistake.text);
    ASSERT_FALSE(routes) << mistake.text;
    EXPECT_EQ(routes.error().fault, Fault::invalid_input) << mistake.text;
    EXPECT_NE(routes.error().message.find(mistake.says), std::string::npos) << routes.error().message;
  }
}

TEST(HubRoutes, enrichments_and_fallback_come_back_as_they_were_and_reach_their_routes) {
  const Routes routes = parse(R"({"routes":[{"name":"a","endpoint":{"type":"storage","container":"abc","encoding":"json"}},
    {"name":"b","endpoint":{"type":"storage","container":"xyz"}}],"fallbackRoute":{"enabled":false},
    "enrichments":[{"key":"site","value":"$twin.tags.site","endpointNames":["storage:abc","events"]}]})")
                            .value();
  EXPECT_FALSE(routes.fallback);
  EXPECT_EQ(routes[0].enrichments.size(), 1u);
  EXPECT_TRUE(routes[1].enrichments.empty());
  EXPECT_EQ(routes.enrichments_of("events").size(), 1u);
  EXPECT_EQ(json::print(to_json(parse_routes(to_json(routes)).value())), json::print(to_json(routes)));
}

TEST(HubRoutes, fallback_takes_what_no_enabled_route_takes) {
  const char* text = R"({"routes":[{"name":"hot","condition":"$body.t > 50","endpoint":{"type":"storage","container":"abc"}},
    {"name":"cold","condition":"$body.t < 0","endpoint":{"type":"storage","container":"xyz"},"enabled":false},
    {"name":"twins","source":"TwinChangeEvents","endpoint":{"type":"events"}}]})";
  Routes routes = parse(text).value();
  const auto has = [&routes](const std::string& body, telemetry::Source source = telemetry::Source::device_messages) {
    telemetry::Message message = make_message("d1", "1", body);
    message.source = source;
    route::Evaluation evaluation(message);
    return routes.events_have(evaluation);
  };
  EXPECT_FALSE(has(R"({"t":60})"));
  EXPECT_TRUE(has(R"({"t":10})"));
  EXPECT_TRUE(has(R"({"t":-5})")) << "a disabled route takes nothing";
  EXPECT_TRUE(has("no json"));
  EXPECT_TRUE(has("{}", telemetry::Source::twin_changes)) << "by the route of its own";
  EXPECT_FALSE(has("{}", telemetry::Source::device_lifecycle)) << "the fallback is for devices' messages";
  routes.fallback = false;
  EXPECT_FALSE(has(R"({"t":10})"));
}

TEST(FileNameFormat, needs_every_token_and_a_safe_path) {
  EXPECT_TRUE(FileNameFormat::parse("{iothub}/{partition}/{YYYY}/{MM}/{DD}/{HH}/{mm}"));
  EXPECT_TRUE(FileNameFormat::parse("a-{iothub}_{YYYY}{MM}{DD}/{HH}{mm}/{partition}.avro"));
  for (const char* bad :
       {"", "{iothub}/{YYYY}/{MM}/{DD}/{HH}/{partition}", "/{iothub}/{YYYY}/{MM}/{DD}/{HH}/{mm}/{partition}",
        "{iothub}/../{YYYY}/{MM}/{DD}/{HH}/{mm}/{partition}", "{iothub}/{YYYY}/{MM}/{DD}/{HH}/{mm}/{partition}/{second}",
        "{iothub}//{YYYY}/{MM}/{DD}/{HH}/{mm}/{partition}"})
    EXPECT_FALSE(FileNameFormat::parse(bad)) << bad;
}

TEST(FileNameFormat, fills_in_utc) {
  const Timestamp time = parse_iso8601("2031-02-03T04:05:59Z").value();
  EXPECT_EQ(FileNameFormat().stem("hub1", time, 3), "hub1/2031/02/03/04/05/03");
  EXPECT_EQ(FileNameFormat::parse("{partition}/{iothub}{YYYY}{MM}{DD}{HH}{mm}.json")->stem("h", time, 0), "00/h203102030405");
}

TEST(CaptureFile, names_of_lines_say_what_they_hold) {
  EXPECT_EQ(avro_suffix({3, 42, 50}), "-000000000042.avro");
  EXPECT_EQ(json_suffix({3, 42, 50}), "-03-000000000042-000000000050.json");
  const auto extent = read_json_suffix("a-b/c-03-000000000042-000000000050.json");
  ASSERT_TRUE(extent);
  EXPECT_EQ(extent->partition, 3u);
  EXPECT_EQ(extent->first, 42u);
  EXPECT_EQ(extent->next, 50u);
  for (const char* other : {"", ".json", "a-1-2.json", "a-x-1-2.json", "a-1-5-2.json", "a-1-2-3.avro",
                            "a-1-2-99999999999999999999.json", "a-70000-1-2.json", "a-1-2-.json"})
    EXPECT_FALSE(read_json_suffix(other)) << other;
}

}  // namespace
}  // namespace nacelle::hub
