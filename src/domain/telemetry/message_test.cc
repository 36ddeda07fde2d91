#include "domain/telemetry/message.h"

#include <gtest/gtest.h>

#include "codec/text/encoding.h"
#include "domain/telemetry/record.h"

namespace nacelle::telemetry {
namespace {

Message read(std::string_view bag, BagFrom from = BagFrom::client) {
  Message message;
  const auto result = read_property_bag(bag, message, from);
  EXPECT_TRUE(result) << bag << ": " << result.error().message;
  return message;
}

TEST(Properties, look_up_ignores_case_and_keeps_the_names) {
  Properties properties;
  properties.set("Level", "high");
  properties.set("LEVEL", "low");
  EXPECT_EQ(properties.size(), 1u);
  EXPECT_EQ(properties.get("level"), "low");
  EXPECT_EQ(properties.begin()->first, "Level");
  EXPECT_FALSE(properties.find("leve"));
  EXPECT_TRUE(properties.erase("leVel"));
  EXPECT_FALSE(properties.erase("level"));
  EXPECT_TRUE(properties.empty());
}

TEST(PropertyBag, wire_names_become_system_properties) {
  const Message m =
      read("%24.mid=42&%24.ct=application%2Fjson&$.ce=utf-8&level=high&iothub-ack=full&$.exp=2030-01-01T00%3A00%3A00Z");
  EXPECT_EQ(m.system.get("messageId"), "42");
  EXPECT_EQ(m.system.get("contentType"), "application/json");
  EXPECT_EQ(m.system.get("contentEncoding"), "utf-8");
  EXPECT_EQ(m.system.get("ack"), "full");
  EXPECT_EQ(m.system.get("expiryTimeUtc"), "2030-01-01T00:00:00Z");
  EXPECT_EQ(m.application, (Properties{{"level", "high"}}));
}

TEST(PropertyBag, one_final_slash_is_cut_and_output_is_known) {
  const Message m = read("%24.on=alerts&%24.ce=utf-8&p=1/");
  EXPECT_EQ(m.output(), "alerts");
  EXPECT_EQ(m.application.get("p"), "1");
  EXPECT_EQ(read("p=1//").application.get("p"), "1/");
}

TEST(PropertyBag, bare_keys_empty_values_and_raw_equals) {
  const Message m = read("a&b=&c=x=y&&");
  EXPECT_EQ(m.application, (Properties{{"a", ""}, {"b", ""}, {"c", "x=y"}}));
  EXPECT_TRUE(read("").application.empty());
  EXPECT_TRUE(read("/").application.empty());
}

TEST(PropertyBag, plus_stays_a_plus) { EXPECT_EQ(read("a=1+1%20").application.get("a"), "1+1 "); }

TEST(PropertyBag, names_only_the_server_sets_are_dropped_in_every_spelling) {
  const Message m = read(
      "%24.cdid=other&$.cmid=m&connectionDeviceId=other&%24connectionDeviceId=other&$CONNECTIONMODULEID=m&enqueuedTime=now&"
      "$connectionAuthMethod=x&iothub-connection-device-id=o&$connectionDeviceGenerationId=9&$mqttTopic=t&mqttclientid=c&ok=1");
  EXPECT_TRUE(m.system.empty());
  EXPECT_EQ(m.application, (Properties{{"ok", "1"}}));
}

TEST(PropertyBag, the_sender_is_read_from_a_servers_bag) {
  const Message m = read("%24.cdid=edge1&%24.cmid=sensor&a=b", BagFrom::server);
  EXPECT_EQ(m.device_id(), "edge1");
  EXPECT_EQ(m.module_id(), "sensor");
}

TEST(PropertyBag, broken_escapes_are_refused_and_name_the_property) {
  Message m;
  for (const char* bag : {"a=%", "a=%2", "a=%zz", "%=1", "=v"}) EXPECT_FALSE(read_property_bag(bag, m)) << bag;
  EXPECT_NE(read_property_bag("speed=%zz", m).error().message.find("speed"), std::string::npos);
}

TEST(PropertyBag, printing_escapes_everything_and_reads_back) {
  Message m;
  m.system = {{"messageId", "a=b&c/d?e#f+g h"}, {"outputName", "o"}, {"enqueuedTime", "t"}, {"connectionDeviceId", "leaf"}};
  m.application = {{"k&=/", "v%/+ü"}, {"empty", ""}};
  const std::string bag = print_property_bag(m, false);
  EXPECT_EQ(bag.find_first_of(" /?#+"), std::string::npos);
  EXPECT_EQ(bag.find("leaf"), std::string::npos);
  const Message again = read(bag);
  EXPECT_EQ(again.system, (Properties{{"messageId", "a=b&c/d?e#f+g h"}}));
  EXPECT_EQ(again.application, m.application);
  EXPECT_NE(print_property_bag(m, true).find("%24.cdid=leaf"), std::string::npos);
}

Message sample() {
  Message m;
  m.source = Source::module_messages;
  m.system = {{"connectionDeviceId", "edge1"}, {"connectionModuleId", "m"}, {"odd", "x"}};
  m.application = {{"level", "high"}};
  m.body = "{\"t\":1}";
  m.enqueued_at = from_unix_seconds(1'893'456'000);
  return m;
}

TEST(MessageRecord, round_trip) {
  const auto again = decode_record(encode_record(sample()));
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_EQ(again->source, Source::module_messages);
  EXPECT_EQ(again->system, sample().system);
  EXPECT_EQ(again->application, sample().application);
  EXPECT_EQ(again->body, sample().body);
  EXPECT_EQ(again->enqueued_at, sample().enqueued_at);
}

// docs/formats/message-record.md shows these bytes: change both or neither.
TEST(MessageRecord, the_documented_bytes) {
  EXPECT_EQ(text::hex_encode(encode_record(sample())),
            "0101"
            "0020479416ba0600"
            "03"
            "01056564676531"
            "02016d"
            "00036f64640178"
            "01"
            "056c6576656c0468696768"
            "077b2274223a317d");
}

TEST(MessageRecord, every_truncation_and_any_excess_is_corrupt) {
  const Bytes record = encode_record(sample());
  for (std::size_t size = 0; size < record.size(); ++size) {
    const auto cut = decode_record(BytesView(record).substr(0, size));
    ASSERT_FALSE(cut) << size;
    EXPECT_EQ(cut.error().fault, Fault::corrupt);
  }
  EXPECT_FALSE(decode_record(record + 'x'));
}

TEST(MessageRecord, unknown_version_source_name_and_absurd_counts_are_corrupt) {
  Bytes record = encode_record(sample());
  record[0] = 2;
  EXPECT_FALSE(decode_record(record));
  record[0] = 1;
  record[1] = 9;
  EXPECT_FALSE(decode_record(record));
  const Bytes head = record.substr(0, 1) + Bytes(9, '\0');
  EXPECT_FALSE(decode_record(head + "\xff\xff\xff\xff\x0f"));                // 4 G properties
  EXPECT_FALSE(decode_record(head + "\xff\xff\xff\xff\xff\xff\x01"));        // a number of 43 bits
  EXPECT_FALSE(decode_record(head + Bytes("\x01\x63\x00\x00\x00", 5)));      // name code 99
  EXPECT_FALSE(decode_record(head + Bytes("\x00\x00\xff\xff\xff\x7f", 6)));  // a body of 256 MiB
}

TEST(RecordDecoderTest, decodes_each_record_as_if_it_were_alone) {
  Message message;
  message.system = {{"connectionDeviceId", "d1"}, {"messageId", "1"}};
  message.application = {{"a", "b"}};
  std::vector<Message> sent;
  for (const char* body : {"first", "second, longer", ""}) {
    message.body = body;
    sent.push_back(message);
  }
  sent.push_back(message);
  sent.back().system.set("messageId", "2");
  sent.push_back(sent.back());
  sent.back().published = "how";
  sent.push_back(sent.front());
  sent.back().enqueued_at += std::chrono::microseconds{1};
  sent.push_back(sent.front());
  RecordDecoder decoder;
  for (const Message& one : sent) {
    const Bytes record = encode_record(one);
    const auto decoded = decoder.decode(record);
    ASSERT_TRUE(decoded.has_value());
    EXPECT_EQ(encode_record(**decoded), record);
    for (std::size_t cut = 0; cut < record.size(); ++cut) {  // whatever it has seen before
      const auto torn = decoder.decode(BytesView(record).substr(0, cut));
      EXPECT_FALSE(torn.has_value());
    }
  }
}

}  // namespace
}  // namespace nacelle::telemetry
