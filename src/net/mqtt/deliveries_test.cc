// What a server sends to clients: subscriptions, deliveries until they are acknowledged, sessions that are kept.
#include "net/mqtt/scripted_peer_test.h"

#include <deque>

namespace nacelle::net {
namespace {

using namespace test;
using mqtt::QoS;

TEST(MqttDeliveries, subscriptions_are_granted_refused_and_ended) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_as("a"));
    mqtt::Subscribe subscribe = subscribe_to("t/#", QoS::exactly_once, 9);
    subscribe.subscriptions.push_back({"forbidden", QoS::at_most_once});
    co_await peer->send(subscribe);
    const auto suback = co_await peer->expect<mqtt::Suback>();
    EXPECT_EQ(suback.packet_id, 9);
    EXPECT_EQ(suback.codes, (std::vector<std::uint8_t>{1, 0x80}));
    EXPECT_TRUE(bench.server->subscribed("a", "t/1"));
    EXPECT_FALSE(bench.server->subscribed("a", "forbidden"));
    mqtt::Unsubscribe unsubscribe;
    unsubscribe.packet_id = 10;
    unsubscribe.filters = {"t/#"};
    co_await peer->send(unsubscribe);
    const auto unsuback = co_await peer->expect<mqtt::Unsuback>();
    EXPECT_EQ(unsuback.packet_id, 10);
    EXPECT_FALSE(bench.server->subscribed("a", "t/1"));
  });
}

/// What `done` of a delivery was called with, once it was.
struct Outcome {
  std::optional<Result<>> result;
  Wake changed;
  MqttServer::Delivered callback() {
    return [this](Result<> r) {
      EXPECT_FALSE(result) << "done was called twice";
      result = std::move(r);
      changed.notify();
    };
  }
  awaitable<bool> ok() {
    while (!result) co_await changed.wait_for_good();
    co_return result->has_value();
  }
  bool failed_with(Fault fault) const { return result && !*result && result->error().fault == fault; }
};

TEST(MqttDeliveries, a_delivery_is_done_when_acknowledged) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_as("a"));
    co_await peer->send(subscribe_to("q1/#", QoS::at_least_once));
    co_await peer->expect<mqtt::Suback>();
    co_await peer->send(subscribe_to("q0/#", QoS::at_most_once));
    co_await peer->expect<mqtt::Suback>();
    Outcome one;
    bench.server->deliver("a", "q1/x", "hello", QoS::at_least_once, one.callback());
    const auto publish = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(publish.payload, "hello");
    EXPECT_EQ(publish.qos, QoS::at_least_once);
    EXPECT_FALSE(publish.duplicate);
    EXPECT_FALSE(one.result);
    co_await peer->send(mqtt::Puback{publish.packet_id});
    const bool acknowledged = co_await one.ok();
    EXPECT_TRUE(acknowledged);
    Outcome zero;
    bench.server->deliver("a", "q0/x", "fast", QoS::at_least_once, zero.callback());
    const auto lower = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(lower.qos, QoS::at_most_once);
    const bool written = co_await zero.ok();
    EXPECT_TRUE(written);
    Outcome elsewhere;
    bench.server->deliver("a", "other", "x", QoS::at_least_once, elsewhere.callback());
    const bool delivered = co_await elsewhere.ok();
    EXPECT_FALSE(delivered);
    EXPECT_TRUE(elsewhere.failed_with(Fault::unavailable));
    Outcome nobody;
    bench.server->deliver("b", "q1/x", "x", QoS::at_least_once, nobody.callback());
    EXPECT_TRUE(nobody.failed_with(Fault::unavailable));
  });
}

TEST(MqttDeliveries, deliveries_are_bounded) {
  MqttLimits limits;
  limits.max_deliveries = 2;
  limits.max_outbound_bytes = 1000;
  with_bench(
      [](Bench& bench) -> awaitable<void> {
        auto peer = co_await bench.join(connect_as("a"));
        co_await peer->send(subscribe_to("#", QoS::at_least_once));
        co_await peer->expect<mqtt::Suback>();
        Outcome kept[2];
        for (auto& outcome : kept) {
          bench.server->deliver("a", "t", "x", QoS::at_least_once, outcome.callback());
          co_await peer->expect<mqtt::Publish>();
        }
        Outcome third;
        bench.server->deliver("a", "t", "x", QoS::at_least_once, third.callback());
        co_await third.ok();
        EXPECT_TRUE(third.failed_with(Fault::exhausted));
        Outcome large;
        bench.server->deliver("a", "t", Bytes(2000, 'x'), QoS::at_most_once, large.callback());
        EXPECT_TRUE(large.failed_with(Fault::exhausted));
        peer->drop();
        for (auto& outcome : kept) {
          co_await outcome.ok();
          EXPECT_TRUE(outcome.failed_with(Fault::unavailable));
        }
      },
      with_limits(limits));
}

