#include "net/mqtt/scripted_peer_test.h"

namespace nacelle::net {
namespace {

using namespace test;
using mqtt::ConnectCode;
using mqtt::QoS;

awaitable<ConnectCode> knock(Bench& bench, Bytes connect) {
  auto peer = bench.dial();
  co_await peer->send_raw(std::move(connect));
  const auto connack = co_await peer->expect<mqtt::Connack>();
  const bool ended = co_await peer->ends();
  EXPECT_TRUE(ended);
  co_return connack.code;
}

Bytes encoded(const auto& packet) {
  Bytes bytes;
  mqtt::encode(bytes, packet);
  return bytes;
}

TEST(MqttServer, the_first_packet_must_be_connect) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto peer = bench.dial();
    co_await peer->send(mqtt::Pingreq{});
    const bool ended = co_await peer->ends();
    EXPECT_TRUE(ended);
    EXPECT_TRUE(bench.policy.events.empty());
  });
}

TEST(MqttServer, a_silent_connection_is_closed) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto peer = bench.dial();
    co_await peer->send_raw(Bytes("\x10"));
    co_await sleep_for({});
    EXPECT_EQ(bench.deadline->deadline(), std::chrono::seconds{60});
    bench.deadline->expire();
    const bool ended = co_await peer->ends();
    EXPECT_TRUE(ended);
  });
}

TEST(MqttServer, other_protocol_versions_are_refused_with_code_1) {
  with_bench([](Bench& bench) -> awaitable<void> {
    Bytes six = encoded(connect_as("a"));
    six[8] = 6;
    const auto to_six = co_await knock(bench, six);
    EXPECT_EQ(to_six, ConnectCode::unacceptable_protocol);
    const Bytes three(
        BytesView("\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01"
                  "a",
                  17));
    const auto to_three = co_await knock(bench, three);
    EXPECT_EQ(to_three, ConnectCode::unacceptable_protocol);
  });
}

TEST(MqttServer, a_kept_session_needs_a_client_id) {
  with_bench([](Bench& bench) -> awaitable<void> {
    const Bytes nameless = encoded(connect_as("", false));
    const auto code = co_await knock(bench, nameless);
    EXPECT_EQ(code, ConnectCode::identifier_rejected);
  });
}

TEST(MqttServer, the_policys_refusal_reaches_the_client) {
  with_bench([](Bench& bench) -> awaitable<void> {
    bench.policy.verdict.code = ConnectCode::server_unavailable;
    const Bytes connect = encoded(connect_as("a"));
    const auto code = co_await knock(bench, connect);
    EXPECT_EQ(code, ConnectCode::server_unavailable);
    EXPECT_TRUE(bench.policy.events.empty());
  });
}

TEST(MqttServer, acknowledgements_keep_the_order_of_arrival) {
  with_bench([](Bench& bench) -> awaitable<void> {
    bench.policy.answer_at_once = false;
    auto peer = co_await bench.join(connect_as("a"));
    for (mqtt::PacketId id : {11, 12, 0, 13}) co_await peer->send(message("t", "x", id));
    co_await bench.policy.until_received(4);
    for (std::size_t i : {3, 1, 2, 0}) bench.policy.received[i].done({});
    for (mqtt::PacketId id : {11, 12, 13}) {
      const auto puback = co_await peer->expect<mqtt::Puback>();
      EXPECT_EQ(puback.packet_id, id);
    }
  });
}

TEST(MqttServer, a_message_that_could_not_be_stored_is_not_acknowledged) {
  with_bench([](Bench& bench) -> awaitable<void> {
    bench.policy.answer_at_once = false;
    auto peer = co_await bench.join(connect_as("a"));
    co_await peer->send(message("t", "x", 1));
    co_await peer->send(message("t", "y", 2));
    co_await bench.policy.until_received(2);
    bench.policy.received[0].done(fail(Fault::exhausted, "disk full"));
    bench.policy.received[1].done({});
    const auto puback = co_await peer->expect<mqtt::Puback>();
    EXPECT_EQ(puback.packet_id, 2);
  });
}

