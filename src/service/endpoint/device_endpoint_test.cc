// Connecting and telemetry: who is let in, and what is stored before it is acknowledged.
#include "service/endpoint/scripted_backend_test.h"

namespace nacelle::endpoint {
namespace {

using namespace test;

// -- Connecting --------------------------------------------------------------------------------------------------------

struct Refused {
  mqtt::Connect connect;
  mqtt::ConnectCode code;
};

awaitable<void> expect_refusals(PeerPtr (*dial)(void*), void* fixture, std::vector<Refused> cases) {
  for (std::size_t i = 0; i < cases.size(); ++i) {
    PeerPtr peer = dial(fixture);
    co_await peer->send(cases[i].connect);
    const mqtt::Connack connack = co_await peer->expect<mqtt::Connack>();
    EXPECT_EQ(static_cast<int>(connack.code), static_cast<int>(cases[i].code)) << "case " << i;
    const auto more = co_await peer->next();
    EXPECT_FALSE(more) << "case " << i;
  }
}

TEST_F(EndpointTest, every_refusal_has_its_code) {
  using enum mqtt::ConnectCode;
  const auto changed = [](auto change) {
    mqtt::Connect connect = connect_as(dev1);
    change(connect);
    return connect;
  };
  const auto with_will = [&](std::string topic) {
    return changed([&](mqtt::Connect& c) { c.will = mqtt::Will{std::move(topic), "bye", mqtt::QoS::at_least_once, false}; });
  };
  std::vector<Refused> cases = {
      {changed([](mqtt::Connect& c) { c.client_id = "a/b/c"; }), identifier_rejected},
      {changed([](mqtt::Connect& c) { c.client_id = "no spaces"; }), identifier_rejected},
      {changed([](mqtt::Connect& c) {
         c.user_name.reset();
         c.password.reset();
       }),
       bad_user_name},
      {changed([](mqtt::Connect& c) { c.user_name = "hub.example.net/dev1"; }), bad_user_name},
      {changed([](mqtt::Connect& c) { c.user_name = "hub.example.net/dev2/?api-version=1"; }), not_authorized},
      {changed([](mqtt::Connect& c) { c.user_name = "hub.example.net/dev1/m/?api-version=1"; }), not_authorized},
      {changed([](mqtt::Connect& c) { c.user_name = "other.example.net/dev1/?api-version=1"; }), not_authorized},
      {changed([](mqtt::Connect& c) { c.password = "bad"; }), not_authorized},
      {changed([](mqtt::Connect& c) { c.password = "unknown"; }), not_authorized},
      {changed([](mqtt::Connect& c) { c.password = "later"; }), server_unavailable},
      {changed([](mqtt::Connect& c) { c.password.reset(); }), not_authorized},
      {changed([](mqtt::Connect& c) { c.password = ""; }), not_authorized},
      {with_will("devices/dev2/messages/events/"), not_authorized},
      {with_will("$iothub/twin/GET/?$rid=1"), not_authorized},
      {with_will("devices/dev1/messages/events/a=%zz"), not_authorized},
  };
  run(expect_refusals([](void* fixture) { return static_cast<EndpointTest*>(fixture)->dial(); }, this, std::move(cases)));
  EXPECT_TRUE(backend_.authenticated.empty());
  EXPECT_TRUE(backend_.events.empty());
}

TEST_F(EndpointTest, the_hubs_name_may_have_another_case_or_a_port) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    PeerPtr peer = t->dial();
    mqtt::Connect connect = connect_as(dev1);
    connect.user_name = "HUB.example.net:8883/dev1/?api-version=1&DeviceClientType=x%2Fy";
    co_await peer->send(connect);
    const mqtt::Connack connack = co_await peer->expect<mqtt::Connack>();
    EXPECT_EQ(connack.code, mqtt::ConnectCode::accepted);
    EXPECT_TRUE(t->endpoint_->connected(dev1));
    const mqtt::Disconnect bye;
    co_await peer->send(bye);
    const auto more = co_await peer->next();
    EXPECT_FALSE(more);
  };
  run(story(this));
  EXPECT_EQ(backend_.events, (std::vector<std::string>{"connected dev1", "disconnected dev1"}));
  EXPECT_EQ(backend_.subscription_changes["dev1"], 1);
}

