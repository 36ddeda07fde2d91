#include "codec/json/value.h"

#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

namespace nacelle::json {
namespace {

Value parsed(std::string_view text) {
  auto result = parse(text);
  EXPECT_TRUE(result) << text << ": " << (result ? "" : result.error().message);
  return result ? *result : Value("not parsed");
}

TEST(JsonObject, members_keep_the_order_in_which_they_were_first_set) {
  Object object{{"b", 1}, {"a", 2}, {"b", 3}};
  object.set("c", "x");
  object["a"] = nullptr;
  EXPECT_EQ(print(object), R"({"b":3,"a":null,"c":"x"})");
  EXPECT_TRUE(object.erase("b"));
  EXPECT_FALSE(object.erase("b"));
  EXPECT_EQ(print(object), R"({"a":null,"c":"x"})");
}

TEST(JsonObject, equality_does_not_look_at_order) {
  EXPECT_EQ(parsed(R"({"a":1,"b":[1,2]})"), parsed(R"({"b":[1,2],"a":1})"));
  EXPECT_NE(parsed(R"({"a":1})"), parsed(R"({"a":1,"b":null})"));
  EXPECT_NE(parsed(R"({"a":1,"c":null})"), parsed(R"({"a":1,"b":null})"));
  Object large, reversed;
  for (int i = 0; i < 100; ++i) large.set(std::to_string(i), i);
  for (int i = 99; i >= 0; --i) reversed.set(std::to_string(i), i);
  EXPECT_EQ(large, reversed);
  reversed.set("7", 8);
  EXPECT_FALSE(large == reversed);
}

TEST(JsonValue, numbers_are_equal_by_value) {
  EXPECT_EQ(Value(1), Value(1.0));
  EXPECT_NE(Value(1), Value(1.5));
  EXPECT_NE(Value(1), Value(true));
  EXPECT_NE(Value(std::int64_t{9007199254740993}), Value(9007199254740992.0));
  EXPECT_NE(Value(INT64_MAX), Value(9223372036854775808.0));
  EXPECT_FALSE(Value(std::uint64_t{1} << 63).is_integer());
}

TEST(JsonValue, paths_end_in_null_where_a_member_is_missing) {
  const Value value = parsed(R"({"properties":{"desired":{"x":5}}})");
  EXPECT_EQ(value.at_path({"properties", "desired", "x"})->as_integer(), 5);
  EXPECT_EQ(value.at_path({"properties", "reported", "x"}), nullptr);
  EXPECT_EQ(value.at_path({"properties", "desired", "x", "y"}), nullptr);
}

TEST(JsonMembers, faults_name_document_key_wanted_and_found) {
  const Value value = parsed(R"({"s":"t","n":1.5,"i":3.0,"o":{},"a":[],"z":null,"b":true})");
  EXPECT_EQ(*get_string(value, "s", "m"), "t");
  EXPECT_EQ(get_string(value, "n", "manifest").error().message, "manifest: n: expected a string, found a number");
  EXPECT_EQ(get_string(value, "a", "manifest").error().message, "manifest: a: expected a string, found an array");
  EXPECT_EQ(get_string(value, "q", "manifest").error().message, "manifest: expected a string named 'q', found none");
  EXPECT_EQ(*get_string_or(value, "z", "d", "m"), "d");
  EXPECT_FALSE(get_string_or(value, "b", "d", "m"));
  EXPECT_EQ(*get_integer(value, "i", "m"), 3);
  EXPECT_EQ(get_integer(value, "n", "m").error().message, "m: n: expected a whole number, found 1.5");
  EXPECT_EQ(*get_integer_or(value, "q", 9, "m"), 9);
  EXPECT_EQ(*get_number(value, "n", "m"), 1.5);
  EXPECT_TRUE(*get_bool_or(value, "b", false, "m"));
  EXPECT_EQ(*get_object_or_null(value, "z", "m"), nullptr);
  EXPECT_NE(*get_object_or_null(value, "o", "m"), nullptr);
  EXPECT_FALSE(get_object_or_null(value, "a", "m"));
}

// RFC 7396 appendix A, every case.
TEST(JsonMergePatch, rfc_7396_cases_hold) {
  const char* cases[][3] = {{R"({"a":"b"})", R"({"a":"c"})", R"({"a":"c"})"},
                            {R"({"a":"b"})", R"({"b":"c"})", R"({"a":"b","b":"c"})"},
                            {R"({"a":"b"})", R"({"a":null})", R"({})"},
                            {R"({"a":"b","b":"c"})", R"({"a":null})", R"({"b":"c"})"},
                            {R"({"a":["b"]})", R"({"a":"c"})", R"({"a":"c"})"},
                            {R"({"a":"c"})", R"({"a":["b"]})", R"({"a":["b"]})"},
                            {R"({"a":{"b":"c"}})", R"({"a":{"b":"d","c":null}})", R"({"a":{"b":"d"}})"},
                            {R"({"a":[{"b":"c"}]})", R"({"a":[1]})", R"({"a":[1]})"},
                            {R"(["a","b"])", R"(["c","d"])", R"(["c","d"])"},
                            {R"({"a":"b"})", R"(["c"])", R"(["c"])"},
                            {R"({"a":"foo"})", "null", "null"},
                            {R"({"a":"foo"})", R"("bar")", R"("bar")"},
                            {R"({"e":null})", R"({"a":1})", R"({"e":null,"a":1})"},
                            {"[1,2]", R"({"a":"b","c":null})", R"({"a":"b"})"},
                            {"{}", R"({"a":{"bb":{"ccc":null}}})", R"({"a":{"bb":{}}})"}};
  for (const auto& [target, patch, result] : cases) {
    Value value = parsed(target);
    merge_patch(value, parsed(patch));
    EXPECT_EQ(print(value), result) << target << " + " << patch;
  }
}

TEST(JsonPrint, doubles_take_the_shortest_form_that_reads_back) {
  EXPECT_EQ(print(0.1), "0.1");
  EXPECT_EQ(print(518.67), "518.67");
  EXPECT_EQ(print(1.0), "1");
  EXPECT_EQ(print(-0.0), "-0");
  EXPECT_EQ(print(5e-324), "5e-324");
  EXPECT_EQ(print(1.7976931348623157e308), "1.7976931348623157e+308");
  EXPECT_EQ(print(std::nan("")), "null");
  EXPECT_EQ(print(-INFINITY), "null");
}

TEST(JsonPrint, strings_are_escaped_and_always_utf8) {
  EXPECT_EQ(print("\"\\\n\r\t\b\x01/\x7f"), "\"\\\"\\\\\\n\\r\\t\\u0008\\u0001/\x7f\"");
  EXPECT_EQ(print("caf\xc3\xa9"), "\"caf\xc3\xa9\"");
  EXPECT_EQ(print("a\xff\xc3z\xf0\x9f"), "\"a\xef\xbf\xbd\xef\xbf\xbdz\xef\xbf\xbd\xef\xbf\xbd\"");
}

TEST(JsonPrint, pretty_text_is_indented_by_two) {
  EXPECT_EQ(print_pretty(parsed(R"({"a":[1,{"b":null}],"c":[],"d":{}})")),
            "{\n  \"a\": [\n    1,\n    {\n      \"b\": null\n    }\n  ],\n  \"c\": [],\n  \"d\": {}\n}");
}

TEST(JsonObject, large_documents_are_not_quadratic) {
  std::string text = "{";
  for (int i = 0; i < 200'000; ++i) text += (i ? ",\"" : "\"") + std::to_string(i % 150'000) + "\":" + std::to_string(i);
  text += '}';
  Value value = parsed(text);  // quadratic would be 10^10 comparisons, and the test's time limit
  EXPECT_EQ(value.as_object().size(), 150'000u);
  EXPECT_EQ(value.as_object().begin()->second, Value(150'000));
  const Value patch = value;
  merge_patch(value, patch);
  EXPECT_EQ(value, patch);
}

}  // namespace
}  // namespace nacelle::json
