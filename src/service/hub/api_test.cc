#include "codec/digest/digest.h"
#include "codec/text/encoding.h"
#include "foundation/task_scope.h"
#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

class ApiTest : public HubTest {};

TEST_F(ApiTest, devices_are_made_read_changed_listed_and_deleted) {
  const auto made = call("PUT", "/devices/d1?api-version=2021-04-12",
                         R"({"deviceId":"d1","authentication":{"type":"sas","symmetricKey":{"primaryKey":"","secondaryKey":""}}})");
  EXPECT_EQ(made.status, 200);
  EXPECT_EQ(made.headers.get("etag"), "\"AAAAAAAAAAE=\"");
  const Json document = parse(made.body);
  EXPECT_EQ(document.find("deviceId")->as_string(), "d1");
  const std::string key = document.at_path({"authentication", "symmetricKey", "primaryKey"})->as_string();
  EXPECT_EQ(text::base64_decode(key)->size(), 32u);

  const auto again = call("PUT", "/devices/d1", R"({"deviceId":"d1"})");
  EXPECT_EQ(again.status, 409);
  EXPECT_EQ(error_code(again), "DeviceAlreadyExists");
  EXPECT_TRUE(parse(again.body).find("Message")->as_string().starts_with("ErrorCode:DeviceAlreadyExists;"));

  EXPECT_EQ(call("PUT", "/devices/d1", R"({"deviceId":"d1","statusReason":"x"})", {{"if-match", "\"AAAAAAAAAAk=\""}}).status, 412);
  const auto updated = call("PUT", "/devices/d1", R"({"deviceId":"d1","status":"disabled"})", {{"if-match", "\"*\""}});
  EXPECT_EQ(updated.status, 200);
  EXPECT_EQ(parse(updated.body).find("status")->as_string(), "disabled");
  EXPECT_EQ(parse(updated.body).at_path({"authentication", "symmetricKey", "primaryKey"})->as_string(), key)
      << "an update without keys keeps them";

  add("d0");
  for (const char* path : {"/devices/?api-version=2021-04-12", "/devices?top=5"}) {
    const Json list = parse(call("GET", path).body);
    ASSERT_EQ(list.as_array().size(), 2u) << path;
    EXPECT_EQ(list.as_array()[0].find("deviceId")->as_string(), "d0");
  }
  EXPECT_EQ(json::print(get("/statistics/devices")), R"({"totalDeviceCount":2,"enabledDeviceCount":1,"disabledDeviceCount":1})");

  EXPECT_EQ(call("DELETE", "/devices/d1", {}, {{"if-match", "\"AAAAAAAAAAE=\""}}).status, 412);
  EXPECT_EQ(call("DELETE", "/devices/d1", {}, {{"if-match", "*"}}).status, 204);
  const auto gone = call("GET", "/devices/d1");
  EXPECT_EQ(gone.status, 404);
  EXPECT_EQ(error_code(gone), "DeviceNotFound");
  EXPECT_EQ(call("DELETE", "/devices/d1").status, 404);
  EXPECT_EQ(call("PUT", "/devices/d9", R"({"deviceId":"d9"})", {{"if-match", "*"}}).status, 404);
}

TEST_F(ApiTest, bad_documents_and_names_are_400) {
  EXPECT_EQ(call("PUT", "/devices/d1", "{").status, 400);
  EXPECT_EQ(call("PUT", "/devices/d1", R"({"deviceId":"other"})").status, 400);
  EXPECT_EQ(call("PUT", "/devices/d1", R"({"deviceId":"d1","status":"maybe"})").status, 400);
  EXPECT_EQ(call("PUT", "/devices/a%20b", R"({"deviceId":"a b"})").status, 400);
  EXPECT_EQ(call("GET", "/devices/%zz").status, 400);
  EXPECT_EQ(parse(call("GET", "/devices/").body).as_array().size(), 0u);
}