// -- Telemetry ---------------------------------------------------------------------------------------------------------

TEST_F(EndpointTest, a_message_is_stamped_and_acknowledged_only_when_durable) {
  backend_.hold = true;
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    PeerPtr peer = co_await t->dial_as(filter);
    co_await publish(
        peer,
        "devices/edge1/modules/filter/messages/events/%24.on=alerts&%24.mid=7&%24.cdid=liar&$connectionDeviceId=liar&level=high/",
        "{}", 9, true);
    co_await peer->send(mqtt::Pingreq{});
    co_await peer->expect<mqtt::Pingresp>();  // the PUBACK has not come before it
    EXPECT_EQ(t->backend_.held.size(), 1u);
    for (const auto& done : t->backend_.held) done({});
    const mqtt::Puback puback = co_await peer->expect<mqtt::Puback>();
    EXPECT_EQ(puback.packet_id, 9);
  };
  run(story(this));
  ASSERT_EQ(backend_.messages.size(), 1u);
  const telemetry::Message& m = backend_.messages[0];
  EXPECT_EQ(m.source, telemetry::Source::module_messages);
  EXPECT_EQ(m.device_id(), "edge1");
  EXPECT_EQ(m.module_id(), "filter");
  EXPECT_EQ(m.output(), "alerts");
  EXPECT_EQ(m.system.get("messageId"), "7");
  EXPECT_EQ(m.system.get("connectionDeviceGenerationId"), "gen-edge1/filter");
  EXPECT_EQ(m.system.get("connectionAuthMethod"),
            R"({"scope":"module","type":"sas","issuer":"iothub","acceptingIpFilterRule":null})");
  EXPECT_EQ(m.system.get("enqueuedTime"), "2030-01-01T00:00:00.0000000Z");
  EXPECT_EQ(m.enqueued_at, clock_.now());
  EXPECT_EQ(m.application, (telemetry::Properties{{"level", "high"}, {"mqtt-retain", "true"}}));
  EXPECT_EQ(m.body, "{}");
}

awaitable<void> expect_closed_after(PeerPtr peer, std::string topic, Bytes body) {
  mqtt::Publish packet;
  packet.topic = topic;
  packet.payload = body;
  packet.qos = mqtt::QoS::at_least_once;
  packet.packet_id = 1;
  Bytes bytes;
  mqtt::encode(bytes, packet);
  co_await peer->send_raw(std::move(bytes));
  const auto answer = co_await peer->next();
  EXPECT_FALSE(answer) << topic.substr(0, 80);
}

TEST_F(EndpointTest, a_publish_that_is_not_the_clients_to_make_closes_the_connection) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    const std::pair<std::string, std::size_t> publishes[] = {{"devices/dev2/messages/events/", 2},
                                                             {"devices/dev1/modules/m/messages/events/", 2},
                                                             {"some/other/topic", 2},
                                                             {"devices/dev1/messages/events/a=%zz", 2},
                                                             {"devices/dev1/messages/events/", 256 * 1024 + 1}};
    for (const auto& [topic, size] : publishes) {
      PeerPtr peer = co_await t->dial_as(dev1);
      const Bytes body(size, 'x');
      co_await expect_closed_after(std::move(peer), topic, body);
    }
  };
  run(story(this));
  EXPECT_TRUE(backend_.messages.empty());
}

/// What a reader of the log sees, whichever way it came.
std::string described(const telemetry::Message& message) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : message.system) lines.push_back(name + "=" + value);
  std::sort(lines.begin(), lines.end());
  for (const auto& [name, value] : message.application) lines.push_back("." + name + "=" + value);
  return fmt::format("{} {} {} {}", static_cast<int>(message.source), fmt::join(lines, ";"), message.body,
                     message.enqueued_at.time_since_epoch().count());
}

