// Routing through a whole hub: twins, enrichment, the fallback, the hub's own messages, consumer groups.
#include "codec/text/encoding.h"
#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

class RoutingTest : public HubTest {
 protected:
  void set_routes(const std::string& routes) {
    const auto put = call("PUT", "/routes", routes);
    ASSERT_EQ(put.status, 200) << put.body;
  }
  void post(const device::Identity& device, const std::string& body) {
    const net::Headers headers{{"iothub-contenttype", "application/json"}, {"iothub-contentencoding", "utf-8"}};
    ASSERT_EQ(call("POST", "/devices/" + device.name.device.str() + "/messages/events", body, headers, token(device)).status, 204);
  }
  void tag(const std::string& device, const std::string& site) {
    ASSERT_EQ(call("PATCH", "/twins/" + device, R"({"tags":{"site":")" + site + R"("}})").status, 200);
  }
  std::vector<Json> events(const std::string& query = "from=start") {
    const Json answer = get("/events?waitSeconds=0&maxEvents=1000&" + query);
    return answer.find("events")->as_array();
  }
  static std::string property(const Json& event, std::string_view name) {
    const Json* value = event.at_path({"properties", name});
    return value ? value->as_string() : "(none)";
  }
  /// Until the log holds as many of the hub's own messages.
  void wait_for_hub_messages(std::uint64_t count) {
    while (hub->services().counters.hub_messages < count) std::this_thread::yield();
  }
};

TEST_F(RoutingTest, conditions_and_enrichments_follow_the_twin) {
  const auto north = add("d1");
  const auto south = add("d2");
  tag("d1", "north");
  tag("d2", "south");
  set_routes(
      R"({"routes":[{"name":"north","condition":"$twin.tags.site = 'north'","endpoint":{"type":"storage","container":"north"}}],
    "enrichments":[{"key":"site","value":"$twin.tags.site","endpointNames":["storage:north","events"]},
                   {"key":"hub","value":"$iothubname","endpointNames":["events"]}]})");
  post(north, R"({"n":1})");
  post(south, R"({"n":2})");
  const auto captured_north = captured("north");
  ASSERT_EQ(captured_north.size(), 1u);
  EXPECT_EQ(captured_north[0].application.get("site"), "north");
  EXPECT_EQ(captured_north[0].application.find("hub"), nullptr) << "another endpoint's";
  const auto fallen = events();
  ASSERT_EQ(fallen.size(), 1u) << "the fallback has what the route does not take";
  EXPECT_EQ(property(fallen[0], "site"), "south");
  EXPECT_EQ(property(fallen[0], "hub"), "localhost");

  tag("d2", "north");  // kept twins do not outlive a change
  post(south, R"({"n":3})");
  EXPECT_EQ(captured("north").size(), 2u);
}

TEST_F(RoutingTest, without_the_fallback_what_no_route_takes_is_in_no_endpoint) {
  const auto device = add("d1");
  set_routes(
      R"({"routes":[{"name":"some","condition":"$body.n > 1","endpoint":{"type":"events"}}],"fallbackRoute":{"enabled":false}})");
  for (int n = 0; n < 4; ++n) post(device, R"({"n":)" + std::to_string(n) + "}");
  EXPECT_EQ(events().size(), 2u);
  const auto statistics = get("/statistics/messages");
  EXPECT_EQ(statistics.find("acked")->as_integer(), 4);
}

TEST_F(RoutingTest, the_hubs_own_messages_go_where_routes_ask_for_them) {
  add("before");  // nothing asks yet
  set_routes(R"({"routes":[
    {"name":"twins","source":"TwinChangeEvents","condition":"$body.tags.site = 'north'","endpoint":{"type":"storage","container":"twins"}},
    {"name":"life","source":"DeviceLifecycleEvents","endpoint":{"type":"events"}},
    {"name":"connections","source":"DeviceConnectionStateEvents","condition":"opType = 'deviceConnected'","endpoint":{"type":"events"}}]})");
  const auto device = add("d1");
  tag("d1", "north");
  tag("d1", "south");
  const auto connection = connected(device);
  run(connection->close());
  wait_for_hub_messages(5);  // made, tagged twice, connected, disconnected
  ASSERT_EQ(call("DELETE", "/devices/d1", {}, {{"if-match", "*"}}).status, 204);
  wait_for_hub_messages(6);

  const auto twins = captured("twins");
  ASSERT_EQ(twins.size(), 1u);
  EXPECT_EQ(twins[0].system.get("iothub-message-source"), "twinChangeEvents");
  EXPECT_EQ(twins[0].device_id(), "d1");
  EXPECT_EQ(twins[0].application.get("opType"), "updateTwin");
  EXPECT_EQ(twins[0].application.get("hubName"), "localhost");
  EXPECT_EQ(json::parse(twins[0].body)->at_path({"tags", "site"})->as_string(), "north");

  const auto others = events();
  ASSERT_EQ(others.size(), 3u);
  EXPECT_EQ(property(others[0], "opType"), "createDeviceIdentity");
  EXPECT_EQ(property(others[1], "opType"), "deviceConnected");
  EXPECT_EQ(others[1].at_path({"systemProperties", "iothub-message-source"})->as_string(), "deviceConnectionStateEvents");
  EXPECT_EQ(others[1].at_path({"body", "sequenceNumber"})->as_string().size(), 64u);
  EXPECT_EQ(property(others[2], "opType"), "deleteDeviceIdentity");
  EXPECT_EQ(others[2].at_path({"body", "tags", "site"})->as_string(), "south");
  EXPECT_EQ(get("/statistics/messages").find("acked")->as_integer(), 0) << "no telemetry";
}

