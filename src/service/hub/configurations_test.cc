#include "service/hub/configurations.h"

#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

class ConfigurationsTest : public HubTest {
 protected:
  void tag(const std::string& id, const std::string& tags) {
    EXPECT_EQ(call("PATCH", "/twins/" + id, R"({"tags":)" + tags + "}").status, 200);
  }
  int put(const std::string& id, int priority, const std::string& condition, const std::string& content,
          net::Headers headers = {}) {
    const auto answer = call("PUT", "/configurations/" + id,
                             R"({"id":")" + id + R"(","priority":)" + std::to_string(priority) + R"(,"targetCondition":")" +
                                 condition + R"(","content":)" + content + "}",
                             headers);
    settle();
    return answer.status;
  }
  /// What changed has had its effect when this is back.
  void settle() {
    auto work = [this] {
      hub->services().fleet.configurations->settle();
      return true;
    };
    run(run_on(hub->services().disk.tables(), work));
  }
  std::string desired(const std::string& id) {
    settle();
    Json values = *get("/twins/" + id).at_path({"properties", "desired"});
    values.as_object().erase("$metadata");
    values.as_object().erase("$version");
    return json::print(values);
  }
  std::string states(const std::string& id) {
    settle();
    const Json twin = get("/twins/" + id);
    const Json* found = twin.find("configurations");
    return found ? json::print(*found) : "none";
  }
  std::int64_t metric(const std::string& id, const char* group, const char* name) {
    settle();
    return get("/configurations/" + id).at_path({group, "results", name})->as_integer();
  }
};

TEST_F(ConfigurationsTest, the_stronger_wins_key_by_key_and_the_weaker_comes_back) {
  add("a");
  tag("a", R"({"line":"x"})");
  EXPECT_EQ(put("low", 1, "tags.line = 'x'",
                R"({"deviceContent":{"properties.desired.fw":{"v":1,"u":"l"},"properties.desired.only.low":true}})"),
            200);
  EXPECT_EQ(put("high", 5, "tags.line = 'x'", R"({"deviceContent":{"properties.desired.fw":{"v":2}}})"), 200);
  EXPECT_EQ(desired("a"), R"({"fw":{"v":2},"only":{"low":true}})");
  EXPECT_EQ(states("a"), R"({"high":{"status":"Applied"},"low":{"status":"Applied"}})");
  EXPECT_EQ(call("DELETE", "/configurations/high").status, 204);
  EXPECT_EQ(desired("a"), R"({"fw":{"v":1,"u":"l"},"only":{"low":true}})");
  EXPECT_EQ(states("a"), R"({"low":{"status":"Applied"}})");
}

TEST_F(ConfigurationsTest, devices_come_and_go_as_they_match) {
  add("a");
  EXPECT_EQ(put("c", 1, "tags.line = 'x'", R"({"deviceContent":{"properties.desired.rate":5}})"), 200);
  EXPECT_EQ(metric("c", "systemMetrics", "targetedCount"), 0);
  tag("a", R"({"line":"x"})");
  EXPECT_EQ(desired("a"), R"({"rate":5})");
  EXPECT_EQ(metric("c", "systemMetrics", "appliedCount"), 1);
  EXPECT_EQ(call("PATCH", "/twins/a", R"({"properties":{"desired":{"rate":7}}})").status, 200);
  EXPECT_EQ(desired("a"), R"({"rate":5})") << "what a configuration sets stays set";
  add("b");
  tag("b", R"({"line":"x"})");
  EXPECT_EQ(metric("c", "systemMetrics", "targetedCount"), 2);
  tag("a", R"({"line":"y"})");
  EXPECT_EQ(states("a"), "none");
  EXPECT_EQ(call("DELETE", "/devices/b").status, 204);
  EXPECT_EQ(metric("c", "systemMetrics", "targetedCount"), 0);
}

TEST_F(ConfigurationsTest, nothing_is_written_twice) {
  add("a");
  tag("a", R"({"line":"x"})");
  put("c", 1, "*", R"({"deviceContent":{"properties.desired.rate":5}})");
  const auto version = [&] { return get("/twins/a").at_path({"properties", "desired", "$version"})->as_integer(); };
  const std::int64_t before = version();
  tag("a", R"({"line":"z"})");
  settle();
  EXPECT_EQ(version(), before);
  stop();
  start();
  settle();
  EXPECT_EQ(version(), before) << "nor by a restart";
}

TEST_F(ConfigurationsTest, modules_are_targets_of_their_own) {
  add("a");
  EXPECT_EQ(call("PUT", "/devices/a/modules/filter", "{}").status, 200);
  EXPECT_EQ(put("m", 1, "FROM devices.modules WHERE moduleId = 'filter'", R"({"moduleContent":{"properties.desired.rate":9}})"),
            200);
  EXPECT_EQ(desired("a/modules/filter"), R"({"rate":9})");
  EXPECT_EQ(put("wrong", 1, "tags.a = 1", R"({"moduleContent":{"properties.desired.rate":9}})"), 400);
}

