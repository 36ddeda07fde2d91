#include <sys/stat.h>

#include <set>

#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

using Ids = std::vector<std::string>;

TEST_F(HubTest, hub_file_is_private_and_leads_to_the_hub) {
  const auto path = folder.path() / "hub" / "hub.json";
  struct stat status {};
  ASSERT_EQ(::stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
  const auto file = endpoint::read_hub_file(path);
  ASSERT_TRUE(file.has_value());
  EXPECT_EQ(file->https, hub->found_at().https);
  EXPECT_EQ(file->mqtt, 0);
  EXPECT_TRUE(file->connection_string.starts_with("HostName=localhost;SharedAccessKeyName=iothubowner;SharedAccessKey="));
}

TEST_F(HubTest, second_hub_on_the_same_folder_is_a_conflict) {
  HubOptions options;
  options.directory = folder.path() / "hub";
  const auto second = Hub::open(runtime.executor(), options, clock, storage::real_file_system());
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().fault, Fault::conflict);
}

TEST_F(HubTest, what_is_acknowledged_over_mqtt_is_captured_with_its_envelope) {
  const auto device = add("Client_001");
  const auto connection = connected(device);
  send(*connection, "Client_001", 0, 200);
  const auto messages = captured("devicedata");
  ASSERT_EQ(messages.size(), 200u);
  const telemetry::Message& one = messages[7];
  EXPECT_EQ(one.device_id(), "Client_001");
  EXPECT_EQ(one.system.get("messageId"), "Client_001:7");
  EXPECT_EQ(one.system.get("connectionDeviceGenerationId"), device.generation_id);
  EXPECT_NE(one.system.get("connectionAuthMethod").find("\"scope\":\"device\""), std::string_view::npos);
  EXPECT_FALSE(one.system.get("enqueuedTime").empty());
  EXPECT_EQ(one.body, R"({"OperationalSetting1":0.5,"CycleTime":7})");
  const Json statistics = get("/statistics/messages");
  EXPECT_EQ(
      json::print(statistics),
      R"({"received":200,"acked":200,"captured":200,"routed":{"turbofanDeviceDataToStorage":200,"RulMessageRoute":0,"events":200},)"
      R"("capturePending":0,"uploads":0})");
  run(connection->close());
}

TEST_F(HubTest, killed_and_started_again_each_acknowledged_message_is_captured_once) {
  const auto device = add("Client_001");
  Ids expected;
  for (int round = 0; round < 4; ++round) {
    const auto connection = connected(device);
    send(*connection, "Client_001", round * 50, 50);
    for (int i = 0; i < 50; ++i) expected.push_back("Client_001:" + std::to_string(round * 50 + i));
    if (round == 1) flush();
    run(connection->close());
    stop();
    start();
  }
  EXPECT_EQ(message_ids(captured("devicedata")), expected);
}

TEST_F(HubTest, stopped_properly_everything_is_in_complete_files) {
  const auto connection = connected(add("Client_001"));
  send(*connection, "Client_001", 0, 10);
  run(connection->close());
  stop(true);
  const auto objects = storage::open_folder_store(folder.path() / "hub" / "objects", storage::real_file_system()).value();
  EXPECT_EQ(read_captured(*objects, "capture/").size(), 10u);
}

TEST_F(HubTest, device_may_publish_for_itself_only) {
  add("d2");
  const auto connection = connected(add("d1"));
  std::promise<void> closed;
  (void)publish(*connection, telemetry::event_topic("d1", {}, ""), "{}");
  connection->publish(telemetry::event_topic("d2", {}, ""), "{}", mqtt::QoS::at_least_once, [](Result<>) {});
  // The connection is closed for it; the client comes back by itself, and its own message still goes through.
  run(connection->close());
  EXPECT_EQ(get("/statistics/messages").find("acked")->as_integer(), 1);
}

