#include "domain/query/query.h"

#include <gtest/gtest.h>

namespace nacelle::query {
namespace {

std::string complaint(std::string_view text) {
  const auto parsed = parse_query(text);
  return parsed ? "no complaint" : parsed.error().message;
}
Query parsed(std::string_view text) {
  auto query = parse_query(text);
  EXPECT_TRUE(query.has_value()) << text << ": " << (query ? "" : query.error().message);
  return query ? *std::move(query) : Query{};
}

TEST(Query, everything_and_a_list_are_told_apart) {
  EXPECT_TRUE(parsed("select * from devices").everything());
  EXPECT_EQ(parsed("SELECT * FROM devices.modules m").source, Source::modules);
  EXPECT_EQ(parsed("SELECT * FROM devices.jobs WHERE devices.jobs.jobId = 'j'").source, Source::jobs);
  const Query query = parsed("SELECT TOP 7 deviceId, d.tags.[[a-b]].c, properties.reported.t AS temp FROM devices AS d");
  EXPECT_EQ(query.top, 7u);
  ASSERT_EQ(query.items.size(), 3u);
  EXPECT_EQ(query.items[1].name, "c");
  EXPECT_EQ(query.items[1].path->field->name, "tags");
  EXPECT_EQ(query.items[1].path->below, (std::vector<std::string>{"a-b", "c"}));
  EXPECT_EQ(query.items[2].name, "temp");
  EXPECT_EQ(query.items[2].path->field->name, "properties.reported");
  EXPECT_FALSE(query.aggregates());
}

TEST(Query, aggregates_group_and_order) {
  const Query query = parsed(
      "SELECT tags.site, COUNT() AS n, AVG(properties.reported.t) FROM devices GROUP BY tags.site ORDER BY n DESC, tags.site");
  EXPECT_TRUE(query.aggregates());
  EXPECT_EQ(query.items[1].aggregate, Aggregate::count);
  EXPECT_FALSE(query.items[1].path);
  EXPECT_EQ(query.items[2].name, "avg");
  ASSERT_EQ(query.order_by.size(), 2u);
  EXPECT_EQ(query.order_by[0].item, 1u);
  EXPECT_TRUE(query.order_by[0].descending);
}

TEST(Query, precedence_is_or_and_not_comparison_sum_product) {
  const Query query = parsed("SELECT * FROM devices WHERE tags.a = 1 + 2 * 3 OR NOT tags.b = 'x' AND tags.c");
  ASSERT_EQ(query.where->kind, Kind::disjunction);
  const Expression& first = query.where->operands[0];
  EXPECT_EQ(first.kind, Kind::comparison);
  EXPECT_EQ(first.operands[1].op, Operator::add);
  EXPECT_EQ(first.operands[1].operands[1].op, Operator::multiply);
  const Expression& second = query.where->operands[1];
  ASSERT_EQ(second.kind, Kind::conjunction);
  EXPECT_EQ(second.operands[0].kind, Kind::negation);
  EXPECT_EQ(second.operands[1].kind, Kind::path);
}

TEST(Query, constants_are_read_as_they_are_written) {
  const Query query = parsed(R"(SELECT * FROM devices WHERE tags.a IN ['it\'s', "q\"é\\", 0xFF, -2.5e1, true, null, -7])");
  const auto& operands = query.where->operands;
  ASSERT_EQ(operands.size(), 8u);
  EXPECT_EQ(operands[1].literal->as_string(), "it's");
  EXPECT_EQ(operands[2].literal->as_string(), "q\"\xc3\xa9\\");
  EXPECT_EQ(operands[3].literal->as_integer(), 255);
  EXPECT_EQ(operands[4].literal->as_number(), -25.0);
  EXPECT_TRUE(operands[5].literal->as_bool());
  EXPECT_TRUE(operands[6].literal->is_null());
  EXPECT_EQ(operands[7].literal->as_integer(), -7);
}

TEST(Query, mistakes_name_their_place_and_what_was_expected) {
  EXPECT_EQ(complaint("SELEC * FROM devices"), "query, line 1, column 1: expected SELECT, found the name 'SELEC'");
  EXPECT_EQ(complaint("SELECT *"), "query, line 1, column 9: expected FROM, found the end");
  EXPECT_EQ(complaint("SELECT * FROM device"),
            "query, line 1, column 15: expected devices, devices.modules or devices.jobs, found the name 'device'");
  EXPECT_EQ(complaint("SELECT *\nFROM devices\nWHERE tagz.x = 1"),
            "query, line 3, column 7: rows of devices have no 'tagz'; did you mean 'tags'?");
  EXPECT_EQ(complaint("SELECT * FROM devices WHERE tags.é = 1 AND ="),
            "query, line 1, column 44: expected a property, a constant or a condition, found '='");
  EXPECT_EQ(complaint("SELECT * FROM devices WHERE deviceId = 5"),
            "query, line 1, column 40: 5 is a number and never compares with 'deviceId', a string");
  EXPECT_EQ(complaint("SELECT * FROM devices WHERE tags.a + 'x' = 5"),
            "query, line 1, column 38: expected a number to calculate with, \"x\" is a string");
  EXPECT_EQ(complaint("SELECT deviceId, COUNT() FROM devices"),
            "query, line 1, column 8: 'deviceId' stands beside an aggregate: put it into GROUP BY");
  EXPECT_EQ(complaint("SELECT tags.a, properties.desired.a FROM devices"),
            "query, line 1, column 16: two columns are called 'a'; give one another name with AS");
  EXPECT_EQ(complaint("SELECT * FROM devices WHERE 'x'"), "query, line 1, column 29: expected a condition, found a string");
  EXPECT_EQ(complaint("SELECT * FROM devices WHERE tags.a = 'x"), "query, line 1, column 38: this text has no end, expected '");
  EXPECT_EQ(complaint("SELECT deviceId FROM devices.jobs"), "query, line 1, column 1: devices.jobs answers SELECT * only");
  EXPECT_EQ(complaint("SELECT * FROM devices WHERE status = 'enabled' banana"),
            "query, line 1, column 48: expected the end, found the name 'banana'");
  EXPECT_EQ(complaint("SELECT TOP 0 * FROM devices"),
            "query, line 1, column 12: expected a whole number above 0 after TOP, found the number 0");
}

TEST(Query, every_truncation_of_a_query_is_a_query_or_a_sentence) {
  const std::string whole =
      R"(SELECT TOP 3 tags.[[a b]] AS a, COUNT() FROM devices d WHERE d.tags.x NIN ['\u00e9', 1.5e3] AND NOT IS_DEFINED(d.tags.y) OR -tags.z*2 >= 0x1F GROUP BY tags.[[a b]] ORDER BY a)";
  for (std::size_t n = 0; n < whole.size(); ++n) {
    const auto result = parse_query(whole.substr(0, n));
    EXPECT_TRUE(result || result.error().message.starts_with("query, line 1, column ")) << whole.substr(0, n);
  }
  EXPECT_TRUE(parse_query(whole).has_value()) << complaint(whole);
}

TEST(Query, depth_and_length_are_bounded) {
  const std::string deep = "SELECT * FROM devices WHERE " + std::string(100'000 / 2, '(');
  EXPECT_NE(complaint(deep).find("nested deeper than 64 levels"), std::string::npos);
  EXPECT_NE(complaint(std::string(max_text_bytes + 1, ' ')).find("bytes, at most"), std::string::npos);
  std::string wide = "SELECT * FROM devices WHERE tags.a=1";
  while (wide.size() < max_text_bytes - 20) wide += " OR tags.a=1";
  EXPECT_TRUE(parse_query(wide).has_value());
  EXPECT_FALSE(parse_query("SELECT * FROM devices WHERE tags.a = '\xff'").has_value());
}

TEST(Selection, reads_conditions_as_jobs_and_configurations_write_them) {
  EXPECT_TRUE(parse_selection("  ", "targetCondition")->nobody);
  const auto all = parse_selection("*", "targetCondition");
  EXPECT_TRUE(all && !all->nobody && !all->where);
  const auto modules = parse_selection("FROM devices.modules WHERE moduleId='filter'", "targetCondition");
  ASSERT_TRUE(modules.has_value());
  EXPECT_EQ(modules->source, Source::modules);
  EXPECT_TRUE(modules->where.has_value());
  const auto wrong = parse_selection("tags.site = ", "targetCondition");
  ASSERT_FALSE(wrong.has_value());
  EXPECT_EQ(wrong.error().message,
            "targetCondition, line 1, column 13: expected a property, a constant or a condition, found the end");
  EXPECT_FALSE(parse_selection("FROM devices.jobs", "queryCondition").has_value());
}

}  // namespace
}  // namespace nacelle::query
