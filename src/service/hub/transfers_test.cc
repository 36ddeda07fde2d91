#include "service/hub/transfers.h"

#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

class TransfersTest : public HubTest {
 protected:
  std::string container(const std::string& name) {
    return parse(call("POST", "/containers/" + name).body).find("containerUri")->as_string();
  }
  /// The path and query of one of its blobs.
  static std::string blob(const std::string& uri, const std::string& name) {
    const auto path = uri.find('/', 8);
    const auto query = uri.find('?');
    return uri.substr(path, query - path) + "/" + name + uri.substr(query);
  }
  net::HttpResponse put(const std::string& uri, const std::string& name, const std::string& text) {
    return call("PUT", blob(uri, name), text, {{"x-ms-blob-type", "BlockBlob"}}, "-");
  }
  Json finished(const std::string& request) {
    const auto made = call("POST", "/jobs/create", request);
    EXPECT_EQ(made.status, 200) << made.body;
    const std::string id = parse(made.body).find("jobId")->as_string();
    while (true) {
      const Json job = get("/jobs/" + id);
      const std::string& status = job.find("status")->as_string();
      if (status != "enqueued" && status != "running") return job;
    }
  }
  static std::string import_of(const std::string& input, const std::string& output) {
    return json::print(json::Object{{"type", "import"}, {"inputBlobContainerUri", input}, {"outputBlobContainerUri", output}});
  }
};

TEST_F(TransfersTest, export_holds_every_device_and_keys_only_if_asked_for) {
  for (int i = 0; i < 250; ++i) add("d" + std::to_string(1000 + i));
  const std::string uri = container("fleet");
  const auto run_export = [&](bool without_keys) {
    const Json job = finished(
        json::print(json::Object{{"type", "export"}, {"outputBlobContainerUri", uri}, {"excludeKeysInExport", without_keys}}));
    EXPECT_EQ(job.find("status")->as_string(), "completed");
    EXPECT_EQ(json::print(job).find("sig="), std::string::npos) << "a job shows no signed address";
    return call("GET", blob(uri, "devices.txt"), {}, {}, "-").body;
  };
  const std::string with_keys = run_export(false);
  EXPECT_EQ(std::count(with_keys.begin(), with_keys.end(), '\n'), 250);
  const std::string key = hub->services().registry.identities().find({device::DeviceId("d1249"), {}})->primary_key;
  EXPECT_NE(with_keys.find(key), std::string::npos);
  EXPECT_EQ(run_export(true).find("symmetricKey"), std::string::npos);
}

TEST_F(TransfersTest, import_makes_what_is_good_and_tells_line_by_line_what_is_not) {
  const std::string input = container("input"), output = container("output");
  EXPECT_EQ(
      put(input, "devices.txt", "{\"id\":\"a\"}\n\nnot json\n{\"id\":\"a\"}\n{\"id\":7}\n[]\n{\"id\":\"b\",\"tags\":{\"x\":1}}")
          .status,
      201);
  EXPECT_EQ(finished(import_of(input, output)).find("status")->as_string(), "completed");
  const std::string errors = call("GET", blob(output, "importErrors.log"), {}, {}, "-").body;
  EXPECT_EQ(std::count(errors.begin(), errors.end(), '\n'), 4) << errors;
  for (const char* line : {"\"line\":3", "\"line\":4", "\"line\":5", "\"line\":6"}) EXPECT_NE(errors.find(line), std::string::npos);
  EXPECT_EQ(get("/devices").as_array().size(), 2u);
  EXPECT_EQ(get("/twins/b").at_path({"tags", "x"})->as_integer(), 1);
  const Json nothing = finished(import_of(container("empty"), output));
  EXPECT_EQ(nothing.find("status")->as_string(), "failed");
  EXPECT_NE(nothing.find("failureReason")->as_string().find("devices.txt"), std::string::npos);
}

TEST_F(TransfersTest, addresses_that_are_not_a_container_of_this_hub_are_refused) {
  const std::string good = container("input");
  std::vector<std::string> bad{"",
                               "https://",
                               "https://evil.example.net/x?sig=a",
                               "http" + good.substr(5),
                               good.substr(0, good.find('?')),
                               "https://h/containers/input/devices.txt" + good.substr(good.find('?'))};
  for (std::size_t cut = 8; cut < good.size(); cut += 5) bad.push_back(good.substr(0, cut));
  bad.push_back(good + "x");
  auto other = good;
  bad.push_back(other.replace(other.find("/input"), 6, "/other"));
  for (const auto& uri : bad) EXPECT_EQ(call("POST", "/jobs/create", import_of(uri, good)).status, 400) << uri;
  for (const char* body :
       {"", "{", "[]", R"({"type":"sing"})", R"({"type":"export"})", R"({"type":"export","outputBlobContainerUri":7})"})
    EXPECT_EQ(call("POST", "/jobs/create", body).status, 400) << body;
  for (const char* name : {"ab", "A-b", "a_b", "a%2Fb"})
    EXPECT_EQ(call("POST", std::string("/containers/") + name).status, 400) << name;
  clock.advance(std::chrono::hours{2});
  EXPECT_EQ(put(good, "devices.txt", "x").status, 403) << "the grant has expired";
}

