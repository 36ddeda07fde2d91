// Sessions and wills of MQTT 5, and both versions after a restart. Sections are those of MQTT Version 5.0.
#include "net/mqtt/scripted_broker_test.h"

namespace nacelle::net {
namespace {

using namespace test;
using namespace std::chrono_literals;
using mqtt::Properties;
using mqtt::QoS;
using mqtt::Reason;

TEST(Mqtt5Session, it_ends_when_its_time_is_over) {
  with_broker([](Broker& broker, Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_v5("a", expiring(30)));
    co_await subscribe(*peer, subscribe_to("t", QoS::at_least_once));
    peer->drop();
    co_await bench.policy.until_event("!a");
    broker.pass(29s);
    auto in_time = co_await bench.join(connect_v5("a", expiring(30), false), true);
    bench.policy.events.clear();
    in_time->drop();
    co_await bench.policy.until_event("!a");
    broker.pass(30s);
    auto too_late = co_await bench.join(connect_v5("a", expiring(30), false), false);
    co_await too_late->send(message("t", "x", 0));
    co_await too_late->send(mqtt::Pingreq{});
    co_await too_late->expect<mqtt::Pingresp>();  // the subscription is gone too
  });
}

TEST(Mqtt5Session, disconnect_may_change_its_time_but_not_begin_one) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_v5("a", expiring(30)));
    mqtt::Disconnect now{Reason::success, share(expiring(0))};
    co_await peer->send(now);
    const bool ended = co_await peer->ends();
    EXPECT_TRUE(ended);
    auto again = co_await bench.join(connect_v5("a", expiring(0), false), false);
    mqtt::Disconnect later{Reason::success, share(expiring(10))};
    co_await again->send(later);
    const auto farewell = co_await again->expect<mqtt::Disconnect>();
    EXPECT_EQ(farewell.reason, Reason::protocol_error);
  });
}

TEST(Mqtt5Session, who_is_replaced_is_told_so) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    auto first = co_await bench.join(connect_v5("a"));
    auto second = co_await bench.join(connect_v5("a"));
    const auto farewell = co_await first->expect<mqtt::Disconnect>();
    EXPECT_EQ(farewell.reason, Reason::session_taken_over);
    bench.server->disconnect("a", "for the test");
    const auto ended = co_await second->expect<mqtt::Disconnect>();
    EXPECT_EQ(ended.reason, Reason::administrative_action);
  });
}

TEST(Mqtt5Session, stored_sessions_of_both_versions_receive_after_a_restart) {
  auto store = std::make_shared<MapStore>();
  MqttServer::Options options;
  options.sessions = store;
  with_broker(
      [](Broker&, Bench& bench) -> awaitable<void> {
        auto five = co_await bench.join(connect_v5("five", expiring(600)));
        auto wanted = subscribe_to("t", QoS::exactly_once);
        wanted.subscriptions[0].options.retain_as_published = true;
        co_await subscribe(*five, wanted);
        auto three = co_await bench.join(connect_as("three", false));
        co_await subscribe(*three, subscribe_to("t", QoS::at_least_once));
        auto short_lived = co_await bench.join(connect_v5("short", expiring(1)));
        co_await subscribe(*short_lived, subscribe_to("t", QoS::at_least_once));
      },
      options);
  ASSERT_EQ(store->kept.size(), 3u);
  EXPECT_TRUE(store->kept["five"].left_at);
  store->kept["short"].left_at = *store->kept["short"].left_at - 10s;
  with_broker(
      [](Broker&, Bench& bench) -> awaitable<void> {
        auto sender = co_await bench.join(connect_v5("sender"));
        const auto publish = retained(message("t", "while you were away", 1));
        co_await sender->send(publish);
        co_await sender->expect<mqtt::Puback>();
        auto five = co_await bench.join(connect_v5("five", expiring(600), false), true);
        const auto to_five = co_await five->expect<mqtt::Publish>();
        EXPECT_TRUE(to_five.retain);
        auto three = co_await bench.join(connect_as("three", false), true);
        const auto to_three = co_await three->expect<mqtt::Publish>();
        EXPECT_EQ(to_three.payload, "while you were away");
        co_await bench.join(connect_v5("short", expiring(1), false), false);
      },
      options);
}

mqtt::Connect with_will(mqtt::Connect connect, std::uint32_t delay) {
  Properties properties;
  properties.will_delay = delay;
  properties.content_type = "text/plain";
  connect.will = mqtt::Will{"will", "gone", QoS::at_least_once, false, share(properties)};
  return connect;
}

TEST(Mqtt5Will, it_waits_for_its_delay) {
  with_broker([](Broker& broker, Bench& bench) -> awaitable<void> {
    auto watcher = co_await bench.join(connect_v5("watcher"));
    co_await subscribe(*watcher, subscribe_to("will", QoS::at_most_once));
    const auto connect = with_will(connect_v5("a", expiring(60)), 20);
    auto peer = co_await bench.join(connect);
    peer->drop();
    co_await bench.policy.until_event("!a");
    broker.pass(19s);
    EXPECT_TRUE(bench.policy.received.empty());
    broker.pass(1s);
    const auto publish = co_await watcher->expect<mqtt::Publish>();
    EXPECT_EQ(publish.payload, "gone");
    EXPECT_TRUE(publish.properties && publish.properties->content_type == "text/plain");
    EXPECT_FALSE(publish.properties && publish.properties->will_delay);
  });
}

TEST(Mqtt5Will, it_is_not_published_if_the_client_is_back_in_time) {
  with_broker([](Broker& broker, Bench& bench) -> awaitable<void> {
    const auto connect = with_will(connect_v5("a", expiring(60)), 20);
    auto peer = co_await bench.join(connect);
    peer->drop();
    co_await bench.policy.until_event("!a");
    auto again = co_await bench.join(connect_v5("a", expiring(60), false), true);
    broker.pass(30s);
    EXPECT_TRUE(bench.policy.received.empty());
  });
}

TEST(Mqtt5Will, the_end_of_the_session_publishes_it_before_its_delay) {
  with_broker([](Broker& broker, Bench& bench) -> awaitable<void> {
    const auto connect = with_will(connect_v5("a", expiring(5)), 20);
    auto peer = co_await bench.join(connect);
    peer->drop();
    co_await bench.policy.until_event("!a");
    broker.pass(5s);
    EXPECT_EQ(bench.policy.received.size(), 1u);
    const auto fresh = with_will(connect_v5("b", expiring(60)), 20);
    auto other = co_await bench.join(fresh);
    other->drop();
    co_await bench.policy.until_event("!b");
    auto again = co_await bench.join(connect_v5("b"));  // a clean start ends the session
    EXPECT_EQ(bench.policy.received.size(), 2u);
  });
}

TEST(Mqtt5Will, disconnect_discards_it_unless_asked_to_leave_it) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    const auto connect = with_will(connect_v5("a"), 0);
    auto peer = co_await bench.join(connect);
    co_await peer->send(mqtt::Disconnect{});
    co_await bench.policy.until_event("-a");
    EXPECT_TRUE(bench.policy.received.empty());
    auto again = co_await bench.join(connect);
    const mqtt::Disconnect leaving{Reason::disconnect_with_will, {}};
    co_await again->send(leaving);
    co_await bench.policy.until_event("!a");
    EXPECT_EQ(bench.policy.received.size(), 1u);
  });
}

}  // namespace
}  // namespace nacelle::net
