#include "codec/mqtt/packet.h"

#include <gtest/gtest.h>

namespace nacelle::mqtt {
namespace {

using namespace std::string_literals;

Bytes bytes(std::initializer_list<unsigned> values) {
  Bytes out;
  for (const unsigned v : values) out += static_cast<char>(v);
  return out;
}

template <class P>
Bytes encoded(const P& packet) {
  Bytes out;
  encode(out, packet);
  return out;
}
Bytes encoded_any(const Packet& packet) {
  return std::visit([](const auto& p) { return encoded(p); }, packet);
}

Connect full_connect() {
  Connect packet;
  packet.client_id = "dev1/mod";
  packet.clean_session = false;
  packet.keep_alive_seconds = 300;
  packet.will = Will{"devices/dev1/messages/events/", "gone\0x"s, QoS::at_least_once, true};
  packet.user_name = "hub/dev1/?api-version=2021-04-12";
  packet.password = "p\xff\0"s;
  return packet;
}

std::vector<Packet> one_of_each() {
  return {full_connect(),
          Connect{},
          Connack{true, ConnectCode::accepted},
          Connack{false, ConnectCode::not_authorized},
          Publish{"a/b", "hello", QoS::at_most_once, true, false, 0},
          Publish{"a/caf\xc3\xa9", {}, QoS::exactly_once, false, true, 65535},
          Puback{1},
          Pubrec{258},
          Pubrel{3},
          Pubcomp{4},
          Subscribe{10, {{"a/+/c", QoS::at_least_once}, {"#", QoS::exactly_once}}},
          Suback{10, {0, 1, 2, subscription_refused}},
          Unsubscribe{11, {"a", "b/#"}},
          Unsuback{11},
          Pingreq{},
          Pingresp{},
          Disconnect{}};
}

TEST(MqttPacket, every_kind_comes_back_byte_for_byte) {
  for (const Packet& packet : one_of_each()) {
    const Bytes wire = encoded_any(packet);
    const auto read = decode(wire);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->index(), packet.index());
    EXPECT_EQ(encoded_any(*read), wire);
    EXPECT_EQ(**frame_size(wire, wire.size()), wire.size());
  }
}

TEST(MqttPacket, bytes_are_those_of_the_standard) {
  EXPECT_EQ(encoded(Connack{true, ConnectCode::accepted}), bytes({0x20, 2, 1, 0}));
  EXPECT_EQ(encoded(Pubrel{0x0102}), bytes({0x62, 2, 1, 2}));
  EXPECT_EQ(encoded(Publish{"a/b", "!", QoS::at_least_once, false, false, 10}), bytes({0x32, 8, 0, 3, 'a', '/', 'b', 0, 10, '!'}));
  // Section 3.8.3.1's example: a/b with QoS 1, c/d with QoS 2.
  EXPECT_EQ(encoded(Subscribe{10, {{"a/b", QoS::at_least_once}, {"c/d", QoS::exactly_once}}}),
            bytes({0x82, 14, 0, 10, 0, 3, 'a', '/', 'b', 1, 0, 3, 'c', '/', 'd', 2}));
  Connect packet;
  packet.client_id = "c";
  packet.keep_alive_seconds = 10;
  EXPECT_EQ(encoded(packet), bytes({0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 10, 0, 1, 'c'}));
  EXPECT_EQ(encoded(Pingreq{}) + encoded(Pingresp{}) + encoded(Disconnect{}), bytes({0xc0, 0, 0xd0, 0, 0xe0, 0}));
}

TEST(MqttPacket, connect_keeps_every_field) {
  const auto packet = std::get<Connect>(*decode(encoded(full_connect())));
  EXPECT_EQ(packet.client_id, "dev1/mod");
  EXPECT_FALSE(packet.clean_session);
  EXPECT_EQ(packet.keep_alive_seconds, 300);
  ASSERT_TRUE(packet.will);
  EXPECT_EQ(packet.will->payload, "gone\0x"s);
  EXPECT_EQ(packet.will->qos, QoS::at_least_once);
  EXPECT_TRUE(packet.will->retain);
  EXPECT_EQ(packet.user_name, "hub/dev1/?api-version=2021-04-12");
  EXPECT_EQ(packet.password, "p\xff\0"s);
}

TEST(MqttPacket, publish_points_into_the_frame) {
  const Bytes wire = encoded(Publish{"a", "payload", QoS::at_most_once, false, false, 0});
  const auto packet = std::get<Publish>(*decode(wire));
  EXPECT_EQ(packet.payload.data(), wire.data() + wire.size() - 7);
}

TEST(MqttPacket, every_truncation_is_asked_for_more_and_never_decoded) {
  for (const Packet& packet : one_of_each()) {
    const Bytes wire = encoded_any(packet);
    for (std::size_t length = 0; length < wire.size(); ++length) {
      const auto size = frame_size(BytesView(wire).substr(0, length), 1_MiB);
      ASSERT_TRUE(size);
      EXPECT_FALSE(size->has_value());
      EXPECT_FALSE(decode(BytesView(wire).substr(0, length)));
    }
  }
}

TEST(MqttPacket, every_body_cut_short_or_grown_is_refused_or_reads_as_less) {
  for (const Packet& packet : one_of_each()) {
    const Bytes wire = encoded_any(packet);
    if (wire.size() > 120) continue;
    for (std::size_t body = 0; body + 2 < wire.size(); ++body) {  // the length says what is there
      const Bytes cut = wire.substr(0, 1) + static_cast<char>(body) + wire.substr(2, body);
      const auto read = decode(cut);
      // Lists and payloads may end anywhere; everything else is refused.
      EXPECT_TRUE(!read || encoded_any(*read) == cut) << int(wire[0]) << " " << body;
    }
    const Bytes grown = wire.substr(0, 1) + static_cast<char>(wire.size() - 1) + wire.substr(2) + 'x';
    EXPECT_EQ(bool(decode(grown)), std::holds_alternative<Publish>(packet)) << int(wire[0]);
  }
}

TEST(MqttPacket, reserved_flags_are_refused) {
  for (const Packet& packet : one_of_each()) {
    if (std::holds_alternative<Publish>(packet)) continue;
    const Bytes wire = encoded_any(packet);
    for (unsigned flags = 0; flags < 16; ++flags) {
      Bytes changed = wire;
      changed[0] = static_cast<char>((wire[0] & 0xf0) | flags);
      EXPECT_EQ(bool(decode(changed)), changed == wire);
    }
  }
  EXPECT_FALSE(decode(bytes({0x00, 0})));
  EXPECT_FALSE(decode(bytes({0xf0, 0})));
}

TEST(MqttPacket, packet_id_0_is_refused) {
  for (const unsigned first : {0x40u, 0x50u, 0x62u, 0x70u, 0xb0u}) EXPECT_FALSE(decode(bytes({first, 2, 0, 0}))) << first;
  EXPECT_FALSE(decode(bytes({0x32, 5, 0, 1, 'a', 0, 0})));
  EXPECT_FALSE(decode(bytes({0x82, 6, 0, 0, 0, 1, 'a', 0})));
  EXPECT_FALSE(decode(bytes({0x90, 3, 0, 0, 0})));
  EXPECT_FALSE(decode(bytes({0xa2, 5, 0, 0, 0, 1, 'a'})));
}

struct Bad {
  const char* why;
  Bytes wire;
};

TEST(MqttPacket, broken_fields_are_refused_by_name) {
  const Bad cases[] = {
      {"PUBLISH: QoS", bytes({0x36, 5, 0, 1, 'a', 0, 1})},
      {"PUBLISH: flags", bytes({0x38, 3, 0, 1, 'a'})},
      {"PUBLISH: topic: is empty", bytes({0x30, 2, 0, 0})},
      {"PUBLISH: topic: has a wild card", bytes({0x30, 3, 0, 1, '+'})},
      {"PUBLISH: topic: expected UTF-8", bytes({0x30, 3, 0, 1, 0xff})},
      {"PUBLISH: topic: has the character U+0000", bytes({0x30, 3, 0, 1, 0})},
      {"PUBLISH: topic: expected 9 bytes, found 1", bytes({0x30, 3, 0, 9, 'a'})},
      {"CONNACK: flags", bytes({0x20, 2, 2, 0})},
      {"CONNACK: flags", bytes({0x20, 2, 1, 5})},
      {"CONNACK: return code", bytes({0x20, 2, 0, 6})},
      {"SUBSCRIBE: topic filter", bytes({0x82, 2, 0, 1})},
      {"SUBSCRIBE: topic filter: has a wild card out of place", bytes({0x82, 7, 0, 1, 0, 2, 'a', '#', 0})},
      {"SUBSCRIBE: requested QoS", bytes({0x82, 6, 0, 1, 0, 1, 'a', 3})},
      {"SUBSCRIBE: requested QoS", bytes({0x82, 6, 0, 1, 0, 1, 'a', 0x80})},
      {"SUBACK: return code", bytes({0x90, 3, 0, 1, 3})},
      {"SUBACK: return code", bytes({0x90, 2, 0, 1})},
      {"UNSUBSCRIBE: topic filter", bytes({0xa2, 2, 0, 1})},
      {"PINGREQ: end", bytes({0xc0, 1, 0})},
      {"CONNECT: protocol name", bytes({0x10, 13, 0, 4, 'M', 'Q', 'T', 'X', 4, 2, 0, 10, 0, 1, 'c'})},
      {"CONNECT: protocol name", bytes({0x10, 15, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 4, 2, 0, 10, 0, 1, 'c'})},
      {"CONNECT: flags: the reserved bit", bytes({0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 3, 0, 10, 0, 1, 'c'})},
      {"CONNECT: flags: speak of a will", bytes({0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x22, 0, 10, 0, 1, 'c'})},
      {"CONNECT: flags: speak of a will", bytes({0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x0a, 0, 10, 0, 1, 'c'})},
      {"CONNECT: will QoS", bytes({0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x1e, 0, 10, 0, 1, 'c'})},
      {"CONNECT: flags: a password without", bytes({0x10, 16, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x42, 0, 10, 0, 1, 'c', 0, 1, 'p'})},
      {"CONNECT: user name", bytes({0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 0x82, 0, 10, 0, 1, 'c'})},
  };
  for (const auto& [why, wire] : cases) {
    const auto packet = decode(wire);
    ASSERT_FALSE(packet) << why;
    EXPECT_EQ(packet.error().fault, Fault::invalid_input);
    EXPECT_NE(packet.error().message.find(why), std::string::npos) << packet.error().message;
  }
}

TEST(MqttPacket, other_protocol_levels_are_told_and_not_read_further) {
  const auto six = decode(bytes({0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 6, 2, 0, 10, 0, 0, 1, 'c'}));
  ASSERT_TRUE(six);
  EXPECT_EQ(std::get<Connect>(*six).protocol_level, 6);
  const auto three = decode(bytes({0x10, 15, 0, 6, 'M', 'Q', 'I', 's', 'd', 'p', 3, 2, 0, 10, 0, 1, 'c'}));
  ASSERT_TRUE(three);
  EXPECT_EQ(std::get<Connect>(*three).protocol_level, 3);
}

TEST(MqttFrame, remaining_length_follows_the_table_of_the_standard) {
  const std::pair<Bytes, std::size_t> cases[] = {{bytes({0x30, 0}), 2},
                                                 {bytes({0x30, 0x7f}), 129},
                                                 {bytes({0x30, 0x80, 1}), 131},
                                                 {bytes({0x30, 0xff, 0x7f}), 16'386},
                                                 {bytes({0x30, 0xff, 0xff, 0x7f}), 2'097'155}};
  for (const auto& [start, size] : cases) {
    EXPECT_EQ(**frame_size(start + Bytes(size - start.size() + 3, 'x'), size), size);
    const auto above = frame_size(start, size - 1);  // known from the header alone
    ASSERT_FALSE(above);
    EXPECT_EQ(above.error().fault, Fault::exhausted);
  }
  EXPECT_EQ(frame_size(bytes({0x30, 0xff, 0xff, 0xff, 0x7f}), max_packet_bytes)->has_value(), false);
  for (const std::size_t size : {0u, 127u, 128u, 16'383u, 16'384u, 2'097'152u}) {
    const Bytes payload(size, 'x');
    const Bytes wire = encoded(Publish{"t", payload, QoS::at_most_once, false, false, 0});
    EXPECT_EQ(**frame_size(wire, max_packet_bytes), wire.size());
    EXPECT_EQ(std::get<Publish>(*decode(wire)).payload.size(), size);
  }
}

TEST(MqttFrame, a_fifth_length_byte_is_refused_and_a_padded_length_is_not) {
  const auto size = frame_size(bytes({0x30, 0x80, 0x80, 0x80, 0x80, 1}), max_packet_bytes);
  ASSERT_FALSE(size);
  EXPECT_EQ(size.error().fault, Fault::invalid_input);
  EXPECT_FALSE(frame_size(bytes({0x30, 0xff, 0xff, 0xff, 0xff}), max_packet_bytes));
  EXPECT_EQ(**frame_size(bytes({0xc0, 0x80, 0x80, 0}), 10), 4u);
  EXPECT_TRUE(decode(bytes({0xc0, 0x80, 0x80, 0})));
}

TEST(MqttFrame, only_the_first_packet_is_measured) {
  EXPECT_EQ(**frame_size(encoded(Pingreq{}) + encoded(Puback{5}), 100), 2u);
  EXPECT_FALSE(decode(encoded(Pingreq{}) + encoded(Puback{5})));
}

TEST(MqttTopic, names_and_filters_follow_section_4_7) {
  for (const std::string name : {"a", "/", "a//b", " ", "$iothub/twin/PATCH/properties/reported/?$rid=1", "caf\xc3\xa9"}) {
    EXPECT_TRUE(valid_topic_name(name)) << name;
    EXPECT_TRUE(valid_topic_filter(name)) << name;
    EXPECT_TRUE(topic_matches(name, name)) << name;
  }
  for (const std::string name : {"", "a/+", "#", "a+", "\xff"}) EXPECT_FALSE(valid_topic_name(name)) << name;
  EXPECT_FALSE(valid_topic_name("a\0"s));
  EXPECT_FALSE(valid_topic_name(std::string(65536, 'a')));
  for (const std::string filter : {"#", "+", "a/#", "+/+/#", "/+", "+/tennis/#", "$SYS/#"})
    EXPECT_TRUE(valid_topic_filter(filter)) << filter;
  for (const std::string filter : {"", "a#", "a/#/b", "#/", "a+", "+a/b", "a/b#", "##", "++"})
    EXPECT_FALSE(valid_topic_filter(filter)) << filter;
}

TEST(MqttTopic, matching_follows_section_4_7) {
  const std::pair<std::string, std::string> yes[] = {{"sport/tennis/player1/#", "sport/tennis/player1"},
                                                     {"sport/tennis/player1/#", "sport/tennis/player1/score/wimbledon"},
                                                     {"#", "a/b"},
                                                     {"sport/tennis/+", "sport/tennis/player1"},
                                                     {"sport/+", "sport/"},
                                                     {"+/+", "/finance"},
                                                     {"/+", "/finance"},
                                                     {"$SYS/#", "$SYS/monitor"},
                                                     {"$SYS/monitor/+", "$SYS/monitor/Clients"},
                                                     {"a/$b", "a/$b"},
                                                     {"+/$b", "a/$b"}};
  for (const auto& [filter, topic] : yes) EXPECT_TRUE(topic_matches(filter, topic)) << filter << " " << topic;
  const std::pair<std::string, std::string> no[] = {
      {"sport/tennis/+", "sport/tennis/player1/ranking"}, {"sport/+", "sport"}, {"+", "/finance"}, {"#", "$SYS/monitor"},
      {"+/monitor/Clients", "$SYS/monitor/Clients"},      {"a", "a/"},          {"a/", "a"},       {"a/b", "a/B"},
      {"sport/tennis/player1/#", "sport/tennis/player2"}};
  for (const auto& [filter, topic] : no) EXPECT_FALSE(topic_matches(filter, topic)) << filter << " " << topic;
}

}  // namespace
}  // namespace nacelle::mqtt