TEST_F(RoutingTest, routes_test_looks_at_the_senders_twin) {
  add("d1");
  tag("d1", "north");
  set_routes(R"({"routes":[{"name":"north","condition":"$twin.tags.site = 'north'","endpoint":{"type":"events"}}],
    "enrichments":[{"key":"site","value":"$twin.tags.site","endpointNames":["events"]}]})");
  const auto tried = [this](const std::string& device) {
    const auto answer =
        call("POST", "/routes/test", R"({"message":{"body":{},"systemProperties":{"connectionDeviceId":")" + device + "\"}}}");
    return parse(answer.body).find("routes")->as_array().at(0);
  };
  EXPECT_EQ(tried("d1").at_path({"enriched", "site"})->as_string(), "north");
  EXPECT_EQ(tried("unknown").find("result")->as_string(), "undefined");
  EXPECT_EQ(call("POST", "/routes/test", R"({"message":{"body":{}},"route":"absent"})").status, 404);
}

TEST_F(RoutingTest, consumer_groups_are_listed_with_what_they_are_behind_set_and_forgotten) {
  const auto device = add("d1");
  for (int n = 0; n < 6; ++n) post(device, "{}");
  const auto partition = std::to_string(storage::partition_of("d1", hub->services().log.partitions()));
  EXPECT_TRUE(get("/events/consumergroups").find("consumerGroups")->as_array().empty());
  const std::string checkpoint = R"({"consumerGroup":"reports","next":{")" + partition + R"(":2}})";
  ASSERT_EQ(call("POST", "/events/checkpoint", checkpoint).status, 204);
  const Json group = get("/events/consumergroups/reports");
  EXPECT_EQ(group.find("behind")->as_integer(), 4);
  EXPECT_EQ(events("consumerGroup=reports").size(), 4u);
  EXPECT_EQ(get("/events/consumergroups").find("consumerGroups")->as_array().size(), 1u);

  const std::string beyond = R"({"consumerGroup":"reports","next":{")" + partition + R"(":99}})";
  EXPECT_EQ(call("POST", "/events/checkpoint", beyond).status, 400);
  EXPECT_EQ(call("DELETE", "/events/consumergroups/reports").status, 204);
  EXPECT_EQ(call("GET", "/events/consumergroups/reports").status, 404);
  EXPECT_EQ(call("DELETE", "/events/consumergroups/reports").status, 404);
  EXPECT_EQ(events("consumerGroup=reports").size(), 6u) << "a group without a checkpoint begins with the oldest";
}

TEST_F(RoutingTest, events_are_replayed_from_an_offset_a_time_and_for_one_device) {
  const auto one = add("d1");
  const auto two = add("d2");
  for (int n = 0; n < 4; ++n) {
    post(one, R"({"n":)" + std::to_string(n) + "}");
    post(two, "{}");
    clock.advance(std::chrono::seconds{10});
  }
  EXPECT_EQ(events("from=start&device=d1").size(), 4u);
  const std::string since = text::percent_encode(format_iso8601(clock.now() - std::chrono::seconds{25}));
  EXPECT_EQ(events("device=d1&from=" + since).size(), 2u);
  const auto partition = storage::partition_of("d1", hub->services().log.partitions());
  const std::string next = text::percent_encode("{\"" + std::to_string(partition) + "\":" + std::to_string(3) + "}");
  const auto from_three = events("device=d1&partition=" + std::to_string(partition) + "&next=" + next);
  ASSERT_FALSE(from_three.empty());
  EXPECT_GE(from_three[0].find("offset")->as_integer(), 3);
  const Json places = get("/events/partitions");
  EXPECT_EQ(places.find("partitions")->as_array().size(), hub->services().log.partitions());
}

}  // namespace
}  // namespace nacelle::hub::testing