TEST(MqttServer, a_denied_publish_closes_only_its_connection) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto bad = co_await bench.join(connect_as("bad"));
    auto good = co_await bench.join(connect_as("good"));
    co_await bad->send(message("denied", "x", 1));
    const bool ended = co_await bad->ends();
    EXPECT_TRUE(ended);
    co_await bench.policy.until_event("!bad");
    co_await good->send(message("t", "x", 7));
    const auto puback = co_await good->expect<mqtt::Puback>();
    EXPECT_EQ(puback.packet_id, 7);
  });
}

TEST(MqttServer, every_violation_closes_only_its_connection) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto qos2 = message("t", "x", 1);
    qos2.qos = QoS::exactly_once;
    const std::vector<Bytes> violations{
        encoded(qos2),
        encoded(connect_as("again")),
        encoded(mqtt::Connack{}),
        encoded(mqtt::Pingresp{}),
        encoded(mqtt::Suback{1, {0}}),
        Bytes(BytesView("\x00\x00", 2)),  // reserved type
        Bytes(BytesView("\xf0\x00", 2)),
        Bytes(BytesView("\xc1\x00", 2)),                   // wrong flags
        Bytes(BytesView("\x30\xff\xff\xff\xff\x7f", 6)),   // length of five bytes
        Bytes(BytesView("\x30\xff\xff\xff\x7f", 5)),       // longer than allowed
        Bytes(BytesView("\x30\x02\x00\x00", 4)),           // empty topic
        Bytes(BytesView("\x32\x05\x00\x01t\x00\x00", 7)),  // packet id 0
        Bytes(BytesView("\x36\x05\x00\x01t\x00\x01", 7)),  // QoS 3
        Bytes(BytesView("\x82\x02\x00\x01", 4)),           // SUBSCRIBE for nothing
    };
    auto good = co_await bench.join(connect_as("good"));
    for (const auto& violation : violations) {
      auto bad = co_await bench.join(connect_as("bad"));
      co_await bad->send_raw(violation);
      const bool ended = co_await bad->ends();
      EXPECT_TRUE(ended) << "violation " << (&violation - violations.data());
    }
    EXPECT_TRUE(bench.policy.received.empty());
    co_await good->send(mqtt::Pingreq{});
    co_await good->expect<mqtt::Pingresp>();
  });
}

Bytes joined(std::initializer_list<mqtt::Publish> packets) {
  Bytes bytes;
  for (const auto& packet : packets) mqtt::encode(bytes, packet);
  return bytes;
}

TEST(MqttServer, what_comes_together_is_gathered_and_answered_together_and_in_order) {
  with_bench([](Bench& bench) -> awaitable<void> {
    bench.policy.answer_at_once = false;
    auto peer = co_await bench.join(connect_as("a"));
    const Bytes packets = joined({message("gather/1", "x", 1), message("gather/1", "y", 2), message("t", "alone", 3),
                                  message("gather/1", "z", 0), message("gather/1", "w", 5)});
    co_await peer->send_raw(packets);
    co_await bench.policy.until_received(3);
    EXPECT_EQ(bench.policy.received[0].payload, "2");
    EXPECT_EQ(bench.policy.received[1].payload, "alone") << "what was gathered before it is settled before it";
    EXPECT_EQ(bench.policy.received[2].payload, "2");
    bench.policy.received[2].done({});
    bench.policy.received[1].done({});
    bench.policy.received[0].done({});
    for (mqtt::PacketId id : {1, 2, 3, 5}) {
      const auto puback = co_await peer->expect<mqtt::Puback>();
      EXPECT_EQ(puback.packet_id, id);
    }
  });
}

