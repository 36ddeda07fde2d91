#include "codec/json/view.h"

#include <gtest/gtest.h>

#include "codec/json/value.h"

namespace nacelle::json {
namespace {

using Kind = Place::Kind;

Place at(View& view, std::string_view text, std::vector<PathStep> path) {
  EXPECT_TRUE(view.read(text)) << text;
  return view.at(path);
}

TEST(JsonView, places_are_found_by_keys_and_indexes) {
  View view;
  const std::string text = R"( {"a":{"b":[1,[2.5,"x"],true,null,{}]},"n":-0,"big":18446744073709551615} )";
  EXPECT_EQ(at(view, text, {{"a", {}}}).kind, Kind::object);
  EXPECT_EQ(at(view, text, {{"a", {}}, {"b", {}}}).kind, Kind::array);
  EXPECT_EQ(at(view, text, {{"a", {}}, {"b", {0}}}).number, 1);
  EXPECT_EQ(at(view, text, {{"a", {}}, {"b", {1, 0}}}).number, 2.5);
  EXPECT_EQ(at(view, text, {{"a", {}}, {"b", {1, 1}}}).text, "x");
  EXPECT_TRUE(at(view, text, {{"a", {}}, {"b", {2}}}).boolean);
  EXPECT_EQ(at(view, text, {{"a", {}}, {"b", {3}}}).kind, Kind::null);
  EXPECT_EQ(at(view, text, {{"n", {}}}).number, 0);
  EXPECT_EQ(at(view, text, {{"big", {}}}).number, 18446744073709551615.0);
  for (std::vector<PathStep> path :
       {std::vector<PathStep>{{"A", {}}}, {{"a", {0}}}, {{"a", {}}, {"b", {5}}}, {{"n", {}}, {"x", {}}}})
    EXPECT_EQ(at(view, text, path).kind, Kind::absent);
}

TEST(JsonView, the_last_of_repeated_keys_counts_as_for_parse) {
  View view;
  EXPECT_EQ(at(view, R"({"k":1,"k":2})", {{"k", {}}}).number, 2);
  EXPECT_EQ(parse(R"({"k":1,"k":2})")->find("k")->as_number(), 2);
}

TEST(JsonView, whatever_it_reads_parse_reads_too) {
  View view;
  std::string deep = "1";
  for (int i = 0; i < 70; ++i) deep = R"({"a":)" + deep + "}";
  const std::string texts[] = {"",
                               "{",
                               "{}",
                               "[]",
                               "1",
                               R"({"a":01})",
                               R"({"a":1e999})",
                               R"({"a":123456789012345678901})",
                               "{\"a\":\"\xff\"}",
                               "{\"a\":\"\n\"}",
                               "{} x",
                               R"({"a":"\ud800"})",
                               R"({"a":"\u0041"})",
                               R"({a:1})",
                               R"({"a":.5})",
                               R"({"a":1.})",
                               R"({"a":nul})",
                               R"({"a":1,})",
                               deep,
                               R"({"a":"\q"})",
                               R"({"a":1e-999})",
                               R"({"a":-})",
                               "\xef\xbb\xbf{}"};
  for (const auto& text : texts) {
    if (view.read(text)) {
      EXPECT_TRUE(parse(text)) << text;
    }
  }
  // Every truncation of a good document is refused.
  const std::string good = R"({"a":[1,2.5,"x"],"b":{"c":null}})";
  for (std::size_t size = 0; size < good.size(); ++size) EXPECT_FALSE(view.read(good.substr(0, size))) << size;
  EXPECT_TRUE(view.read(good));
  EXPECT_FALSE(view.read("{\"a\":\"" + std::string(2 << 20, 'x') + "\"}"));
}

TEST(JsonView, texts_are_without_quotes_and_escapes) {
  View view;
  const std::string text = R"({"k\ney":"a\"b\\c\/d\n\t","plain":"grün and long enough for several words","":""})";
  EXPECT_EQ(at(view, text, {{"k\ney", {}}}).text, "a\"b\\c/d\n\t");
  EXPECT_EQ(at(view, text, {{"plain", {}}}).text, "grün and long enough for several words");
  EXPECT_EQ(at(view, text, {{"", {}}}).kind, Kind::string);
  for (std::size_t size = 0; size < 20; ++size) {  // around the eight bytes that are read at a time
    const std::string word(size, 'x');
    EXPECT_EQ(at(view, "{\"a\":\"" + word + "\"}", {{"a", {}}}).text, word);
    EXPECT_FALSE(view.read("{\"a\":\"" + word + "\x01\"}")) << size;
    EXPECT_FALSE(view.read("{\"a\":\"" + word + "\x80\"}")) << size;
    EXPECT_FALSE(view.read("{\"a\":\"" + word)) << size;
  }
}

TEST(JsonView, numbers_are_the_same_doubles) {
  View view;
  for (const char* number : {"0.1", "518.67", "-0.0007", "1e22", "1e23", "123456789.123456789", "5e-324", "1.7976931348623157e308",
                             "9007199254740993"}) {
    const std::string text = std::string(R"({"n":)") + number + "}";
    EXPECT_EQ(at(view, text, {{"n", {}}}).number, parse(text)->find("n")->as_number()) << number;
  }
}

}  // namespace
}  // namespace nacelle::json
