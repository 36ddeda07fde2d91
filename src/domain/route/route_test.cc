#include "domain/route/route.h"

#include <gtest/gtest.h>

namespace nacelle::route {
namespace {

telemetry::Message from_module(std::string module, std::string output = {}) {
  telemetry::Message m;
  m.source = telemetry::Source::module_messages;
  m.system = {{"connectionDeviceId", "edge1"}, {"connectionModuleId", module}};
  if (!output.empty()) m.system.set("outputName", output);
  return m;
}

telemetry::Message from_leaf() {
  telemetry::Message m;
  m.system = {{"connectionDeviceId", "leaf1"}};
  return m;
}

telemetry::Message twin_change() {
  telemetry::Message m;
  m.source = telemetry::Source::twin_changes;
  return m;
}

SourcePattern source(std::string_view text) {
  auto parsed = parse_source(text);
  EXPECT_TRUE(parsed) << (parsed ? "" : parsed.error().message);
  return parsed ? *parsed : SourcePattern();
}

TEST(RouteSource, prefixes_match_as_the_edge_runtime_does) {
  const struct {
    const char* source;
    bool leaf, plain_module, with_output, other_output, twin;
  } cases[] = {
      {"/*", true, true, true, true, true},
      {"/", true, true, true, true, true},
      {"/messages/*", true, true, true, true, false},
      {"/MESSAGES/", true, true, true, true, false},
      {"/messages", true, true, true, true, false},
      {"/messages/modules/*", false, true, true, true, false},
      {"/messages/modules/filter/*", false, true, true, true, false},
      {"/messages/modules/FILTER", false, true, true, true, false},
      {"/messages/modules/fil/*", false, false, false, false, false},
      {"/messages/modules/filter/outputs/*", false, false, true, true, false},
      {"/messages/modules/filter/outputs/alerts", false, false, true, false, false},
      {"/messages/modules/filter/outputs/alerts/*", false, false, true, false, false},
      {"/messages/modules/filter/outputs/alert", false, false, false, false, false},
      {"/twinChangeNotifications/*", false, false, false, false, true},
      {"DeviceMessages", true, true, true, true, false},
      {"twinchangeevents", false, false, false, false, true},
  };
  for (const auto& c : cases) {
    const SourcePattern pattern = source(c.source);
    EXPECT_EQ(pattern.matches(from_leaf()), c.leaf) << c.source;
    EXPECT_EQ(pattern.matches(from_module("filter")), c.plain_module) << c.source;
    EXPECT_EQ(pattern.matches(from_module("filter", "alerts")), c.with_output) << c.source;
    EXPECT_EQ(pattern.matches(from_module("filter", "other")), c.other_output) << c.source;
    EXPECT_EQ(pattern.matches(twin_change()), c.twin) << c.source;
  }
}

TEST(RouteSource, paths_no_message_comes_from_are_refused) {
  for (const char* text :
       {"", "messages", "/message/*", "/messages/module/x", "/messages/modules/x/output/y", "/messages/modules/*/outputs/x",
        "/messages//x", "/messages/modules/m/outputs/o/more", "/twinChangeNotifications/x", "/unknown"})
    EXPECT_FALSE(parse_source(text)) << text;
  EXPECT_NE(parse_source("/mesages/*").error().message.find("/messages"), std::string::npos);
}

TEST(Route, the_tutorials_six_routes) {
  const auto a = parse_route(
      "FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO "
      "BrokeredEndpoint(\"/modules/turbofanRouter/inputs/deviceInput\")");
  ASSERT_TRUE(a) << a.error().message;
  EXPECT_EQ(a->sink, (Sink{false, "turbofanRouter", "deviceInput"}));
  EXPECT_EQ(a->condition.text(), "NOT IS_DEFINED($connectionModuleId)");
  EXPECT_TRUE(a->condition.matches(from_leaf()));
  EXPECT_FALSE(a->condition.matches(from_module("m")));
  for (const char* text : {"FROM /messages/modules/turbofanRulClassifier/outputs/amlOutput INTO "
                           "BrokeredEndpoint(\"/modules/turbofanRouter/inputs/rulInput\")",
                           "FROM /messages/modules/turbofanRouter/outputs/classOutput INTO "
                           "BrokeredEndpoint(\"/modules/turbofanRulClassifier/inputs/amlInput\")",
                           "FROM /messages/modules/turbofanRouter/outputs/hubOutput INTO $upstream",
                           "FROM /messages/modules/turbofanRouter/outputs/avroOutput INTO "
                           "BrokeredEndpoint(\"/modules/avroFileWriter/inputs/avroModuleInput\")",
                           "FROM /messages/modules/turbofanRouter/outputs/deadMessages INTO $upstream"})
    EXPECT_TRUE(parse_route(text)) << text;
}

TEST(Route, key_words_without_case_select_comments_and_both_quotes) {
  const auto all = parse_route("select * from /* into $UPSTREAM");
  ASSERT_TRUE(all) << all.error().message;
  EXPECT_TRUE(all->sink.upstream);
  EXPECT_TRUE(all->source.matches(twin_change()));
  EXPECT_TRUE(all->condition.matches(from_leaf()));
  EXPECT_TRUE(parse_route(
      "FROM /messages/* /* all of them */ WHERE /* none */ false INTO /* where */ brokeredendpoint ( '/modules/a/inputs/b' )"));
  EXPECT_TRUE(parse_route("FROM /messages/*\nWHERE level = 'high' -- x\n INTO $upstream").has_value() == false);
  const auto where = parse_route("FROM /messages/*\n  WHERE level = 'high'\n  INTO $upstream");
  ASSERT_TRUE(where);
  EXPECT_EQ(where->condition.text(), "level = 'high'");
}

TEST(Route, errors_give_line_column_expectation_and_finding) {
  const struct {
    const char* text;
    const char* message;
  } cases[] = {
      {"", "route, line 1, column 1: expected FROM, found the end"},
      {"FROM", "route, line 1, column 5: expected a source such as /messages/*, found the end"},
      {"FROM /messages/*", "route, line 1, column 17: expected WHERE or INTO, found the end"},
      {"FROM /messages/* INTO", "column 22: expected $upstream or BrokeredEndpoint"},
      {"FROM /messages/* INTO upstream",
       "column 23: expected $upstream or BrokeredEndpoint(\"/modules/{module}/inputs/{input}\"), found the name 'upstream'"},
      {"FROM /messages/*\nWHERE INTO $upstream", "route, line 2, column 7: expected a value"},
      {"FROM /messages/* WHERE a = 'b' $upstream", "column 32: expected an operator or INTO, found the name '$upstream'"},
      {"FROM /messages/* INTO $upstream x", "column 33: expected the end of the route, found the name 'x'"},
      {"FROM /messages/* INTO BrokeredEndpoint(\"/modules/a/outputs/b\")", "found the path '/modules/a/outputs/b'"},
      {"FROM /messages/* INTO BrokeredEndpoint(\"/modules//inputs/b\")", "expected BrokeredEndpoint"},
      {"FROM /messages/* INTO BrokeredEndpoint($upstream)", "expected a text such as"},
      {"FROM /mesages/* INTO $upstream", "route, line 1, column 6: route source '/mesages/*': did you mean /messages?"},
      {"SELECT a FROM /messages/* INTO $upstream", "column 8: expected '*' after SELECT, found the name 'a'"},
      {"FROM /messages/* WHERE (true INTO $upstream", "expected an operator or ')', found the name 'INTO'"},
      {"FROM /messages/* INTO $upstream /* open", "this comment has no end"},
  };
  for (const auto& c : cases) {
    const auto route = parse_route(c.text);
    ASSERT_FALSE(route) << c.text;
    EXPECT_EQ(route.error().fault, Fault::invalid_input);
    EXPECT_NE(route.error().message.find(c.message), std::string::npos) << route.error().message;
  }
}

TEST(Route, every_truncation_is_parsed_or_refused) {
  const std::string text =
      "SELECT * FROM /messages/modules/m/outputs/o WHERE $body.a[1].b >= 0x1F AND as_number({$x}) <> 3 OR a = \"\\u0041\" INTO "
      "BrokeredEndpoint('/modules/a/inputs/b')";
  ASSERT_TRUE(parse_route(text));
  for (std::size_t size = 0; size < text.size(); ++size) EXPECT_FALSE(parse_route(text.substr(0, size))) << size;
}

}  // namespace
}  // namespace nacelle::route
