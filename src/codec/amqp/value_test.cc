#include <gtest/gtest.h>

#include "codec/amqp/frame.h"
#include "codec/amqp/message.h"

namespace nacelle::amqp {
namespace {

using namespace std::string_literals;
using namespace std::string_view_literals;

Value described(std::uint64_t code, Value value) {
  return Described{std::make_shared<const Value>(code), std::make_shared<const Value>(std::move(value))};
}

Bytes encoded(const Value& value) {
  Bytes bytes;
  encode(bytes, value);
  return bytes;
}

std::vector<Value> examples() {
  Uuid uuid;
  for (std::uint8_t i = 0; i < 16; ++i) uuid.bytes[i] = i;
  return {Value(),
          true,
          std::int32_t{-7},
          std::int32_t{70'000},
          std::uint32_t{0},
          std::uint32_t{200},
          std::uint32_t{70'000},
          std::int64_t{-1},
          std::int64_t{1} << 40,
          std::uint64_t{0},
          std::uint64_t{255},
          ~std::uint64_t{0},
          0.1,
          Instant{1'893'456'000'000},
          uuid,
          Binary{"\0\1"s},
          "text",
          std::string(300, 'x'),
          Symbol{"amqp:data"},
          List(),
          List{std::int32_t{1}, "two", List{true}},
          List(300, Value(std::uint32_t{0})),
          Map{{Symbol{"a"}, std::int64_t{1}}, {"b", Map()}},
          Array{{Value("0"), Value("1")}},
          Array{{Symbol{"s"}}},
          Array{{std::int64_t{1} << 40, std::int64_t{2}}},
          Array{},
          described(0x24, List())};
}

TEST(AmqpValue, what_is_written_is_read_again) {
  for (const Value& value : examples()) {
    const Bytes bytes = encoded(value);
    BytesView rest = bytes;
    const auto read = decode(rest);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_TRUE(*read == value) << "type " << value.data().index();
    EXPECT_TRUE(rest.empty());
  }
}

TEST(AmqpValue, an_array_of_what_is_not_kept_is_written_as_an_empty_one) {
  BytesView decimals = "\xe0\x0a\x02\x74\1\2\3\4\5\6\7\x08"sv;
  const auto read = decode(decimals);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(*read, Value(Array{{Value(), Value()}}));
  Bytes written, of_none;
  encode(written, *read);
  encode(of_none, Array{});
  EXPECT_EQ(written, of_none);
}

TEST(AmqpValue, every_truncation_is_refused) {
  for (const Value& value : examples()) {
    const Bytes bytes = encoded(value);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
      BytesView rest = BytesView(bytes).substr(0, size);
      EXPECT_FALSE(decode(rest)) << "type " << value.data().index() << ", " << size << " bytes";
    }
  }
}

TEST(AmqpValue, known_bytes_are_read) {
  const std::pair<Bytes, Value> known[] = {{"\x54\xf9"s, std::int32_t{-7}},
                                           {"\x70\0\1\0\0"s, std::uint32_t{65'536}},
                                           {"\x60\1\2"s, std::uint32_t{258}},
                                           {"\x61\xff\xff"s, std::int32_t{-1}},
                                           {"\xa1\3abc"s, "abc"},
                                           {"\xb3\0\0\0\1x"s, Symbol{"x"}},
                                           {"\xc0\x03\x02\x41\x42"s, List{true, false}},
                                           {"\xe0\x06\x02\xa1\x01\x30\x01\x31"s, Array{{Value("0"), Value("1")}}},
                                           {"\x72\x3f\x80\0\0"s, 1.0},
                                           {"\x56\1"s, true}};
  for (const auto& [bytes, value] : known) {
    BytesView rest = bytes;
    const auto read = decode(rest);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_TRUE(*read == value);
  }
}

TEST(AmqpValue, what_would_take_more_than_it_brings_is_refused) {
  const Bytes bad[] = {
      "\xf0\0\0\0\x09\x7f\xff\xff\xff\x40\x40\x40\x40"s,  // two billion nulls in an array
      "\xb0\xff\xff\xff\xff"s,                            // four gigabytes of bytes
      "\xd0\xff\xff\xff\xff\xff\xff\xff\xff"s,
      "\xc0\x01\x05"s,          // five elements in no bytes
      "\xc0\x03\x01\x41\x42"s,  // more bytes than elements
      "\xc1\x03\x01\x41\x42"s,  // a key without a value
      "\x56\2"s,
      "\x3f"s,
      "\x46"s,
      Bytes(4096, '\0'),  // descriptors of descriptors
  };
  for (const Bytes& bytes : bad) {
    BytesView rest = bytes;
    EXPECT_FALSE(decode(rest));
  }
  Value nested = true;
  for (int i = 0; i <= max_depth; ++i) nested = List{nested};
  const Bytes deep = encoded(nested);
  BytesView rest = deep;
  EXPECT_FALSE(decode(rest));
  const Bytes many = encoded(List(max_values, Value(true)));
  rest = many;
  EXPECT_FALSE(decode(rest));
}

TEST(AmqpValue, ids_have_a_text) {
  Uuid uuid;
  for (std::uint8_t i = 0; i < 16; ++i) uuid.bytes[i] = i;
  EXPECT_EQ(id_text(uuid), "00010203-0405-0607-0809-0a0b0c0d0e0f");
  EXPECT_EQ(id_text("m1"), "m1");
  EXPECT_EQ(id_text(std::uint64_t{17}), "17");
  EXPECT_EQ(id_text(Binary{"\xab"s}), "ab");
  EXPECT_EQ(id_text(Value()), "");
}

TEST(AmqpMessage, what_is_written_is_read_again) {
  Message message;
  message.message_id = "m1";
  message.correlation_id = std::uint64_t{4};
  message.user_id = "u";
  message.to = "/devices/d/messages/devicebound";
  message.content_type = "application/json";
  message.absolute_expiry = Instant{5};
  message.annotations = {{Symbol{"x-opt-offset"}, "7"}};
  message.application = {{"level", "high"}, {"n", std::int32_t{1}}};
  message.data = "{}";
  auto read = decode_message(encode_message(message));
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_TRUE(*read == message);

  Message reply;
  reply.value = Map{{"partition_count", std::int32_t{4}}};
  read = decode_message(encode_message(reply));
  ASSERT_TRUE(read);
  EXPECT_TRUE(*read == reply);
}

TEST(AmqpMessage, data_sections_are_joined) {
  const auto read = decode_message("\0\x53\x70\xc0\x02\x01\x41\0\x53\x75\xa0\1a\0\x53\x75\xa0\2bc"s);
  ASSERT_TRUE(read) << read.error().message;
  EXPECT_EQ(read->data, "abc");
}

TEST(AmqpMessage, sections_of_the_wrong_type_are_refused) {
  for (const Bytes& bytes :
       {"\0\x53\x75\xa1\1a"s,           // data that is text
        "\0\x53\x73\xa1\1a"s,           // properties that are text
        "\0\x53\x74\xc0\x02\x01\x41"s,  // application properties that are a list
        "\0\x53\x73\xc0\x02\x01\x41"s,  // a message id that is true
        "\0\x53\x79\x40"s, "\x41"s, "\0\x53\x75"s, "\0"s, "\0\x53\x75\xa0\1a\0\x53\x77\x41"s})  // data and a value
    EXPECT_FALSE(decode_message(bytes));
}

Bytes frame(std::uint64_t code, List fields, char type = 0, Bytes payload = {}) {
  Bytes body = encoded(described(code, std::move(fields))) + payload;
  const std::size_t size = body.size() + 8;
  return Bytes{static_cast<char>(size >> 24),
               static_cast<char>(size >> 16),
               static_cast<char>(size >> 8),
               static_cast<char>(size),
               2,
               type,
               0,
               0} +
         body;
}

TEST(AmqpFrame, performatives_have_their_fields) {
  const Bytes good[] = {"\0\0\0\x08\x02\0\0\0"s,  // an empty one
                        frame(0x10, {"me", "hub", std::uint32_t{512}, std::uint32_t{7}, std::uint32_t{60'000}}),
                        frame(0x11, {Value(), std::uint32_t{0}, std::uint32_t{9}, std::uint32_t{9}}),
                        frame(0x12, {"l", std::uint32_t{0}, true, std::uint32_t{0}, Value(), described(0x28, List{"a"})}),
                        frame(0x14, {std::uint32_t{0}, std::uint32_t{0}, Binary{"t"}}, 0, "payload"),
                        frame(0x18, {}),
                        frame(0x41, {Symbol{"PLAIN"}, Binary{"\0u\0p"s}}, 1)};
  for (const Bytes& bytes : good) {
    const auto checked = read_frame(bytes);
    ASSERT_TRUE(checked) << checked.error().message;
    EXPECT_EQ(*frame_size(bytes, 4096).value(), bytes.size());
    for (std::size_t size = 8; size < bytes.size(); ++size) {
      const bool payload_only = bytes.find("payload") != Bytes::npos && size > bytes.size() - 8;
      if (payload_only || size == 8) continue;
      EXPECT_FALSE(read_frame(bytes.substr(0, size))) << size;
    }
  }
  const Bytes bad[] = {"\0\0\0\x08\x02\2\0\0"s,
                       "\0\0\0\x08\x01\0\0\0"s,
                       "\0\0\0\x08\x03\0\0\0"s,
                       "\0\0\0\x08\x02\1\0\0"s,
                       frame(0x10, {}),
                       frame(0x10, {Symbol{"me"}}),
                       frame(0x10, {"me", "hub", std::uint64_t{512}}),
                       frame(0x10, {"me", "hub", std::uint32_t{512}, std::uint32_t{65'536}}),
                       frame(0x10, {"me"}, 1),
                       frame(0x10, {"me"}, 0, "x"),
                       frame(0x18, {described(0x1d, List()), true}),
                       frame(0x12, {"l", std::uint32_t{0}, true, std::uint32_t{256}}),
                       frame(0x12, {"l", std::uint32_t{0}, true, Value(), Value(), List{"a"}}),
                       frame(0x14, {std::uint32_t{0}, std::uint32_t{0}}),
                       frame(0x14, {std::uint32_t{0}, std::uint32_t{0}, Binary{Bytes(33, 't')}}),
                       frame(0x19, {}),
                       frame(0x41, {Symbol{"PLAIN"}})};
  for (const Bytes& bytes : bad) EXPECT_FALSE(read_frame(bytes));
}

TEST(AmqpFrame, sizes_are_bounded) {
  EXPECT_FALSE(*frame_size("\0\0\0"s, 4096));
  EXPECT_FALSE(*frame_size("AMQP\0\1\0"s, 4096));
  EXPECT_EQ(*frame_size("AMQP\0\1\0\0AMQP"s, 4096).value(), 8u);
  EXPECT_FALSE(frame_size("\0\0\0\7"s, 4096));
  const auto large = frame_size("\0\0\x10\x01"s, 4096);
  ASSERT_FALSE(large);
  EXPECT_EQ(large.error().fault, Fault::exhausted);
}

}  // namespace
}  // namespace nacelle::amqp