TEST_F(HubTest, disabled_or_deleted_device_is_put_out_at_once) {
  const auto identity = add("d1");
  const auto connection = connected(identity);
  Json document = get("/devices/d1");
  EXPECT_EQ(document.find("connectionState")->as_string(), "Connected");
  document.as_object().set("status", "disabled");
  ASSERT_TRUE(run(client->put("/devices/d1", document, "*")).has_value());
  run(connection->close());
  EXPECT_EQ(run(mqtt(identity)->start(std::chrono::seconds{10})).error().fault, Fault::denied);
  EXPECT_EQ(get("/devices/d1").find("connectionState")->as_string(), "Disconnected");
  ASSERT_TRUE(run(client->remove("/devices/d1")).has_value());
  EXPECT_EQ(run(mqtt(identity)->start(std::chrono::seconds{10})).error().fault, Fault::denied);
}

TEST_F(HubTest, edge_hub_publishes_for_its_leaves_and_modules_and_for_nobody_else) {
  const auto edge = add("edge1", true);
  add("leaf1", false, edge.scope);
  add("stranger");
  ASSERT_EQ(call("PUT", "/devices/edge1/modules/filter", R"({"managedBy":"IotEdge"})").status, 200);
  {
    const auto connection = connected(module("edge1", "$edgeHub"));
    EXPECT_TRUE(publish(*connection, telemetry::event_topic("leaf1", {}, ""), "leaf").has_value());
    EXPECT_TRUE(publish(*connection, telemetry::event_topic("edge1", "filter", ""), "module").has_value());
    connection->publish(telemetry::event_topic("stranger", {}, ""), "stranger", mqtt::QoS::at_least_once, [](Result<>) {});
    run(connection->close());
  }
  const Json events = get("/events?from=start&waitSeconds=0");
  std::set<std::string> senders;
  for (const auto& event : events.find("events")->as_array()) {
    const Json* sender = event.at_path({"systemProperties", "connectionModuleId"});
    senders.insert(event.at_path({"systemProperties", "connectionDeviceId"})->as_string() + "/" +
                   (sender ? sender->as_string() : ""));
  }
  EXPECT_EQ(senders, (std::set<std::string>{"leaf1/", "edge1/filter"}));
}

TEST_F(HubTest, desired_change_reaches_the_connected_device_and_its_report_the_service) {
  const auto identity = add("d1");
  std::promise<std::string> changed;
  const auto connection = connected(identity, [&](const mqtt::Publish& publish, std::function<void()> done) {
    if (publish.topic.starts_with("$iothub/twin/PATCH/properties/desired/")) changed.set_value(std::string(publish.payload));
    done();
  });
  ASSERT_TRUE(run(connection->subscribe("$iothub/twin/PATCH/properties/desired/#", mqtt::QoS::at_most_once)).has_value());
  ASSERT_TRUE(run(client->patch("/twins/d1", parse(R"({"properties":{"desired":{"rate":5}}})"))).has_value());
  EXPECT_EQ(changed.get_future().get(), R"({"rate":5,"$version":2})");

  std::promise<void> reported;
  const auto reporter = connected(identity, [&](const mqtt::Publish& publish, std::function<void()> done) {
    if (publish.topic.starts_with("$iothub/twin/res/204/")) reported.set_value();
    done();
  });
  ASSERT_TRUE(run(reporter->subscribe("$iothub/twin/res/#", mqtt::QoS::at_most_once)).has_value());
  ASSERT_TRUE(publish(*reporter, "$iothub/twin/PATCH/properties/reported/?$rid=1", R"({"temperature":20})").has_value());
  reported.get_future().get();
  EXPECT_EQ(get("/twins/d1").at_path({"properties", "reported", "temperature"})->as_integer(), 20);
  run(connection->close());
  run(reporter->close());
}

