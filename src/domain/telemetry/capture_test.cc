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

/// Bodies and properties of every kind that a line has its own way for.
std::vector<Message> messages_of_every_kind() {
  std::vector<Message> all;
  for (const char* body : {"{\"t\":1}", "{ \"a\" : [1.10, {\"b\":\"}],\\\"\"}] , \"Body\":2}", "[]", "12345678901234567890", "null",
                           "true", "\"a text\"", "\"eyJ0IjoxfQ==\"", "{\"t\":", "", "\x01\xff\x00", "{}"}) {
    Message m = sample();
    m.body = body;
    all.push_back(m);
    m.system.erase("contentType");
    m.application = {};
    all.push_back(m);
  }
  all.back().body = Bytes("\0\xfe binary", 9);
  Message deep = sample();
  deep.body = std::string(64, '[') + std::string(64, ']');
  all.push_back(deep);
  deep.body = std::string(100, '[') + std::string(100, ']');  // deeper than is embedded
  all.push_back(deep);
  Message module = sample();
  module.system.set("connectionModuleId", "filter");
  module.source = Source::module_messages;
  module.application = {{"Body", "not this"}, {"quote\"", "\\ \n \xc3\xa4"}, {"", ""}};
  all.push_back(module);
  return all;
}

TEST(CaptureLine, reads_back_what_an_avro_record_of_the_same_message_says) {
  for (const Message& message : messages_of_every_kind()) {
    const std::string line = print_capture_line(message);
    const auto read = read_capture_line(line);
    ASSERT_TRUE(read) << line << ": " << read.error().message;
    const Bytes record = captured(message);
    avro::Decoder decoder(record);
    const auto avro = read_capture_record(decoder);
    ASSERT_TRUE(avro);
    EXPECT_EQ(read->body, avro->body) << line;
    EXPECT_EQ(read->system, avro->system) << line;
    EXPECT_EQ(read->application, avro->application) << line;
    EXPECT_EQ(read->enqueued_at, avro->enqueued_at);
    EXPECT_EQ(read->source, avro->source);
    EXPECT_EQ(print_capture_line(*read), line);
  }
}

TEST(CaptureLine, members_may_stand_in_any_order_and_body_may_be_absent_or_null) {
  const auto read = read_capture_line(
      R"( { "Body" : { "n" : 1.10 } , "SystemProperties":{"contentEncoding":"UTF-8","contentType":"application/json; v=1"},)"
      R"("EnqueuedTimeUtc":"2030-01-01T00:00:00Z","Other":[{"Body":1}]})");
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->body, "{ \"n\" : 1.10 }");
  EXPECT_EQ(read_capture_line(R"({"EnqueuedTimeUtc":"2030-01-01T00:00:00Z","Body":null})")->body, "");
  EXPECT_EQ(read_capture_line(R"({"EnqueuedTimeUtc":"2030-01-01T00:00:00Z"})")->body, "");
}

TEST(CaptureLine, every_truncation_is_refused) {
  for (const Message& message : messages_of_every_kind()) {
    const std::string line = print_capture_line(message);
    for (std::size_t size = 0; size < line.size(); ++size) EXPECT_FALSE(read_capture_line(line.substr(0, size))) << size;
  }
}

TEST(CaptureLine, wrong_types_and_absurd_sizes_are_refused_by_name) {
  const auto why = [](const std::string& members) {
    const auto read = read_capture_line("{" + members + "}");
    return read ? std::string("read") : read.error().message;
  };
  const std::string time = R"("EnqueuedTimeUtc":"2030-01-01T00:00:00Z",)";
  EXPECT_NE(why(R"("EnqueuedTimeUtc":7)").find("EnqueuedTimeUtc: expected a string"), std::string::npos) << why("");
  EXPECT_NE(why(R"("EnqueuedTimeUtc":"yesterday")").find("EnqueuedTimeUtc"), std::string::npos);
  EXPECT_EQ(why(time + R"("Properties":[])"), "Properties: expected an object, found a array");
  EXPECT_EQ(why(time + R"("SystemProperties":{"contentType":7})"),
            "SystemProperties: 'contentType': expected a string, found a number");
  EXPECT_NE(why(time + R"("Body":{"t":1})").find("Body: expected base64 text"), std::string::npos);
  EXPECT_EQ(why(time + R"("Body":"!!")"), "Body: expected base64 text");
  EXPECT_EQ(read_capture_line("[1]").error().message, "expected an object, found a array");
  const std::string long_line = "{" + time + R"("Body":")" + std::string(max_capture_line_bytes, 'A') + "\"}";
  EXPECT_EQ(read_capture_line(long_line).error().fault, Fault::exhausted);
  const std::string deep = "{" + time + R"("Other":)" + std::string(100'000, '[');
  EXPECT_FALSE(read_capture_line(deep));
}

TEST(CaptureLine, a_file_of_lines_is_told_by_its_beginning) {
  EXPECT_TRUE(looks_like_capture_lines(print_capture_line(sample()).substr(0, 64)));
  EXPECT_TRUE(looks_like_capture_lines("\n { \"Body\": 1"));
  for (const char* other : {"", "{", "{}", "[{\"Body\":1}]", "Obj\x01", "{\"name\":\"Body\"}"})
    EXPECT_FALSE(looks_like_capture_lines(other)) << other;
}

}  // namespace
}  // namespace nacelle::telemetry
