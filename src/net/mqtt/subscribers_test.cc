// What reaches subscribers, with both versions as peers. Sections are those of MQTT Version 5.0.
#include "net/mqtt/scripted_broker_test.h"

namespace nacelle::net {
namespace {

using namespace test;
using namespace std::chrono_literals;
using mqtt::Properties;
using mqtt::QoS;
using mqtt::Reason;

TEST(MqttBroker, a_message_reaches_every_subscriber_once_with_the_highest_qos_and_every_identifier) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    auto five = co_await bench.join(connect_v5("five"));
    auto wide = subscribe_to("a/#", QoS::at_most_once);
    wide.properties = share([] {
      Properties id;
      id.subscription_ids = {11};
      return id;
    }());
    auto exact = subscribe_to("a/+", QoS::at_least_once);
    exact.properties = share([] {
      Properties id;
      id.subscription_ids = {22};
      return id;
    }());
    co_await subscribe(*five, wide);
    co_await subscribe(*five, exact);
    auto three = co_await bench.join(connect_as("three"));
    co_await subscribe(*three, subscribe_to("+/b", QoS::exactly_once));
    auto sender = co_await bench.join(connect_v5("sender"));
    Properties request;
    request.response_topic = "answers/1";
    request.correlation_data = "c";
    request.content_type = "text/plain";
    request.user = {{"k", "1"}, {"k", "2"}};
    const auto publish = with(message("a/b", "hello", 1), request);
    co_await sender->send(publish);
    co_await sender->expect<mqtt::Puback>();
    const auto to_five = co_await five->expect<mqtt::Publish>();
    EXPECT_EQ(to_five.topic, "a/b");
    EXPECT_EQ(to_five.qos, QoS::at_least_once);
    Properties expected = request;
    expected.subscription_ids = {11, 22};
    EXPECT_TRUE(to_five.properties && *to_five.properties == expected);
    const auto to_three = co_await three->expect<mqtt::Publish>();
    EXPECT_EQ(to_three.payload, "hello");
    EXPECT_EQ(to_three.qos, QoS::at_least_once);
    co_await five->send(mqtt::Pingreq{});
    co_await five->expect<mqtt::Pingresp>();  // once
  });
}

TEST(MqttBroker, no_local_and_retain_as_published_are_kept) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_v5("a"));
    auto wanted = subscribe_to("quiet", QoS::at_most_once);
    wanted.subscriptions[0].options.no_local = true;
    wanted.subscriptions.push_back({"loud", QoS::at_most_once, {}});
    wanted.subscriptions.push_back({"kept", QoS::at_most_once, {false, true, mqtt::RetainHandling::send, 0}});
    co_await subscribe(*peer, wanted);
    co_await peer->send(message("quiet", "1", 0));
    const auto loud = retained(message("loud", "2", 0));
    co_await peer->send(loud);
    const auto kept = retained(message("kept", "3", 0));
    co_await peer->send(kept);
    const auto first = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(first.payload, "2");
    EXPECT_FALSE(first.retain);
    const auto second = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(second.payload, "3");
    EXPECT_TRUE(second.retain);
  });
}

