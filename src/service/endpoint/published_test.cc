#include "service/endpoint/published.h"

#include <gtest/gtest.h>

#include "codec/text/encoding.h"

namespace nacelle::endpoint {
namespace {

using mqtt::QoS;

mqtt::Publish example() {
  mqtt::Publish publish;
  publish.topic = "t";
  publish.qos = QoS::exactly_once;
  publish.packet_id = 7;
  return publish;
}
constexpr Timestamp began{std::chrono::microseconds{1}};

TEST(Published, example_in_the_format_page) {
  EXPECT_EQ(text::hex_encode(print_published(example(), "a", began)),
            "010061"
            "0100000000000000"
            "3406000174000700");
}

TEST(Published, everything_that_is_handed_out_comes_back) {
  mqtt::Publish publish = example();
  publish.retain = true;
  publish.duplicate = true;
  mqtt::Properties properties;
  properties.payload_format = 1;
  properties.content_type = "text/plain";
  properties.response_topic = "answers";
  properties.correlation_data = Bytes("\0\xff", 2);
  properties.user = {{"k", "1"}, {"k", "2"}};
  properties.message_expiry = 60;
  properties.topic_alias = 3;  // the connection's own
  publish.properties = std::make_shared<const mqtt::Properties>(properties);
  telemetry::Message record;
  record.body = "payload";
  record.enqueued_at = Timestamp{std::chrono::seconds{100}};
  record.published = print_published(publish, "session", began);

  const auto read = read_published(record);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->identifier.session, "session");
  EXPECT_EQ(read->identifier.since, began);
  EXPECT_EQ(read->identifier.packet_id, 7);
  const net::MqttMessage& message = *read->message;
  EXPECT_EQ(message.topic, "t");
  EXPECT_EQ(message.payload, "payload");
  EXPECT_EQ(message.qos, QoS::exactly_once);
  EXPECT_TRUE(message.retain);
  EXPECT_EQ(message.expires_at, Timestamp{std::chrono::seconds{160}});
  properties.message_expiry.reset();
  properties.topic_alias.reset();
  ASSERT_TRUE(message.properties);
  EXPECT_EQ(*message.properties, properties);
}

TEST(Published, an_identifier_counts_only_in_a_session_that_is_kept_and_with_qos_2) {
  telemetry::Message record;
  record.published = print_published(example(), "a", std::nullopt);
  EXPECT_EQ(read_published(record).value().identifier.packet_id, 0);
  mqtt::Publish once = example();
  once.qos = QoS::at_least_once;
  record.published = print_published(once, "a", began);
  EXPECT_EQ(read_published(record).value().identifier.packet_id, 0);
  mqtt::Publish will = example();
  will.packet_id = 0;  // it was no packet of its own
  record.published = print_published(will, "a", std::nullopt);
  EXPECT_TRUE(read_published(record));
}

TEST(Published, what_is_cut_off_longer_or_no_publish_is_corrupt) {
  const Bytes whole = print_published(example(), "a", began);
  telemetry::Message record;
  for (std::size_t size = 0; size < whole.size(); ++size) {
    record.published = whole.substr(0, size);
    const auto read = read_published(record);
    ASSERT_FALSE(read) << size;
    EXPECT_EQ(read.error().fault, Fault::corrupt);
  }
  record.published = whole + "x";
  EXPECT_FALSE(read_published(record));
  record.published = text::hex_decode(
                         "010061"
                         "0000000000000000"
                         "c000")
                         .value();
  EXPECT_FALSE(read_published(record));
  record.published = text::hex_decode(
                         "ffff61"
                         "0000000000000000"
                         "c000")
                         .value();
  EXPECT_FALSE(read_published(record));
}

}  // namespace
}  // namespace nacelle::endpoint