constexpr const char* base_modules =
    R"({"modulesContent":{"$edgeAgent":{"properties.desired":{"schemaVersion":"1.1","runtime":{"type":"docker","settings":{}},"systemModules":{"edgeAgent":{"type":"docker","settings":{"image":"a:1"}},"edgeHub":{"type":"docker","status":"running","restartPolicy":"always","settings":{"image":"h:1"}}},"modules":{"filter":{"type":"process","status":"running","restartPolicy":"always","settings":{"image":"filter"}}}}},"$edgeHub":{"properties.desired":{"schemaVersion":"1.1","routes":{"up":"FROM /messages/* INTO $upstream"},"storeAndForwardConfiguration":{"timeToLiveSecs":7200}}},"filter":{"properties.desired":{"rate":1}}}})";
constexpr const char* layer =
    R"({"modulesContent":{"$edgeAgent":{"properties.desired.modules.extra":{"type":"process","status":"running","restartPolicy":"always","settings":{"image":"extra"}}},"$edgeHub":{"properties.desired.routes.more":"FROM /messages/modules/extra/* INTO $upstream"},"extra":{"properties.desired.level":3},"filter":{"properties.desired.rate":2}}})";

TEST_F(ConfigurationsTest, edges_get_the_strongest_base_and_the_layers_above_it) {
  add("edge", true);
  add("leaf");
  EXPECT_EQ(put("layer", 20, "*", layer), 200);
  settle();
  EXPECT_EQ(states("edge"), R"({"layer":{"status":"Targeted"}})") << "a layer needs a base";
  EXPECT_EQ(put("base", 10, "*", base_modules), 200);
  settle();
  EXPECT_EQ(states("edge"), R"({"base":{"status":"Applied"},"layer":{"status":"Applied"}})");
  EXPECT_EQ(states("leaf"), "none");
  EXPECT_EQ(desired("edge/modules/filter"), R"({"rate":2})");
  EXPECT_EQ(desired("edge/modules/extra"), R"({"level":3})");
  const Json agent = get("/twins/edge/modules/$edgeAgent");
  EXPECT_EQ(agent.at_path({"properties", "desired", "modules", "extra", "configuration", "id"})->as_string(), "layer");
  EXPECT_EQ(agent.at_path({"properties", "desired", "modules", "filter", "configuration", "id"})->as_string(), "base");
  EXPECT_EQ(metric("base", "systemMetrics", "reportedSuccessfulCount"), 0);

  EXPECT_EQ(call("DELETE", "/configurations/layer").status, 204);
  settle();
  EXPECT_EQ(call("GET", "/devices/edge/modules/extra").status, 404) << "modules no longer named go";
  EXPECT_EQ(desired("edge/modules/filter"), R"({"rate":1})");
}

TEST_F(ConfigurationsTest, content_is_fixed_and_etags_hold) {
  const char* content = R"({"deviceContent":{"properties.desired.rate":5}})";
  EXPECT_EQ(put("c", 1, "", content), 200);
  EXPECT_EQ(put("c", 1, "", content), 409);
  EXPECT_EQ(put("c", 2, "*", R"({"deviceContent":{"properties.desired.rate":6}})", {{"if-match", "*"}}), 400);
  EXPECT_EQ(put("c", 2, "*", content, {{"if-match", "\"AAAAAAAAAAk=\""}}), 412);
  EXPECT_EQ(put("c", 2, "*", content, {{"if-match", "\"AAAAAAAAAAE=\""}}), 200);
  EXPECT_EQ(get("/configurations/c").find("priority")->as_integer(), 2);
  EXPECT_EQ(put("none", 1, "*", content, {{"if-match", "*"}}), 404);
  EXPECT_EQ(put("Bad", 1, "*", content), 400);
  EXPECT_EQ(put("d", 1, "tags.a = ", content), 400);
  EXPECT_EQ(put("d", 1, "*", R"({"deviceContent":{"properties.reported.x":1}})"), 400);
  EXPECT_EQ(put("d", 1, "*", R"({"modulesContent":{"$edgeAgent":{"properties.desired":{}}}})"), 400);
  EXPECT_EQ(get("/configurations").as_array().size(), 1u);
  EXPECT_EQ(error_code(call("GET", "/configurations/none")), "ConfigurationNotFound");
}

TEST_F(ConfigurationsTest, metrics_count_the_rows_of_their_queries) {
  add("a");
  add("b");
  const auto made =
      call("PUT", "/configurations/c",
           R"({"id":"c","targetCondition":"deviceId = 'a'","content":{"deviceContent":{"properties.desired.rate":5}},)"
           R"("metrics":{"queries":{"ok":"SELECT deviceId FROM devices WHERE configurations.[[c]].status = 'Applied'"}}})");
  EXPECT_EQ(made.status, 200) << made.body;
  EXPECT_EQ(metric("c", "metrics", "ok"), 1);
  const auto tested = parse(
      call("POST", "/configurations/testQueries", R"({"targetCondition":"tags.a = ","customMetricQueries":{"m":"SELECT"}})").body);
  EXPECT_TRUE(tested.find("targetConditionError")->is_string());
  EXPECT_TRUE(tested.at_path({"customMetricQueryErrors", "m"})->is_string());
}

}  // namespace
}  // namespace nacelle::hub::testing
