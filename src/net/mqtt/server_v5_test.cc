// What a server of MQTT 5 does beyond 3.1.1, with both versions as peers. Sections are those of MQTT Version 5.0.
#include "net/mqtt/scripted_peer_test.h"

namespace nacelle::net {
namespace {

using namespace test;
using namespace std::chrono_literals;
using mqtt::Properties;
using mqtt::QoS;
using mqtt::Reason;

struct Broker {
  Broker(Executor on, MqttServer::Options options) : bench(on, complete(std::move(options))) {
    bench.policy.verdict.max_qos = QoS::exactly_once;
    bench.policy.most = QoS::exactly_once;
    bench.policy.broadcast_by = bench.server.get();
    bench.policy.clock = &clock;
  }
  MqttServer::Options complete(MqttServer::Options options) {
    options.clock = &clock;
    options.broadcasts = [](std::string_view) { return true; };
    return options;
  }
  void pass(std::chrono::seconds time) {
    clock.advance(time);
    bench.server->sweep();
  }

  ManualClock clock;
  Bench bench;
};

template <class Script>
void with_broker(Script script, MqttServer::Options options = {}) {
  Runtime runtime(2);
  auto run = [](Script body, MqttServer::Options o) -> awaitable<void> {
    const Executor strand = co_await asio::this_coro::executor;
    Broker broker(strand, std::move(o));
    co_await body(broker, broker.bench);
    co_await broker.bench.close();
    EXPECT_EQ(broker.bench.server->connections(), 0u);
  };
  runtime.block_on(run(script, std::move(options)));
}

mqtt::PropertiesPtr share(Properties properties) { return std::make_shared<const Properties>(std::move(properties)); }

mqtt::Connect connect_v5(std::string id, Properties properties = {}, bool clean_start = true) {
  auto connect = connect_as(std::move(id), clean_start);
  connect.protocol_level = 5;
  connect.properties = share(std::move(properties));
  return connect;
}
Properties expiring(std::uint32_t seconds) {
  Properties properties;
  properties.session_expiry = seconds;
  return properties;
}
mqtt::Publish with_qos(mqtt::Publish publish, QoS qos) {
  publish.qos = qos;
  return publish;
}
mqtt::Publish with(mqtt::Publish publish, Properties properties) {
  publish.properties = share(std::move(properties));
  return publish;
}
mqtt::Publish retained(mqtt::Publish publish) {
  publish.retain = true;
  return publish;
}

/// Subscribes and waits for the answer.
awaitable<std::vector<std::uint8_t>> subscribe(Peer& peer, mqtt::Subscribe wanted) {
  co_await peer.send(wanted);
  const auto suback = co_await peer.expect<mqtt::Suback>();
  co_return suback.codes;
}

/// Sends `wire` as client `bad` after CONNACK; the reason of the DISCONNECT that ends it.
awaitable<Reason> reason_for(Bench& bench, mqtt::Connect connect, Bytes wire) {
  auto bad = co_await bench.join(connect);
  co_await bad->send_raw(wire);
  const auto farewell = co_await bad->expect<mqtt::Disconnect>();
  const bool ended = co_await bad->ends();
  EXPECT_TRUE(ended);
  co_return farewell.reason;
}

template <class P>
Bytes encoded(const P& packet) {
  Bytes bytes;
  mqtt::encode(bytes, packet, mqtt::Version::v5);
  return bytes;
}

TEST(Mqtt5Server, connack_says_what_the_server_keeps_to) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    auto peer = bench.dial();
    peer->speak_v5();
    const auto connect = connect_v5("");
    co_await peer->send(connect);
    const auto connack = co_await peer->expect<mqtt::Connack>();
    EXPECT_EQ(connack.reason, Reason::success);
    if (!connack.properties) co_return;
    const Properties& terms = *connack.properties;
    EXPECT_TRUE(terms.assigned_client_id && terms.assigned_client_id->starts_with("auto-"));
    EXPECT_EQ(terms.server_keep_alive, 1178);  // the client asked for none; 1767 s is one and a half times that
    EXPECT_EQ(terms.receive_maximum, MqttLimits{}.receive_maximum);
    EXPECT_EQ(terms.topic_alias_maximum, MqttLimits{}.topic_alias_maximum);
    EXPECT_EQ(terms.maximum_packet_size, MqttLimits{}.max_packet_bytes);
    EXPECT_FALSE(terms.maximum_qos);
    bench.policy.verdict.max_qos = QoS::at_least_once;
    auto other = bench.dial();
    other->speak_v5();
    auto named = connect_v5("b");
    named.keep_alive_seconds = 60;
    co_await other->send(named);
    const auto second = co_await other->expect<mqtt::Connack>();
    if (!second.properties) co_return;
    EXPECT_EQ(second.properties->maximum_qos, 1);
    EXPECT_FALSE(second.properties->assigned_client_id);
    EXPECT_FALSE(second.properties->server_keep_alive);
  });
}

