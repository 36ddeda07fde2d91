// MQTT 5 packets: what is new in them. Sections are those of MQTT Version 5.0.
#include <gtest/gtest.h>

#include <fmt/format.h>

#include "codec/mqtt/filter.h"
#include "codec/mqtt/packet.h"

namespace nacelle::mqtt {
namespace {

using namespace std::string_literals;

Bytes bytes(std::initializer_list<unsigned> values) {
  Bytes out;
  for (const unsigned v : values) out += static_cast<char>(v);
  return out;
}

Bytes encoded(const Packet& packet) {
  Bytes out;
  std::visit([&](const auto& p) { encode(out, p, Version::v5); }, packet);
  return out;
}

Result<Packet> read(BytesView wire, Reason* reason = nullptr) { return decode(wire, Version::v5, reason); }

PropertiesPtr share(Properties properties) { return std::make_shared<const Properties>(std::move(properties)); }

PropertiesPtr only(void (*set)(Properties&)) {
  Properties properties;
  set(properties);
  return share(std::move(properties));
}

/// A small packet whose properties begin at a known place: first byte and the bytes before the properties' length.
struct Place {
  const char* name;
  unsigned first;
  Bytes before;
  Bytes after;
};
std::vector<Place> places() {
  const Bytes connect_head = bytes({0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 10});
  return {{"CONNECT", 0x10, connect_head, bytes({0, 1, 'c'})},
          {"CONNACK", 0x20, bytes({0, 0}), {}},
          {"PUBLISH", 0x30, bytes({0, 1, 'a'}), {}},
          {"PUBACK", 0x40, bytes({0, 1, 0}), {}},
          {"PUBREC", 0x50, bytes({0, 1, 0}), {}},
          {"PUBREL", 0x62, bytes({0, 1, 0}), {}},
          {"PUBCOMP", 0x70, bytes({0, 1, 0}), {}},
          {"SUBSCRIBE", 0x82, bytes({0, 1}), bytes({0, 1, 'a', 0})},
          {"SUBACK", 0x90, bytes({0, 1}), bytes({0})},
          {"UNSUBSCRIBE", 0xa2, bytes({0, 1}), bytes({0, 1, 'a'})},
          {"UNSUBACK", 0xb0, bytes({0, 1}), bytes({0})},
          {"DISCONNECT", 0xe0, bytes({0}), {}},
          {"AUTH", 0xf0, bytes({0x18}), {}},
          {"will", 0x10, bytes({0, 4, 'M', 'Q', 'T', 'T', 5, 6, 0, 10, 0, 0, 1, 'c'}), bytes({0, 1, 'w', 0, 0})}};
}
Bytes with_properties(const Place& place, const Bytes& properties) {
  const Bytes body = place.before + static_cast<char>(properties.size()) + properties + place.after;
  return Bytes(1, static_cast<char>(place.first)) + static_cast<char>(body.size()) + body;
}

/// Every property of table 2-4 with a good value, and the packets it may stand in.
struct Property {
  Bytes wire;
  std::string places;
};
std::vector<Property> every_property() {
  const std::string everywhere =
      "CONNECT CONNACK PUBLISH PUBACK PUBREC PUBREL PUBCOMP SUBSCRIBE SUBACK UNSUBSCRIBE UNSUBACK DISCONNECT AUTH will";
  return {{bytes({0x01, 1}), "PUBLISH will"},
          {bytes({0x02, 0, 0, 0, 9}), "PUBLISH will"},
          {bytes({0x03, 0, 1, 't'}), "PUBLISH will"},
          {bytes({0x08, 0, 1, 'r'}), "PUBLISH will"},
          {bytes({0x09, 0, 2, 0, 0xff}), "PUBLISH will"},
          {bytes({0x0b, 0x80, 1}), "PUBLISH SUBSCRIBE"},
          {bytes({0x11, 0xff, 0xff, 0xff, 0xff}), "CONNECT CONNACK DISCONNECT"},
          {bytes({0x12, 0, 1, 'i'}), "CONNACK"},
          {bytes({0x13, 0, 60}), "CONNACK"},
          {bytes({0x15, 0, 1, 'm'}), "CONNECT CONNACK AUTH"},
          {bytes({0x17, 0}), "CONNECT"},
          {bytes({0x18, 0, 0, 0, 5}), "will"},
          {bytes({0x19, 1}), "CONNECT"},
          {bytes({0x1a, 0, 1, 'i'}), "CONNACK"},
          {bytes({0x1c, 0, 1, 's'}), "CONNACK DISCONNECT"},
          {bytes({0x1f, 0, 1, 'w'}), "CONNACK PUBACK PUBREC PUBREL PUBCOMP SUBACK UNSUBACK DISCONNECT AUTH"},
          {bytes({0x21, 0, 10}), "CONNECT CONNACK"},
          {bytes({0x22, 0, 10}), "CONNECT CONNACK"},
          {bytes({0x23, 0, 1}), "PUBLISH"},
          {bytes({0x24, 1}), "CONNACK"},
          {bytes({0x25, 1}), "CONNACK"},
          {bytes({0x26, 0, 1, 'k', 0, 1, 'v'}), everywhere},
          {bytes({0x27, 0, 0, 1, 0}), "CONNECT CONNACK"},
          {bytes({0x28, 1}), "CONNACK"},
          {bytes({0x29, 1}), "CONNACK"},
          {bytes({0x2a, 1}), "CONNACK"}};
}

bool names(const std::string& list, const char* name) { return (" " + list + " ").find(" "s + name + " ") != std::string::npos; }

TEST(Mqtt5Properties, each_stands_only_where_table_2_4_says) {
  int good = 0;
  for (const Property& property : every_property()) {
    for (const Place& place : places()) {
      const Bytes wire = with_properties(place, property.wire);
      Reason reason{};
      const auto packet = read(wire, &reason);
      EXPECT_EQ(bool(packet), names(property.places, place.name)) << int(property.wire[0]) << " in " << place.name;
      if (packet) {
        EXPECT_EQ(encoded(*packet), wire) << int(property.wire[0]) << " in " << place.name;
        ++good;
      } else {
        EXPECT_EQ(reason, Reason::malformed_packet);
      }
    }
  }
  EXPECT_EQ(good, 61);  // the entries of the table, all but authentication data, which needs its method
}

TEST(Mqtt5Properties, none_is_read_from_a_truncated_list) {
  for (const Property& property : every_property()) {
    for (const Place& place : places()) {
      if (!names(property.places, place.name)) continue;
      for (std::size_t length = 1; length < property.wire.size(); ++length) {
        Reason reason{};
        EXPECT_FALSE(read(with_properties(place, property.wire.substr(0, length)), &reason));
        EXPECT_EQ(reason, Reason::malformed_packet);
      }
    }
  }
}

TEST(Mqtt5Properties, twice_is_a_protocol_error_but_for_user_properties_and_received_subscription_ids) {
  for (const Property& property : every_property()) {
    for (const Place& place : places()) {
      if (!names(property.places, place.name)) continue;
      const bool may_repeat = property.wire[0] == 0x26 || (property.wire[0] == 0x0b && place.name == "PUBLISH"s);
      Reason reason{};
      EXPECT_EQ(bool(read(with_properties(place, property.wire + property.wire), &reason)), may_repeat) << place.name;
      if (!may_repeat) {
        EXPECT_EQ(reason, Reason::protocol_error);
      }
    }
  }
}

struct Bad {
  const char* why;
  Reason reason;
  Bytes wire;
};

TEST(Mqtt5Properties, values_out_of_range_get_their_reason) {
  const auto all = places();
  const Place &connect = all[0], &connack = all[1], &publish = all[2], &subscribe = all[7], &will = all[13];
  const Bad cases[] = {
      {"payload format", Reason::protocol_error, with_properties(publish, bytes({0x01, 2}))},
      {"topic alias", Reason::topic_alias_invalid, with_properties(publish, bytes({0x23, 0, 0}))},
      {"response topic", Reason::protocol_error, with_properties(publish, bytes({0x08, 0, 1, '#'}))},
      {"response topic", Reason::protocol_error, with_properties(publish, bytes({0x08, 0, 0}))},
      {"content type", Reason::malformed_packet, with_properties(publish, bytes({0x03, 0, 1, 0xff}))},
      {"content type", Reason::malformed_packet, with_properties(publish, bytes({0x03, 0, 1, 0}))},
      {"content type", Reason::malformed_packet, with_properties(publish, bytes({0x03, 0xff, 0xff, 'x'}))},
      {"subscription identifier", Reason::protocol_error, with_properties(subscribe, bytes({0x0b, 0}))},
      {"subscription identifier", Reason::malformed_packet, with_properties(subscribe, bytes({0x0b, 0x80, 0x80, 0x80, 0x80, 1}))},
      {"subscription identifier", Reason::malformed_packet, with_properties(subscribe, bytes({0x0b, 0x81, 0x00}))},
      {"receive maximum", Reason::protocol_error, with_properties(connect, bytes({0x21, 0, 0}))},
      {"maximum packet size", Reason::protocol_error, with_properties(connect, bytes({0x27, 0, 0, 0, 0}))},
      {"request problem information", Reason::protocol_error, with_properties(connect, bytes({0x17, 2}))},
      {"request response information", Reason::protocol_error, with_properties(connect, bytes({0x19, 2}))},
      {"authentication data", Reason::protocol_error, with_properties(connect, bytes({0x16, 0, 1, 'x'}))},
      {"maximum QoS", Reason::protocol_error, with_properties(connack, bytes({0x24, 2}))},
      {"payload format", Reason::protocol_error, with_properties(will, bytes({0x01, 2}))},
      {"property identifier: 4 is none", Reason::malformed_packet, with_properties(publish, bytes({0x04, 0}))},
      {"property identifier: 127 is none", Reason::malformed_packet, with_properties(publish, bytes({0x7f, 0}))},
      {"user property", Reason::malformed_packet, with_properties(publish, bytes({0x26, 0, 1, 'k'}))},
  };
  for (const auto& [why, reason, wire] : cases) {
    Reason found{};
    const auto packet = read(wire, &found);
    ASSERT_FALSE(packet) << why;
    EXPECT_EQ(found, reason) << why;
    EXPECT_NE(packet.error().message.find(why), std::string::npos) << packet.error().message;
  }
}

TEST(Mqtt5Properties, more_user_properties_than_we_keep_are_refused) {
  Properties many;
  for (std::size_t i = 0; i < max_user_properties; ++i) many.user.emplace_back("", "");
  Publish publish{"a", "x", QoS::at_most_once, false, false, 0, share(many)};
  EXPECT_TRUE(read(encoded(publish)));
  many.user.emplace_back("", "");
  publish.properties = share(many);
  Reason reason{};
  EXPECT_FALSE(read(encoded(publish), &reason));
  EXPECT_EQ(reason, Reason::implementation_specific_error);
}

Connect full_connect() {
  Connect packet;
  packet.protocol_level = 5;
  packet.client_id = "dev1";
  packet.clean_session = false;
  packet.keep_alive_seconds = 300;
  packet.will = Will{"w", "gone\0x"s, QoS::exactly_once, true, only([](Properties& p) {
                       p.will_delay = 7;
                       p.content_type = "text/plain";
                     })};
  packet.password = "p\xff\0"s;  // without a user name: section 3.1.2.9
  packet.properties = only([](Properties& p) {
    p.session_expiry = 3600;
    p.receive_maximum = 20;
    p.maximum_packet_size = 70'000;
    p.topic_alias_maximum = 10;
    p.authentication_method = "m";
    p.authentication_data = "d\0"s;
    p.user = {{"a", "1"}, {"a", "2"}};
  });
  return packet;
}

std::vector<Packet> one_of_each() {
  const auto because = only([](Properties& p) {
    p.reason_string = "since";
    p.user = {{"k", "v"}};
  });
  Connect bare;
  bare.protocol_level = 5;
  return {full_connect(),
          bare,
          Connack{true, ConnectCode::accepted, Reason::success, only([](Properties& p) { p.assigned_client_id = "auto-1"; })},
          Connack{false, ConnectCode::accepted, Reason::bad_user_name_or_password, {}},
          Publish{"a/b", "hello", QoS::at_most_once, true, false, 0, {}},
          Publish{"", "by alias", QoS::exactly_once, false, true, 9, only([](Properties& p) {
                    p.topic_alias = 3;
                    p.response_topic = "r/1";
                    p.correlation_data = "\0\1"s;
                    p.subscription_ids = {1, 268'435'455};
                  })},
          Puback{1, Reason::success, {}},
          Puback{1, Reason::not_authorized, {}},
          Puback{1, Reason::quota_exceeded, because},
          Pubrec{258, Reason::no_matching_subscribers, because},
          Pubrel{3, Reason::packet_identifier_not_found, {}},
          Pubcomp{4, Reason::success, because},
          Subscribe{10,
                    {{"a/+/c", QoS::at_least_once, {true, true, RetainHandling::do_not_send, 77}},
                     {"$share/g/#", QoS::exactly_once, {false, false, RetainHandling::send_if_new, 77}}},
                    only([](Properties& p) { p.subscription_ids = {77}; })},
          Suback{10, {0, 1, 2, 0x87, 0xa2}, because},
          Unsubscribe{11, {"a", "b/#"}, only([](Properties& p) {
                        p.user = {{"k", "v"}};
                      })},
          Unsuback{11, {Reason::success, Reason::no_subscription_existed}, because},
          Pingreq{},
          Pingresp{},
          Disconnect{},
          Disconnect{Reason::session_taken_over, {}},
          Disconnect{Reason::disconnect_with_will, only([](Properties& p) { p.session_expiry = 0; })},
          Auth{Reason::continue_authentication, only([](Properties& p) { p.authentication_method = "m"; })}};
}

TEST(Mqtt5Packet, every_kind_comes_back_byte_for_byte) {
  for (const Packet& packet : one_of_each()) {
    const Bytes wire = encoded(packet);
    const auto again = read(wire);
    ASSERT_TRUE(again) << again.error().message;
    EXPECT_EQ(again->index(), packet.index());
    EXPECT_EQ(encoded(*again), wire);
    EXPECT_EQ(**frame_size(wire, wire.size()), wire.size());
  }
}

TEST(Mqtt5Packet, every_truncation_is_asked_for_more_and_never_decoded) {
  for (const Packet& packet : one_of_each()) {
    const Bytes wire = encoded(packet);
    for (std::size_t length = 0; length < wire.size(); ++length) {
      const auto size = frame_size(BytesView(wire).substr(0, length), 1_MiB);
      ASSERT_TRUE(size);
      EXPECT_FALSE(size->has_value());
      EXPECT_FALSE(read(BytesView(wire).substr(0, length)));
    }
  }
}

TEST(Mqtt5Packet, every_body_cut_short_or_grown_is_refused_or_reads_as_less) {
  for (const Packet& packet : one_of_each()) {
    const Bytes wire = encoded(packet);
    if (wire.size() > 120) continue;
    for (std::size_t body = 0; body + 2 < wire.size(); ++body) {
      const Bytes cut = wire.substr(0, 1) + static_cast<char>(body) + wire.substr(2, body);
      const auto less = read(cut);
      if (!less) continue;
      // Reasons, lists and payloads may end early; "success, no properties" has two longer spellings.
      const Bytes again = encoded(*less);
      EXPECT_TRUE(again == cut || again.size() < cut.size()) << int(wire[0]) << " " << body;
    }
  }
}

TEST(Mqtt5Packet, fields_keep_their_values) {
  const auto connect = std::get<Connect>(*read(encoded(full_connect())));
  EXPECT_EQ(*connect.properties, *full_connect().properties);
  EXPECT_EQ(*connect.will->properties, *full_connect().will->properties);
  EXPECT_EQ(connect.will->qos, QoS::exactly_once);
  EXPECT_EQ(connect.password, "p\xff\0"s);
  EXPECT_FALSE(connect.user_name);
  const auto subscribe = std::get<Subscribe>(*read(encoded(one_of_each()[12])));
  EXPECT_EQ(subscribe.subscriptions[0].options, (SubscriptionOptions{true, true, RetainHandling::do_not_send, 77}));
  EXPECT_EQ(subscribe.subscriptions[1].options, (SubscriptionOptions{false, false, RetainHandling::send_if_new, 77}));
  const auto puback = std::get<Puback>(*read(encoded(one_of_each()[8])));
  EXPECT_EQ(puback.reason, Reason::quota_exceeded);
  EXPECT_EQ(puback.properties->reason_string, "since");
}

TEST(Mqtt5Packet, violations_get_the_reason_the_standard_names) {
  const auto connect = [](unsigned flags, Bytes rest) {
    const Bytes body = bytes({0, 4, 'M', 'Q', 'T', 'T', 5, flags, 0, 10}) + rest;
    return bytes({0x10, static_cast<unsigned>(body.size())}) + body;
  };
  const Bad cases[] = {
      {"CONNECT: flags: the reserved bit", Reason::malformed_packet, connect(3, bytes({0, 0, 1, 'c'}))},
      {"CONNECT: will QoS", Reason::malformed_packet, connect(0x1e, bytes({0, 0, 1, 'c'}))},
      {"CONNECT: protocol name", Reason::unsupported_protocol_version,
       bytes({0x10, 14, 0, 4, 'M', 'Q', 'T', 'X', 5, 2, 0, 10, 0, 0, 1, 'c'})},
      {"CONNECT: properties", Reason::malformed_packet, connect(2, bytes({9, 0, 1, 'c'}))},
      {"CONNECT: end", Reason::malformed_packet, connect(2, bytes({0, 0, 1, 'c', 0}))},
      {"PUBLISH: topic: is empty, and there is no alias", Reason::protocol_error, bytes({0x30, 3, 0, 0, 0})},
      {"PUBLISH: topic: has a wild card", Reason::malformed_packet, bytes({0x30, 4, 0, 1, '#', 0})},
      {"PUBLISH: QoS", Reason::malformed_packet, bytes({0x36, 6, 0, 1, 'a', 0, 1, 0})},
      {"PUBLISH: packet identifier", Reason::protocol_error, bytes({0x32, 6, 0, 1, 'a', 0, 0, 0})},
      {"PUBACK: reason code: 0x01", Reason::protocol_error, bytes({0x40, 3, 0, 1, 0x01})},
      {"PUBREL: reason code: 0x80", Reason::protocol_error, bytes({0x62, 3, 0, 1, 0x80})},
      {"SUBSCRIBE: topic filter", Reason::protocol_error, bytes({0x82, 3, 0, 1, 0})},
      {"SUBSCRIBE: subscription options: a reserved bit", Reason::malformed_packet, bytes({0x82, 7, 0, 1, 0, 0, 1, 'a', 0x40})},
      {"SUBSCRIBE: subscription options: expected at most 2", Reason::protocol_error, bytes({0x82, 7, 0, 1, 0, 0, 1, 'a', 0x03})},
      {"SUBSCRIBE: subscription options: expected at most 2", Reason::protocol_error, bytes({0x82, 7, 0, 1, 0, 0, 1, 'a', 0x30})},
      {"SUBSCRIBE: topic filter: has a wild card", Reason::malformed_packet, bytes({0x82, 8, 0, 1, 0, 0, 2, 'a', '#', 0})},
      {"SUBSCRIBE: topic filter: expected $share", Reason::malformed_packet,
       bytes({0x82, 14, 0, 1, 0, 0, 8, '$', 's', 'h', 'a', 'r', 'e', '/', 'g', 0})},
      {"SUBSCRIBE: subscription options: no local", Reason::protocol_error,
       bytes({0x82, 16, 0, 1, 0, 0, 10, '$', 's', 'h', 'a', 'r', 'e', '/', 'g', '/', 'a', 0x04})},
      {"UNSUBSCRIBE: topic filter", Reason::protocol_error, bytes({0xa2, 3, 0, 1, 0})},
      {"DISCONNECT: reason code", Reason::protocol_error, bytes({0xe0, 1, 0x10})},
      {"AUTH: reason code", Reason::protocol_error, bytes({0xf0, 1, 0x87})},
      {"PINGREQ: end", Reason::malformed_packet, bytes({0xc0, 1, 0})},
      {"PINGREQ: flags", Reason::malformed_packet, bytes({0xc1, 0})},
  };
  for (const auto& [why, reason, wire] : cases) {
    Reason found{};
    const auto packet = read(wire, &found);
    ASSERT_FALSE(packet) << why;
    EXPECT_EQ(found, reason) << why;
    EXPECT_NE(packet.error().message.find(why), std::string::npos) << packet.error().message;
  }
}

TEST(Mqtt5Packet, auth_is_no_packet_of_3_1_1_and_options_are_reserved_there) {
  EXPECT_FALSE(decode(encoded(Auth{}), Version::v3_1_1));
  EXPECT_TRUE(decode(encoded(Auth{}), Version::v5));
  EXPECT_FALSE(decode(bytes({0x82, 6, 0, 1, 0, 1, 'a', 0x04}), Version::v3_1_1));
}

TEST(Mqtt5Packet, the_size_of_a_publish_is_known_before_it_is_encoded) {
  for (const std::size_t size : {0u, 110u, 127u, 16'370u, 16'384u}) {
    const Bytes payload(size, 'x');
    for (const Version version : {Version::v3_1_1, Version::v5}) {
      Publish publish{"a/b", payload, QoS::at_least_once, false, false, 1, only([](Properties& p) { p.content_type = "text"; })};
      Bytes wire;
      encode(wire, publish, version);
      EXPECT_EQ(encoded_size(publish, version), wire.size());
    }
  }
}

TEST(MqttFilter, one_covers_another_if_it_matches_all_the_other_can) {
  const std::pair<const char*, const char*> yes[] = {{"#", "#"},     {"#", "a/+/b"},  {"a/#", "a"},   {"a/#", "a/b/#"},
                                                     {"+/b", "+/b"}, {"+/b", "a/b"},  {"a/+", "a/+"}, {"a/b", "a/b"},
                                                     {"+/#", "a"},   {"$x/#", "$x/y"}};
  for (const auto& [allowed, wanted] : yes) EXPECT_TRUE(filter_covers(allowed, wanted)) << allowed << " " << wanted;
  const std::pair<const char*, const char*> no[] = {{"a/b", "a/+"},  {"+", "#"},       {"a/+", "a/#"}, {"a/+", "a"},
                                                    {"a", "a/b"},    {"a/+", "a/b/c"}, {"+/b", "+/+"}, {"#", "$x"},
                                                    {"+/y", "$x/y"}, {"a/#", "#"}};
  for (const auto& [allowed, wanted] : no) EXPECT_FALSE(filter_covers(allowed, wanted)) << allowed << " " << wanted;
}

TEST(Mqtt5Topic, shared_filters_are_taken_apart_as_section_4_8_2_says) {
  EXPECT_EQ(parse_shared_filter("$share/consumer1//finance")->group, "consumer1");
  EXPECT_EQ(parse_shared_filter("$share/consumer1//finance")->filter, "/finance");
  EXPECT_EQ(parse_shared_filter("sport/#")->group, "");
  EXPECT_EQ(parse_shared_filter("sport/#")->filter, "sport/#");
  for (const char* broken : {"$share/", "$share/g", "$share//a", "$share/g/", "$share/+/a", "$share/g#/a", "$share/g/a#"})
    EXPECT_FALSE(parse_shared_filter(broken)) << broken;
}

}  // namespace
}  // namespace nacelle::mqtt
