// What a server of MQTT 5 does beyond 3.1.1. Sections are those of MQTT Version 5.0.
#include "net/mqtt/scripted_broker_test.h"

namespace nacelle::net {
namespace {

using namespace test;
using namespace std::chrono_literals;
using mqtt::Properties;
using mqtt::QoS;
using mqtt::Reason;

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