TEST_F(ApiTest, modules_belong_to_their_device) {
  add("d1");
  EXPECT_EQ(error_code(call("PUT", "/devices/d2/modules/m", "{}")), "DeviceNotFound");
  EXPECT_EQ(call("PUT", "/devices/d1/modules/m", R"({"moduleId":"m","deviceId":"d1"})").status, 200);
  EXPECT_EQ(error_code(call("PUT", "/devices/d1/modules/m", "{}")), "ModuleAlreadyExistsOnDevice");
  EXPECT_EQ(get("/devices/d1/modules").as_array().size(), 1u);
  EXPECT_EQ(get("/devices/d1/modules/m").find("moduleId")->as_string(), "m");
  EXPECT_EQ(error_code(call("GET", "/devices/d1/modules/n")), "ModuleNotFound");
  EXPECT_EQ(call("DELETE", "/devices/d1/modules/m").status, 204);
}

TEST_F(ApiTest, bulk_call_reports_each_failure) {
  const auto made = call("POST", "/devices", R"([{"id":"a","importMode":"create"},{"id":"b","importMode":"create"}])");
  EXPECT_EQ(made.status, 200);
  const auto mixed =
      call("POST", "/devices",
           R"([{"id":"a","importMode":"create"},{"id":"b","importMode":"Delete"},{"id":"c","importMode":"Update"}])");
  EXPECT_EQ(mixed.status, 400);
  const Json result = parse(mixed.body);
  ASSERT_EQ(result.find("errors")->as_array().size(), 2u);
  EXPECT_EQ(result.find("errors")->as_array()[0].find("errorCode")->as_string(), "DeviceAlreadyExists");
  EXPECT_EQ(result.find("errors")->as_array()[0].find("errorStatus")->as_string(), "409001");
  EXPECT_EQ(get("/devices").as_array().size(), 1u);
}

TEST_F(ApiTest, bulk_call_takes_modules_and_merges_twins) {
  add("a");
  EXPECT_EQ(call("POST", "/devices", R"([{"id":"a","moduleId":"m","tags":{"x":1,"y":1}}])").status, 200);
  const auto patch = [&](const std::string& more) {
    return call("POST", "/devices", R"([{"id":"a","moduleId":"m","tags":{"x":2,"y":null})" + more + "}]");
  };
  EXPECT_EQ(patch(R"(,"importMode":"updateTwin")").status, 200);
  EXPECT_EQ(json::print(*get("/twins/a/modules/m").find("tags")), R"({"x":2})");
  EXPECT_EQ(patch(R"(,"importMode":"updateTwinIfMatchETag","twinETag":"AAAAAAAAAGM=")").status, 400);
  const Json stale = parse(patch(R"(,"importMode":"updateTwinIfMatchETag","twinETag":"AAAAAAAAAGM=")").body);
  EXPECT_EQ(stale.find("errors")->as_array()[0].find("moduleId")->as_string(), "m");
  EXPECT_EQ(stale.find("errors")->as_array()[0].find("errorStatus")->as_string(), "412001");
  const Json wrong = parse(call("POST", "/devices", R"([{"id":"a","moduleId":"m"},{"id":"b","moduleId":"m"},{"id":"a","moduleId":7},
                                                        {"id":"a","moduleId":"n","importMode":"updateTwin"},
                                                        {"id":"a","importMode":"createIfMatchETag"}])")
                               .body);
  std::string codes;
  for (const Json& error : wrong.find("errors")->as_array()) codes += error.find("errorStatus")->as_string() + " ";
  EXPECT_EQ(codes, "409301 404001 400004 404010 400004 ");
  EXPECT_EQ(call("POST", "/devices", R"([{"id":"a","moduleId":"m","importMode":"delete"}])").status, 200);
  EXPECT_EQ(call("GET", "/devices/a/modules/m").status, 404);
}

