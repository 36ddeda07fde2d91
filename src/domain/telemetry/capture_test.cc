#include "domain/telemetry/capture.h"

#include <gtest/gtest.h>

#include "codec/json/value.h"
#include "codec/text/encoding.h"

namespace nacelle::telemetry {
namespace {

Message sample() {
  Message m;
  m.system = {{"connectionDeviceId", "Client_001"}, {"contentType", "application/json"}, {"contentEncoding", "utf-8"}};
  m.application = {{"level", "high"}};
  m.body = "{\"t\":1}";
  m.enqueued_at = from_unix_seconds(1'893'456'000) + std::chrono::milliseconds(95);
  return m;
}

Bytes captured(const Message& message) {
  Bytes out;
  append_capture_record(out, message);
  return out;
}

TEST(Capture, a_record_reads_back_whole_and_as_a_view) {
  const Bytes bytes = captured(sample()) + captured(sample());
  avro::Decoder decoder(bytes);
  const auto view = read_capture_view(decoder);
  ASSERT_TRUE(view) << view.error().message;
  EXPECT_EQ(view->enqueued_at, "2030-01-01T00:00:00.0950000Z");
  EXPECT_EQ(view->device_id, "Client_001");
  EXPECT_EQ(view->body, "{\"t\":1}");
  const auto message = read_capture_record(decoder);
  ASSERT_TRUE(message) << message.error().message;
  EXPECT_TRUE(decoder.at_end());
  EXPECT_EQ(message->system, sample().system);
  EXPECT_EQ(message->application, sample().application);
  EXPECT_EQ(message->enqueued_at, sample().enqueued_at);
}

TEST(Capture, a_null_body_is_empty) {
  Bytes bytes;
  avro::Encoder(bytes).put_string("2030-01-01T00:00:00Z").put_count(0).put_count(0).put_union(0);
  avro::Decoder decoder(bytes);
  EXPECT_EQ(read_capture_record(decoder)->body, "");
}

TEST(Capture, every_truncation_is_corrupt) {
  const Bytes bytes = captured(sample());
  for (std::size_t size = 0; size < bytes.size(); ++size) {
    avro::Decoder one(BytesView(bytes).substr(0, size));
    avro::Decoder two(BytesView(bytes).substr(0, size));
    EXPECT_FALSE(read_capture_view(one)) << size;
    const auto message = read_capture_record(two);
    ASSERT_FALSE(message) << size;
    EXPECT_EQ(message.error().fault, Fault::corrupt);
  }
}

TEST(Capture, bytes_that_are_no_utf8_are_mended_so_that_readers_go_on) {
  Message m = sample();
  m.application = {{"odd",
                    "a\xff"
                    "b"}};
  const Bytes bytes = captured(m);
  avro::Decoder decoder(bytes);
  EXPECT_EQ(read_capture_record(decoder)->application.get("odd"),
            "a\xef\xbf\xbd"
            "b");
}

TEST(Capture, an_enqueued_time_that_is_none_is_corrupt) {
  Bytes bytes;
  avro::Encoder(bytes).put_string("yesterday").put_count(0).put_count(0).put_union(0);
  avro::Decoder decoder(bytes);
  EXPECT_EQ(read_capture_record(decoder).error().fault, Fault::corrupt);
}

TEST(CaptureLine, json_bodies_are_embedded_as_they_stand_on_one_line) {
  Message m = sample();
  m.body = "{\n \"t\": 1.10\r\n}";
  EXPECT_EQ(
      print_capture_line(m),
      R"({"EnqueuedTimeUtc":"2030-01-01T00:00:00.0950000Z","Properties":{"level":"high"},"SystemProperties":)"
      R"({"connectionDeviceId":"Client_001","contentType":"application/json","contentEncoding":"utf-8"},"Body":{  "t": 1.10  }})");
}

TEST(CaptureLine, anything_else_is_base64) {
  for (const char* change : {"encoding", "type", "body"}) {
    Message m = sample();
    if (change == std::string_view("encoding")) m.system.set("contentEncoding", "utf-16");
    if (change == std::string_view("type")) m.system.set("contentType", "text/plain");
    if (change == std::string_view("body")) m.body = "{\"t\":";
    const auto line = json::parse(print_capture_line(m));
    ASSERT_TRUE(line) << change;
    EXPECT_EQ(line->find("Body")->as_string(), text::base64_encode(m.body)) << change;
  }
}

}  // namespace
}  // namespace nacelle::telemetry
