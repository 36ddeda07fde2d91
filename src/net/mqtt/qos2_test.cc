// Exactly once, with MQTT 3.1.1 and 5 (sections 4.3.3 of both).
#include "net/mqtt/scripted_broker_test.h"

namespace nacelle::net {
namespace {

using namespace test;
using namespace std::chrono_literals;
using mqtt::Properties;
using mqtt::QoS;
using mqtt::Reason;

TEST(MqttQoS2, a_message_is_published_once_however_often_it_is_sent) {
  for (const std::uint8_t level : {4, 5}) {
    with_broker([level](Broker&, Bench& bench) -> awaitable<void> {
      auto connect = connect_as("a", false);
      connect.protocol_level = level;
      if (level == 5) connect.properties = share(expiring(60));
      auto peer = co_await bench.join(connect);
      auto publish = with_qos(message("t", "x", 9), QoS::exactly_once);
      co_await peer->send(publish);
      const auto pubrec = co_await peer->expect<mqtt::Pubrec>();
      EXPECT_EQ(pubrec.packet_id, 9);
      publish.duplicate = true;
      co_await peer->send(publish);
      co_await peer->expect<mqtt::Pubrec>();
      peer->drop();
      co_await bench.policy.until_event("!a");
      connect.clean_session = false;
      auto again = co_await bench.join(connect, true);
      co_await again->send(publish);
      co_await again->expect<mqtt::Pubrec>();
      EXPECT_EQ(bench.policy.received.size(), 1u);
      co_await again->send(mqtt::Pubrel{9});
      const auto pubcomp = co_await again->expect<mqtt::Pubcomp>();
      EXPECT_EQ(pubcomp.reason, Reason::success);
      co_await again->send(mqtt::Pubrel{9});
      const auto unknown = co_await again->expect<mqtt::Pubcomp>();
      EXPECT_EQ(unknown.reason, level == 5 ? Reason::packet_identifier_not_found : Reason::success);
      co_await again->send(publish);  // the identifier is free: another message
      co_await again->expect<mqtt::Pubrec>();
      EXPECT_EQ(bench.policy.received.size(), 2u);
    });
  }
}

TEST(MqttQoS2, sent_again_while_it_is_being_stored_it_is_acknowledged_when_it_is_stored) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    bench.policy.answer_at_once = false;
    const auto publish = with_qos(message("t", "x", 9), QoS::exactly_once);
    auto peer = co_await bench.join(connect_as("a", false));
    co_await peer->send(publish);
    co_await bench.policy.until_received(1);
    peer->drop();
    co_await bench.policy.until_event("!a");
    auto again = co_await bench.join(connect_as("a", false), true);
    co_await again->send(publish);
    co_await again->send(mqtt::Pingreq{});
    co_await again->expect<mqtt::Pingresp>();  // and no PUBREC yet
    EXPECT_EQ(bench.policy.received.size(), 1u);
    bench.policy.received[0].done({});
    const auto pubrec = co_await again->expect<mqtt::Pubrec>();
    EXPECT_EQ(pubrec.packet_id, 9);
  });
}

TEST(MqttQoS2, what_could_not_be_stored_is_stored_when_it_comes_again) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    bench.policy.answer_at_once = false;
    const auto publish = with_qos(message("t", "x", 9), QoS::exactly_once);
    auto peer = co_await bench.join(connect_as("a", false));
    co_await peer->send(publish);
    co_await bench.policy.until_received(1);
    bench.policy.received[0].done(fail(Fault::exhausted, "disk full"));
    co_await peer->send(publish);
    co_await bench.policy.until_received(2);
    bench.policy.received[1].done({});
    co_await peer->expect<mqtt::Pubrec>();
  });
}

TEST(MqttQoS2, a_delivery_goes_on_where_the_connection_broke) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_as("a", false));
    const auto codes = co_await subscribe(*peer, subscribe_to("t", QoS::exactly_once));
    EXPECT_EQ(codes, std::vector<std::uint8_t>{2});
    auto sender = co_await bench.join(connect_as("b"));
    for (mqtt::PacketId id : {1, 2}) {
      const auto publish = with_qos(message("t", id == 1 ? "one" : "two", id), QoS::exactly_once);
      co_await sender->send(publish);
      co_await sender->expect<mqtt::Pubrec>();
    }
    const auto one = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(one.qos, QoS::exactly_once);
    const auto first = one.packet_id;
    const auto two = co_await peer->expect<mqtt::Publish>();
    const auto second = two.packet_id;
    co_await peer->send(mqtt::Pubrec{first});
    co_await peer->expect<mqtt::Pubrel>();
    peer->drop();
    co_await bench.policy.until_event("!a");
    auto again = co_await bench.join(connect_as("a", false), true);
    const auto pubrel = co_await again->expect<mqtt::Pubrel>();  // never the message again
    EXPECT_EQ(pubrel.packet_id, first);
    const auto repeated = co_await again->expect<mqtt::Publish>();
    EXPECT_EQ(repeated.packet_id, second);
    EXPECT_TRUE(repeated.duplicate);
    EXPECT_EQ(repeated.payload, "two");
    co_await again->send(mqtt::Pubcomp{first});
    co_await again->send(mqtt::Pubrec{second});
    co_await again->expect<mqtt::Pubrel>();
    co_await again->send(mqtt::Pubcomp{second});
    again->drop();
    co_await bench.policy.until_event("!a");
    auto last = co_await bench.join(connect_as("a", false), true);
    co_await last->send(mqtt::Pingreq{});
    co_await last->expect<mqtt::Pingresp>();
  });
}

}  // namespace
}  // namespace nacelle::net
