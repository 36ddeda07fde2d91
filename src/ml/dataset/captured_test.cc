#include "ml/dataset/captured.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <sstream>

#include "codec/avro/container.h"
#include "codec/text/encoding.h"

namespace nacelle::dataset {
namespace {

/// Azure wire facts, section 6.
constexpr std::string_view message_schema = R"({"type":"record","name":"Message","namespace":"Microsoft.Azure.Devices","fields":[
 {"name":"EnqueuedTimeUtc","type":"string"},{"name":"Properties","type":{"type":"map","values":"string"}},
 {"name":"SystemProperties","type":{"type":"map","values":"string"}},{"name":"Body","type":["null","bytes"]}]})";

struct Message {
  std::string device;
  std::optional<std::string> body;
};

std::string reading(int cycle, double sensor = 1.5) {
  std::string body = fmt::format(R"({{"CycleTime":{})", cycle);
  for (int i = 1; i <= 3; ++i) body += fmt::format(R"(,"OperationalSetting{}":{})", i, i);
  for (int i = 1; i <= 21; ++i) body += fmt::format(R"(,"Sensor{}":{})", i, sensor + i);
  return body + "}";
}

std::string container(std::string_view schema, const std::vector<std::string>& records) {
  std::string file;
  auto writer = avro::ContainerWriter::open({.schema = std::string(schema), .metadata = {}, .sync_marker = std::string(16, 'x')},
                                            [&file](BytesView bytes) -> Result<> {
                                              file += bytes;
                                              return {};
                                            });
  EXPECT_TRUE(writer);
  for (const std::string& record : records) EXPECT_TRUE(writer->add(record));
  EXPECT_TRUE(writer->flush_block());
  return file;
}

std::string capture(const std::vector<Message>& messages) {
  std::vector<std::string> records;
  for (const Message& message : messages) {
    std::string record;
    avro::Encoder out(record);
    const std::map<std::string, std::string> properties = {{"a", "b"}},
                                             system = {{"connectionDeviceId", message.device}, {"contentType", "application/json"}};
    out.put_string("2030-01-01T00:00:00.0000000Z").put_map(properties).put_map(system).put_union(message.body ? 1 : 0);
    if (message.body) out.put_bytes(*message.body);
    records.push_back(record);
  }
  return container(message_schema, records);
}

struct Read {
  Result<> outcome;
  TableBuilder rows;
  ImportCounts counts;
};

Read read(const std::string& file) {
  Read result;
  std::istringstream in(file);
  result.outcome = read_avro(in, "f.avro", result.rows, result.counts);
  return result;
}

TEST(ReadAvro, captured_readings_become_rows_of_their_engine) {
  Read result = read(capture({{"Client_007", reading(2, 0.1)}, {"Client_007", reading(1)}, {"Client_012", reading(1)}}));
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto table = result.rows.finish();
  ASSERT_TRUE(table);
  ASSERT_EQ(table->engines.size(), 2u);
  EXPECT_EQ(table->engines[0].unit, 7);
  EXPECT_EQ(table->engines[1].unit, 12);
  EXPECT_EQ(table->value(0, 3), 2.5);
  EXPECT_EQ(table->value(1, 23), 0.1 + 21);  // the nearest double, not a shortened one
}

TEST(ReadAvro, messages_that_are_no_readings_are_skipped_and_counted) {
  const Read result = read(capture({{"Client_001", R"({"ConnectionDeviceId":"Client_001","CycleTime":3,"PredictedRul":9})"},
                                    {"Client_001", "not json"},
                                    {"Client_001", std::nullopt},
                                    {"Client_001", "[1,2]"},
                                    {"gateway", reading(1)},
                                    {"Client_001", reading(1)}}));
  ASSERT_TRUE(result.outcome);
  EXPECT_EQ(result.counts.records, 6u);
  EXPECT_EQ(result.counts.skipped, 5u);
  EXPECT_EQ(result.counts.unreadable, 0u);
  EXPECT_EQ(result.rows.size(), 1u);
}

TEST(ReadAvro, readings_with_a_wrong_member_are_left_out_and_described) {
  std::string wrong = reading(1);
  wrong.replace(wrong.find("\"Sensor2\":3.5"), 13, "\"Sensor2\":\"3\"");
  const Read result = read(capture({{"Client_001", reading(1)}, {"Client_001", wrong}, {"Client_001", reading(0)}}));
  ASSERT_TRUE(result.outcome);
  EXPECT_EQ(result.counts.unreadable, 2u);
  EXPECT_EQ(result.counts.first_complaint, "f.avro, record 2 (engine 1): Sensor2: expected a number");
  EXPECT_EQ(result.rows.size(), 1u);
}

TEST(ReadAvro, a_null_sensor_is_a_silent_channel) {
  std::string body = reading(1);
  body.replace(body.find("\"Sensor2\":3.5"), 13, "\"Sensor2\":null");
  Read result = read(capture({{"Client_001", body}}));
  ASSERT_TRUE(result.outcome);
  EXPECT_TRUE(std::isnan(result.rows.finish()->value(0, 4)));
}

