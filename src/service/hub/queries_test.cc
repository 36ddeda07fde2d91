#include "service/hub/queries.h"

#include "codec/text/encoding.h"
#include "service/hub/hub_testing.h"
#include "service/hub/schema.h"

namespace nacelle::hub {
namespace {

using device::DeviceId;
using device::IdentityName;
using device::ModuleId;

class QueriesTest : public ::testing::Test {
 protected:
  QueriesTest()
      : tables(open_registry_tables(folder.path()).value()),
        registry(Registry::open(tables, clock).value()),
        queries(tables, *registry) {}

  void add(const std::string& device, const std::string& tags, const std::string& reported = "{}", const std::string& module = {}) {
    const IdentityName name{DeviceId(device), ModuleId(module)};
    const auto made = registry->create(device::from_json(json::Object{}, name).value());
    ASSERT_TRUE(made.has_value());
    twin::Twin twin = registry->twin(name).value();
    twin = twin::apply(twin, {json::parse(tags).value(), std::nullopt}, false, clock.now()).value();
    twin = twin::apply_reported(twin, json::parse(reported).value(), std::nullopt, clock.now()).value();
    ASSERT_TRUE(registry->put_twin(name, twin));
  }
  /// The answer's rows as one text; a fault's message.
  std::string ask(const std::string& text) {
    const auto page = queries.page(text, 100, {});
    return page ? json::print(json::Value(page->rows)) : page.error().message;
  }
  /// The ids that a condition matches, joined.
  std::string matching(const std::string& condition) {
    const auto page = queries.page("SELECT deviceId FROM devices WHERE " + condition, 100, {});
    if (!page) return page.error().message;
    std::string ids;
    for (const auto& row : page->rows) ids += row.find("deviceId")->as_string();
    return ids;
  }

