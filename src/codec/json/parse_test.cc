#include <gtest/gtest.h>

#include <bit>
#include <random>

#include "codec/json/value.h"

namespace nacelle::json {
namespace {

using namespace std::string_literals;

TEST(JsonParse, a_whole_document_reads_and_prints_back) {
  const std::string text = R"({"a":[1,-2.5,true,false,null],"b":{"c":"d"},"e":""})";
  EXPECT_EQ(print(*parse(text)), text);
  EXPECT_EQ(print(*parse(" \t\r\n{ \"a\" : [ 1 , 2 ] } \n")), R"({"a":[1,2]})");
  EXPECT_EQ(print(*parse("\xef\xbb\xbf[]")), "[]");
}

TEST(JsonParse, every_truncation_is_refused) {
  const std::string text = R"({"a":[1,-2.5e+3,true,{"k":null}],"b":"\u00e9\ud83d\ude00x\n"})";
  ASSERT_TRUE(parse(text));
  for (std::size_t length = 0; length < text.size(); ++length) EXPECT_FALSE(parse(text.substr(0, length))) << length;
}

TEST(JsonParse, what_the_grammar_does_not_have_is_refused) {
  for (const std::string text : {"",
                                 " ",
                                 "1 2",
                                 "{}x",
                                 "[1,]",
                                 "[,1]",
                                 "[1 2]",
                                 "{\"a\"}",
                                 "{\"a\":}",
                                 "{\"a\":1,}",
                                 "{a:1}",
                                 "{'a':1}",
                                 "{1:2}",
                                 "{\"a\" 1}",
                                 "[",
                                 "]",
                                 "}",
                                 "tru",
                                 "True",
                                 "nul",
                                 "NaN",
                                 "Infinity",
                                 "-",
                                 "+1",
                                 "01",
                                 "-01",
                                 "1.",
                                 ".5",
                                 "1e",
                                 "1e+",
                                 "0x10",
                                 "1.e3",
                                 "--1",
                                 "\"",
                                 "\"\n\"",
                                 "\"\t\"",
                                 "\"\\x\"",
                                 "\"\\u12\"",
                                 "\"\\u12g4\"",
                                 "\"\\u+123\"",
                                 "\"\\u-123\"",
                                 "\"\\ud800\"",
                                 "\"\\udc00\"",
                                 "\"\\ud800\\u0041\"",
                                 "\"\\ud800x\"",
                                 "\"\xff\"",
                                 "\"\xc0\x80\"",
                                 "\"\xed\xa0\x80\"",
                                 "// c\n1",
                                 "1//",
                                 "[1}",
                                 "{\"a\":1]",
                                 "\xef\xbb",
                                 "\xa0"
                                 "1"}) {
    const auto result = parse(text);
    ASSERT_FALSE(result) << text;
    EXPECT_EQ(result.error().fault, Fault::invalid_input) << text;
  }
  EXPECT_FALSE(parse("1\0"s));
  EXPECT_FALSE(parse("\"a\0b\""s));
  EXPECT_FALSE(parse("\0"s));
}

TEST(JsonParse, faults_give_line_and_column) {
  EXPECT_EQ(parse("{\n  \"a\": 01\n}").error().message, "JSON, line 2, column 8: a number does not begin with 0, found '0'");
  EXPECT_EQ(parse("[1,\n2").error().message, "JSON, line 2, column 2: expected ',' or ']', found the end");
  EXPECT_EQ(parse("[\"ab").error().message, "JSON, line 1, column 2: a string that begins here has no end, found '\"'");
  EXPECT_EQ(parse("\"a\xff\"").error().message, "JSON, line 1, column 3: the text is not UTF-8, found byte 0xff");
}

TEST(JsonParse, escapes_mean_what_they_say) {
  EXPECT_EQ(parse(R"("\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\ude00\u0000")")->as_string(),
            "\"\\/\b\f\n\r\tA\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80\0"s);
}

TEST(JsonParse, whole_numbers_stay_integers_as_far_as_int64_goes) {
  EXPECT_EQ(parse("9223372036854775807")->as_integer(), INT64_MAX);
  EXPECT_EQ(parse("-9223372036854775808")->as_integer(), INT64_MIN);
  EXPECT_FALSE(parse("9223372036854775808")->is_integer());
  EXPECT_EQ(parse("9223372036854775808")->as_number(), 9223372036854775808.0);
  EXPECT_FALSE(parse("1.0")->is_integer());
  EXPECT_FALSE(parse("1e2")->is_integer());
  EXPECT_TRUE(std::signbit(parse("-0")->as_number()));
}

TEST(JsonParse, doubles_are_the_nearest_one) {
  EXPECT_EQ(parse("0.1")->as_number(), 0.1);
  EXPECT_EQ(parse("2.2250738585072011e-308")->as_number(), 2.2250738585072011e-308);
  EXPECT_EQ(parse("9007199254740993.0")->as_number(), 9007199254740992.0);
  EXPECT_EQ(parse("1e-400")->as_number(), 0.0);
  EXPECT_EQ(parse("0." + std::string(400, '0') + "1")->as_number(), 0.0);
  EXPECT_EQ(parse("0e999999999999")->as_number(), 0.0);
  EXPECT_FALSE(parse("1e400"));
  EXPECT_FALSE(parse("-1e999999999999999999999"));
}

TEST(JsonParse, random_doubles_come_back_bit_for_bit) {
  std::mt19937_64 random(7);
  for (int i = 0; i < 100'000; ++i) {
    const auto number = std::bit_cast<double>(random());
    if (!std::isfinite(number)) continue;
    ASSERT_EQ(std::bit_cast<std::uint64_t>(parse(print(number))->as_number()), std::bit_cast<std::uint64_t>(number))
        << print(number);
  }
}

TEST(JsonParse, of_repeated_keys_the_last_counts) {
  EXPECT_EQ(print(*parse(R"({"a":1,"b":2,"a":3})")), R"({"a":3,"b":2})");
  std::string large = "{";
  for (int i = 0; i < 40; ++i) large += "\"" + std::to_string(i % 30) + "\":" + std::to_string(i) + ",";
  const auto value = parse(large + "\"x\":0}");
  EXPECT_EQ(value->as_object().size(), 31u);
  EXPECT_EQ(*value->find("5"), Value(35));
  EXPECT_EQ(*value->find("20"), Value(20));
  EXPECT_EQ(value->as_object().begin()->first, "0");
}

TEST(JsonParse, limits_are_faults_of_their_own) {
  EXPECT_EQ(parse("[1,2]", {.max_bytes = 4}).error().fault, Fault::exhausted);
  EXPECT_TRUE(parse("[[1]]", {.max_depth = 2}));
  const auto deep = parse("[[[1]]]", {.max_depth = 2});
  ASSERT_FALSE(deep);
  EXPECT_EQ(deep.error().fault, Fault::exhausted);
  EXPECT_EQ(deep.error().message, "JSON, line 1, column 3: nested deeper than the limit of 2");
  EXPECT_FALSE(parse(std::string(1'000'000, '[')));
  EXPECT_FALSE(parse("1", {.max_bytes = 0}));
}

}  // namespace
}  // namespace nacelle::json