TEST(ReadAvro, the_edge_writers_records_become_rows) {
  std::string schema =
      R"({"type":"record","name":"EngineData","namespace":"turbofan","fields":[{"name":"CorrelationId","type":"string"},
   {"name":"ConnectionDeviceId","type":"string"},{"name":"CreationTimeUtc","type":"string"},{"name":"EnqueuedTimeUtc","type":"string"},
   {"name":"Body","type":{"type":"record","name":"Reading","fields":[{"name":"CycleTime","type":"long"})";
  for (int i = 1; i <= 3; ++i) schema += fmt::format(R"(,{{"name":"OperationalSetting{}","type":"double"}})", i);
  for (int i = 1; i <= 21; ++i) schema += fmt::format(R"(,{{"name":"Sensor{}","type":["null","double"]}})", i);
  schema += R"(,{"name":"PredictedRul","type":"double"}]}}]})";
  std::string record;
  avro::Encoder out(record);
  out.put_string("c").put_string("Client_031").put_string("t").put_string("t").put_long(5);
  for (int i = 1; i <= 3; ++i) out.put_double(i);
  for (int i = 1; i <= 21; ++i) {
    if (i == 2)
      out.put_union(0);
    else
      out.put_union(1).put_double(i * 0.1);
  }
  out.put_double(99);
  Read result = read(container(schema, {record}));
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto table = result.rows.finish();
  ASSERT_TRUE(table);
  EXPECT_EQ(table->unit[0], 31);
  EXPECT_EQ(table->cycle[0], 5);
  EXPECT_EQ(table->value(0, 0), 1);
  EXPECT_EQ(table->value(0, 3), 0.1);
  EXPECT_TRUE(std::isnan(table->value(0, 4)));
}

TEST(ReadAvro, other_schemas_and_cut_files_are_refused_by_name) {
  const Read other = read(container(R"({"type":"record","name":"Other","fields":[{"name":"x","type":"int"}]})", {}));
  ASSERT_FALSE(other.outcome);
  EXPECT_EQ(other.outcome.error().fault, Fault::invalid_input);
  EXPECT_NE(other.outcome.error().message.find("f.avro: expected captured messages"), std::string::npos)
      << other.outcome.error().message;

  const std::string whole = capture({{"Client_001", reading(1)}});
  for (std::size_t size = 0; size < whole.size(); size += 1 + size / 40) {
    const Read cut = read(whole.substr(0, size));
    if (!cut.outcome) {
      EXPECT_NE(cut.outcome.error().message.find("f.avro"), std::string::npos);
    } else {
      EXPECT_EQ(cut.counts.records, 0u) << size;  // the header alone is a proper empty file
    }
  }
}

std::string line(const std::string& device, const std::string& body, bool says_json = true) {
  return fmt::format(R"({{"EnqueuedTimeUtc":"2030-01-01T00:00:00.0000000Z","Properties":{{}},"SystemProperties":)"
                     R"({{"connectionDeviceId":"{}"{}}},"Body":{}}})",
                     device, says_json ? R"(,"contentType":"application/json","contentEncoding":"utf-8")" : "", body) +
         "\n";
}

Read read_lines(const std::string& file) {
  Read result;
  std::istringstream in(file);
  result.outcome = read_json_capture(in, "f.json", result.rows, result.counts);
  return result;
}

TEST(ReadJsonCapture, embedded_and_encoded_bodies_become_rows) {
  Read result =
      read_lines(line("Client_007", reading(2, 0.1)) + line("Client_007", '"' + text::base64_encode(reading(1)) + '"', false));
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  const auto table = result.rows.finish();
  ASSERT_TRUE(table);
  ASSERT_EQ(table->row_count(), 2u);
  EXPECT_EQ(table->unit[0], 7);
  EXPECT_EQ(table->value(0, 3), 2.5);
  EXPECT_EQ(table->value(1, 23), 0.1 + 21);
}

TEST(ReadJsonCapture, what_is_no_reading_is_skipped_and_counted) {
  const Read result = read_lines(line("Client_001", "[1]") + line("Client_001", "null") + line("gateway", reading(1)) +
                                 line("Client_001", "\"" + text::base64_encode(reading(1)) + "\"") +  // a JSON text, not base64
                                 line("Client_001", "\"AQI=\"", false) + line("Client_001", "\"a text\"") +
                                 line("Client_001", R"({"CycleTime":1,"Sensor1":"x"})") + line("Client_001", reading(1)));
  ASSERT_TRUE(result.outcome) << result.outcome.error().message;
  EXPECT_EQ(result.counts.records, 8u);
  EXPECT_EQ(result.counts.skipped, 6u);
  EXPECT_EQ(result.counts.unreadable, 1u);
  EXPECT_EQ(result.counts.first_complaint, "f.json, record 7 (engine 1): Sensor1: expected a number");
  EXPECT_EQ(result.rows.size(), 1u);
}

TEST(ReadJsonCapture, errors_name_file_and_line) {
  const std::string good = line("Client_001", reading(1));
  for (std::size_t size = 1; size + 1 < good.size(); ++size) {
    const Read cut = read_lines(good + good.substr(0, size));
    ASSERT_FALSE(cut.outcome) << size;
    EXPECT_EQ(cut.outcome.error().fault, Fault::corrupt);
    EXPECT_TRUE(cut.outcome.error().message.starts_with("f.json, line 2: ")) << cut.outcome.error().message;
  }
  const std::map<std::string, std::string> wrong = {
      {"7\n", "f.json, line 1: expected a captured message, a JSON object"},
      {R"({"EnqueuedTimeUtc":1})", "f.json, line 1: EnqueuedTimeUtc: expected a string"},
      {R"({"EnqueuedTimeUtc":"t","SystemProperties":3})", "f.json, line 1: SystemProperties: expected an object"},
      {R"({"EnqueuedTimeUtc":"t","SystemProperties":{"a":3}})", "f.json, line 1: SystemProperties: expected a string as 'a'"},
      {line("Client_001", "{}", false),
       "f.json, line 1: Body: expected base64 text, since the message does not say that it is JSON in UTF-8"},
      {line("Client_001", "\"!\"", false), "f.json, line 1: Body: expected base64 text"}};
  for (const auto& [text, why] : wrong) {
    const Read refused = read_lines(text);
    ASSERT_FALSE(refused.outcome) << text;
    EXPECT_EQ(refused.outcome.error().message, why);
  }
  const Read huge = read_lines(good + std::string(3 << 20, ' '));
  ASSERT_FALSE(huge.outcome);
  EXPECT_NE(huge.outcome.error().message.find("f.json, line 2: a line is longer than 2097152 bytes"), std::string::npos)
      << huge.outcome.error().message;
}

TEST(UnitOfDevice, is_the_number_at_the_end) {
  EXPECT_EQ(unit_of_device("Client_007"), 7);
  EXPECT_EQ(unit_of_device("42"), 42);
  EXPECT_EQ(unit_of_device("Client_"), -1);
  EXPECT_EQ(unit_of_device("Client_000"), -1);
  EXPECT_EQ(unit_of_device("Client_99999999999999999999"), -1);
  EXPECT_EQ(unit_of_device(""), -1);
}

/// Messages and uploads of pumps, whose members a schema names.
TEST(ReadAvro, another_fleets_readings_are_what_its_schema_says) {
  const auto schema = std::make_shared<const FleetSchema>(
      FleetSchema::from_json(
          *json::parse(
              R"({"id":"pump","time":{"name":"hour","form":"number","step":2},"settings":["load"],"sensors":["heat in","flow"]})"))
          .value());
  TableBuilder rows(schema);
  ImportCounts counts;
  std::istringstream messages(capture({{"pump-7", R"({"hour":0,"load":50,"heat in":1.5,"flow":9,"PredictedRul":3})"},
                                       {"pump-7", R"({"hour":2,"heat in":2.5,"Sensor1":1})"},
                                       {"pump-8", R"({"CycleTime":4,"flow":8})"},
                                       {"pump-8", R"({"hour":4,"load":50})"},         // no sensor
                                       {"pump-8", R"({"hour":"late","flow":8})"}}));  // unreadable
  const auto read = read_avro(messages, "capture", rows, counts);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(counts.records, 5u);
  EXPECT_EQ(counts.skipped, 1u);
  EXPECT_EQ(counts.unreadable, 1u);

  std::string record;  // as the edge's writer makes them: Avro knows no spaces in names
  avro::Encoder(record).put_string("pump-9").put_long(3).put_double(50).put_double(4.5).put_double(7);
  std::istringstream uploads(container(
      R"({"type":"record","name":"EngineData","fields":[{"name":"ConnectionDeviceId","type":"string"},{"name":"Body","type":
          {"type":"record","name":"EngineBody","fields":[{"name":"CycleTime","type":"long"},{"name":"load","type":"double"},
          {"name":"heat_in","type":"double"},{"name":"flow","type":"double"}]}}]})",
      {record}));
  ASSERT_TRUE(read_avro(uploads, "uploads", rows, counts));
  const auto table = rows.finish(&counts);
  ASSERT_TRUE(table) << table.error().message;
  ASSERT_EQ(table->row_count(), 4u);
  EXPECT_EQ(table->unit, (std::vector<std::int64_t>{7, 7, 8, 9}));
  EXPECT_EQ(table->cycle, (std::vector<std::int64_t>{1, 2, 4, 3})) << "every two hours, from 0 up; CycleTime as it is";
  const auto& heat = table->columns[*table->find_column("heat in")];
  EXPECT_EQ(heat[0], 1.5);
  EXPECT_TRUE(std::isnan(heat[2]));
  EXPECT_EQ(heat[3], 4.5);
}

}  // namespace
}  // namespace nacelle::dataset