TEST_F(HubTest, telemetry_over_https_is_durable_when_answered) {
  const auto identity = add("d1");
  const net::Headers headers{{"iothub-contenttype", "application/json"},
                             {"iothub-contentencoding", "utf-8"},
                             {"IoTHub-MessageId", "m1"},
                             {"iothub-app-level", "high"},
                             {"iothub-app-connectionDeviceId", "forged"}};
  EXPECT_EQ(
      call("POST", "/devices/d1/messages/events?api-version=2021-04-12", R"({"OperationalSetting1":1})", headers, token(identity))
          .status,
      204);
  EXPECT_EQ(call("POST", "/devices/d1/messages/events", R"([{"body":"YQ==","properties":{"iothub-app-k":"v"}},{"body":"Yg=="}])",
                 {{"content-type", "application/vnd.microsoft.iothub.json"}}, token(identity))
                .status,
            204);
  EXPECT_EQ(call("POST", "/devices/d1/messages/events", std::string(300'000, 'x'), {}, token(identity)).status, 413);
  EXPECT_EQ(call("POST", "/devices/d1/messages/events", "[{\"body\":\"!\"}]",
                 {{"content-type", "application/vnd.microsoft.iothub.json"}}, token(identity))
                .status,
            400);
  EXPECT_EQ(get("/statistics/messages").find("acked")->as_integer(), 3);
  stop();
  start();
  const auto messages = captured("devicedata");
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].system.get("messageId"), "m1");
  EXPECT_EQ(messages[0].application.get("level"), "high");
  EXPECT_EQ(messages[0].application.size(), 1u);
}

TEST_F(HubTest, calls_without_right_or_token_are_refused) {
  const auto device = add("d1");
  add("d2");
  EXPECT_EQ(call("GET", "/devices/d1", {}, {}, "-").status, 401);
  EXPECT_EQ(call("GET", "/devices/d1", {}, {}, "Bearer x").status, 401);
  EXPECT_EQ(call("GET", "/devices/d1", {}, {}, token(device)).status, 401);
  EXPECT_EQ(call("POST", "/devices/d2/messages/events", "{}", {}, token(device)).status, 401);
  EXPECT_EQ(call("POST", "/devices/d1/messages/events", "{}", {}, token(device, std::chrono::hours{-1})).status, 401);
  EXPECT_EQ(call("GET", "/nothing").status, 404);
  EXPECT_EQ(call("PATCH", "/devices/d1").status, 405);
  EXPECT_EQ(hub->services().counters.refusals.of(Way::https), 5u);
}

TEST_F(HubTest, metrics_are_prometheus_text) {
  net::HttpClientOptions without_tls;
  without_tls.endpoint = {"127.0.0.1", hub->found_at().https, {}};
  net::HttpClient stranger(std::move(without_tls));
  net::HttpRequest plain;
  plain.target = "/devices";
  EXPECT_FALSE(run(stranger.send(std::move(plain))));
  const auto connection = connected(add("Client_001"));
  send(*connection, "Client_001", 0, 3);
  flush();
  net::HttpClientOptions options;
  options.endpoint = {"127.0.0.1", hub->found_at().metrics, {}};
  net::HttpClient scraper(std::move(options));
  net::HttpRequest request;
  request.target = "/metrics";
  const auto page = run(scraper.send(std::move(request))).value();
  EXPECT_NE(page.body.find("nacelle_hub_messages_acked_total 3"), std::string::npos) << page.body;
  EXPECT_NE(page.body.find("nacelle_hub_connections 1"), std::string::npos);
  EXPECT_NE(page.body.find("nacelle_hub_tls_handshakes_failed_total{reason=\"not-tls\"} 1"), std::string::npos) << page.body;
  EXPECT_NE(page.body.find("nacelle_hub_tls_handshakes_failed_total{reason=\"timeout\"} 0"), std::string::npos);
  const auto certificates = hub->services().authority.facts().value();
  ASSERT_EQ(certificates.size(), 4u);
  for (const auto& [name, facts] : certificates) {
    const std::string line = "nacelle_hub_certificate_not_after_seconds{certificate=\"" + name + "\"} ";
    const auto at = page.body.find(line);
    ASSERT_NE(at, std::string::npos) << name;
    EXPECT_EQ(std::stod(page.body.substr(at + line.size())), static_cast<double>(unix_seconds(facts.not_after))) << name;
  }
  EXPECT_NE(page.body.find("nacelle_hub_captured_total{route=\"turbofanDeviceDataToStorage\"} 3"), std::string::npos);
  run(connection->close());
}

}  // namespace
}  // namespace nacelle::hub::testing
