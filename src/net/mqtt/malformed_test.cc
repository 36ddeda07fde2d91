// Every way to break the rules, as tables: section of the standard, the bytes, and the reason it names. Each is sent by a client
// of its own while another stays connected: only the breaker's connection ends (MQTT 5.0 section 4.13, 3.1.1 section 4.8).
#include "codec/text/encoding.h"
#include "net/mqtt/scripted_peer_test.h"

namespace nacelle::net {
namespace {

using namespace test;
using mqtt::Reason;

Bytes hex(std::string text) {
  std::erase(text, ' ');
  return text::hex_decode(text).value();
}

/// A whole packet: its first byte, its body; the length between them is worked out.
Bytes packet(unsigned first, const std::string& body) {
  const Bytes rest = hex(body);
  INVARIANT(rest.size() < 128, "one byte of length");
  return Bytes{static_cast<char>(first), static_cast<char>(rest.size())} + rest;
}

struct Case {
  const char* section;
  const char* what;
  Bytes wire;
  Reason reason = Reason::malformed_packet;
};

// After CONNACK, in either version. The reasons are what MQTT 5 says; 3.1.1 has none and closes.
std::vector<Case> in_both_versions() {
  return {
      {"2.1.2", "type 0 is reserved", packet(0x00, "")},
      {"2.1.3", "flags of PUBACK", packet(0x41, "0001")},
      {"2.1.3", "flags of PUBREC", packet(0x52, "0001")},
      {"2.1.3", "flags of PUBREL", packet(0x60, "0001")},
      {"2.1.3", "flags of PUBCOMP", packet(0x74, "0001")},
      {"2.1.3", "flags of UNSUBSCRIBE", packet(0xa0, "0001 00 0001 61")},
      {"2.1.3", "flags of PINGREQ", packet(0xc1, "")},
      {"2.1.3", "flags of DISCONNECT", packet(0xe8, "")},
      {"2.1.4", "five bytes of length", hex("30 ff ff ff ff 01")},
      {"3.1.2.11.4", "a packet above what the server takes", hex("30 ff ff ff 7f"), Reason::packet_too_large},
      {"3.1.0", "a second CONNECT", packet(0x10, "0004 4d515454 04 02 0000 0001 61"), Reason::protocol_error},
      {"3.2", "CONNACK from a client", packet(0x20, "00 00 00"), Reason::protocol_error},
      {"3.13", "PINGRESP from a client", packet(0xd0, ""), Reason::protocol_error},
      {"3.3.1.1", "DUP with QoS 0", packet(0x38, "0001 74 00")},
      {"3.3.1.2", "QoS 3", packet(0x36, "0001 74 0001 00")},
      {"3.3.2.1", "a topic with a wild card", packet(0x30, "0003 742f23 00")},
      {"1.5.4", "a topic with U+0000", packet(0x30, "0003 740074 00")},
      {"1.5.4", "a topic that is not UTF-8", packet(0x30, "0002 c328 00")},
      {"1.5.4", "a topic with half of a surrogate pair", packet(0x30, "0003 eda080 00")},
      {"1.5.4", "a topic longer than the packet", packet(0x30, "00ff 74")},
      {"1.5.4", "half of a topic's length", packet(0x30, "00")},
      {"3.3.2.2", "no packet identifier", packet(0x32, "0001 74 00")},
      {"3.4.2", "PUBACK without its identifier", packet(0x40, "")},
      {"3.4.2", "half an identifier", packet(0x40, "01")},
      {"3.8.3", "a filter that ends in the middle", packet(0x82, "0001 00 0005 61")},
      {"3.12", "PINGREQ with a body", packet(0xc0, "00")},
  };
}

std::vector<Case> in_version_5() {
  return {
      {"2.1.3", "flags of SUBSCRIBE", packet(0x80, "0001 00 0001 61 00")},
      {"2.1.3", "flags of AUTH", packet(0xf1, "")},
      {"3.15", "AUTH without a method", packet(0xf0, ""), Reason::protocol_error},
      {"3.9", "SUBACK from a client", packet(0x90, "0001 00 00"), Reason::protocol_error},
      {"3.11", "UNSUBACK from a client", packet(0xb0, "0001 00 00"), Reason::protocol_error},
      {"2.2.1", "packet identifier 0 of PUBLISH", packet(0x32, "0001 74 0000 00"), Reason::protocol_error},
      {"2.2.1", "packet identifier 0 of SUBSCRIBE", packet(0x82, "0000 00 0001 61 00"), Reason::protocol_error},
      {"2.2.2.1", "a property length beyond the packet", packet(0x30, "0001 74 7f")},
      {"2.2.2.1", "a property length of five bytes", packet(0x30, "0001 74 ffffffff01")},
      {"2.2.2.2", "an unknown property", packet(0x30, "0001 74 02 7f00")},
      {"2.2.2.2", "a property that stands elsewhere", packet(0x30, "0001 74 05 1100000001")},
      {"2.2.2.2", "a property cut off", packet(0x30, "0001 74 03 020000")},
      {"3.3.2.3.2", "payload format twice", packet(0x30, "0001 74 04 01000100"), Reason::protocol_error},
      {"3.3.2.3.2", "payload format 2", packet(0x30, "0001 74 02 0102"), Reason::protocol_error},
      {"3.3.2.3.2", "UTF-8 that is none", packet(0x30, "0001 74 02 0101 ff"), Reason::payload_format_invalid},
      {"3.3.2.3.3", "message expiry twice", packet(0x30, "0001 74 0a 0200000001 0200000001"), Reason::protocol_error},
      {"3.3.2.3.4", "topic alias 0", packet(0x30, "0001 74 03 230000"), Reason::topic_alias_invalid},
      {"3.3.2.3.4", "a topic alias above the maximum", packet(0x30, "0001 74 03 230021"), Reason::topic_alias_invalid},
      {"3.3.2.3.4", "an alias that stands for nothing", packet(0x30, "0000 03 230001"), Reason::protocol_error},
      {"3.3.2.1", "neither topic nor alias", packet(0x30, "0000 00"), Reason::protocol_error},
      {"3.3.2.3.5", "a response topic with a wild card", packet(0x30, "0001 74 04 08 0001 23"), Reason::protocol_error},
      {"3.3.2.3.6", "correlation data twice", packet(0x30, "0001 74 06 090000 090000"), Reason::protocol_error},
      {"3.3.4", "a subscription identifier from a client", packet(0x30, "0001 74 02 0b01"), Reason::protocol_error},
      {"3.4.2.1", "PUBACK with a reason that is none", packet(0x40, "0001 01"), Reason::protocol_error},
      {"3.6.2.1", "PUBREL with a reason of PUBACK", packet(0x62, "0001 97"), Reason::protocol_error},
      {"3.6.2.2", "PUBREL with bytes behind its properties", packet(0x62, "0001 00 00 00")},
      {"3.8.2.1.2", "subscription identifier 0", packet(0x82, "0001 02 0b00 0001 61 00"), Reason::protocol_error},
      {"3.8.2.1.2", "two subscription identifiers", packet(0x82, "0001 04 0b010b02 0001 61 00"), Reason::protocol_error},
      {"3.8.3", "SUBSCRIBE for nothing", packet(0x82, "0001 00"), Reason::protocol_error},
      {"3.8.3.1", "reserved subscription options", packet(0x82, "0001 00 0001 61 40")},
      {"3.8.3.1", "QoS 3 of a subscription", packet(0x82, "0001 00 0001 61 03"), Reason::protocol_error},
      {"3.8.3.1", "retain handling 3", packet(0x82, "0001 00 0001 61 30"), Reason::protocol_error},
      {"3.8.3.1", "no local on a shared subscription", packet(0x82, "0001 00 000a 2473686172652f672f61 04"),
       Reason::protocol_error},
      {"4.8.2", "a shared subscription without a filter", packet(0x82, "0001 00 0008 2473686172652f67 00")},
      {"4.7.3", "an empty filter", packet(0x82, "0001 00 0000 00")},
      {"4.7.1.2", "# that is not last", packet(0x82, "0001 00 0003 232f61 00")},
      {"4.7.1.3", "+ that shares its level", packet(0x82, "0001 00 0002 2b61 00")},
      {"3.10.3", "UNSUBSCRIBE from nothing", packet(0xa2, "0001 00"), Reason::protocol_error},
      {"3.14.2.1", "DISCONNECT with a reason of SUBACK", packet(0xe0, "01 00"), Reason::protocol_error},
      {"3.14.2.2.2", "a session that was to end is lengthened", packet(0xe0, "00 05 11 0000000a"), Reason::protocol_error},
  };
}

std::vector<Case> in_version_3() {
  return {
      {"2.2.1", "type 15 is reserved", packet(0xf0, "")},
      {"3.8.1", "flags of SUBSCRIBE", packet(0x80, "0001 0001 61 00")},
      {"2.3.1", "packet identifier 0", packet(0x32, "0001 74 0000")},
      {"3.3.2.1", "an empty topic", packet(0x30, "0000")},
      {"3.8.3", "SUBSCRIBE for nothing", packet(0x82, "0001")},
      {"3.8.3", "QoS 3 of a subscription", packet(0x82, "0001 0001 61 03")},
      {"3.8.3", "reserved bits beside the QoS", packet(0x82, "0001 0001 61 04")},
      {"3.10.3", "UNSUBSCRIBE from nothing", packet(0xa2, "0001")},
      {"3.4", "PUBACK with more than an identifier", packet(0x40, "0001 00")},
      {"3.14", "DISCONNECT with a body", packet(0xe0, "00")},
  };
}

// Instead of CONNECT. In MQTT 5 CONNACK says what was wrong.
std::vector<Case> as_connect_of_5() {
  const std::string head = "0004 4d515454 05 ";
  return {
      {"3.1.2.3", "the reserved flag", packet(0x10, head + "03 0000 00 0001 61")},
      {"3.1.2.6", "will QoS 3", packet(0x10, head + "1e 0000 00 0001 61 00 0001 77 0000")},
      {"3.1.2.6", "will QoS without a will", packet(0x10, head + "0a 0000 00 0001 61")},
      {"3.1.2.7", "will retain without a will", packet(0x10, head + "22 0000 00 0001 61")},
      {"3.1.2.10", "no keep alive", packet(0x10, head + "02")},
      {"3.1.2.11.1", "a property length beyond the packet", packet(0x10, head + "02 0000 7f 0001 61")},
      {"3.1.2.11.2", "session expiry twice", packet(0x10, head + "02 0000 0a 1100000001 1100000001 0001 61"),
       Reason::protocol_error},
      {"3.1.2.11.3", "receive maximum 0", packet(0x10, head + "02 0000 03 210000 0001 61"), Reason::protocol_error},
      {"3.1.2.11.4", "maximum packet size 0", packet(0x10, head + "02 0000 05 2700000000 0001 61"), Reason::protocol_error},
      {"3.1.2.11.6", "request response information 2", packet(0x10, head + "02 0000 02 1902 0001 61"), Reason::protocol_error},
      {"3.1.2.11.7", "request problem information 2", packet(0x10, head + "02 0000 02 1702 0001 61"), Reason::protocol_error},
      {"3.1.2.11.9", "a method nobody offers", packet(0x10, head + "02 0000 04 15000141 0001 61"),
       Reason::bad_authentication_method},
      {"3.1.2.11.10", "authentication data without a method", packet(0x10, head + "02 0000 04 16000141 0001 61"),
       Reason::protocol_error},
      {"2.2.2.2", "a property of PUBLISH", packet(0x10, head + "02 0000 02 0101 0001 61")},
      {"3.1.3.1", "a client identifier that is not UTF-8", packet(0x10, head + "02 0000 00 0002 c328")},
      {"3.1.3.3", "a will topic with a wild card", packet(0x10, head + "06 0000 00 0001 61 00 0001 23 0000")},
      {"3.1.3.4", "a will without its payload", packet(0x10, head + "06 0000 00 0001 61 00 0001 77")},
      {"3.1.3.5", "no user name where one was announced", packet(0x10, head + "82 0000 00 0001 61")},
      {"3.1.3", "bytes behind the last field", packet(0x10, head + "02 0000 00 0001 61 ff")},
  };
}

// What 3.1.1 answers with nothing but the end of the connection.
std::vector<Case> as_connect_of_3() {
  const std::string head = "0004 4d515454 04 ";
  return {
      {"3.1", "PUBLISH first", packet(0x30, "0001 74")},
      {"3.1", "an unknown type first", packet(0xf0, "")},
      {"3.1.1", "flags of CONNECT", packet(0x11, head + "02 0000 0001 61")},
      {"3.1.2.1", "another protocol", packet(0x10, "0004 48545450 04 02 0000 0001 61")},
      {"3.1.2.3", "the reserved flag", packet(0x10, head + "03 0000 0001 61")},
      {"3.1.2.6", "will QoS 3", packet(0x10, head + "1e 0000 0001 61 0001 77 0000")},
      {"3.1.2.6", "will QoS without a will", packet(0x10, head + "0a 0000 0001 61")},
      {"3.1.2.9", "a password without a user name", packet(0x10, head + "42 0000 0001 61 0001 70")},
      {"3.1.3.1", "a client identifier with U+0000", packet(0x10, head + "02 0000 0001 00")},
      {"3.1.3.2", "a will topic with a wild card", packet(0x10, head + "06 0000 0001 61 0001 2b 0000")},
      {"3.1.3", "bytes behind the last field", packet(0x10, head + "02 0000 0001 61 ff")},
  };
}

std::string where(const Case& each) { return std::string(each.section) + ": " + each.what; }

mqtt::Connect of(mqtt::Version version, const std::string& id) {
  auto connect = connect_as(id);
  connect.protocol_level = static_cast<std::uint8_t>(version);
  return connect;
}

/// Whoever is connected beside the breaker notices nothing.
awaitable<void> still_served(Peer& neighbour, std::string after) {
  co_await neighbour.send(mqtt::Pingreq{});
  const auto answer = co_await neighbour.next();
  EXPECT_TRUE(answer && std::holds_alternative<mqtt::Pingresp>(*answer)) << after;
}

template <class Script>
void with_bench(Script script) {
  Runtime runtime(2);
  auto run = [](Script body) -> awaitable<void> {
    const Executor strand = co_await asio::this_coro::executor;
    Bench bench(strand);
    bench.policy.verdict.max_qos = mqtt::QoS::exactly_once;
    co_await body(bench);
    EXPECT_TRUE(bench.policy.received.empty());
    co_await bench.close();
  };
  runtime.block_on(run(script));
}

TEST(MqttMalformed, in_mqtt_5_disconnect_names_the_reason) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto neighbour = co_await bench.join(of(mqtt::Version::v5, "neighbour"));
    auto cases = in_both_versions();
    for (auto& each : in_version_5()) cases.push_back(std::move(each));
    for (const Case& each : cases) {
      const auto connect = of(mqtt::Version::v5, "breaker");
      auto breaker = co_await bench.join(connect);
      co_await breaker->send_raw(each.wire);
      const auto farewell = co_await breaker->next();
      const auto* disconnect = farewell ? std::get_if<mqtt::Disconnect>(&*farewell) : nullptr;
      EXPECT_TRUE(disconnect != nullptr) << where(each);
      if (disconnect != nullptr) {
        EXPECT_EQ(disconnect->reason, each.reason) << where(each) << ", found " << mqtt::reason_name(disconnect->reason);
      }
      const bool ended = co_await breaker->ends();
      EXPECT_TRUE(ended) << where(each);
      co_await still_served(*neighbour, where(each));
    }
    std::printf("%zu malformed packets\n", cases.size());
  });
}

