#include "service/hub/jobs.h"

#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

class JobsTest : public HubTest {
 protected:
  Json schedule(const std::string& id, const std::string& body) {
    const auto answer = call("PUT", "/jobs/v2/" + id, body);
    EXPECT_EQ(answer.status, 200) << answer.body;
    return parse(answer.body);
  }
  /// Waits for what is posted on the tables strand; a job's steps post one another.
  std::string settled(const std::string& id) {
    for (int i = 0; i < 50; ++i) {
      auto work = [this] {
        hub->services().fleet.jobs->step();
        return true;
      };
      run(run_on(hub->services().disk.tables(), work));
      const std::string status = get("/jobs/v2/" + id).find("status")->as_string();
      if (status != "running") return status;
    }
    return "never";
  }
  std::string statistics(const std::string& id) { return json::print(*get("/jobs/v2/" + id).find("deviceJobStatistics")); }
  std::string rows(const std::string& id, const char* member) {
    const auto answer =
        call("POST", "/devices/query", R"({"query":"SELECT * FROM devices.jobs WHERE devices.jobs.jobId = ')" + id + R"('"})");
    EXPECT_EQ(answer.headers.get("x-ms-item-type"), "deviceJob");
    std::string all;
    const Json found = parse(answer.body);
    for (const Json& row : found.as_array()) all += row.find("deviceId")->as_string() + ":" + row.find(member)->as_string() + " ";
    return all;
  }
};

constexpr const char* twin_job =
    R"({"type":"scheduleUpdateTwin","queryCondition":"tags.line = 'x'","updateTwin":{"etag":"*","tags":{"done":true},"properties":{"desired":{"rate":5}}}})";

TEST_F(JobsTest, a_twin_update_reaches_each_device_of_its_query_once) {
  for (const char* id : {"a", "b", "c"}) add(id);
  for (const char* id : {"a", "b"}) call("PATCH", std::string("/twins/") + id, R"({"tags":{"line":"x"}})");
  const Json made = schedule("j", twin_job);
  EXPECT_EQ(made.find("type")->as_string(), "scheduleUpdateTwin");
  EXPECT_EQ(settled("j"), "completed");
  EXPECT_EQ(statistics("j"), R"({"deviceCount":2,"failedCount":0,"succeededCount":2,"runningCount":0,"pendingCount":0})");
  for (const char* id : {"a", "b"}) {
    const Json twin = get(std::string("/twins/") + id);
    EXPECT_EQ(twin.at_path({"properties", "desired", "rate"})->as_integer(), 5);
    EXPECT_EQ(twin.at_path({"properties", "desired", "$version"})->as_integer(), 2) << "written once";
  }
  EXPECT_FALSE(get("/twins/c").at_path({"properties", "desired", "rate"}));
  EXPECT_EQ(rows("j", "status"), "a:completed b:completed ");
}

TEST_F(JobsTest, a_twin_update_under_an_etag_leaves_other_twins_alone) {
  for (const char* id : {"a", "b"}) add(id);
  call("PATCH", "/twins/b", R"({"tags":{"x":1}})");
  const std::string etag = get("/twins/a").find("etag")->as_string();
  schedule("j",
           R"({"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"etag":")" + etag + R"(","tags":{"done":true}}})");
  EXPECT_EQ(settled("j"), "completed");
  EXPECT_EQ(rows("j", "status"), "a:completed b:failed ");
  EXPECT_TRUE(get("/twins/a").at_path({"tags", "done"}));
  EXPECT_FALSE(get("/twins/b").at_path({"tags", "done"}));
  EXPECT_EQ(
      call("PUT", "/jobs/v2/k", R"({"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"etag":5,"tags":{}}})").status,
      400);
}

TEST_F(JobsTest, a_job_waits_for_its_time_and_its_devices_are_those_of_then) {
  add("a");
  const std::string start = format_iso8601(clock.now() + std::chrono::hours{1});
  schedule("later",
           R"({"type":"scheduleUpdateTwin","queryCondition":"*","startTime":")" + start + R"(","updateTwin":{"tags":{"x":1}}})");
  EXPECT_EQ(settled("later"), "scheduled");
  stop();
  HubTest::start();
  add("b");
  clock.advance(std::chrono::hours{2});
  EXPECT_EQ(settled("later"), "completed") << "an hour late, and after a restart";
  EXPECT_EQ(rows("later", "status"), "a:completed b:completed ");
}