TEST(MqttDeliveries, a_client_that_does_not_read_is_refused_more) {
  MqttLimits limits;
  limits.max_outbound_bytes = 10'000;
  with_bench(
      [](Bench& bench) -> awaitable<void> {
        auto peer = co_await bench.join(connect_as("a"));
        co_await peer->send(subscribe_to("#", QoS::at_most_once));
        co_await peer->expect<mqtt::Suback>();
        std::deque<Outcome> outcomes;
        while (outcomes.empty() || !outcomes.back().failed_with(Fault::exhausted)) {
          EXPECT_LT(outcomes.size(), 200u);
          if (outcomes.size() >= 200) break;
          bench.server->deliver("a", "t", Bytes(1000, 'x'), QoS::at_most_once, outcomes.emplace_back().callback());
          co_await sleep_for({});
        }
        peer->drop();
        for (auto& outcome : outcomes) co_await outcome.ok();
      },
      with_limits(limits));
}

TEST(MqttDeliveries, an_unacknowledged_delivery_is_sent_again_to_a_kept_session) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_as("a", false));
    co_await peer->send(subscribe_to("#", QoS::at_least_once));
    co_await peer->expect<mqtt::Suback>();
    Outcome first, second;
    bench.server->deliver("a", "t/1", "one", QoS::at_least_once, first.callback());
    bench.server->deliver("a", "t/2", "two", QoS::at_least_once, second.callback());
    const auto sent = co_await peer->expect<mqtt::Publish>();
    const auto id = sent.packet_id;
    peer->drop();
    co_await bench.policy.until_event("!a");
    EXPECT_FALSE(bench.server->connected("a"));
    auto again = co_await bench.join(connect_as("a", false), true);
    const auto resent = co_await again->expect<mqtt::Publish>();
    EXPECT_EQ(resent.payload, "one");
    EXPECT_EQ(resent.packet_id, id);
    EXPECT_TRUE(resent.duplicate);
    EXPECT_FALSE(first.result);
    co_await again->send(mqtt::Puback{id});
    const bool acknowledged = co_await first.ok();
    EXPECT_TRUE(acknowledged);
    co_await again->expect<mqtt::Publish>();
    auto clean = co_await bench.join(connect_as("a", true), false);
    const bool kept = co_await second.ok();
    EXPECT_FALSE(kept);
  });
}

TEST(MqttDeliveries, a_kept_session_needs_no_second_subscribe_and_a_clean_one_forgets) {
  with_bench([](Bench& bench) -> awaitable<void> {
    {
      auto peer = co_await bench.join(connect_as("a", false), false);
      co_await peer->send(subscribe_to("t", QoS::at_least_once));
      co_await peer->expect<mqtt::Suback>();
      co_await peer->send(mqtt::Disconnect{});
      const bool ended = co_await peer->ends();
      EXPECT_TRUE(ended);
      co_await bench.policy.until_event("-a");
    }
    auto again = co_await bench.join(connect_as("a", false), true);
    EXPECT_TRUE(bench.server->subscribed("a", "t"));
    auto clean = co_await bench.join(connect_as("a", true), false);
    EXPECT_FALSE(bench.server->subscribed("a", "t"));
    auto fresh = co_await bench.join(connect_as("a", false), false);
    EXPECT_FALSE(bench.server->subscribed("a", "t"));
    bench.server->forget("a");
    const bool closed = co_await fresh->ends();
    EXPECT_TRUE(closed);
    auto forgotten = co_await bench.join(connect_as("a", false), false);
  });
}

TEST(MqttDeliveries, stored_sessions_survive_the_server) {
  auto store = std::make_shared<MapStore>();
  MqttServer::Options options;
  options.sessions = store;
  with_bench(
      [](Bench& bench) -> awaitable<void> {
        auto peer = co_await bench.join(connect_as("a", false), false);
        co_await peer->send(subscribe_to("t", QoS::at_least_once));
        co_await peer->expect<mqtt::Suback>();
        auto unlucky = co_await bench.join(connect_as("unlucky", false), false);
        co_await unlucky->send(subscribe_to("t", QoS::at_least_once));
        const auto suback = co_await unlucky->expect<mqtt::Suback>();
        EXPECT_EQ(suback.codes, (std::vector<std::uint8_t>{0x80}));
      },
      options);
  with_bench(
      [](Bench& bench) -> awaitable<void> {
        auto peer = co_await bench.join(connect_as("a", false), true);
        EXPECT_TRUE(bench.server->subscribed("a", "t"));
        auto clean = co_await bench.join(connect_as("a", true), false);
      },
      options);
  EXPECT_FALSE(store->kept.contains("a"));
}

}  // namespace
}  // namespace nacelle::net
