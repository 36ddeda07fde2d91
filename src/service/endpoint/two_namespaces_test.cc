// The open namespace beside that of IoT Hub, on one endpoint.
#include "service/endpoint/scripted_backend_test.h"

namespace nacelle::endpoint {
namespace {

using namespace test;

OpenNamespace with_rules() {
  OpenNamespace open;
  open.rules = AccessRules::parse(json::parse(R"({"rules":[{"who":"device:*","publish":["own/%n/#"],"subscribe":["own/#"]},
                                                           {"who":"anonymous","subscribe":["own/+"]}]})")
                                      .value())
                   .value();
  open.allow_anonymous = true;
  return open;
}

class OpenEndpointTest : public EndpointTest {
 public:
  OpenEndpointTest() : EndpointTest(with_rules()) {}

  awaitable<mqtt::Connack> knock(PeerPtr& peer, std::string client_id, std::optional<std::string> user_name, std::string password) {
    peer = dial();
    mqtt::Connect connect;
    connect.client_id = std::move(client_id);
    connect.user_name = user_name;
    if (user_name) connect.password = std::move(password);
    co_await peer->send(connect);
    const mqtt::Connack connack = co_await peer->expect<mqtt::Connack>();
    co_return connack;
  }
  static mqtt::Publish message(std::string_view topic, mqtt::PacketId id) {
    return {topic, "hello", id == 0 ? mqtt::QoS::at_most_once : mqtt::QoS::at_least_once, true, false, id};
  }
};

TEST_F(OpenEndpointTest, a_message_is_stored_before_it_is_acknowledged_and_passed_on) {
  run([](OpenEndpointTest& test) -> awaitable<void> {
    PeerPtr sender, reader;
    co_await test.knock(sender, "s", "dev1", "good");
    co_await test.knock(reader, "r", std::nullopt, {});
    const auto granted = co_await subscribe(reader, "own/+");
    EXPECT_EQ(granted, 1);
    test.backend_.hold = true;
    const auto publish = message("own/dev1", 5);
    co_await sender->send(publish);
    co_await yield(20);
    co_await sender->send(mqtt::Pingreq{});
    co_await reader->send(mqtt::Pingreq{});
    co_await sender->expect<mqtt::Pingresp>();
    co_await reader->expect<mqtt::Pingresp>();
    EXPECT_EQ(test.backend_.held.size(), 1u);
    if (test.backend_.held.empty()) co_return;
    test.backend_.held[0]({});
    const auto puback = co_await sender->expect<mqtt::Puback>();
    EXPECT_EQ(puback.packet_id, 5);
    const auto received = co_await reader->expect<mqtt::Publish>();
    EXPECT_EQ(received.topic, "own/dev1");
    EXPECT_EQ(received.payload, "hello");
    const telemetry::Message& stored = test.backend_.messages.at(0);
    EXPECT_EQ(stored.system.get("mqttTopic"), "own/dev1");
    EXPECT_EQ(stored.system.get("mqttClientId"), "s");
    EXPECT_EQ(stored.device_id(), "dev1");
    EXPECT_EQ(stored.system.get("connectionDeviceGenerationId"), "gen-dev1");
    EXPECT_EQ(stored.application.get("mqtt-retain"), "true");
    EXPECT_EQ(stored.body, "hello");
  }(*this));
}

TEST_F(OpenEndpointTest, what_could_not_be_stored_reaches_nobody) {
  run([](OpenEndpointTest& test) -> awaitable<void> {
    PeerPtr peer;
    co_await test.knock(peer, "s", "dev1", "good");
    co_await subscribe(peer, "own/#");
    test.backend_.hold = true;
    for (const mqtt::PacketId id : {1, 2}) {
      const auto publish = message("own/dev1", id);
      co_await peer->send(publish);
    }
    co_await yield(20);
    EXPECT_EQ(test.backend_.held.size(), 2u);
    if (test.backend_.held.size() != 2) co_return;
    test.backend_.held[0](fail(Fault::exhausted, "disk full"));
    test.backend_.held[1]({});
    const auto first = co_await peer->next();
    const auto second = co_await peer->next();
    EXPECT_TRUE(first && second && first->index() != second->index());  // one PUBACK, one message
    co_await peer->send(mqtt::Pingreq{});
    co_await peer->expect<mqtt::Pingresp>();
  }(*this));
}

TEST_F(OpenEndpointTest, nobody_takes_the_session_of_an_iot_hub_client) {
  run([](OpenEndpointTest& test) -> awaitable<void> {
    PeerPtr device = co_await test.dial_as(dev1);
    PeerPtr plain, anonymous, bad;
    co_await test.knock(plain, "dev1", "dev2", "good");
    co_await test.knock(anonymous, "dev1", std::nullopt, {});
    const auto refused = co_await test.knock(bad, "dev1", "dev1", "guess");
    EXPECT_EQ(refused.code, mqtt::ConnectCode::not_authorized);
    EXPECT_EQ(test.endpoint_->connections(), 3u);
    co_await device->send(mqtt::Pingreq{});
    co_await device->expect<mqtt::Pingresp>();
    const auto hub_topic = co_await subscribe(plain, "$iothub/twin/res/#");
    EXPECT_EQ(hub_topic, 0x80);
    const auto shared_hub_topic = co_await subscribe(plain, "$share/g/devices/dev1/messages/devicebound/#");
    EXPECT_EQ(shared_hub_topic, 0x80);
    const auto beyond = co_await subscribe(anonymous, "own/#");
    EXPECT_EQ(beyond, 0x80);
    const auto forged = message("devices/dev1/messages/events/", 1);
    co_await plain->send(forged);
    const auto ended = co_await plain->next();
    EXPECT_FALSE(ended);
    const auto other = message("own/dev1", 1);  // dev2 may not
    co_await test.knock(plain, "dev1", "dev2", "good");
    co_await plain->send(other);
    const auto ended_too = co_await plain->next();
    EXPECT_FALSE(ended_too);
    EXPECT_TRUE(test.backend_.messages.empty());
  }(*this));
}

TEST_F(OpenEndpointTest, an_iot_hub_client_uses_both_namespaces) {
  run([](OpenEndpointTest& test) -> awaitable<void> {
    PeerPtr device = co_await test.dial_as(dev1);
    const auto hub_filter = co_await subscribe(device, "devices/dev1/messages/devicebound/#");
    EXPECT_EQ(hub_filter, 1);
    const auto open_filter = co_await subscribe(device, "own/#");
    EXPECT_EQ(open_filter, 1);
    for (const char* topic : {"own/dev1/x", "devices/dev1/messages/events/"}) {
      const auto publish = message(topic, 0);
      co_await device->send(publish);
    }
    const auto received = co_await device->expect<mqtt::Publish>();
    EXPECT_EQ(received.topic, "own/dev1/x");
    co_await yield(20);
    EXPECT_EQ(test.backend_.messages.size(), 2u);
  }(*this));
}

}  // namespace
}  // namespace nacelle::endpoint