TEST_F(JobsTest, methods_have_an_outcome_each) {
  const device::Identity there = add("a");
  add("b");
  net::MqttClient* answering = nullptr;
  auto device = connected(there, [&](const mqtt::Publish& request, std::function<void()> done) {
    const std::size_t rid = request.topic.find("$rid=");
    answering->publish("$iothub/methods/res/200/?" + std::string(request.topic.substr(rid)), R"({"ok":1})", mqtt::QoS::at_most_once,
                       [](Result<>) {});
    done();
  });
  answering = device.get();
  ASSERT_TRUE(run(device->subscribe("$iothub/methods/POST/#", mqtt::QoS::at_most_once)).has_value());
  schedule(
      "m",
      R"({"type":"scheduleDeviceMethod","queryCondition":"*","cloudToDeviceMethod":{"methodName":"go","payload":null,"responseTimeoutInSeconds":30}})");
  std::string status;
  for (int i = 0; i < 100 && status != "completed"; ++i) status = settled("m");
  EXPECT_EQ(rows("m", "status"), "a:completed b:failed ");
  EXPECT_EQ(statistics("m"), R"({"deviceCount":2,"failedCount":1,"succeededCount":1,"runningCount":0,"pendingCount":0})");
  run(device->close());
}

TEST_F(JobsTest, a_cancelled_job_touches_nobody_more) {
  add("a");
  const std::string start = format_iso8601(clock.now() + std::chrono::hours{1});
  schedule("j",
           R"({"type":"scheduleUpdateTwin","queryCondition":"*","startTime":")" + start + R"(","updateTwin":{"tags":{"x":1}}})");
  EXPECT_EQ(call("POST", "/jobs/v2/j/cancel").status, 200);
  clock.advance(std::chrono::hours{2});
  EXPECT_EQ(settled("j"), "cancelled");
  EXPECT_FALSE(get("/twins/a").at_path({"tags", "x"}));
}

TEST_F(JobsTest, devices_whose_turn_does_not_come_in_time_fail) {
  // More than are called at once, and none of them there: the rest waits while the first wait for their devices.
  const int many = static_cast<int>(Jobs::calls_at_once) + 3;
  for (int i = 0; i < many; ++i) add("d" + std::to_string(i));
  schedule("j", R"({"type":"scheduleDeviceMethod","queryCondition":"*","maxExecutionTimeInSeconds":60,"cloudToDeviceMethod":)"
                R"({"methodName":"go","payload":null,"responseTimeoutInSeconds":300,"connectTimeoutInSeconds":300}})");
  EXPECT_EQ(settled("j"), "never") << "the first calls wait";
  EXPECT_EQ(statistics("j"), R"({"deviceCount":53,"failedCount":0,"succeededCount":0,"runningCount":50,"pendingCount":3})");
  clock.advance(std::chrono::seconds{61});
  EXPECT_EQ(settled("j"), "never");
  EXPECT_EQ(statistics("j"), R"({"deviceCount":53,"failedCount":3,"succeededCount":0,"runningCount":50,"pendingCount":0})");
  stop();
  start();
  EXPECT_EQ(settled("j"), "completed") << "calls under way at the end are not repeated";
  EXPECT_EQ(statistics("j"), R"({"deviceCount":53,"failedCount":53,"succeededCount":0,"runningCount":0,"pendingCount":0})");
}

TEST_F(JobsTest, what_a_device_cannot_take_fails_for_it_alone) {
  add("a");
  add("b");
  call("PATCH", "/twins/a", R"({"tags":{"big":")" + std::string(3900, 'x') + R"("}})");
  schedule("j", R"({"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"tags":{"m":")" + std::string(3000, 'y') +
                    R"(","n":")" + std::string(2000, 'y') + R"("}}})");
  EXPECT_EQ(settled("j"), "completed");
  EXPECT_EQ(rows("j", "status"), "a:failed b:completed ");
}

TEST_F(JobsTest, mistakes_are_refused_by_name) {
  EXPECT_EQ(error_code(call("GET", "/jobs/v2/none")), "JobNotFound");
  EXPECT_EQ(call("POST", "/jobs/v2/none/cancel").status, 404);
  EXPECT_EQ(
      call("PUT", "/jobs/v2/j", R"({"type":"scheduleUpdateTwin","queryCondition":"tags.a =","updateTwin":{"tags":{}}})").status,
      400);
  EXPECT_EQ(call("PUT", "/jobs/v2/j", R"({"type":"export","queryCondition":"*"})").status, 400);
  EXPECT_EQ(call("PUT", "/jobs/v2/j", R"({"type":"scheduleUpdateTwin","queryCondition":"","updateTwin":{"tags":{}}})").status, 400);
  schedule("j", R"({"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"tags":{"a":1}}})");
  EXPECT_EQ(call("PUT", "/jobs/v2/j", R"({"type":"scheduleUpdateTwin","queryCondition":"*","updateTwin":{"tags":{"a":1}}})").status,
            409);
  const auto listed = call("GET", "/jobs/v2/query?jobType=scheduleUpdateTwin");
  EXPECT_EQ(listed.headers.get("x-ms-item-type"), "jobResponse");
  EXPECT_EQ(parse(listed.body).as_array().size(), 1u);
  EXPECT_EQ(get("/jobs/v2/query?jobType=scheduleDeviceMethod").as_array().size(), 0u);
}

}  // namespace
}  // namespace nacelle::hub::testing