TEST_F(TransfersTest, modules_go_with_their_devices_and_come_back_as_they_were) {
  add("d");
  add("edge", true);
  EXPECT_EQ(call("PUT", "/devices/d/modules/m", "{}").status, 200);
  EXPECT_EQ(call("PATCH", "/twins/d/modules/m", R"({"tags":{"line":"x"},"properties":{"desired":{"rate":5}}})").status, 200);
  const std::string uri = container("fleet");
  const auto exporting = finished(json::print(json::Object{{"type", "export"}, {"outputBlobContainerUri", uri}}));
  EXPECT_EQ(exporting.find("status")->as_string(), "completed");
  const std::string lines = call("GET", blob(uri, "devices.txt"), {}, {}, "-").body;
  EXPECT_EQ(std::count(lines.begin(), lines.end(), '\n'), 5) << "two devices, m, $edgeAgent and $edgeHub: " << lines;
  const auto key = [&](const char* device, const char* id) { return module(device, id).primary_key; };
  const std::string key_of_m = key("d", "m"), key_of_hub = key("edge", "$edgeHub");

  for (const char* device : {"/devices/d", "/devices/edge"}) EXPECT_EQ(call("DELETE", device).status, 204);
  EXPECT_EQ(put(uri, "devices.txt", lines).status, 201);
  EXPECT_EQ(finished(import_of(uri, container("output"))).find("status")->as_string(), "completed");
  EXPECT_EQ(call("GET", blob(container("output"), "importErrors.log"), {}, {}, "-").body, "");
  EXPECT_EQ(key("d", "m"), key_of_m);
  EXPECT_EQ(key("edge", "$edgeHub"), key_of_hub);
  EXPECT_EQ(get("/devices/edge/modules/$edgeHub").find("managedBy")->as_string(), "IotEdge");
  EXPECT_EQ(get("/twins/d/modules/m").at_path({"properties", "desired", "rate"})->as_integer(), 5);
  EXPECT_EQ(get("/twins/d/modules/m").at_path({"tags", "line"})->as_string(), "x");
}

TEST_F(TransfersTest, import_without_keys_leaves_those_there_are) {
  const std::string key = add("d").primary_key;
  const std::string thumbprint(64, 'a');
  EXPECT_EQ(call("PUT", "/devices/x",
                 R"({"authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":")" + thumbprint + R"("}}})")
                .status,
            200);
  const std::string uri = container("fleet");
  finished(json::print(json::Object{{"type", "export"}, {"outputBlobContainerUri", uri}, {"excludeKeysInExport", true}}));
  EXPECT_EQ(call("DELETE", "/devices/x").status, 204);
  EXPECT_EQ(finished(import_of(uri, uri)).find("status")->as_string(), "completed");
  EXPECT_EQ(get("/devices/d").at_path({"authentication", "symmetricKey", "primaryKey"})->as_string(), key);
  EXPECT_EQ(get("/devices/x").at_path({"authentication", "type"})->as_string(), "selfSigned");
  EXPECT_EQ(get("/devices/x").at_path({"authentication", "x509Thumbprint", "primaryThumbprint"})->as_string(), thumbprint);
}

TEST_F(TransfersTest, export_that_a_kill_interrupts_is_begun_again_and_so_is_what_had_to_wait) {
  add("d");
  const std::string uri = container("fleet");
  for (const char* row : {"('one', 'export', '', 'fleet', 1, 'running', 7, '', '', '')",
                          "('two', 'import', 'fleet', 'output', 1, 'enqueued', 0, '', '', '')"})
    ASSERT_TRUE(hub->services().tables.run(
        std::string(
            "INSERT INTO transfer (id, type, input, output, with_keys, status, progress, started_at, ended_at, failure) VALUES ") +
        row));
  stop();
  start();
  const auto ended = [&](const char* id) {
    while (true) {
      const Json job = get(std::string("/jobs/") + id);
      const std::string& status = job.find("status")->as_string();
      if (status != "enqueued" && status != "running") return job;
    }
  };
  EXPECT_EQ(ended("one").find("status")->as_string(), "completed");
  EXPECT_EQ(ended("one").find("progress")->as_integer(), 100);
  EXPECT_NE(call("GET", blob(container("fleet"), "devices.txt"), {}, {}, "-").body.find("\"id\":\"d\""), std::string::npos);
  EXPECT_EQ(ended("two").find("status")->as_string(), "completed");
  EXPECT_EQ(call("DELETE", "/jobs/one").status, 204) << "it has ended: nothing to cancel";
  EXPECT_EQ(get("/jobs/one").find("status")->as_string(), "completed");
  EXPECT_EQ(error_code(call("DELETE", "/jobs/nothing")), "JobNotFound");
  EXPECT_EQ(get("/jobs").as_array().size(), 2u);
}

TEST_F(TransfersTest, import_that_a_kill_interrupts_has_failed_and_says_what_was_done) {
  container("output");
  ASSERT_TRUE(hub->services().tables.run(
      "INSERT INTO transfer (id, type, input, output, with_keys, status, progress, started_at, ended_at, failure, lines) "
      "VALUES ('j', 'import', 'input', 'output', 1, 'running', 57, '', '', '', 200)"));
  ASSERT_TRUE(hub->services().tables.run("INSERT INTO transfer_error VALUES ('j', 3, '{\"line\":3}')"));
  ASSERT_TRUE(hub->services().tables.run("INSERT INTO transfer_error VALUES ('j', 120, '{\"line\":120}')"));
  stop();
  start();
  const Json job = get("/jobs/j");
  EXPECT_EQ(job.find("status")->as_string(), "failed");
  EXPECT_EQ(job.find("progress")->as_integer(), 57);
  EXPECT_NE(job.find("failureReason")->as_string().find("lines 1 to 200"), std::string::npos) << json::print(job);
  EXPECT_FALSE(job.find("endTimeUtc")->is_null());
  EXPECT_EQ(call("GET", blob(container("output"), "importErrors.log"), {}, {}, "-").body, "{\"line\":3}\n{\"line\":120}\n");
  EXPECT_TRUE(hub->services().tables.query("SELECT 1 FROM transfer_error")->empty());
}

}  // namespace
}  // namespace nacelle::hub::testing