  hub::testing::TemporaryFolder folder;
  ManualClock clock;
  storage::Database tables;
  std::unique_ptr<Registry> registry;
  Queries queries;
};

TEST_F(QueriesTest, conditions_are_three_valued_and_typed) {
  add("a", R"({"n":5,"s":"five","b":true,"o":{"x":1},"z":["1"],"t":"7"})");
  add("b", R"({"n":"5","s":"six","b":false,"dash-ed":1})");
  add("c", R"({"n":6.5})");
  struct Case {
    const char* condition;
    const char* ids;
  };
  const Case cases[] = {
      {"tags.n = 5", "a"},
      {"tags.n = '5'", "b"},
      {"tags.n != 5", "bc"},
      {"tags.n > 5", "c"},
      {"NOT tags.n > 5", "a"},  // a text is neither above nor below 5
      {"tags.n >= 5 AND tags.n < 7", "ac"},
      {"5 < tags.n", "c"},
      {"tags.s > 'five'", "b"},
      {"tags.s != 'five'", "b"},  // c has none: undefined
      {"NOT (tags.s = 'five')", "b"},
      {"tags.s = 'five' OR tags.n = 6.5", "ac"},
      {"tags.b", "a"},
      {"NOT tags.b", "b"},
      {"tags.b = false", "b"},
      {"tags.b = 1", ""},
      {"(tags.n = 5) = true", "a"},
      {"tags.o = 1", ""},
      {"tags.o != 1", ""},  // objects do not compare
      {"tags.o.x = 1", "a"},
      {"IS_OBJECT(tags.o)", "a"},
      {"IS_ARRAY(tags.z)", "a"},
      {"is_defined(tags.s)", "ab"},
      {"NOT IS_DEFINED(tags.s)", "c"},
      {"IS_NUMBER(tags.n)", "ac"},
      {"NOT IS_STRING(tags.n)", "ac"},
      {"IS_BOOL(tags.b)", "ab"},
      {"IS_PRIMITIVE(tags.n) AND NOT IS_NULL(tags.n)", "abc"},
      {"tags.missing = undefined", ""},
      {"tags.s IN ['five', 'seven']", "a"},
      {"tags.s NIN ['five']", "b"},
      {"tags.n IN [5, '5']", "ab"},
      {"deviceId IN ['c', 'a', 'x']", "ac"},
      {"deviceId > 'a' AND deviceId <= 'b'", "b"},
      {"STARTSWITH(tags.s, 'fi')", "a"},
      {"ENDS_WITH(tags.s, 'x')", "b"},
      {"CONTAINS(tags.s, 'i')", "ab"},
      {"AS_NUMBER(tags.t) + 1 = 8", "a"},
      {"tags.n * 2 = 13", "c"},
      {"tags.n / 2 = 2.5", "a"},
      {"tags.n / 0 = 1", ""},
      {"tags.n % 3 = 2", "a"},
      {"-tags.n = -5", "a"},
      {"tags.[[dash-ed]] = 1", "b"},
      {"tags.n = tags.o.x + 4", "a"},
      {"tags.n > tags.o.x", "a"},
      {"status = 'enabled'", "abc"},
      {"etag = 'AAAAAAAAAAI='", "abc"},
      {"version = 3", "abc"},
      {"capabilities.iotEdge = false", "abc"},
      {"connectionState = 'Connected'", ""},
      {"deviceScope = null", "abc"},
      {"authenticationType = 'sas'", "abc"},
      {"tags.s = 'five\\' OR 1=1 --'", ""},
  };
  for (const auto& one : cases) EXPECT_EQ(matching(one.condition), one.ids) << one.condition;
}

TEST_F(QueriesTest, columns_take_the_names_and_types_of_what_they_show) {
  add("a", R"({"site":{"n":1.5,"t":"x","f":false}})", R"({"temp":20})");
  EXPECT_EQ(ask("SELECT deviceId, tags.site.n AS n, tags.site.f, tags.site, tags.none, properties.reported.temp, "
                "properties.desired.$version AS v, capabilities.iotEdge FROM devices"),
            R"([{"deviceId":"a","n":1.5,"f":false,"site":{"n":1.5,"t":"x","f":false},"temp":20,"v":1,"iotEdge":false}])");
  const auto page = queries.page("SELECT properties, etag, deviceEtag FROM devices", 10, {}).value();
  EXPECT_EQ(page.rows[0].at_path({"properties", "reported", "temp"})->as_integer(), 20);
  EXPECT_EQ(page.rows[0].at_path({"properties", "reported", "$version"})->as_integer(), 2);
  EXPECT_TRUE(page.rows[0].at_path({"properties", "desired", "$metadata", "$lastUpdated"}));
  EXPECT_EQ(page.rows[0].find("etag")->as_string(), "AAAAAAAAAAI=");
  EXPECT_EQ(page.rows[0].find("deviceEtag")->as_string(), "AAAAAAAAAAE=");
  EXPECT_EQ(page.item_type, "raw");
}

TEST_F(QueriesTest, groups_count_and_calculate) {
  add("a", R"({"site":"n"})", R"({"t":10})");
  add("b", R"({"site":"n"})", R"({"t":20})");
  add("c", R"({"site":"s"})", R"({"t":"hot"})");
  add("d", "{}");
  EXPECT_EQ(ask("SELECT COUNT() AS n FROM devices"), R"([{"n":4}])");
  EXPECT_EQ(ask("SELECT COUNT(tags.site) AS n, MAX(properties.reported.t), AVG(properties.reported.t) AS mean FROM devices"),
            R"([{"n":3,"max":20,"mean":15}])");
  EXPECT_EQ(ask("SELECT tags.site, COUNT() AS n, SUM(properties.reported.t) AS t FROM devices GROUP BY tags.site ORDER BY n DESC, "
                "tags.site"),
            R"([{"site":"n","n":2,"t":30},{"n":1,"t":null},{"site":"s","n":1,"t":null}])");
  EXPECT_EQ(ask("SELECT TOP 1 deviceId FROM devices ORDER BY properties.reported.t DESC"), R"([{"deviceId":"c"}])");
}

TEST_F(QueriesTest, modules_have_rows_of_their_own) {
  add("a", "{}");
  add("a", R"({"x":1})", "{}", "filter");
  EXPECT_EQ(ask("SELECT moduleId, deviceId FROM devices.modules m WHERE m.tags.x = 1"),
            R"([{"moduleId":"filter","deviceId":"a"}])");
  const auto page = queries.page("SELECT * FROM devices.modules", 10, {}).value();
  ASSERT_EQ(page.rows.size(), 1u);
  EXPECT_EQ(page.item_type, "twin");
  EXPECT_EQ(page.rows[0].find("moduleId")->as_string(), "filter");
  EXPECT_EQ(ask("SELECT COUNT() AS n FROM devices"), R"([{"n":1}])");
}

TEST_F(QueriesTest, pages_give_each_row_once_while_the_fleet_changes) {
  for (const char* id : {"b", "d", "f", "h"}) add(id, "{}");
  const std::string text = "SELECT deviceId FROM devices";
  auto page = queries.page(text, 2, {}).value();
  ASSERT_EQ(page.rows.size(), 2u);
  ASSERT_FALSE(page.continuation.empty());
  add("a", "{}");  // before the place: not seen
  add("e", "{}");
  ASSERT_TRUE(registry->remove({DeviceId("b"), {}}));
  page = queries.page(text, 2, page.continuation).value();
  EXPECT_EQ(json::print(json::Value(page.rows)), R"([{"deviceId":"e"},{"deviceId":"f"}])");
  page = queries.page(text, 2, page.continuation).value();
  EXPECT_EQ(json::print(json::Value(page.rows)), R"([{"deviceId":"h"}])");
  EXPECT_TRUE(page.continuation.empty());

  const std::string top = "SELECT TOP 3 deviceId FROM devices ORDER BY deviceId DESC";
  page = queries.page(top, 2, {}).value();
  EXPECT_EQ(json::print(json::Value(page.rows)), R"([{"deviceId":"h"},{"deviceId":"f"}])");
  page = queries.page(top, 2, page.continuation).value();
  EXPECT_EQ(json::print(json::Value(page.rows)), R"([{"deviceId":"e"}])");
  EXPECT_TRUE(page.continuation.empty());
}

TEST_F(QueriesTest, a_continuation_is_for_its_own_query_only) {
  for (const char* id : {"a", "b", "c"}) add(id, "{}");
  const auto page = queries.page("SELECT * FROM devices", 1, {}).value();
  EXPECT_FALSE(queries.page("SELECT deviceId FROM devices", 1, page.continuation).has_value());
  EXPECT_FALSE(queries.page("SELECT * FROM devices", 1, "nonsense").has_value());
  EXPECT_FALSE(queries.page("SELECT * FROM devices", 1, text::base64_encode(R"({"q":[1]})")).has_value());
}

TEST_F(QueriesTest, what_is_connected_is_seen_at_once) {
  add("a", "{}");
  add("b", "{}");
  registry->note_connection({DeviceId("b"), {}}, true);
  EXPECT_EQ(matching("connectionState = 'Connected'"), "b");
  const IdentityName a{DeviceId("a"), {}};
  const IdentityName b{DeviceId("b"), {}};
  const auto there = query::parse_selection("connectionState = 'Connected'", "x").value();
  EXPECT_EQ(queries.select(there, &b).value().size(), 1u);
  EXPECT_TRUE(queries.select(there, &a).value().empty());
  EXPECT_EQ(matching("lastActivityTime > '2020-01-01T00:00:00Z'"), "b");
  registry->note_connection({DeviceId("b"), {}}, false);
  EXPECT_EQ(matching("connectionState = 'Connected'"), "");
}

TEST_F(QueriesTest, long_chains_stay_within_what_sqlite_takes) {
  add("a", R"({"n":1})");
  std::string chain = "tags.n = 0";
  for (int i = 0; i < 1500; ++i) chain += " OR tags.n = 1";
  EXPECT_EQ(matching(chain), "a");
  std::string nested = "tags.n";
  for (int i = 0; i < 40; ++i) nested = "AS_NUMBER(" + nested + ")";
  EXPECT_NE(matching(nested + " = 1").find("too deeply nested"), std::string::npos);
}

TEST_F(QueriesTest, a_selection_finds_devices_or_asks_of_one) {
  add("a", R"({"n":1})");
  add("b", R"({"n":2})");
  const auto selection = query::parse_selection("tags.n = 2", "x").value();
  EXPECT_EQ(queries.select(selection).value().size(), 1u);
  const IdentityName a{DeviceId("a"), {}};
  EXPECT_TRUE(queries.select(selection, &a).value().empty());
  EXPECT_TRUE(queries.select(query::parse_selection("", "x").value()).value().empty());
  EXPECT_EQ(queries.select(query::parse_selection("*", "x").value()).value().size(), 2u);
}

}  // namespace
}  // namespace nacelle::hub
