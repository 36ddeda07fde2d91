#include "service/hub/routes.h"

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
      {R"({"routes":[{"name":"a","endpoint":{"type":"storage","container":"abc","encoding":"json"}}]})", "avrodeflate"},
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

TEST(HubRoutes, sample_message_has_a_json_body_or_text) {
  const auto message = parse_sample_message(
      json::parse(R"({"body":{"a":1},"properties":{"level":"high"},"systemProperties":{"connectionDeviceId":"d1"}})").value());
  ASSERT_TRUE(message);
  EXPECT_EQ(message->body, R"({"a":1})");
  EXPECT_EQ(message->system.get("contentType"), "application/json");
  EXPECT_EQ(message->application.get("level"), "high");
  EXPECT_FALSE(parse_sample_message(json::parse(R"({"boddy":{}})").value()));
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

TEST(FileNameFormat, fills_in_utc_and_makes_names_unique_by_their_first_offset) {
  const Timestamp time = parse_iso8601("2031-02-03T04:05:59Z").value();
  EXPECT_EQ(FileNameFormat().name("hub1", time, 3, 42), "hub1/2031/02/03/04/05/03-000000000042.avro");
  EXPECT_EQ(FileNameFormat::parse("{partition}/{iothub}{YYYY}{MM}{DD}{HH}{mm}.avro")->name("h", time, 0, 7),
            "00/h203102030405-000000000007.avro");
}

}  // namespace
}  // namespace nacelle::hub