TEST(MqttBroker, retained_messages_come_as_the_subscription_asks) {
  with_broker([](Broker& broker, Bench& bench) -> awaitable<void> {
    auto sender = co_await bench.join(connect_v5("sender"));
    Properties short_lived;
    short_lived.message_expiry = 10;
    for (const auto& publish :
         {retained(message("r/1", "one", 1)), retained(message("r/2", "two", 1)), retained(message("r", "root", 1)),
          with(retained(message("r/old", "old", 1)), short_lived), retained(message("r/2", "", 1))}) {
      co_await sender->send(publish);
      co_await sender->expect<mqtt::Puback>();
    }
    EXPECT_EQ(bench.server->retained(), 3u);
    broker.pass(4s);
    auto peer = co_await bench.join(connect_v5("a"));
    auto wanted = subscribe_to("r/#", QoS::at_most_once);
    wanted.subscriptions[0].options.retain_handling = mqtt::RetainHandling::send_if_new;
    co_await subscribe(*peer, wanted);
    for (const char* payload : {"root", "one", "old"}) {
      const auto publish = co_await peer->expect<mqtt::Publish>();
      EXPECT_EQ(publish.payload, payload);
      EXPECT_TRUE(publish.retain);
      if (publish.payload == "old") {
        EXPECT_TRUE(publish.properties && publish.properties->message_expiry == 6u);
      }
    }
    co_await subscribe(*peer, wanted);  // not new any more: nothing
    wanted.subscriptions[0].options.retain_handling = mqtt::RetainHandling::do_not_send;
    wanted.subscriptions[0].filter = "+/1";
    co_await subscribe(*peer, wanted);
    wanted.subscriptions[0].options.retain_handling = mqtt::RetainHandling::send;
    broker.pass(6s);
    wanted.subscriptions[0].filter = "r/+";
    co_await subscribe(*peer, wanted);
    const auto left = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(left.payload, "one");
    co_await peer->send(mqtt::Pingreq{});
    co_await peer->expect<mqtt::Pingresp>();
    EXPECT_EQ(bench.server->retained(), 2u);
  });
}

TEST(MqttBroker, shared_subscriptions_take_turns_and_prefer_who_is_there) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    auto one = co_await bench.join(connect_v5("one", expiring(60)));
    auto two = co_await bench.join(connect_v5("two", expiring(60)));
    auto other = co_await bench.join(connect_as("other"));
    co_await subscribe(*one, subscribe_to("$share/g/t/#", QoS::at_least_once));
    co_await subscribe(*two, subscribe_to("$share/g/t/#", QoS::at_least_once));
    co_await subscribe(*other, subscribe_to("$share/h/t/#", QoS::at_most_once));
    auto sender = co_await bench.join(connect_as("sender"));
    for (const char* payload : {"1", "2", "3", "4"}) co_await sender->send(message("t/x", payload, 0));
    for (const char* payload : {"1", "3"}) {
      const auto publish = co_await one->expect<mqtt::Publish>();
      EXPECT_EQ(publish.payload, payload);
    }
    for (const char* payload : {"2", "4"}) {
      const auto publish = co_await two->expect<mqtt::Publish>();
      EXPECT_EQ(publish.payload, payload);
    }
    two->drop();
    co_await bench.policy.until_event("!two");
    for (const char* payload : {"5", "6"}) co_await sender->send(message("t/x", payload, 0));
    for (const char* payload : {"5", "6"}) {
      const auto publish = co_await one->expect<mqtt::Publish>();
      EXPECT_EQ(publish.payload, payload);
    }
    for (const char* payload : {"1", "2", "3", "4", "5", "6"}) {
      const auto publish = co_await other->expect<mqtt::Publish>();
      EXPECT_EQ(publish.payload, payload);
    }
  });
}

TEST(MqttBroker, unsubscribing_ends_it_and_says_what_was_there) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_v5("a"));
    co_await subscribe(*peer, subscribe_to("t", QoS::at_most_once));
    mqtt::Unsubscribe gone{5, {"t", "never"}, {}};
    co_await peer->send(gone);
    const auto unsuback = co_await peer->expect<mqtt::Unsuback>();
    EXPECT_EQ(unsuback.codes, (std::vector<Reason>{Reason::success, Reason::no_subscription_existed}));
    co_await peer->send(message("t", "x", 0));
    co_await peer->send(mqtt::Pingreq{});
    co_await peer->expect<mqtt::Pingresp>();
  });
}