TEST(MqttMalformed, in_mqtt_3_1_1_the_connection_ends_without_a_word) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto neighbour = co_await bench.join(of(mqtt::Version::v3_1_1, "neighbour"));
    auto cases = in_both_versions();
    for (auto& each : in_version_3()) cases.push_back(std::move(each));
    for (const Case& each : cases) {
      const auto connect = of(mqtt::Version::v3_1_1, "breaker");
      auto breaker = co_await bench.join(connect);
      co_await breaker->send_raw(each.wire);
      const bool ended = co_await breaker->ends();
      EXPECT_TRUE(ended) << where(each);
      co_await still_served(*neighbour, where(each));
    }
  });
}

TEST(MqttMalformed, a_connect_of_mqtt_5_gets_a_connack_with_the_reason) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto neighbour = co_await bench.join(of(mqtt::Version::v5, "neighbour"));
    for (const Case& each : as_connect_of_5()) {
      auto breaker = bench.dial();
      breaker->speak_v5();
      co_await breaker->send_raw(each.wire);
      const auto answer = co_await breaker->next();
      const auto* connack = answer ? std::get_if<mqtt::Connack>(&*answer) : nullptr;
      EXPECT_TRUE(connack != nullptr) << where(each);
      if (connack != nullptr) {
        EXPECT_EQ(connack->reason, each.reason) << where(each) << ", found " << mqtt::reason_name(connack->reason);
      }
      const bool ended = co_await breaker->ends();
      EXPECT_TRUE(ended) << where(each);
      co_await still_served(*neighbour, where(each));
    }
  });
}