TEST_F(ApiTest, documents_tell_status_thumbprints_model_and_waiting_messages) {
  const std::string thumbprint(64, 'b');
  EXPECT_EQ(call("PUT", "/devices/x",
                 R"({"authentication":{"type":"selfSigned","x509Thumbprint":{"primaryThumbprint":")" + thumbprint + R"("}}})")
                .status,
            200);
  EXPECT_EQ(get("/devices/x").find("statusUpdatedTime")->as_string(), "0001-01-01T00:00:00") << "it never changed";
  EXPECT_EQ(call("PUT", "/devices/x", R"({"status":"disabled"})", {{"if-match", "*"}}).status, 200);
  const Json device = get("/devices/x");
  EXPECT_EQ(device.find("statusUpdatedTime")->as_string(), format_iso8601(clock.now()));
  EXPECT_EQ(device.at_path({"authentication", "type"})->as_string(), "selfSigned") << "credentials left out are kept";
  EXPECT_EQ(call("POST", "/devices/x/messages/devicebound", "hello").status, 200);
  ASSERT_TRUE(hub->services().registry.note_model({device::DeviceId("x"), {}}, "dtmi:plant:press;1"));
  EXPECT_FALSE(hub->services().registry.note_model({device::DeviceId("x"), {}}, std::string(300, 'm')));
  const Json twin = get("/twins/x");
  EXPECT_EQ(twin.find("statusUpdateTime")->as_string(), format_iso8601(clock.now()));
  EXPECT_EQ(twin.at_path({"x509Thumbprint", "primaryThumbprint"})->as_string(), thumbprint);
  EXPECT_TRUE(twin.at_path({"x509Thumbprint", "secondaryThumbprint"})->is_null());
  EXPECT_EQ(twin.find("modelId")->as_string(), "dtmi:plant:press;1");
  EXPECT_EQ(twin.find("cloudToDeviceMessageCount")->as_integer(), 1);
  const auto found =
      call("POST", "/devices/query", R"({"query":"SELECT deviceId FROM devices WHERE modelId = 'dtmi:plant:press;1'"})");
  EXPECT_EQ(found.body, R"([{"deviceId":"x"}])");
  stop();
  start();
  EXPECT_EQ(get("/twins/x").find("modelId")->as_string(), "dtmi:plant:press;1");
}

TEST_F(ApiTest, an_edges_scope_is_shown_as_its_parent_too) {
  const auto edge = add("edge1", true);
  EXPECT_EQ(call("PUT", "/devices/edge2", R"({"capabilities":{"iotEdge":true},"parentScopes":[")" + edge.scope + R"("]})").status,
            200);
  EXPECT_EQ(get("/twins/edge2").find("parentScopes")->as_array().at(0).as_string(), edge.scope);
}

TEST_F(ApiTest, twins_are_patched_and_replaced_under_their_etag) {
  add("d1");
  Json twin = get("/twins/d1");
  EXPECT_EQ(twin.at_path({"properties", "desired", "$version"})->as_integer(), 1);
  const std::string etag = twin.find("etag")->as_string();
  const auto patched = call("PATCH", "/twins/d1", R"({"tags":{"site":"north"},"properties":{"desired":{"rate":5,"mode":"a"}}})",
                            {{"if-match", "\"" + etag + "\""}});
  EXPECT_EQ(patched.status, 200);
  EXPECT_EQ(call("PATCH", "/twins/d1", R"({"tags":{"site":"south"}})", {{"if-match", "\"" + etag + "\""}}).status, 412);
  twin = parse(call("PATCH", "/twins/d1", R"({"properties":{"desired":{"mode":null}}})").body);
  EXPECT_FALSE(twin.at_path({"properties", "desired", "mode"}));
  EXPECT_EQ(twin.at_path({"tags", "site"})->as_string(), "north");
  twin = parse(call("PUT", "/twins/d1", R"({"properties":{"desired":{"only":1}}})", {{"if-match", "\"*\""}}).body);
  EXPECT_FALSE(twin.at_path({"properties", "desired", "rate"}));
  EXPECT_EQ(twin.at_path({"tags", "site"})->as_string(), "north") << "a section that is not given is left alone";
  EXPECT_EQ(call("PATCH", "/twins/d1", R"({"properties":{"desired":{"a.b":1}}})").status, 400);
  EXPECT_EQ(call("PATCH", "/twins/d9", "{}").status, 404);
  EXPECT_EQ(error_code(call("GET", "/twins/d1/modules/m")), "ModuleNotFound");
}