awaitable<Reason> knock(Bench& bench, Bytes connect) {
  auto peer = bench.dial();
  peer->speak_v5();
  co_await peer->send_raw(connect);
  const auto connack = co_await peer->expect<mqtt::Connack>();
  const bool ended = co_await peer->ends();
  EXPECT_TRUE(ended);
  co_return connack.reason;
}

TEST(Mqtt5Server, a_connect_that_is_refused_gets_its_reason) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    Bytes reserved_flag = encoded(connect_v5("a"));
    reserved_flag[9] = static_cast<char>(reserved_flag[9] | 1);
    const auto malformed = co_await knock(bench, reserved_flag);
    EXPECT_EQ(malformed, Reason::malformed_packet);
    Properties with_method;
    with_method.authentication_method = "SCRAM";
    const Bytes method = encoded(connect_v5("a", with_method));
    const auto authentication = co_await knock(bench, method);
    EXPECT_EQ(authentication, Reason::bad_authentication_method);
    Bytes no_receive =
        encoded(connect_v5("a", expiring(0x21'00'00'00)));  // session expiry 0x21..: made a receive maximum of 0 below
    no_receive[12] = '\3';
    no_receive[13] = '\x21';
    no_receive.replace(14, 4, Bytes("\0\0", 2));
    no_receive[1] = static_cast<char>(no_receive[1] - 2);
    const auto protocol = co_await knock(bench, no_receive);
    EXPECT_EQ(protocol, Reason::protocol_error);
    const std::pair<mqtt::ConnectCode, Reason> codes[] = {
        {mqtt::ConnectCode::identifier_rejected, Reason::client_identifier_not_valid},
        {mqtt::ConnectCode::server_unavailable, Reason::server_unavailable},
        {mqtt::ConnectCode::bad_user_name, Reason::bad_user_name_or_password},
        {mqtt::ConnectCode::not_authorized, Reason::not_authorized}};
    const Bytes good = encoded(connect_v5("a"));
    for (const auto& [code, reason] : codes) {
      bench.policy.verdict.code = code;
      const auto found = co_await knock(bench, good);
      EXPECT_EQ(found, reason);
    }
    bench.policy.verdict.code = mqtt::ConnectCode::accepted;
    bench.policy.verdict.max_qos = QoS::at_least_once;
    auto wills = connect_v5("a");
    wills.will = mqtt::Will{"w", "x", QoS::exactly_once, false, {}};
    const Bytes will = encoded(wills);
    const auto qos = co_await knock(bench, will);
    EXPECT_EQ(qos, Reason::qos_not_supported);
    EXPECT_TRUE(bench.policy.events.empty());
  });
}

TEST(Mqtt5Server, every_violation_gets_its_reason_and_closes_only_its_connection) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    auto good = co_await bench.join(connect_v5("good"));
    Properties alias, unknown_alias, high_alias, id, text;
    unknown_alias.topic_alias = 1;
    high_alias.topic_alias = 33;
    id.subscription_ids = {1};
    text.payload_format = 1;
    const std::pair<Bytes, Reason> cases[] = {
        {encoded(connect_v5("again")), Reason::protocol_error},
        {encoded(mqtt::Connack{}), Reason::protocol_error},
        {encoded(mqtt::Suback{1, {0}, {}}), Reason::protocol_error},
        {encoded(mqtt::Auth{}), Reason::protocol_error},
        {encoded(with(message("", "x", 0), unknown_alias)), Reason::protocol_error},
        {encoded(with(message("t", "x", 0), high_alias)), Reason::topic_alias_invalid},
        {encoded(with(message("t", "x", 1), id)), Reason::protocol_error},
        {encoded(with(message("t", "\xff", 1), text)), Reason::payload_format_invalid},
        {Bytes(BytesView("\x36\x06\x00\x01t\x00\x01\x00", 8)), Reason::malformed_packet},  // QoS 3
        {Bytes(BytesView("\x32\x06\x00\x01t\x00\x00\x00", 8)), Reason::protocol_error},    // packet id 0
        {Bytes(BytesView("\x30\x03\x00\x00\x00", 5)), Reason::protocol_error},             // neither topic nor alias
        {Bytes(BytesView("\x30\xff\xff\xff\x7f", 5)), Reason::packet_too_large},
        {Bytes(BytesView("\x30\xff\xff\xff\xff\x7f", 6)), Reason::malformed_packet},
        {Bytes(BytesView("\xc1\x00", 2)), Reason::malformed_packet},
        {Bytes(BytesView("\x00\x00", 2)), Reason::malformed_packet},
        {Bytes(BytesView("\x82\x03\x00\x01\x00", 5)), Reason::protocol_error},  // SUBSCRIBE for nothing
    };
    for (const auto& [wire, reason] : cases) {
      const auto connect = connect_v5("bad");
      const auto found = co_await reason_for(bench, connect, wire);
      EXPECT_EQ(found, reason) << "case " << (&wire - &cases[0].first) << ": " << mqtt::reason_name(found);
    }
    bench.policy.verdict.max_qos = QoS::at_least_once;
    const Bytes twice = encoded(with_qos(message("t", "x", 1), QoS::exactly_once));
    const auto connect = connect_v5("bad");
    const auto qos = co_await reason_for(bench, connect, twice);
    EXPECT_EQ(qos, Reason::qos_not_supported);
    EXPECT_TRUE(bench.policy.received.empty());
    co_await good->send(mqtt::Pingreq{});
    co_await good->expect<mqtt::Pingresp>();
  });
}