TEST(MqttServer, a_refused_gathering_is_not_acknowledged_and_the_connection_stays) {
  with_bench([](Bench& bench) -> awaitable<void> {
    bench.policy.answer_at_once = false;
    auto peer = co_await bench.join(connect_as("a"));
    const Bytes first = joined({message("gather/1", "x", 1), message("gather/1", "y", 2)});
    co_await peer->send_raw(first);
    co_await bench.policy.until_received(1);
    bench.policy.received[0].done(fail(Fault::exhausted, "the disk is full"));
    bench.policy.answer_at_once = true;
    const Bytes second = joined({message("gather/1", "z", 3)});
    co_await peer->send_raw(second);
    const auto puback = co_await peer->expect<mqtt::Puback>();
    EXPECT_EQ(puback.packet_id, 3);
  });
}

TEST(MqttServer, what_was_gathered_before_the_end_is_settled) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto peer = co_await bench.join(connect_as("a"));
    Bytes packets = joined({message("gather/1", "x", 0)});
    mqtt::encode(packets, mqtt::Disconnect{});
    co_await peer->send_raw(packets);
    co_await bench.policy.until_event("-a");
    EXPECT_EQ(bench.policy.received.size(), 1u);
  });
}

TEST(MqttServer, all_connections_together_have_only_so_much_in_flight_and_go_on_when_it_is_answered) {
  MqttLimits limits;
  limits.max_in_flight_bytes_in_all = 1500;  // a message counts for its size and 300 bytes
  with_bench(
      [](Bench& bench) -> awaitable<void> {
        bench.policy.answer_at_once = false;
        auto first = co_await bench.join(connect_as("a"));
        auto second = co_await bench.join(connect_as("b"));
        for (mqtt::PacketId id : {1, 2}) co_await first->send(message("t", Bytes(600, 'x'), id));
        co_await bench.policy.until_received(2);
        co_await second->send(message("t", "waits", 1));
        for (int i = 0; i < 20; ++i) co_await sleep_for({});
        EXPECT_EQ(bench.policy.received.size(), 2u) << "nothing more is taken in";
        bench.policy.received[0].done({});
        bench.policy.received[1].done({});
        co_await bench.policy.until_received(3);
        EXPECT_EQ(bench.policy.received[2].client, "b");
        bench.policy.received[2].done({});
        const auto puback = co_await second->expect<mqtt::Puback>();
        EXPECT_EQ(puback.packet_id, 1);
      },
      with_limits(limits));
}

TEST(MqttServer, the_last_connection_of_a_client_wins) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto first = co_await bench.join(connect_as("a"));
    auto second = co_await bench.join(connect_as("a"));
    const bool ended = co_await first->ends();
    EXPECT_TRUE(ended);
    EXPECT_EQ(bench.policy.events, (std::vector<std::string>{"+a", "!a", "+a"}));
    EXPECT_TRUE(bench.server->connected("a"));
    co_await second->send(mqtt::Pingreq{});
    co_await second->expect<mqtt::Pingresp>();
  });
}

TEST(MqttServer, the_socket_is_not_read_while_too_much_is_in_flight) {
  MqttLimits limits;
  limits.max_in_flight = 4;
  with_bench(
      [](Bench& bench) -> awaitable<void> {
        bench.policy.answer_at_once = false;
        auto peer = co_await bench.join(connect_as("a"));
        Bytes ten;
        for (mqtt::PacketId id = 1; id <= 10; ++id) mqtt::encode(ten, message("t", "x", id));
        co_await peer->send_raw(ten);
        co_await bench.policy.until_received(4);
        co_await sleep_for({});
        EXPECT_EQ(bench.policy.received.size(), 4u);
        bench.policy.received[0].done({});
        co_await bench.policy.until_received(5);
        bench.policy.answer_at_once = true;
        for (std::size_t i = 1; i < 5; ++i) bench.policy.received[i].done({});
        for (mqtt::PacketId id = 1; id <= 10; ++id) {
          const auto puback = co_await peer->expect<mqtt::Puback>();
          EXPECT_EQ(puback.packet_id, id);
        }
      },
      with_limits(limits));
}