TEST(MqttBroker, filters_that_cannot_be_are_refused_with_their_reason) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_v5("a"));
    auto wanted = subscribe_to("forbidden", QoS::at_most_once);
    std::string deep = "a";
    for (int i = 0; i < 200; ++i) deep += "/a";
    wanted.subscriptions.push_back({deep, QoS::at_most_once, {}});
    wanted.subscriptions.push_back({"fine", QoS::at_least_once, {}});
    const auto codes = co_await subscribe(*peer, wanted);
    EXPECT_EQ(codes, (std::vector<std::uint8_t>{0x87, 0x8f, 1}));
    auto old = co_await bench.join(connect_as("b"));
    auto shared = subscribe_to("$share/g", QoS::at_most_once);
    const auto refused = co_await subscribe(*old, shared);
    EXPECT_EQ(refused, (std::vector<std::uint8_t>{0x80}));
    co_await old->send(message(deep, "x", 0));  // a deep topic is walked no deeper than the filters go
    co_await old->send(mqtt::Pingreq{});
    co_await old->expect<mqtt::Pingresp>();
  });
}

TEST(MqttBroker, messages_wait_for_a_client_that_is_away) {
  with_broker([](Broker& broker, Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_v5("a", expiring(60)));
    co_await subscribe(*peer, subscribe_to("t", QoS::at_least_once));
    peer->drop();
    co_await bench.policy.until_event("!a");
    auto sender = co_await bench.join(connect_v5("b"));
    Properties short_lived;
    short_lived.message_expiry = 5;
    const auto expires = with(message("t", "expires", 4), short_lived);
    for (const auto& publish : {message("t", "1", 1), message("t", "2", 2), message("t", "not kept", 0), expires})
      co_await sender->send(publish);
    for (int i = 0; i < 3; ++i) co_await sender->expect<mqtt::Puback>();
    broker.pass(20s);
    auto again = co_await bench.join(connect_v5("a", expiring(60), false), true);
    for (const char* payload : {"1", "2"}) {
      const auto publish = co_await again->expect<mqtt::Publish>();
      EXPECT_EQ(publish.payload, payload);
      EXPECT_FALSE(publish.duplicate);
    }
    co_await again->send(mqtt::Pingreq{});
    co_await again->expect<mqtt::Pingresp>();
  });
}

TEST(MqttBroker, the_clients_receive_maximum_and_packet_size_are_kept) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    Properties small;
    small.receive_maximum = 2;
    small.maximum_packet_size = 100;
    auto peer = co_await bench.join(connect_v5("a", small));
    co_await subscribe(*peer, subscribe_to("t", QoS::exactly_once));
    auto sender = co_await bench.join(connect_as("b"));
    const Bytes large(100, 'x');
    co_await sender->send(message("t", large, 0));
    for (mqtt::PacketId id : {1, 2, 3, 4}) {
      const auto publish =
          with_qos(message("t", std::string_view("1234").substr(id - 1u, 1), id), id == 1 ? QoS::exactly_once : QoS::at_least_once);
      co_await sender->send(publish);
    }
    const auto one = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(one.payload, "1");
    const auto first = one.packet_id;
    const auto two = co_await peer->expect<mqtt::Publish>();
    const auto second = two.packet_id;
    co_await peer->send(mqtt::Pubrec{first});
    co_await peer->expect<mqtt::Pubrel>();  // a QoS 2 message counts until PUBCOMP
    co_await peer->send(mqtt::Pingreq{});
    co_await peer->expect<mqtt::Pingresp>();
    co_await peer->send(mqtt::Puback{second});
    const auto three = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(three.payload, "3");
    co_await peer->send(mqtt::Pubcomp{first});
    const auto four = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(four.payload, "4");
  });
}

TEST(MqttBroker, the_server_uses_the_aliases_it_was_given) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    Properties aliases;
    aliases.topic_alias_maximum = 1;
    auto peer = co_await bench.join(connect_v5("a", aliases));
    co_await subscribe(*peer, subscribe_to("#", QoS::at_most_once));
    for (const char* topic : {"a/long/topic", "a/long/topic", "another/topic"}) co_await peer->send(message(topic, "x", 0));
    const auto first = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(first.topic, "a/long/topic");
    EXPECT_TRUE(first.properties && first.properties->topic_alias == 1);
    const auto second = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(second.topic, "");
    EXPECT_TRUE(second.properties && second.properties->topic_alias == 1);
    const auto third = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(third.topic, "another/topic");
    EXPECT_FALSE(third.properties);
  });
}

}  // namespace
}  // namespace nacelle::net