const char* manifest_with(const char* modules) {
  static std::string text;
  text =
      std::string(
          R"({"modulesContent":{"$edgeAgent":{"properties.desired":{"schemaVersion":"1.1","runtime":{"type":"docker","settings":{}},)") +
      R"("systemModules":{"edgeAgent":{"type":"docker","settings":{"image":"agent:1"}},"edgeHub":{"type":"docker","status":"running","restartPolicy":"always","settings":{"image":"hub:1"}}},"modules":)" +
      modules +
      R"(}},"$edgeHub":{"properties.desired":{"schemaVersion":"1.1","routes":{"all":"FROM /messages/* INTO $upstream"},)" +
      R"("storeAndForwardConfiguration":{"timeToLiveSecs":7200}}},"filter":{"properties.desired":{"threshold":80}}}})";
  return text.c_str();
}
const char* filter_module =
    R"({"filter":{"version":"1.0","type":"process","status":"running","restartPolicy":"always","settings":{"image":"filter"}}})";

TEST_F(ApiTest, deployment_makes_modules_writes_their_twins_and_removes_what_is_no_longer_named) {
  add("edge1", true);
  ASSERT_EQ(call("POST", "/devices/edge1/applyConfigurationContent", manifest_with(filter_module)).status, 204);
  EXPECT_EQ(get("/devices/edge1/modules/filter").find("managedBy")->as_string(), "IotEdge");
  EXPECT_EQ(get("/twins/edge1/modules/filter").at_path({"properties", "desired", "threshold"})->as_integer(), 80);
  EXPECT_TRUE(get("/twins/edge1/modules/$edgeHub").at_path({"properties", "desired", "routes", "all"}));
  EXPECT_TRUE(get("/twins/edge1/modules/%24edgeAgent").at_path({"properties", "desired", "modules", "filter"}));

  const char* one_module = R"({"modulesContent":{"filter":{"properties.desired.threshold":90}}})";
  ASSERT_EQ(call("POST", "/devices/edge1/applyConfigurationContent", one_module).status, 204);
  EXPECT_EQ(get("/twins/edge1/modules/filter").at_path({"properties", "desired", "threshold"})->as_integer(), 90);

  std::string without = manifest_with("{}");
  without.replace(without.find(",\"filter\":{\"properties.desired\":{\"threshold\":80}}"), 49, "");
  ASSERT_EQ(call("POST", "/devices/edge1/applyConfigurationContent", without).status, 204);
  EXPECT_EQ(call("GET", "/devices/edge1/modules/filter").status, 404);
  EXPECT_EQ(get("/devices/edge1/modules").as_array().size(), 2u);
}

TEST_F(ApiTest, deployment_with_a_mistake_changes_nothing) {
  add("edge1", true);
  add("d1");
  const auto wrong = call("POST", "/devices/edge1/applyConfigurationContent",
                          manifest_with(R"({"filter":{"type":"process","statsu":"running","settings":{"image":"x"}}})"));
  EXPECT_EQ(wrong.status, 400);
  EXPECT_NE(wrong.body.find("statsu"), std::string::npos);
  EXPECT_EQ(call("POST", "/devices/edge1/applyConfigurationContent", manifest_with("{}")).status, 400)
      << "desired properties of a module that is not deployed";
  EXPECT_EQ(get("/devices/edge1/modules").as_array().size(), 2u);
  EXPECT_EQ(get("/twins/edge1/modules/$edgeAgent").at_path({"properties", "desired", "$version"})->as_integer(), 1);
  EXPECT_EQ(call("POST", "/devices/d1/applyConfigurationContent", manifest_with(filter_module)).status, 400);
}

TEST_F(ApiTest, artifacts_are_kept_under_their_hash_for_edges) {
  const auto edge = add("edge1", true);
  const auto leaf = add("leaf1");
  const std::string bytes = "a model";
  const std::string sha256 = digest::sha256_hex(bytes);
  EXPECT_EQ(call("PUT", "/artifacts/" + digest::sha256_hex("another"), bytes).status, 400);
  EXPECT_EQ(call("PUT", "/artifacts/../secrets", bytes).status, 404);
  EXPECT_EQ(call("PUT", "/artifacts/" + sha256, bytes).status, 201);
  EXPECT_EQ(call("GET", "/artifacts/" + sha256, {}, {}, token(edge)).body, bytes);
  EXPECT_EQ(call("GET", "/artifacts/" + sha256, {}, {}, token(module("edge1", "$edgeHub"))).body, bytes);
  EXPECT_EQ(call("GET", "/artifacts/" + sha256, {}, {}, token(leaf)).status, 401);
  EXPECT_EQ(call("GET", "/artifacts/" + digest::sha256_hex("none")).status, 404);
}

TEST_F(ApiTest, edge_gets_its_authority_and_its_scope_and_others_do_not) {
  const auto edge = add("edge1", true);
  const auto leaf = add("leaf1", false, edge.scope);
  add("stranger");
  const auto issued = call("POST", "/devices/edge1/edge/ca", {}, {}, token(edge));
  ASSERT_EQ(issued.status, 200);
  const Json answer = parse(issued.body);
  EXPECT_EQ(net::inspect(answer.find("certificate")->as_string())->common_name, "edge CA edge1");
  EXPECT_NE(answer.find("privateKey")->as_string().find("PRIVATE KEY"), std::string::npos);
  EXPECT_EQ(call("POST", "/devices/leaf1/edge/ca", {}, {}, token(leaf)).status, 401);
  EXPECT_EQ(call("POST", "/devices/edge1/edge/ca").status, 401) << "not even the owner: keys go to the edge itself";

  const std::string path = "/devices/edge1/modules/%24edgeHub/devicesAndModulesInDeviceScope";
  const Json scope = parse(call("GET", path, {}, {}, token(module("edge1", "$edgeHub"))).body);
  ASSERT_EQ(scope.find("devices")->as_array().size(), 2u);
  EXPECT_EQ(scope.find("devices")->as_array()[1].find("deviceId")->as_string(), "leaf1");
  EXPECT_TRUE(scope.find("devices")->as_array()[1].at_path({"authentication", "symmetricKey", "primaryKey"})->is_string());
  EXPECT_EQ(scope.find("modules")->as_array().size(), 2u);
  EXPECT_EQ(call("GET", path, {}, {}, token(leaf)).status, 401);
}

TEST_F(ApiTest, file_is_uploaded_in_blocks_and_confirmed) {
  const auto device = add("d1");
  const auto granted = call("POST", "/devices/d1/files?api-version=2021-04-12", R"({"blobName":"dir/a b.txt"})", {}, token(device));
  ASSERT_EQ(granted.status, 200);
  const Json grant = parse(granted.body);
  EXPECT_EQ(grant.find("blobName")->as_string(), "d1/dir/a b.txt");
  EXPECT_NE(grant.find("hostName")->as_string().find(std::to_string(hub->found_at().https)), std::string::npos);
  const std::string blob = "/uploads/d1/dir/a%20b.txt" + grant.find("sasToken")->as_string();
  EXPECT_EQ(call("PUT", blob + "&comp=block&blockid=QQ%3D%3D", "hello ", {}, "-").status, 201);
  EXPECT_EQ(call("PUT", blob + "&comp=block&blockid=Qg%3D%3D", "world", {}, "-").status, 201);
  const auto committed =
      call("PUT", blob + "&comp=blocklist", "<BlockList><Latest>QQ==</Latest><Latest>Qg==</Latest></BlockList>", {}, "-");
  EXPECT_EQ(committed.status, 201);
  EXPECT_FALSE(committed.headers.get("etag").empty());
  EXPECT_TRUE(committed.headers.get("last-modified").ends_with(" GMT"));
  const std::string notify = "/devices/d1/files/notifications/" + grant.find("correlationId")->as_string();
  EXPECT_EQ(call("POST", notify, R"({"isSuccess":true,"statusCode":201,"statusDescription":"ok"})", {}, token(device)).status, 204);
  EXPECT_EQ(hub->services().objects.get("uploads/d1/dir/a b.txt").value(), "hello world");
  EXPECT_EQ(get("/statistics/messages").find("uploads")->as_integer(), 1);

  std::string forged = blob;
  forged.replace(forged.find("/d1/"), 4, "/d2/");
  const auto refused = call("PUT", forged + "&comp=block&blockid=QQ%3D%3D", "x", {}, "-");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(refused.headers.get("x-ms-error-code"), "AuthenticationFailed");
  EXPECT_EQ(call("PUT", blob + "&comp=block&blockid=QQ%3D%3D", "x", {}, "-").status, 403) << "the upload is over";
}

TEST_F(ApiTest, large_file_is_read_back_whole_and_its_length_asked_for) {
  const auto device = add("d1");
  const Json grant = parse(call("POST", "/devices/d1/files", R"({"blobName":"a"})", {}, token(device)).body);
  const std::string blob = "/uploads/d1/a" + grant.find("sasToken")->as_string();
  EXPECT_EQ(call("GET", blob, {}, {}, "-").status, 404);
  std::string bytes;
  for (int i = 0; bytes.size() < 700'000; ++i)
    bytes += std::to_string(i) + ",";  // more than two pieces, and no whole number of them
  EXPECT_EQ(call("PUT", blob, bytes, {{"x-ms-blob-type", "BlockBlob"}}, "-").status, 201);
  EXPECT_EQ(call("GET", blob, {}, {}, "-").body, bytes);
  const auto head = call("HEAD", blob, {}, {}, "-");
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.get("content-length"), std::to_string(bytes.size()));
  EXPECT_TRUE(head.body.empty());
}

TEST_F(ApiTest, small_file_goes_up_in_one_request_and_the_eleventh_grant_is_refused) {
  const auto device = add("d1");
  const Json grant = parse(call("POST", "/devices/d1/files", R"({"blobName":"a"})", {}, token(device)).body);
  const std::string blob = "/uploads/d1/a" + grant.find("sasToken")->as_string();
  EXPECT_EQ(call("GET", blob, {}, {}, "-").status, 404);
  EXPECT_EQ(call("PUT", blob, "whole", {}, "-").status, 400);
  EXPECT_EQ(call("PUT", blob, "whole", {{"x-ms-blob-type", "BlockBlob"}}, "-").status, 201);
  EXPECT_EQ(call("GET", blob, {}, {}, "-").body, "whole");
  const std::string body = R"({"correlationId":")" + grant.find("correlationId")->as_string() + R"(","isSuccess":true})";
  EXPECT_EQ(call("POST", "/devices/d1/files/notifications", body, {}, token(device)).status, 204);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(call("POST", "/devices/d1/files", R"({"blobName":"b"})", {}, token(device)).status, 200);
  const auto more = call("POST", "/devices/d1/files", R"({"blobName":"b"})", {}, token(device));
  EXPECT_EQ(more.status, 403);
  EXPECT_EQ(error_code(more), "DeviceMaximumActiveFileUploadLimitExceeded");
}

TEST_F(ApiTest, events_are_read_continued_and_remembered_by_groups) {
  const auto device = add("d1");
  for (int i = 0; i < 5; ++i)
    ASSERT_EQ(call("POST", "/devices/d1/messages/events", "{\"n\":" + std::to_string(i) + "}",
                   {{"iothub-contenttype", "application/json"}, {"iothub-contentencoding", "utf-8"}}, token(device))
                  .status,
              204);
  ASSERT_EQ(call("POST", "/devices/d1/messages/events", "\xff\xfe", {}, token(device)).status, 204);

  const Json first = get("/events?from=start&maxEvents=3&waitSeconds=0");
  ASSERT_EQ(first.find("events")->as_array().size(), 3u);
  EXPECT_EQ(first.find("events")->as_array()[2].at_path({"body", "n"})->as_integer(), 2);
  const std::string next = text::percent_encode(json::print(*first.find("next")));
  const Json rest = get("/events?waitSeconds=0&next=" + next);
  ASSERT_EQ(rest.find("events")->as_array().size(), 3u);
  EXPECT_EQ(rest.find("events")->as_array()[2].find("bodyEncoding")->as_string(), "base64");

  const Json body = json::Object{{"consumerGroup", "g1"}, {"next", *first.find("next")}};
  ASSERT_EQ(call("POST", "/events/checkpoint", json::print(body)).status, 204);
  EXPECT_EQ(get("/events?consumerGroup=g1&waitSeconds=0").find("events")->as_array().size(), 3u);
  EXPECT_EQ(get("/events?consumerGroup=g2&waitSeconds=0").find("events")->as_array().size(), 6u);
  EXPECT_EQ(get("/events?from=end&waitSeconds=0").find("events")->as_array().size(), 0u);
  EXPECT_EQ(get("/events?from=start&device=d2&waitSeconds=0").find("events")->as_array().size(), 0u);
  for (const char* bad :
       {"/events?from=middle", "/events?maxEvents=0", "/events?next=%7B", "/events?partition=99", "/events?waitSeconds=x"})
    EXPECT_EQ(call("GET", bad).status, 400) << bad;
}

awaitable<void> read_into(endpoint::HubClient& reader, std::promise<Result<json::Value>>& answer) {
  auto read = co_await reader.get("/events?from=end&waitSeconds=30");
  answer.set_value(std::move(read));
}

TEST_F(ApiTest, waiting_reader_gets_what_arrives) {
  const auto device = add("d1");
  endpoint::HubClient reader = endpoint::HubClient::make(hub->found_at(), clock).value();
  std::promise<Result<Json>> arrived;
  TaskScope tasks(runtime.executor());
  tasks.spawn(read_into(reader, arrived));
  auto future = arrived.get_future();
  // Whether the reader is already waiting or not yet asking: messages are sent until one comes after its beginning.
  while (future.wait_for(std::chrono::milliseconds{20}) != std::future_status::ready)
    ASSERT_EQ(call("POST", "/devices/d1/messages/events", "{}", {}, token(device)).status, 204);
  const auto answer = future.get();
  ASSERT_TRUE(answer.has_value());
  EXPECT_FALSE(answer->find("events")->as_array().empty());
  run(tasks.close());
}

TEST_F(ApiTest, routes_are_tried_set_and_kept) {
  const Json tried = parse(call("POST", "/routes/test", R"({"message":{"body":{"PredictedRul":12}}})").body);
  EXPECT_FALSE(tried.find("routes")->as_array()[0].find("matches")->as_bool());
  EXPECT_TRUE(tried.find("routes")->as_array()[1].find("matches")->as_bool());

  const auto device = add("d1");
  const auto post = [&](const std::string& body) {
    return call("POST", "/devices/d1/messages/events", body,
                {{"iothub-contenttype", "application/json"}, {"iothub-contentencoding", "utf-8"}}, token(device))
        .status;
  };
  ASSERT_EQ(post(R"({"level":1})"), 204);
  const char* routes =
      R"({"routes":[{"name":"high","condition":"$body.level > 5","endpoint":{"type":"storage","container":"alarms","encoding":"avro"}}]})";
  EXPECT_EQ(
      call("PUT", "/routes", R"({"routes":[{"name":"high","condition":"$body.level >","endpoint":{"type":"events"}}]})").status,
      400);
  EXPECT_EQ(call("PUT", "/routes", routes).status, 200);
  ASSERT_EQ(post(R"({"level":9})"), 204);
  ASSERT_EQ(post(R"({"level":2})"), 204);
  EXPECT_EQ(captured("alarms").size(), 1u);
  stop();
  start();
  EXPECT_EQ(get("/routes").find("routes")->as_array().size(), 1u);
  EXPECT_EQ(get("/routes").at_path({"health", "high"})->as_string(), "healthy");
  EXPECT_EQ(captured("alarms").size(), 1u);
}

}  // namespace
}  // namespace nacelle::hub::testing