TEST(MqttServer, the_will_is_published_only_after_an_abnormal_end) {
  with_bench([](Bench& bench) -> awaitable<void> {
    mqtt::Connect connect = connect_as("a");
    connect.will = mqtt::Will{"last/words", "gone", QoS::at_least_once, false};
    auto polite = co_await bench.join(connect);
    co_await polite->send(mqtt::Disconnect{});
    co_await bench.policy.until_event("-a");
    EXPECT_TRUE(bench.policy.received.empty());
    auto rude = co_await bench.join(connect);
    rude->drop();
    co_await bench.policy.until_event("!a");
    EXPECT_EQ(bench.policy.received.size(), 1u);
    if (bench.policy.received.size() == 1) {
      EXPECT_EQ(bench.policy.received[0].topic, "last/words");
      EXPECT_EQ(bench.policy.received[0].payload, "gone");
    }
    auto open = co_await bench.join(connect);  // the server's own end is nobody's failure
    co_await bench.server->close();
    EXPECT_EQ(bench.policy.received.size(), 1u);
  });
}

TEST(MqttServer, silence_beyond_the_keep_alive_closes) {
  with_bench([](Bench& bench) -> awaitable<void> {
    mqtt::Connect connect = connect_as("a");
    connect.keep_alive_seconds = 10;
    auto peer = co_await bench.join(connect);
    co_await peer->send(mqtt::Pingreq{});
    co_await peer->expect<mqtt::Pingresp>();
    EXPECT_EQ(bench.deadline->deadline(), std::chrono::seconds{15});
    bench.deadline->expire();
    const bool ended = co_await peer->ends();
    EXPECT_TRUE(ended);
    auto lazy = co_await bench.join(connect_as("b"));
    co_await lazy->send(mqtt::Pingreq{});
    co_await lazy->expect<mqtt::Pingresp>();
    EXPECT_EQ(bench.deadline->deadline(), std::chrono::seconds{1767});
  });
}

TEST(MqttServer, expired_credentials_close) {
  ManualClock clock;
  MqttServer::Options options;
  options.clock = &clock;
  with_bench(
      [&clock](Bench& bench) -> awaitable<void> {
        bench.policy.verdict.expires_at = clock.now() + std::chrono::seconds{100};
        auto peer = co_await bench.join(connect_as("a"));
        clock.advance(std::chrono::seconds{99});
        co_await peer->send(mqtt::Pingreq{});
        co_await peer->expect<mqtt::Pingresp>();
        EXPECT_EQ(bench.deadline->deadline(), std::chrono::seconds{1});
        bench.deadline->expire();
        const bool ended = co_await peer->ends();
        EXPECT_TRUE(ended);
      },
      options);
}

TEST(MqttServer, a_packet_in_single_bytes_is_understood) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto peer = bench.dial();
    Bytes bytes = encoded(connect_as("a"));
    mqtt::encode(bytes, message("topic", Bytes(300, 'p'), 1));
    for (const char c : bytes) co_await peer->send_raw(Bytes(1, c));
    co_await peer->expect<mqtt::Connack>();
    co_await peer->expect<mqtt::Puback>();
    EXPECT_EQ(bench.policy.received[0].payload, Bytes(300, 'p'));
    const Bytes large(200'000, 'L');
    co_await peer->send(message("topic", large, 2));
    co_await peer->expect<mqtt::Puback>();
    EXPECT_EQ(bench.policy.received[1].payload, large);
  });
}

TEST(MqttServer, answers_that_come_after_the_end_are_harmless) {
  with_bench([](Bench& bench) -> awaitable<void> {
    bench.policy.answer_at_once = false;
    auto peer = co_await bench.join(connect_as("a"));
    co_await peer->send(message("t", "x", 1));
    co_await bench.policy.until_received(1);
    peer->drop();
    co_await bench.policy.until_event("!a");
    bench.policy.received[0].done({});
  });
}

}  // namespace
}  // namespace nacelle::net
