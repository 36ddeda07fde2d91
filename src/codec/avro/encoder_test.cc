#include "codec/avro/encoder.h"

#include <gtest/gtest.h>

#include <bit>
#include <map>
#include <random>

#include "codec/text/encoding.h"

namespace nacelle::avro {
namespace {

using namespace std::string_literals;

std::string hex_of(std::int64_t value) {
  Bytes out;
  Encoder(out).put_long(value);
  return text::hex_encode(out);
}

// The table in "Binary encoding" of the specification, and the ends of the range.
TEST(AvroEncoder, longs_are_zig_zag_varints) {
  const std::pair<std::int64_t, const char*> cases[] = {{0, "00"},
                                                        {-1, "01"},
                                                        {1, "02"},
                                                        {-2, "03"},
                                                        {2, "04"},
                                                        {-64, "7f"},
                                                        {64, "8001"},
                                                        {8192, "808001"},
                                                        {INT64_MAX, "feffffffffffffffff01"},
                                                        {INT64_MIN, "ffffffffffffffffff01"}};
  for (const auto& [value, hex] : cases) {
    EXPECT_EQ(hex_of(value), hex);
    const Bytes wire = *text::hex_decode(hex);
    Decoder decoder(wire);
    EXPECT_EQ(*decoder.read_long(), value);
    EXPECT_TRUE(decoder.at_end());
  }
}

// The specification's record {a: 27, b: "foo"} and array [3, 27].
TEST(AvroEncoder, the_examples_of_the_specification_hold) {
  Bytes record;
  Encoder(record).put_long(27).put_string("foo");
  EXPECT_EQ(text::hex_encode(record), "3606666f6f");
  Bytes array;
  Encoder(array).put_count(2).put_long(3).put_long(27).put_count(0);
  EXPECT_EQ(text::hex_encode(array), "04063600");
  Bytes unions;
  Encoder(unions).put_union(0).put_union(1).put_string("a");
  EXPECT_EQ(text::hex_encode(unions), "00020261");
}

TEST(AvroEncoder, every_kind_of_value_comes_back) {
  Bytes bytes;
  const std::map<std::string, std::string> map{{"k", "v"}, {"", "x"}};
  const std::map<std::string, std::string> empty;
  Encoder(bytes)
      .put_boolean(true)
      .put_long(-7)
      .put_float(1.5f)
      .put_double(-0.1)
      .put_bytes("\0\xff"s)
      .put_map(map)
      .put_map(empty)
      .put_union(3);
  Decoder decoder(bytes);
  EXPECT_TRUE(*decoder.read_boolean());
  EXPECT_EQ(*decoder.read_long(), -7);
  EXPECT_EQ(*decoder.read_float(), 1.5f);
  EXPECT_EQ(*decoder.read_double(), -0.1);
  EXPECT_EQ(*decoder.read_bytes(), "\0\xff"s);
  std::map<std::string, std::string> read;
  const auto keep = [&](std::string_view key, std::string_view value) { read.emplace(key, value); };
  EXPECT_TRUE(decoder.read_map(keep));
  EXPECT_EQ(read, map);
  EXPECT_TRUE(decoder.read_map(keep));
  EXPECT_EQ(read.size(), 2u);
  EXPECT_EQ(*decoder.read_index(4), 3u);
  EXPECT_TRUE(decoder.at_end());
}

TEST(AvroEncoder, random_numbers_come_back_bit_for_bit) {
  std::mt19937_64 random(3);
  for (int i = 0; i < 10'000; ++i) {
    const std::uint64_t bits = random() >> (random() % 64);
    Bytes bytes;
    Encoder(bytes).put_long(static_cast<std::int64_t>(bits)).put_double(std::bit_cast<double>(bits));
    Decoder decoder(bytes);
    EXPECT_EQ(*decoder.read_long(), static_cast<std::int64_t>(bits));
    EXPECT_EQ(std::bit_cast<std::uint64_t>(*decoder.read_double()), bits);
  }
}

TEST(AvroDecoder, a_block_count_below_0_carries_a_size) {
  Bytes bytes;
  Encoder(bytes).put_long(-1).put_long(4).put_string("k").put_string("v").put_count(0);
  Decoder decoder(bytes);
  int entries = 0;
  EXPECT_TRUE(decoder.read_map([&](auto, auto) { ++entries; }));
  EXPECT_EQ(entries, 1);
}

TEST(AvroDecoder, what_does_not_fit_is_corrupt_and_named_by_its_byte) {
  const auto fault = [](const auto& result) {
    EXPECT_FALSE(result);
    EXPECT_EQ(result.error().fault, Fault::corrupt);
    return result.error().message;
  };
  EXPECT_EQ(fault(Decoder("").read_boolean()), "Avro data, byte 0: expected a Boolean, found the end");
  EXPECT_EQ(fault(Decoder("\2").read_boolean()), "Avro data, byte 0: expected a Boolean of 0 or 1");
  EXPECT_EQ(fault(Decoder("\x80").read_long()), "Avro data, byte 0: expected a number, found the end");
  EXPECT_EQ(fault(Decoder(Bytes(10, '\xff')).read_long()), "Avro data, byte 0: a number is longer than 64 bits");
  EXPECT_EQ(fault(Decoder(Bytes(9, '\xff') + '\2').read_long()), "Avro data, byte 0: a number is longer than 64 bits");
  EXPECT_EQ(fault(Decoder("1234567").read_double()), "Avro data, byte 0: expected 8 bytes, found 7");
  EXPECT_EQ(fault(Decoder("\6ab").read_bytes()), "Avro data, byte 0: a length of 3 bytes, where 2 are left");
  EXPECT_EQ(fault(Decoder("\1a").read_bytes()), "Avro data, byte 0: a length of -1 bytes, where 1 are left");
  EXPECT_EQ(fault(Decoder("\2\xff").read_string()), "Avro data, byte 0: a string that is not UTF-8");
  EXPECT_EQ(fault(Decoder("\4").read_index(2)), "Avro data, byte 0: expected an index below 2, found 2");
  EXPECT_EQ(fault(Decoder("\1").read_index(2)), "Avro data, byte 0: expected an index below 2, found -1");
  fault(Decoder("\1\1").read_count());
  const Bytes lowest = Bytes(9, '\xff') + "\1\0"s;
  fault(Decoder(lowest).read_count());
  Bytes far;
  Encoder(far).put_long(INT64_MAX);
  fault(Decoder(far).read_bytes());
}

}  // namespace
}  // namespace nacelle::avro