TEST_F(EndpointTest, a_batch_holds_the_same_messages_as_come_one_by_one) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    const std::vector<std::string> bags = {"",
                                           "%24.ct=application%2Fjson&%24.ce=utf-8&level=high",
                                           "%24.ct=application%2Fjson&%24.ce=utf-8&level=high",
                                           "%24.mid=7&a=b/",
                                           "connectionDeviceId=other&x=%20",
                                           "level=low"};
    for (const IdentityName& who : {dev1, filter}) {
      std::vector<std::string> seen[2];
      for (const bool batches : {false, true}) {
        t->backend_.batches = batches;
        t->backend_.messages.clear();
        PeerPtr peer = co_await t->dial_as(who);
        const std::string prefix = telemetry::event_topic(who.device.str(), who.module.str(), {});
        mqtt::PacketId id = 0;
        for (const std::string& bag : bags) {
          ++id;
          co_await publish(peer, prefix + bag, "body " + bag, id, id == 3);
          const auto puback = co_await peer->expect<mqtt::Puback>();
          EXPECT_EQ(puback.packet_id, id);
        }
        for (const auto& message : t->backend_.messages) seen[batches].push_back(described(message));
      }
      EXPECT_EQ(seen[0].size(), bags.size());
      EXPECT_EQ(seen[0], seen[1]);
    }
    const auto stored = std::count(t->backend_.events.begin(), t->backend_.events.end(), "stored 1 of dev1");
    EXPECT_EQ(stored, 5) << "all but the retained one, which takes the long way";
  };
  run(story(this));
}

TEST_F(EndpointTest, a_message_of_exactly_the_limit_passes) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    PeerPtr peer = co_await t->dial_as(dev1);
    const Bytes body(256 * 1024, 'x');
    co_await publish(peer, "devices/dev1/messages/events/", body);
    co_await peer->expect<mqtt::Puback>();
  };
  run(story(this));
  EXPECT_EQ(backend_.messages.size(), 1u);
}

TEST_F(EndpointTest, an_edge_hub_may_publish_for_its_leaves_and_modules_and_nobody_else) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    PeerPtr peer = co_await t->dial_as(edge_hub);
    co_await publish(peer, "devices/leaf7/messages/events/%24.ctime=2030-01-01T00%3A00%3A00Z", "1", 1);
    co_await peer->expect<mqtt::Puback>();
    co_await publish(peer, "devices/edge1/modules/filter/messages/events/", "2", 2);
    co_await peer->expect<mqtt::Puback>();
    co_await expect_closed_after(std::move(peer), "devices/stranger/messages/events/", "3");
    PeerPtr module = co_await t->dial_as(filter);
    co_await expect_closed_after(std::move(module), "devices/leaf7/messages/events/", "4");
  };
  run(story(this));
  ASSERT_EQ(backend_.messages.size(), 2u);
  EXPECT_EQ(backend_.messages[0].device_id(), "leaf7");
  EXPECT_EQ(backend_.messages[0].system.find("connectionModuleId"), nullptr);
  EXPECT_EQ(backend_.messages[0].system.get("connectionDeviceGenerationId"), "gen-leaf7");
  EXPECT_EQ(backend_.messages[0].system.get("iothub-creation-time-utc"), "2030-01-01T00:00:00Z");
  EXPECT_EQ(backend_.messages[1].module_id(), "filter");
}

TEST_F(EndpointTest, a_will_becomes_telemetry_when_the_connection_breaks_and_not_after_disconnect) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    for (const bool clean : {true, false}) {
      PeerPtr peer = t->dial();
      mqtt::Connect connect = connect_as(dev1);
      connect.will = mqtt::Will{"devices/dev1/messages/events/why=power", "bye", mqtt::QoS::at_least_once, false};
      co_await peer->send(connect);
      co_await peer->expect<mqtt::Connack>();
      const mqtt::Disconnect bye;
      if (clean) co_await peer->send(bye);
      peer->drop();
      while (t->endpoint_->connections() > 0) co_await yield();
      EXPECT_EQ(t->backend_.messages.size(), clean ? 0u : 1u);
    }
  };
  run(story(this));
  ASSERT_EQ(backend_.messages.size(), 1u);
  EXPECT_EQ(backend_.messages[0].application, (telemetry::Properties{{"why", "power"}, {"iothub-MessageType", "Will"}}));
  EXPECT_EQ(backend_.messages[0].body, "bye");
}

}  // namespace
}  // namespace nacelle::endpoint
