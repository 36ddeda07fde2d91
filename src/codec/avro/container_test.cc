#include "codec/avro/container.h"

#include <gtest/gtest.h>

#include "codec/avro/schema.h"
#include "codec/text/encoding.h"

namespace nacelle::avro {
namespace {

// Three records of the IoT Hub envelope, written by Avro C 1.11.1 with deflate.
constexpr std::string_view by_avro_c =
    "4f626a0104146176726f2e636f6465630e6465666c617465166176726f2e736368656d61aa057b2274797065223a227265636f7264222c226e61"
    "6d65223a224d657373616765222c226e616d657370616365223a224d6963726f736f66742e417a7572652e44657669636573222c226669656c64"
    "73223a5b7b226e616d65223a22456e71756575656454696d65557463222c2274797065223a7b2274797065223a22737472696e67227d7d2c7b22"
    "6e616d65223a2250726f70657274696573222c2274797065223a7b2274797065223a226d6170222c2276616c756573223a7b2274797065223a22"
    "737472696e67227d7d7d2c7b226e616d65223a2253797374656d50726f70657274696573222c2274797065223a7b2274797065223a226d617022"
    "2c2276616c756573223a7b2274797065223a22737472696e67227d7d7d2c7b226e616d65223a22426f6479222c2274797065223a5b7b22747970"
    "65223a226e756c6c227d2c7b2274797065223a226279746573227d5d7d5d7d00922da68642791d149d159af3210bfb5606a801b330323036d035"
    "3004a21003432b43332b23233d034b5303208862605249cecfcb4b4d2ec9cccf73492dcb4c4ef54c1171cec94ccd2b893730306460e2ab564a54"
    "b232acb5c0670c135336531995cc22680c0300922da68642791d149d159af3210bfb56";

Bytes marker() { return "0123456789abcdef"; }

ContainerOptions strings(Codec codec) {
  return {
      .schema = R"("string")", .codec = codec, .metadata = {{"nacelle.first", "7"}}, .sync_marker = marker(), .block_bytes = 100};
}

Bytes record(std::string_view text) {
  Bytes out;
  Encoder(out).put_string(text);
  return out;
}

/// `count` strings in a container; they differ, and some are long.
Bytes container(Codec codec, int count) {
  Bytes file;
  auto writer = ContainerWriter::open(strings(codec), [&](BytesView bytes) { return file += bytes, Result<>{}; });
  EXPECT_TRUE(writer);
  for (int i = 0; i < count; ++i)
    EXPECT_TRUE(writer->add(record(std::to_string(i) + Bytes(static_cast<std::size_t>(i % 70), 'x'))));
  EXPECT_TRUE(writer->flush_block());
  EXPECT_EQ(writer->records(), static_cast<std::uint64_t>(count));
  EXPECT_EQ(writer->bytes_written(), file.size());
  EXPECT_EQ(writer->bytes_waiting(), 0u);
  return file;
}

Result<std::vector<std::string>> read_all(BytesView file, ContainerLimits limits = {}) {
  TRY_LET(auto reader, ContainerReader::open(file, limits));
  std::vector<std::string> strings;
  TRY(reader.each_record([&](Decoder& decoder) -> Result<> {
    TRY_LET(const std::string_view text, decoder.read_string());
    strings.emplace_back(text);
    return {};
  }));
  return strings;
}

class AvroContainer : public testing::TestWithParam<Codec> {};
INSTANTIATE_TEST_SUITE_P(Codecs, AvroContainer, testing::Values(Codec::null, Codec::deflate));

TEST_P(AvroContainer, records_and_metadata_come_back) {
  const Bytes file = container(GetParam(), 500);
  auto reader = ContainerReader::open(file);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->header().schema, R"("string")");
  EXPECT_EQ(reader->header().codec, GetParam());
  EXPECT_EQ(reader->header().sync_marker, marker());
  EXPECT_EQ(reader->header().metadata.size(), 1u);
  EXPECT_EQ(*reader->header().find("nacelle.first"), "7");
  EXPECT_EQ(reader->header().find("nacelle.last"), nullptr);
  const auto strings = read_all(file);
  ASSERT_TRUE(strings) << strings.error().message;
  ASSERT_EQ(strings->size(), 500u);
  EXPECT_EQ((*strings)[499], "499" + Bytes(499 % 70, 'x'));
}

TEST_P(AvroContainer, a_container_without_records_is_whole) { EXPECT_EQ(read_all(container(GetParam(), 0))->size(), 0u); }

TEST_P(AvroContainer, a_truncated_file_gives_its_whole_blocks_and_then_a_fault) {
  const Bytes file = container(GetParam(), 40);
  std::size_t whole_ends = 0;
  for (std::size_t length = 0; length < file.size(); ++length) {
    auto reader = ContainerReader::open(BytesView(file).substr(0, length));
    if (!reader) {
      EXPECT_EQ(reader.error().fault, Fault::corrupt);
      continue;
    }
    std::uint64_t records = 0;
    while (true) {
      const auto block = reader->next_block();
      if (!block) {
        EXPECT_EQ(block.error().fault, Fault::corrupt);
        EXPECT_NE(block.error().message.find("whole blocks: Avro container, byte"), std::string::npos) << block.error().message;
        EXPECT_FALSE(reader->next_block());  // and so it stays
        break;
      }
      if (!*block) {
        ++whole_ends;
        break;
      }
      records += (*block)->records;
    }
    EXPECT_LT(records, 40u);
  }
  EXPECT_GT(whole_ends, 2u);  // at the end of the header and of each block but the last
  EXPECT_LT(whole_ends, 40u);
}

TEST_P(AvroContainer, a_changed_byte_is_a_fault_or_another_value_and_never_more) {
  const Bytes file = container(GetParam(), 40);
  for (std::size_t i = 0; i < file.size(); ++i) {
    for (const char flip : {'\x01', '\x80', '\xff'}) {
      Bytes changed = file;
      changed[i] = static_cast<char>(changed[i] ^ flip);
      const auto strings = read_all(changed, {.header_bytes = 4096, .block_bytes = 4096});
      EXPECT_TRUE(!strings || strings->size() <= 40u) << i;
    }
  }
}

TEST_P(AvroContainer, a_source_may_give_one_byte_at_a_time) {
  const Bytes file = container(GetParam(), 50);
  std::size_t at = 0;
  auto reader = ContainerReader::open([&](char* to, std::size_t) -> Result<std::size_t> {
    if (at == file.size()) return std::size_t{0};
    *to = file[at++];
    return std::size_t{1};
  });
  ASSERT_TRUE(reader);
  std::uint64_t records = 0;
  EXPECT_TRUE(reader->each_record([&](Decoder& decoder) -> Result<> {
    ++records;
    TRY(decoder.read_string());
    return {};
  }));
  EXPECT_EQ(records, 50u);
}

TEST_P(AvroContainer, a_block_above_the_limit_is_refused) {
  Bytes file;
  auto options = strings(GetParam());
  options.block_bytes = 1u << 30;
  auto writer = ContainerWriter::open(options, [&](BytesView bytes) { return file += bytes, Result<>{}; });
  const Bytes big = record(Bytes(99'997, 'a'));  // 100 000 bytes with its length
  ASSERT_TRUE(writer->add(big));
  ASSERT_TRUE(writer->flush_block());
  EXPECT_TRUE(read_all(file, {.block_bytes = big.size()}));
  const auto refused = read_all(file, {.block_bytes = big.size() - 1});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::exhausted);
}

TEST(AvroContainerReader, a_file_of_avro_c_is_read) {
  const Bytes file = *text::hex_decode(by_avro_c);
  auto reader = ContainerReader::open(file);
  ASSERT_TRUE(reader) << reader.error().message;
  const auto schema = Schema::parse(reader->header().schema);
  ASSERT_TRUE(schema) << schema.error().message;
  std::vector<std::string> records;
  const auto read = reader->each_record([&](Decoder& decoder) -> Result<> {
    TRY_LET(const json::Value value, decode(schema->root(), decoder));
    records.push_back(json::print(value));
    return {};
  });
  ASSERT_TRUE(read) << read.error().message;
  ASSERT_EQ(records.size(), 3u);
  EXPECT_EQ(records[1], R"({"EnqueuedTimeUtc":"2030-01-01T01:16:22.0950000Z","Properties":{"k":"v"},)"
                        R"("SystemProperties":{"connectionDeviceId":"Client_001"},"Body":"{\"a\":1}"})");
  EXPECT_EQ(json::parse(records[2])->find("Body")->is_null(), true);
}

TEST(AvroContainerReader, hostile_headers_are_refused) {
  Bytes endless = "Obj\x01";
  Encoder(endless).put_count(1'000'000'000);
  endless += Bytes(100'000, '\0');  // names and values of no bytes
  EXPECT_EQ(ContainerReader::open(endless, {.header_bytes = 1000}).error().fault, Fault::exhausted);

  Bytes long_name = "Obj\x01";
  Encoder(long_name).put_count(1).put_long(INT64_MAX);
  EXPECT_EQ(ContainerReader::open(long_name).error().fault, Fault::exhausted);
  Bytes negative = "Obj\x01";
  Encoder(negative).put_count(1).put_long(-5);
  EXPECT_EQ(ContainerReader::open(negative).error().fault, Fault::corrupt);
  Bytes lying = "Obj\x01";
  Encoder(lying).put_count(1).put_long(1 << 19);
  EXPECT_EQ(ContainerReader::open(lying + "abc").error().fault, Fault::corrupt);

  Bytes no_schema = "Obj\x01";
  Encoder(no_schema).put_map(Metadata{{"a", "b"}});
  EXPECT_EQ(ContainerReader::open(no_schema + marker()).error().fault, Fault::corrupt);
  Bytes snappy = "Obj\x01";
  Encoder(snappy).put_map(Metadata{{"avro.schema", "\"int\""}, {"avro.codec", "snappy"}});
  const auto refused = ContainerReader::open(snappy + marker());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::invalid_input);
  EXPECT_NE(refused.error().message.find("snappy"), std::string::npos);
  EXPECT_NE(ContainerReader::open("PAR1....").error().message.find("expected an Avro container"), std::string::npos);
}

TEST(AvroContainerReader, a_header_without_codec_means_null) {
  Bytes file = "Obj\x01";
  Encoder(file).put_long(-1).put_long(99).put_string("avro.schema").put_bytes("\"int\"").put_count(0);
  file += marker();
  auto reader = ContainerReader::open(file);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->header().codec, Codec::null);
  EXPECT_FALSE(reader->next_block()->has_value());
}

Bytes with_block(std::int64_t records, BytesView stored, Codec codec = Codec::null) {
  Bytes file = container(codec, 0);
  Encoder(file).put_long(records).put_bytes(stored);
  return file + marker();
}

TEST(AvroContainerReader, counts_that_do_not_fit_the_block_are_corrupt) {
  EXPECT_TRUE(read_all(with_block(2, record("a") + record("b"))));
  EXPECT_EQ(read_all(with_block(1, record("a") + record("b"))).error().fault, Fault::corrupt);
  EXPECT_EQ(read_all(with_block(3, record("a") + record("b"))).error().fault, Fault::corrupt);
  EXPECT_EQ(read_all(with_block(INT64_MAX, "")).error().fault, Fault::corrupt);
  EXPECT_EQ(read_all(with_block(-1, record("a"))).error().fault, Fault::corrupt);
  EXPECT_EQ(read_all(with_block(1, "not deflate", Codec::deflate)).error().fault, Fault::corrupt);
  EXPECT_EQ(read_all(with_block(1, "", Codec::deflate)).error().fault, Fault::corrupt);
}

TEST(AvroContainerReader, faults_of_the_source_pass_through) {
  const auto reader =
      ContainerReader::open([](char*, std::size_t) -> Result<std::size_t> { return fail(Fault::unavailable, "disk gone"); });
  ASSERT_FALSE(reader);
  EXPECT_EQ(reader.error().fault, Fault::unavailable);
}

// The example of docs/formats/avro-container.md, byte for byte.
TEST(AvroContainerWriter, the_documented_example_holds) {
  Bytes file;
  auto writer = ContainerWriter::open(
      {.schema = "\"string\"", .codec = Codec::null, .metadata = {{"nacelle.partition", "3"}}, .sync_marker = marker()},
      [&](BytesView bytes) { return file += bytes, Result<>{}; });
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->add(record("a")));
  ASSERT_TRUE(writer->add(record("bc")));
  ASSERT_TRUE(writer->flush_block());
  EXPECT_EQ(text::hex_encode(file),
            "4f626a0106166176726f2e736368656d611022737472696e6722146176726f2e636f646563086e756c6c"
            "226e6163656c6c652e706172746974696f6e02330030313233343536373839616263646566"
            "040a026104626330313233343536373839616263646566");
}

TEST(AvroContainerWriter, options_are_checked) {
  const auto sink = [](BytesView) { return Result<>{}; };
  auto options = strings(Codec::null);
  options.sync_marker = "short";
  EXPECT_EQ(ContainerWriter::open(options, sink).error().fault, Fault::invalid_input);
  options = strings(Codec::null);
  options.metadata.push_back({"avro.mine", ""});
  EXPECT_EQ(ContainerWriter::open(options, sink).error().fault, Fault::invalid_input);
}

TEST(AvroContainerWriter, after_a_failing_sink_nothing_is_written) {
  int calls = 0;
  auto writer = ContainerWriter::open(strings(Codec::deflate), [&](BytesView) -> Result<> {
    if (++calls > 1) return fail(Fault::exhausted, "disk full");
    return {};
  });
  ASSERT_TRUE(writer);
  ASSERT_TRUE(writer->add(record("a")));
  EXPECT_EQ(writer->flush_block().error().fault, Fault::exhausted);
  EXPECT_EQ(writer->add(record("b")).error().message, "disk full");
  EXPECT_FALSE(writer->flush_block());
  EXPECT_EQ(calls, 2);
}

}  // namespace
}  // namespace nacelle::avro