TEST(Mqtt5Server, a_refused_publish_is_answered_and_the_connection_goes_on) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_v5("a"));
    co_await peer->send(message("denied", "x", 1));
    const auto puback = co_await peer->expect<mqtt::Puback>();
    EXPECT_EQ(puback.reason, Reason::not_authorized);
    EXPECT_TRUE(puback.properties && puback.properties->reason_string == "not this topic");
    const auto twice = with_qos(message("denied", "x", 2), QoS::exactly_once);
    co_await peer->send(twice);
    const auto pubrec = co_await peer->expect<mqtt::Pubrec>();
    EXPECT_EQ(pubrec.reason, Reason::not_authorized);
    bench.policy.answer_at_once = false;
    co_await peer->send(message("t", "x", 3));
    co_await bench.policy.until_received(3);
    bench.policy.received[2].done(fail(Fault::exhausted, "disk full"));
    const auto full = co_await peer->expect<mqtt::Puback>();
    EXPECT_EQ(full.reason, Reason::quota_exceeded);
    co_await peer->send(message("denied", "x", 0));  // nothing to answer with
    const auto farewell = co_await peer->expect<mqtt::Disconnect>();
    EXPECT_EQ(farewell.reason, Reason::not_authorized);
  });
}

TEST(Mqtt5Server, reason_strings_stay_away_from_who_does_not_want_them) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    Properties quiet;
    quiet.request_problem_information = 0;
    auto peer = co_await bench.join(connect_v5("a", quiet));
    co_await peer->send(message("denied", "x", 1));
    const auto puback = co_await peer->expect<mqtt::Puback>();
    EXPECT_EQ(puback.reason, Reason::not_authorized);
    EXPECT_FALSE(puback.properties);
  });
}

TEST(Mqtt5Server, more_than_the_receive_maximum_ends_the_connection) {
  MqttServer::Options options;
  options.limits.receive_maximum = 2;
  with_broker(
      [](Broker&, Bench& bench) -> awaitable<void> {
        bench.policy.answer_at_once = false;
        auto peer = co_await bench.join(connect_v5("a"));
        for (mqtt::PacketId id : {1, 2}) co_await peer->send(message("t", "x", id));
        co_await peer->send(message("t", "x", 0));  // does not count
        co_await peer->send(message("t", "x", 3));
        const auto farewell = co_await peer->expect<mqtt::Disconnect>();
        EXPECT_EQ(farewell.reason, Reason::receive_maximum_exceeded);
        // Acknowledged ones do not count either.
        bench.policy.answer_at_once = true;
        auto patient = co_await bench.join(connect_v5("b"));
        for (mqtt::PacketId id : {1, 2, 3, 4}) {
          co_await patient->send(message("t", "x", id));
          co_await patient->expect<mqtt::Puback>();
        }
      },
      options);
}

TEST(Mqtt5Server, topic_aliases_of_the_client_stand_for_their_topics) {
  with_broker([](Broker&, Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_v5("a"));
    Properties alias;
    alias.topic_alias = 7;
    const auto first = with(message("long/topic", "1", 1), alias);
    const auto second = with(message("", "2", 2), alias);
    const auto third = with(message("another", "3", 3), alias);
    co_await peer->send(first);
    co_await peer->send(second);
    co_await peer->send(third);
    co_await peer->send(second);
    co_await bench.policy.until_received(4);
    const auto& received = bench.policy.received;
    EXPECT_EQ(received[0].topic, "long/topic");
    EXPECT_EQ(received[1].topic, "long/topic");
    EXPECT_EQ(received[2].topic, "another");
    EXPECT_EQ(received[3].topic, "another");
  });
}

// QoS 2.

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

// Publishing to subscribers.

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

// Sessions and wills.

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

TEST(Mqtt5Server, silence_and_ended_credentials_are_told_apart) {
  with_broker([](Broker& broker, Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_v5("a"));
    co_await sleep_for({});
    bench.deadline->expire();
    const auto silent = co_await peer->expect<mqtt::Disconnect>();
    EXPECT_EQ(silent.reason, Reason::keep_alive_timeout);
    bench.policy.verdict.expires_at = broker.clock.now() + 10s;
    auto other = co_await bench.join(connect_v5("b"));
    co_await sleep_for({});
    broker.clock.advance(10s);
    bench.deadline->expire();
    const auto ended = co_await other->expect<mqtt::Disconnect>();
    EXPECT_EQ(ended.reason, Reason::maximum_connect_time);
  });
}

}  // namespace
}  // namespace nacelle::net
