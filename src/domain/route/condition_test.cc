#include <gtest/gtest.h>

#include "domain/route/route.h"

namespace nacelle::route {
namespace {

telemetry::Message reading(
    std::string body = R"({"temp":81.5,"deep":{"list":[{"c":"x"},[1,2]]},"nothing":null,"on":true,"word":"Ünï","obj":{},"n":5})") {
  telemetry::Message m;
  m.system = {
      {"connectionDeviceId", "leaf1"}, {"contentType", "application/json"}, {"contentEncoding", "utf-8"}, {"dt-subject", "pump"}};
  m.application = {{"level", "high"}, {"severity", "2"}, {"a-b", "dash"}, {"$odd", "dollar"}, {"empty", ""}};
  m.body = std::move(body);
  return m;
}

bool passes(std::string_view text, const telemetry::Message& message = reading(), const json::Value* twin = nullptr) {
  const auto condition = parse_condition(text);
  if (!condition) ADD_FAILURE() << text << ": " << condition.error().message;
  return condition && condition->matches(message, twin);
}

/// 't', 'f' or 'u': the condition's three-valued result, told apart by asking for it and its negation.
char truth(const std::string& text, const telemetry::Message& message = reading()) {
  if (passes("(" + text + ")", message)) return 't';
  return passes("NOT (" + text + ")", message) ? 'f' : 'u';
}

TEST(Condition, empty_and_default_are_true) {
  EXPECT_TRUE(passes(""));
  EXPECT_TRUE(passes("  /* nothing */ "));
  EXPECT_TRUE(passes("true"));
  EXPECT_TRUE(Condition().matches(reading()));
}

TEST(Condition, properties_of_all_three_kinds) {
  EXPECT_TRUE(passes("level = 'high'"));
  EXPECT_TRUE(passes("LEVEL = \"high\""));
  EXPECT_TRUE(passes("a-b = 'dash'"));
  EXPECT_TRUE(passes("$connectionDeviceId = 'leaf1' AND $CONTENTTYPE = 'application/json'"));
  EXPECT_TRUE(passes("$dt-subject = 'pump'"));
  EXPECT_TRUE(passes("$odd = 'dollar'"));
  EXPECT_FALSE(passes("IS_DEFINED({$odd})"));
  EXPECT_FALSE(passes("IS_DEFINED(missing) OR IS_DEFINED($missing)"));
  EXPECT_TRUE(passes("IS_DEFINED(empty) AND empty = ''"));
}

TEST(Condition, body_paths) {
  EXPECT_TRUE(passes("$body.temp >= 80"));
  EXPECT_TRUE(passes("$body.deep.list[0].c = 'x'"));
  EXPECT_TRUE(passes("$body.deep.list[1][1] = 2"));
  EXPECT_FALSE(passes("IS_DEFINED($body.deep.list[2])"));
  EXPECT_FALSE(passes("IS_DEFINED($body.Temp)"));
  EXPECT_TRUE(passes("$body.on"));
  EXPECT_TRUE(passes("{$body.on} = true"));
  EXPECT_FALSE(passes("IS_DEFINED($body[0])"));
  EXPECT_FALSE(passes("IS_DEFINED($body)"));
  EXPECT_FALSE(passes("$body.temp.x = 1"));
}

TEST(Condition, the_tutorials_hub_routes_tell_readings_from_predictions) {
  const auto rul = reading(R"({"ConnectionDeviceId":"Client_001","CycleTime":3,"PredictedRul":41.5})");
  const auto full = reading(R"({"CycleTime":1,"OperationalSetting1":0.1,"PredictedRul":41.5})");
  const std::string_view wants_rul = "IS_DEFINED($body.PredictedRul) AND NOT IS_DEFINED($body.OperationalSetting1)";
  EXPECT_TRUE(passes(wants_rul, rul));
  EXPECT_FALSE(passes(wants_rul, full));
  EXPECT_FALSE(passes("IS_DEFINED($body.OperationalSetting1)", rul));
  EXPECT_TRUE(passes("IS_DEFINED($body.OperationalSetting1)", full));
}

TEST(Condition, body_needs_the_right_type_and_encoding) {
  telemetry::Message m = reading();
  m.system.set("contentType", "APPLICATION/json;charset=utf-8");
  m.system.set("contentEncoding", "UTF-8");
  EXPECT_TRUE(passes("$body.n = 5", m));
  m.system.set("contentType", "text/plain");
  EXPECT_EQ(truth("$body.n = 5", m), 'u');
  m.system.set("contentType", "application/json");
  m.system.erase("contentEncoding");
  EXPECT_EQ(truth("$body.n = 5", m), 'u');
  for (const char* body : {"", "[1]", "5", "{\"n\":5", "\xff"}) EXPECT_EQ(truth("$body.n = 5", reading(body)), 'u') << body;
}

TEST(Condition, utf16_and_utf32_bodies_with_either_byte_order) {
  const std::string text = R"({"n":5})";
  const auto widened = [&text](std::size_t unit, bool big, bool mark) {
    std::string out;
    const auto put = [&](std::uint32_t c) {
      for (std::size_t i = 0; i < unit; ++i) out += static_cast<char>(c >> (8 * (big ? unit - 1 - i : i)));
    };
    if (mark) put(0xfeff);
    for (const char c : text) put(static_cast<unsigned char>(c));
    return out;
  };
  for (const auto& [unit, name] : {std::pair<std::size_t, const char*>{2, "utf-16"}, {4, "utf-32"}})
    for (const auto& [big, mark] : {std::pair{false, false}, {false, true}, {true, true}}) {
      telemetry::Message m = reading(widened(unit, big, mark));
      m.system.set("contentEncoding", name);
      EXPECT_TRUE(passes("$body.n = 5", m)) << name << big << mark;
      m.body.pop_back();
      EXPECT_FALSE(passes("$body.n = 5", m));
    }
}

TEST(Condition, twin_paths_need_a_twin) {
  const auto twin = json::parse(R"({"tags":{"site":"north"},"properties":{"reported":{"fw":3}}})");
  EXPECT_TRUE(passes("$twin.tags.site = 'north' AND $twin.properties.reported.fw > 2", reading(), &*twin));
  EXPECT_FALSE(passes("IS_DEFINED($twin.tags.site)"));
  EXPECT_TRUE(parse_condition("$twin.tags.x = 1")->uses_twin());
  EXPECT_FALSE(parse_condition("$twin.tags.x = 1")->uses_body());
}

TEST(Condition, three_valued_tables) {
  const std::string values[] = {"true", "false", "undefined"};
  const char* const and_table[] = {"tfu", "fff", "ufu"};
  const char* const or_table[] = {"ttt", "tfu", "tuu"};
  for (int i = 0; i < 3; ++i)
    for (int j = 0; j < 3; ++j) {
      EXPECT_EQ(truth(values[i] + " AND " + values[j]), and_table[i][j]) << i << j;
      EXPECT_EQ(truth(values[i] + " OR " + values[j]), or_table[i][j]) << i << j;
    }
  EXPECT_EQ(truth("NOT undefined"), 'u');
  EXPECT_EQ(truth("NOT true"), 'f');
}

TEST(Condition, comparisons_with_undefined_null_and_other_types) {
  const struct {
    const char* text;
    char truth;
  } cases[] = {
      {"$body.missing = 1", 'u'},
      {"$body.missing != 1", 'u'},
      {"undefined = undefined", 'u'},
      {"missing = 'x'", 'u'},
      {"null = null", 't'},
      {"null != null", 'f'},
      {"null <= null", 't'},
      {"null >= null", 't'},
      {"null < null", 'f'},
      {"null > null", 'f'},
      {"null = 5", 'u'},
      {"null != 'x'", 'u'},
      {"$body.nothing = null", 't'},
      {"$body.temp = null", 'u'},
      {"$body.temp != null", 'u'},
      {"level = null", 'u'},
      {"$body.word = 5", 'f'},
      {"$body.word != 5", 't'},
      {"$body.word < 5", 'u'},
      {"$body.nothing = 5", 'f'},
      {"$body.nothing != 5", 't'},
      {"$body.on = true", 't'},
      {"$body.on != true", 'f'},
      {"$body.on > $body.on", 'u'},
      {"$body.obj = $body.obj", 'u'},
      {"$body.deep.list = 1", 'u'},
      {"'b' > 'a'", 't'},
      {"'B' < 'a'", 't'},
      {"'a' = 'A'", 'f'},
      {"'a' < 'ab'", 't'},
      {"$body.word = 'Ünï'", 't'},
      {"1 <> 2", 't'},
      {"level!='low'", 't'},
      {"level!='high'", 'f'},
      {"$body.temp>=80", 't'},
      {"$body.temp<80", 'f'},
      {"$body.on AND $body.n", 'u'},
      {"$body.nothing OR true", 't'},
      {"NOT $body.nothing", 'u'},
  };
  for (const auto& c : cases) EXPECT_EQ(truth(c.text), c.truth) << c.text;
  EXPECT_EQ(truth("'\\uD83D\\uDE00' < '\\uFB01'"), 't');  // by code unit a surrogate pair comes before U+FB01
  EXPECT_EQ(truth("'\\uD83D\\uDE00' > '\\uD7FF'"), 't');
}

TEST(Condition, arithmetic) {
  const struct {
    const char* text;
    char truth;
  } cases[] = {
      {"1 + 2 * 3 = 7", 't'},
      {"(1 + 2) * 3 = 9", 't'},
      {"7 % 4 = 3", 't'},
      {"10 - 2 - 3 = 5", 't'},
      {"8 / 2 / 2 = 2", 't'},
      {"-3 + 5 = 2", 't'},
      {"- -3 = 3", 't'},
      {"2 - -1 = 3", 't'},
      {"0x1F = 31", 't'},
      {"1.5e3 = 1500", 't'},
      {"1 / 0 > 1e308", 't'},
      {"-1 / 0 < -1e308", 't'},
      {"0 / 0 = 0", 'u'},
      {"5 % 0 = 0", 'u'},
      {"null + 2 = 2", 't'},
      {"null * 2 = 0", 't'},
      {"null - 2 = -2", 't'},
      {"undefined + 1 = 1", 'u'},
      {"$body.word + 1 = 1", 'u'},
      {"$body.temp - 1.5 = 80", 't'},
      {"$body.nothing + 2 = 2", 't'},
      {"1e999 = 1 / 0", 't'},
      {"'a' || 'b' = 'ab'", 't'},
      {"level||severity = 'high2'", 't'},
  };
  for (const auto& c : cases) EXPECT_EQ(truth(c.text), c.truth) << c.text;
}

TEST(Condition, coalesce_takes_the_right_side_of_undefined_only) {
  EXPECT_TRUE(passes("(missing ?? 'x') = 'x'"));
  EXPECT_TRUE(passes("(level ?? 'x') = 'high'"));
  EXPECT_TRUE(passes("($body.nothing ?? 5) = null"));
  EXPECT_TRUE(passes("undefined ?? undefined ?? true"));
  EXPECT_TRUE(passes("$body.missing = 1 ?? true"));  // binds loosest
}

TEST(Condition, functions) {
  const struct {
    const char* text;
    char truth;
  } cases[] = {
      {"abs(-2) = 2", 't'},
      {"exp(0) = 1", 't'},
      {"power(2, 10) = 1024", 't'},
      {"square(3) = 9", 't'},
      {"ceiling(1.2) = 2", 't'},
      {"FLOOR(-1.2) = -2", 't'},
      {"sign(-9) = -1", 't'},
      {"sign(0) = 0", 't'},
      {"sqrt(16) = 4", 't'},
      {"sqrt(-1) = 0", 'u'},
      {"abs($body.word) = 1", 'u'},
      {"abs(null) = 0", 'u'},
      {"as_number(severity) <= 2", 't'},
      {"as_number('x') = 1", 'u'},
      {"as_number(' +2.5 ') = 2.5", 't'},
      {"as_number('inf') > 1", 'u'},
      {"as_number('') = 0", 'u'},
      {"as_number('1e2') = 100", 't'},
      {"as_number(3) = 3", 't'},
      {"as_number($body.on) = 1", 'u'},
      {"concat('a', 'b', level) = 'abhigh'", 't'},
      {"concat('a', missing) = 'a'", 'u'},
      {"length('Ünï') = 3", 't'},
      {"length('\\uD83D\\uDE00') = 2", 't'},
      {"length('') = 0", 't'},
      {"lower('ABÜ') = 'abÜ'", 't'},
      {"upper(level) = 'HIGH'", 't'},
      {"substring('hello', 1) = 'ello'", 't'},
      {"substring('hello', 1, 3) = 'ell'", 't'},
      {"substring('hello', 5) = ''", 't'},
      {"substring('hello', 6) = ''", 'u'},
      {"substring('hello', -1) = ''", 'u'},
      {"substring('hello', 2, 4) = ''", 'u'},
      {"substring('Ünï', 1, 1) = 'n'", 't'},
      {"substring('a\\uD83D\\uDE00', 0, 2) = 'a\\uFFFD'", 't'},
      {"index_of('hello', 'll') = 2", 't'},
      {"index_of('hello', 'x') = -1", 't'},
      {"index_of('Üxy', 'y') = 2", 't'},
      {"starts_with(level, 'hi')", 't'},
      {"STARTSWITH(level, 'HI')", 'f'},
      {"ends_with(level, 'gh')", 't'},
      {"contains(level, 'ig')", 't'},
      {"contains($body.n, 'x')", 'u'},
      {"contains(missing, 'x')", 'u'},
      {"is_defined($body.nothing)", 't'},
      {"is_defined(undefined)", 'f'},
      {"is_defined($body.obj)", 't'},
      {"is_defined(0/0)", 'f'},
      {"is_null($body.nothing)", 't'},
      {"is_null(null)", 't'},
      {"is_null($body.n)", 'f'},
      {"is_null($body.missing)", 'f'},
      {"is_bool($body.on)", 't'},
      {"is_number($body.n)", 't'},
      {"is_string(level)", 't'},
      {"is_string($body.n)", 'f'},
      {"is_array($body.deep.list)", 't'},
      {"is_object($body.obj)", 't'},
      {"is_object($body.n)", 'f'},
      {"is_primitive($body.nothing)", 't'},
      {"is_primitive($body.obj)", 'f'},
      {"is_primitive($body.missing)", 'f'},
  };
  for (const auto& c : cases) EXPECT_EQ(truth(c.text), c.truth) << c.text;
}

TEST(Condition, precedence_as_documented) {
  EXPECT_TRUE(passes("false AND false OR true"));
  EXPECT_TRUE(passes("true OR true AND false"));
  EXPECT_TRUE(passes("1 < 2 = true"));
  EXPECT_TRUE(passes("1 + 1 > 1 AND NOT false"));
  EXPECT_TRUE(passes("NOT NOT true"));
  EXPECT_FALSE(parse_condition("NOT level = 'x'"));  // NOT binds tighter
  EXPECT_TRUE(passes("NOT (level = 'x')"));
}

TEST(Condition, names_run_to_separators) {
  telemetry::Message m = reading();
  m.application = {{"x-1", "dash"}, {"2nd", "second"}, {"a.b", "dot"}, {"k!", "bang"}, {"into", "x"}};
  EXPECT_TRUE(passes("x-1 = 'dash'", m));
  EXPECT_TRUE(passes("2nd = 'second'", m));
  EXPECT_TRUE(passes("a.b = 'dot'", m));
  EXPECT_TRUE(passes("k! = 'bang'", m));
}

TEST(Condition, errors_say_where_what_was_expected_and_found) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"level =",
       "route condition, line 1, column 8: expected a value: a name, a number, a text, a function or '(', found the end"},
      {"level = )", "column 9: expected a value"},
      {"level = 'a' level",
       "column 13: expected an operator (AND, OR, a comparison, arithmetic) or the end, found the name 'level'"},
      {"(true", "column 6: expected an operator or ')', found the end"},
      {"true)", "column 5: expected an operator"},
      {"a = 'x' AND\n  b = ", "line 2, column 7: expected a value"},
      {"'ü' = 5", "column 5: '=' has a text on its left and a number on its right"},
      {"severity > 5",
       "column 10: '>' has the property 'severity' (a text) on its left and a number on its right, which are never the same; write "
       "as_number(severity)"},
      {"x-1 > 5", "'x-1' is one name: put spaces around operators"},
      {"NOT level = 'x'", "column 1: NOT needs a Boolean, found the property 'level' (a text); NOT binds tighter than comparisons"},
      {"level", "expected a condition that is true or false, found the property 'level' (a text); write level = 'true'"},
      {"TRUE", "write true in lower case"},
      {"5", "expected a condition that is true or false, found a number"},
      {"true AND 5", "column 10: 'AND' needs a Boolean, found a number"},
      {"5 OR true", "column 1: 'OR' needs a Boolean, found a number"},
      {"true < false", "'<' orders numbers and texts, found a Boolean"},
      {"level + 1 = 2", "'+' needs a number, found the property 'level' (a text); write as_number(level)"},
      {"-level = 2", "'-' needs a number"},
      {"level || 1 = 'x'", "'||' needs a text, found a number"},
      {"isdefined(level)", "there is no function 'isdefined', did you mean is_defined?"},
      {"frobnicate(level)", "there is no function 'frobnicate'"},
      {"is_defined()", "is_defined takes 1 argument, found 0"},
      {"is_defined(a, b)", "is_defined takes 1 argument, found 2"},
      {"concat('a') = 'a'", "concat takes at least 2 arguments, found 1"},
      {"substring('a') = 'a'", "substring takes 2 to 3 arguments, found 1"},
      {"length(5) = 1", "column 8: length: expected a text as argument 1, found a number"},
      {"abs(level) = 1", "abs: expected a number as argument 1, found the property 'level' (a text); write as_number(level)"},
      {"is_defined(a b)", "expected an operator, ',' or ')', found the name 'b'"},
      {"$is_defined(a)", "expected an operator (functions have no '$')"},
      {"'abc", "column 1: this text has no end, expected '"},
      {"'a\\x'", "column 3: expected one of the escapes"},
      {"'\\u12'", "expected one of the escapes"},
      {"{level} = 'x'", "expected '$' and a name after '{'"},
      {"{$level = 'x'", "expected '}' after the name"},
      {"$ = 'x'", "expected a system property such as"},
      {"$body..a = 1", "has an empty step"},
      {"$body.a[99999999999999999999] = 1", "index that is no small integer"},
      {"$body.a[1]b = 1", "expected '.' after ']'"},
      {"$body.a[x] = 1", "found '['"},
      {"a = 'x' ; b", "found ';'"},
      {"level ?? 5 = 1", "'?\?' has"},
  };
  for (const auto& c : cases) {
    const auto condition = parse_condition(c.text);
    ASSERT_FALSE(condition) << c.text;
    EXPECT_NE(condition.error().message.find(c.message), std::string::npos) << c.text << ": " << condition.error().message;
  }
}

