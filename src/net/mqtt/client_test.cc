#include "net/mqtt/client.h"

#include "net/mqtt/scripted_peer_test.h"

namespace nacelle::net {
namespace {

using namespace test;
using mqtt::QoS;

/// A real server on a loopback port, a hand-driven policy, and what a client needs to reach it. One thread runs all of
/// it, so that nothing needs a lock.
struct ClientBench : Bench {
  explicit ClientBench(Executor on) : Bench(on) {
    options.client_id = "c";
    options.first_back_off = std::chrono::milliseconds{1};
    options.max_back_off = std::chrono::milliseconds{20};
    options.endpoint.port = *server->listen(Endpoint{}, nullptr);
  }

  std::unique_ptr<MqttClient> make(MqttClient::OnMessage on_message = {}) {
    return MqttClient::make(strand, options, std::move(on_message), [this](bool connected) {
      states.push_back(connected);
      policy.changed.notify();
    });
  }
  awaitable<std::unique_ptr<MqttClient>> started(MqttClient::OnMessage on_message = {}) {
    auto client = make(std::move(on_message));
    const auto result = co_await client->start(std::chrono::seconds{10});
    EXPECT_TRUE(result);
    co_return client;
  }

  MqttClientOptions options;
  std::vector<bool> states;
};

template <class Script>
void with_bench(Script script) {
  Runtime runtime(1);
  auto run = [](Script body) -> awaitable<void> {
    const Executor strand = co_await asio::this_coro::executor;
    ClientBench bench(strand);
    co_await body(bench);
    co_await bench.close();
  };
  runtime.block_on(run(script));
}

struct Outcomes {
  std::vector<std::pair<int, bool>> ended;  // number and success, in the order of the answers
  Wake changed;
  std::function<void(Result<>)> callback(int number) {
    return [this, number](const Result<>& result) {
      ended.emplace_back(number, result.has_value());
      changed.notify();
    };
  }
  awaitable<void> until(std::size_t count) {
    while (ended.size() < count) co_await changed.wait_for_good();
  }
};

TEST(MqttClient, publishes_arrive_in_order_and_are_answered_in_order) {
  with_bench([](ClientBench& bench) -> awaitable<void> {
    bench.options.max_in_flight = 7;
    auto client = co_await bench.started();
    Outcomes outcomes;
    for (int i = 0; i < 1000; ++i) client->publish("t", std::to_string(i), QoS::at_least_once, outcomes.callback(i));
    co_await outcomes.until(1000);
    EXPECT_EQ(bench.policy.received.size(), 1000u);
    for (int i = 0; i < 1000; ++i) {
      EXPECT_EQ(outcomes.ended[i], std::pair(i, true));
      EXPECT_EQ(bench.policy.received[i].payload, std::to_string(i));
    }
    EXPECT_EQ(client->waiting(), 0u);
    const auto zero = co_await client->publish("t", "zero", QoS::at_most_once);
    EXPECT_TRUE(zero);
    co_await client->close();
    co_await bench.policy.until_event("-c");
  });
}

TEST(MqttClient, the_window_bounds_what_is_in_flight) {
  with_bench([](ClientBench& bench) -> awaitable<void> {
    bench.options.max_in_flight = 3;
    bench.policy.answer_at_once = false;
    auto client = co_await bench.started();
    Outcomes outcomes;
    for (int i = 0; i < 5; ++i) client->publish("t", "x", QoS::at_least_once, outcomes.callback(i));
    co_await bench.policy.until_received(3);
    const auto zero = client->waiting();
    EXPECT_EQ(zero, 5u);
    bench.policy.received[0].done({});
    co_await bench.policy.until_received(4);
    EXPECT_EQ(outcomes.ended.size(), 1u);
    co_await client->close();
    EXPECT_EQ(outcomes.ended.size(), 5u);
    EXPECT_FALSE(outcomes.ended[4].second);
  });
}

TEST(MqttClient, what_was_not_acknowledged_is_sent_again_in_order) {
  with_bench([](ClientBench& bench) -> awaitable<void> {
    bench.policy.answer_at_once = false;
    auto client = co_await bench.started();
    Outcomes outcomes;
    for (int i = 0; i < 4; ++i) client->publish("t", std::to_string(i), QoS::at_least_once, outcomes.callback(i));
    co_await bench.policy.until_received(4);
    bench.policy.received[0].done({});
    co_await outcomes.until(1);
    bench.server->disconnect("c", "a test wants it so");
    co_await bench.policy.until_received(7);
    for (int i = 1; i < 4; ++i) EXPECT_EQ(bench.policy.received[i + 3].payload, std::to_string(i));
    EXPECT_EQ(client->reconnects(), 1u);
    for (int i = 4; i < 7; ++i) bench.policy.received[i].done({});
    co_await outcomes.until(4);
    const std::vector<std::pair<int, bool>> all{{0, true}, {1, true}, {2, true}, {3, true}};
    EXPECT_EQ(outcomes.ended, all);
    co_await client->close();
    EXPECT_EQ(bench.states, (std::vector<bool>{true, false, true, false}));
  });
}

TEST(MqttClient, refused_credentials_are_denied_and_end_the_start) {
  with_bench([](ClientBench& bench) -> awaitable<void> {
    bench.policy.verdict.code = mqtt::ConnectCode::not_authorized;
    auto client = bench.make();
    const auto result = co_await client->start(std::chrono::seconds{10});
    EXPECT_FALSE(result);
    if (!result) {
      EXPECT_EQ(result.error().fault, Fault::denied);
    }
    bench.policy.verdict.code = mqtt::ConnectCode::accepted;
    co_await client->close();
    EXPECT_TRUE(bench.states.empty());
  });
}

TEST(MqttClient, a_start_without_server_is_unavailable_and_may_go_on) {
  with_bench([](ClientBench& bench) -> awaitable<void> {
    const Endpoint at = bench.options.endpoint;
    co_await bench.server->close();
    auto once = bench.make();
    const auto failed = co_await once->start(std::chrono::milliseconds{20});
    EXPECT_FALSE(failed);
    if (!failed) {
      EXPECT_EQ(failed.error().fault, Fault::unavailable);
    }
    co_await once->close();
    auto client = bench.make();
    const auto late = co_await client->start(std::chrono::milliseconds{5}, true);
    EXPECT_FALSE(late);
    Outcomes outcomes;
    client->publish("t", "kept", QoS::at_least_once, outcomes.callback(0));
    bench.server = MqttServer::make(bench.strand, bench.policy, {});
    EXPECT_TRUE(bench.server->listen(at, nullptr));
    co_await outcomes.until(1);
    EXPECT_TRUE(outcomes.ended[0].second);
    co_await client->close();
  });
}

TEST(MqttClient, every_connection_asks_for_a_fresh_password) {
  with_bench([](ClientBench& bench) -> awaitable<void> {
    int asked = 0;
    bench.options.password = [&asked]() -> awaitable<Result<std::string>> {
      return [](int& n) -> awaitable<Result<std::string>> {
        ++n;
        co_return std::string("token");
      }(asked);
    };
    auto client = co_await bench.started();
    EXPECT_EQ(asked, 1);
    bench.server->disconnect("c", "a test wants it so");
    auto back = [&bench] { return bench.states.size() >= 3; };
    co_await bench.policy.until(back);
    EXPECT_EQ(asked, 2);
    co_await client->close();
  });
}

struct Inbox {
  std::vector<std::pair<std::string, std::function<void()>>> messages;
  Wake changed;
  MqttClient::OnMessage callback() {
    return [this](const mqtt::Publish& publish, std::function<void()> done) {
      messages.emplace_back(Bytes(publish.payload), std::move(done));
      changed.notify();
    };
  }
  awaitable<void> until(std::size_t count) {
    while (messages.size() < count) co_await changed.wait_for_good();
  }
};

TEST(MqttClient, deliveries_are_acknowledged_in_order_when_handled) {
  with_bench([](ClientBench& bench) -> awaitable<void> {
    Inbox inbox;
    auto client = co_await bench.started(inbox.callback());
    const auto granted = co_await client->subscribe("in/#", QoS::at_least_once);
    EXPECT_TRUE(granted);
    const auto refused = co_await client->subscribe("forbidden", QoS::at_least_once);
    EXPECT_FALSE(refused);
    Outcomes outcomes;
    for (int i = 0; i < 3; ++i) bench.server->deliver("c", "in/x", std::to_string(i), QoS::at_least_once, outcomes.callback(i));
    co_await inbox.until(3);
    inbox.messages[2].second();
    inbox.messages[0].second();
    co_await outcomes.until(1);
    inbox.messages[1].second();
    co_await outcomes.until(3);
    for (int i = 0; i < 3; ++i) EXPECT_EQ(outcomes.ended[i], std::pair(i, true));
    co_await client->close();
  });
}

TEST(MqttClient, subscriptions_are_made_again_when_the_session_is_lost) {
  with_bench([](ClientBench& bench) -> awaitable<void> {
    bench.options.clean_session = true;
    Inbox inbox;
    auto client = co_await bench.started(inbox.callback());
    const auto granted = co_await client->subscribe("in", QoS::at_most_once);
    EXPECT_TRUE(granted);
    bench.policy.events.clear();
    bench.server->disconnect("c", "a test wants it so");
    co_await bench.policy.until_event("subscribed in");
    Outcomes outcomes;
    bench.server->deliver("c", "in", "again", QoS::at_most_once, outcomes.callback(0));
    co_await inbox.until(1);
    EXPECT_EQ(inbox.messages[0].first, "again");
    co_await client->close();
  });
}

TEST(MqttClient, more_than_its_bound_is_refused) {
  with_bench([](ClientBench& bench) -> awaitable<void> {
    bench.options.max_waiting_bytes = 100;
    bench.policy.answer_at_once = false;
    auto client = co_await bench.started();
    Outcomes outcomes;
    client->publish("t", Bytes(80, 'x'), QoS::at_least_once, outcomes.callback(0));
    client->publish("t", Bytes(80, 'x'), QoS::at_least_once, outcomes.callback(1));
    EXPECT_EQ(outcomes.ended, (std::vector<std::pair<int, bool>>{{1, false}}));
    const auto bad_topic = co_await client->publish("a/#", "x", QoS::at_least_once);
    EXPECT_FALSE(bad_topic);
    co_await bench.policy.until_received(1);
    bench.policy.received[0].done({});
    co_await outcomes.until(2);
    EXPECT_EQ(client->waiting(), 0u);
    co_await client->close();
    const auto closed = co_await client->publish("t", "x", QoS::at_least_once);
    EXPECT_FALSE(closed);
  });
}

TEST(MqttClient, a_planned_reconnect_repeats_nothing) {
  with_bench([](ClientBench& bench) -> awaitable<void> {
    bench.options.reconnect_before_expiry = std::chrono::seconds{1};
    auto client = co_await bench.started();
    const auto sent = co_await client->publish("t", "x", QoS::at_least_once);
    EXPECT_TRUE(sent);
    auto back = [&bench] { return bench.states.size() >= 3; };
    co_await bench.policy.until(back);
    EXPECT_EQ(bench.policy.events, (std::vector<std::string>{"+c", "-c", "+c"}));
    EXPECT_EQ(bench.policy.received.size(), 1u);
    co_await client->close();
  });
}

TEST(MqttClient, a_peer_that_says_nothing_more_is_left) {
  with_bench([](ClientBench& bench) -> awaitable<void> {
    int connections = 0;
    auto mute = [&](StreamPtr stream) -> awaitable<void> {
      return [](ClientBench& b, int& count, StreamPtr s) -> awaitable<void> {
        Peer peer(std::move(s));
        co_await peer.expect<mqtt::Connect>();
        co_await peer.send(mqtt::Connack{});
        ++count;
        b.policy.changed.notify();
        while (co_await peer.next()) {}
      }(bench, connections, std::move(stream));
    };
    auto listener = Listener::listen(bench.strand, Endpoint{}, nullptr, mute);
    EXPECT_TRUE(listener);
    bench.options.endpoint.port = (*listener)->port();
    bench.options.keep_alive = std::chrono::seconds{1};
    auto client = co_await bench.started();
    auto twice = [&] { return connections >= 2; };
    co_await bench.policy.until(twice);
    co_await client->close();
    co_await (*listener)->close();
  });
}

}  // namespace
}  // namespace nacelle::net
