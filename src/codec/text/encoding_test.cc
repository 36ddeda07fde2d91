#include "codec/text/encoding.h"

#include <gtest/gtest.h>

#include <random>

namespace nacelle::text {
namespace {

using namespace std::string_literals;

TEST(Base64, rfc_4648_vectors_hold_both_ways) {
  const std::pair<std::string, std::string> vectors[] = {{"", ""},
                                                         {"f", "Zg=="},
                                                         {"fo", "Zm8="},
                                                         {"foo", "Zm9v"},
                                                         {"foob", "Zm9vYg=="},
                                                         {"fooba", "Zm9vYmE="},
                                                         {"foobar", "Zm9vYmFy"}};
  for (const auto& [bytes, text] : vectors) {
    EXPECT_EQ(base64_encode(bytes), text);
    EXPECT_EQ(*base64_decode(text), bytes);
  }
}

TEST(Base64, every_byte_value_and_length_comes_back) {
  std::mt19937 random(1);
  for (std::size_t length = 0; length < 300; ++length) {
    Bytes bytes;
    for (std::size_t i = 0; i < length; ++i) bytes += static_cast<char>(random());
    EXPECT_EQ(*base64_decode(base64_encode(bytes)), bytes);
  }
}

TEST(Base64, missing_padding_is_accepted) {
  EXPECT_EQ(*base64_decode("Zg"), "f");
  EXPECT_EQ(*base64_decode("Zm8"), "fo");
}

TEST(Base64, anything_else_is_refused) {
  for (const auto* text :
       {"Z", "Zg=", "Zg===", "=", "====", "Zm9v====", "Z=g=", "Zm 9", "Zm9v\n", "Zm-_", "Zg==Zg==", "\xff\xff\xff\xff"}) {
    const auto result = base64_decode(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().fault, Fault::invalid_input);
  }
}

TEST(Base64, a_fault_does_not_show_the_input) {
  const auto result = base64_decode("secretsecret!");
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().message.find("secret"), std::string::npos);
}

TEST(Hex, bytes_come_back_and_case_does_not_matter) {
  EXPECT_EQ(hex_encode("\x00\x7f\xff"s), "007fff");
  EXPECT_EQ(*hex_decode("007FfF"), "\x00\x7f\xff"s);
  EXPECT_FALSE(hex_decode("0"));
  EXPECT_FALSE(hex_decode("0g"));
  EXPECT_FALSE(hex_decode(" 0"));
}

TEST(PercentEncode, leaves_the_set_of_encode_uri_component) {
  EXPECT_EQ(percent_encode("aZ09-_.!~*'()"), "aZ09-_.!~*'()");
  EXPECT_EQ(percent_encode("a b/c?d=e&f+g%\x01\xc3\xa9"), "a%20b%2Fc%3Fd%3De%26f%2Bg%25%01%C3%A9");
}

TEST(PercentEncode, strict_escapes_five_more_in_lower_case) {
  EXPECT_EQ(percent_encode_strict("a!'()*/~"), "a%21%27%28%29%2a%2F~");
}

TEST(PercentDecode, a_plus_stays_a_plus_and_case_does_not_matter) {
  EXPECT_EQ(*percent_decode("a+b%2f%2F%00"), "a+b//\0"s);
  EXPECT_EQ(*percent_decode(""), "");
}

TEST(PercentDecode, broken_escapes_are_refused) {
  for (const auto* text : {"%", "%2", "a%", "%zz", "%2%20", "% 2"}) EXPECT_FALSE(percent_decode(text)) << text;
}

TEST(PercentDecode, every_byte_comes_back) {
  Bytes all;
  for (int i = 0; i < 256; ++i) all += static_cast<char>(i);
  EXPECT_EQ(*percent_decode(percent_encode(all)), all);
  EXPECT_EQ(*percent_decode(percent_encode_strict(all)), all);
}

TEST(Utf8, well_formed_text_is_whole) {
  for (const auto* text : {"", "plain ascii text", "\xc2\x80", "\xdf\xbf", "\xe0\xa0\x80", "\xed\x9f\xbf", "\xee\x80\x80",
                           "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf", "abcdefgh\xc3\xa9"})
    EXPECT_TRUE(valid_utf8(text)) << text;
  EXPECT_TRUE(valid_utf8("\0"s));
}

TEST(Utf8, malformed_text_ends_at_its_first_bad_byte) {
  // Stray continuation, overlong forms, surrogates, beyond U+10FFFF, invalid leads, cut sequences.
  for (const std::string bad : {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xed\xbf\xbf",
                                "\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xfe", "\xff",
                                "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc3(", "\xe2(\xa1", "\xe2\x82("}) {
    EXPECT_EQ(valid_utf8_prefix("ok" + bad), 2u);
    EXPECT_EQ(valid_utf8_prefix("0123456789" + bad + "0123456789"), 10u);
  }
}

TEST(Utf8, every_code_point_made_is_well_formed) {
  for (std::uint32_t point = 0; point < 0x110000; ++point) {
    if (point >= 0xd800 && point < 0xe000) continue;
    std::string text;
    append_utf8(text, point);
    ASSERT_TRUE(valid_utf8(text)) << point;
  }
}

TEST(ParseInteger, takes_the_whole_text_or_nothing) {
  EXPECT_EQ(*parse_integer("-9223372036854775808", "n"), INT64_MIN);
  EXPECT_EQ(*parse_integer("007", "n"), 7);
  for (const auto* text : {"", " 1", "1 ", "+1", "1.0", "1e3", "0x1", "9223372036854775808", "--1", "-"})
    EXPECT_FALSE(parse_integer(text, "n")) << text;
  EXPECT_EQ(parse_integer("12a", "--port").error().message, "--port: expected a whole number, found '12a'");
}

TEST(ParseNumber, refuses_what_is_not_a_finite_decimal) {
  EXPECT_EQ(*parse_number("-1.5e3", "x"), -1500.0);
  for (const auto* text : {"", "nan", "inf", "1e999", "0x10", "1,5", " 1"}) EXPECT_FALSE(parse_number(text, "x")) << text;
}

TEST(TextParts, split_keeps_empty_parts) {
  EXPECT_EQ(split("", ';').size(), 1u);
  EXPECT_EQ(split(";a;;", ';'), (std::vector<std::string_view>{"", "a", "", ""}));
}

TEST(TextParts, case_and_white_space) {
  EXPECT_TRUE(equal_ignoring_case("Bearer", "bEARER"));
  EXPECT_FALSE(equal_ignoring_case("a", "ab"));
  EXPECT_EQ(to_lower("A-\xc3\x89"), "a-\xc3\x89");  // ASCII only
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim(" \t"), "");
}

}  // namespace
}  // namespace nacelle::text