TEST(Condition, absurd_texts_are_refused_and_long_lists_are_not) {
  EXPECT_FALSE(parse_condition(std::string(10000, '(')));
  EXPECT_FALSE(parse_condition("true AND " + std::string(1000, '(') + "true" + std::string(1000, ')')));
  EXPECT_FALSE(parse_condition([] {
    std::string s;
    for (int i = 0; i < 5000; ++i) s += "NOT ";
    return s + "true";
  }()));
  EXPECT_FALSE(parse_condition([] {
    std::string s = "1";
    for (int i = 0; i < 5000; ++i) s += "+1";
    return s + " > 1";
  }()));
  EXPECT_FALSE(parse_condition(std::string(100000, ' ') + "true"));
  std::string list = "level = 'none'";
  for (int i = 0; i < 2000; ++i) list += " OR level = 'v" + std::to_string(i) + "'";
  EXPECT_FALSE(passes(list));
  EXPECT_TRUE(passes(list + " OR level = 'high'"));
}

TEST(Evaluation, conditions_on_one_message_share_the_parsed_body) {
  const telemetry::Message message = reading();
  Evaluation evaluation(message);
  EXPECT_TRUE(parse_condition("$body.n = 5")->matches(evaluation));
  const json::Value* body = evaluation.body();
  EXPECT_TRUE(parse_condition("$body.temp > 80")->matches(evaluation));
  EXPECT_EQ(evaluation.body(), body);
  const telemetry::Message broken = reading("{");
  Evaluation other(broken);
  EXPECT_FALSE(parse_condition("level = 'low' AND $body.n = 5")->matches(other));
  EXPECT_EQ(other.body_problem(), "");  // decided without the body, so nobody asked
  EXPECT_FALSE(parse_condition("$body.n = 5")->matches(other));
  EXPECT_NE(other.body_problem(), "");
}

}  // namespace
}  // namespace nacelle::route