TEST(MqttMalformed, a_broken_connect_of_mqtt_3_1_1_is_not_answered) {
  with_bench([](Bench& bench) -> awaitable<void> {
    auto neighbour = co_await bench.join(of(mqtt::Version::v3_1_1, "neighbour"));
    for (const Case& each : as_connect_of_3()) {
      auto breaker = bench.dial();
      co_await breaker->send_raw(each.wire);
      const bool ended = co_await breaker->ends();
      EXPECT_TRUE(ended) << where(each);
      co_await still_served(*neighbour, where(each));
    }
  });
}

TEST(MqttMalformed, another_protocol_level_is_answered_in_words_the_client_knows) {
  with_bench([](Bench& bench) -> awaitable<void> {
    for (const char* wire :
         {"0004 4d515454 03 02 0000 0001 61", "0006 4d5149736470 03 02 0000 0001 61", "0004 4d515454 06 02 0000"}) {
      auto peer = bench.dial();
      const Bytes bytes = packet(0x10, wire);
      co_await peer->send_raw(bytes);
      const auto connack = co_await peer->expect<mqtt::Connack>();
      EXPECT_EQ(connack.code, mqtt::ConnectCode::unacceptable_protocol);  // 3.1.1 section 3.1.2.2
      const bool ended = co_await peer->ends();
      EXPECT_TRUE(ended);
    }
  });
}

}  // namespace
}  // namespace nacelle::net
