#include "service/edge/workload.h"

#include <gtest/gtest.h>

#include "codec/text/encoding.h"
#include "foundation/random.h"
#include "net/http/client.h"
#include "net/socket/runtime.h"
#include "service/edge/sealing.h"

namespace nacelle::edge {
namespace {

const std::string key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";

struct World {
  fs::path folder = fs::temp_directory_path() / ("nacelle-workload-" + random_uuid());
  SystemClock clock;
  net::Runtime runtime{2};
  std::optional<EdgeFiles> files;
  std::unique_ptr<HubClient> hub;
  std::unique_ptr<ScopeCache> scope;
  std::unique_ptr<ArtifactCache> artifacts;
  std::unique_ptr<Workload> workload;

  World() {
    files.emplace(*EdgeFiles::open(folder, storage::real_file_system()));
    EXPECT_TRUE(files->save(files->scope(),
                            *json::parse(R"({"devices":[],"modules":[{"deviceId":"edge1","moduleId":"filter","generationId":"g1",
        "authentication":{"type":"sas","symmetricKey":{"primaryKey":")" +
                                         key + R"(","secondaryKey":")" + key + R"("}}}]})")));
    HubAddress nowhere;
    nowhere.name = nowhere.host = "hub.invalid";
    hub = std::make_unique<HubClient>(nowhere, nullptr, device::DeviceId("edge1"), key, clock);
    scope = std::make_unique<ScopeCache>(*files, *hub, clock);
    auto store = storage::open_folder_store(files->artifacts(), storage::real_file_system());
    EXPECT_TRUE((*store)->put(sha, "model bytes"));
    artifacts = std::make_unique<ArtifactCache>(std::move(*store), *hub);
    Workload::Parts parts;
    parts.core = asio::make_strand(runtime.executor());
    parts.clock = &clock;
    parts.scope = scope.get();
    parts.hub = hub.get();
    parts.artifacts = artifacts.get();
    parts.edge = device::DeviceId("edge1");
    const auto root = net::make_root("Test root", std::chrono::hours(1000), clock.now());
    net::CertificateRequest request;
    request.common_name = "edge1";
    request.authority = true;
    parts.authority = {*net::issue(*root, request, clock.now()), root->certificate_pem};
    parts.modules = [] { return json::Object{}; };
    workload = std::make_unique<Workload>(std::move(parts), folder);
  }
  ~World() {
    runtime.block_on(workload->close());
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }
  net::HttpResponse ask(const std::string& method, const std::string& target, const std::string& body = {},
                        const std::string& as = "filter") {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    request.body = body;
    return runtime.block_on(workload->answer(as, std::move(request)));
  }
  std::string sha = "5b6d3d8ad7c1c5ac5c2f6b2c9e0a8b0a5b6d3d8ad7c1c5ac5c2f6b2c9e0a8b0a";
};

TEST(Workload, the_published_signature_is_made) {
  World world;
  const auto response = world.ask(
      "POST", "/modules/filter/genid/g1/sign?api-version=2018-06-28",
      R"({"keyId":"primary","algo":"HMACSHA256","data":"aHViLmV4YW1wbGUubmV0JTJGZGV2aWNlcyUyRmVkZ2UxJTJGbW9kdWxlcyUyRmZpbHRlcgoxODkzNDU2MDAw"})");
  EXPECT_EQ(response.status, 200);
  EXPECT_EQ(response.body, R"({"digest":"U19arAJxcdiGeSq6hgwkWbRLYxRXz/iknKdOqjzo9U4="})");
  EXPECT_NE(response.headers.get("content-type").find("application/json"), std::string_view::npos);
}

TEST(Workload, nobody_acts_in_another_s_name) {
  World world;
  EXPECT_EQ(world.ask("POST", "/modules/filter/genid/g1/sign", R"({"data":"eA=="})", "other").status, 403);
  EXPECT_EQ(world.ask("POST", "/modules/filter/genid/old/sign", R"({"data":"eA=="})").status, 403);
  EXPECT_EQ(world.ask("POST", "/modules/unknown/genid/g1/sign", R"({"data":"eA=="})", "unknown").status, 404);
}

TEST(Workload, bad_requests_are_answered_and_not_obeyed) {
  World world;
  EXPECT_EQ(world.ask("POST", "/modules/filter/genid/g1/sign", "{").status, 400);
  EXPECT_EQ(world.ask("POST", "/modules/filter/genid/g1/sign", "{}").status, 400);
  EXPECT_EQ(world.ask("POST", "/modules/filter/genid/g1/sign", R"({"data":"eA==","algo":"MD5"})").status, 400);
  EXPECT_EQ(world.ask("GET", "/nothing").status, 404);
  EXPECT_EQ(world.ask("GET", "/artifacts/..%2F..%2Fscope.json").status, 400);
  EXPECT_EQ(world.ask("POST", "/files/notifications", R"({"correlationId":"x"})").status, 404);
}

TEST(Workload, what_was_encrypted_is_decrypted_with_the_same_vector_only) {
  World world;
  const auto sealed =
      world.ask("POST", "/modules/filter/genid/g1/encrypt", R"({"plaintext":"aGVsbG8=","initializationVector":"aXY="})");
  ASSERT_EQ(sealed.status, 200);
  const std::string ciphertext = json::parse(sealed.body)->find("ciphertext")->as_string();
  const auto opened = world.ask("POST", "/modules/filter/genid/g1/decrypt",
                                R"({"ciphertext":")" + ciphertext + R"(","initializationVector":"aXY="})");
  EXPECT_EQ(opened.body, R"({"plaintext":"aGVsbG8="})");
  EXPECT_EQ(world
                .ask("POST", "/modules/filter/genid/g1/decrypt",
                     R"({"ciphertext":")" + ciphertext + R"(","initializationVector":"aXc="})")
                .status,
            403);
}

TEST(Workload, a_server_certificate_is_issued_for_the_asked_name) {
  World world;
  const auto made = world.ask("POST", "/modules/filter/genid/g1/certificate/server",
                              R"({"commonName":"gw.local","expiration":"2999-01-01T00:00:00Z"})");
  ASSERT_EQ(made.status, 201) << made.body;
  const auto document = json::parse(made.body);
  const auto facts = net::inspect(document->find("certificate")->as_string());
  EXPECT_EQ(facts->common_name, "gw.local");
  EXPECT_NE(document->at_path({"privateKey", "bytes"})->as_string().find("PRIVATE KEY"), std::string::npos);
}

TEST(Workload, an_artifact_whose_bytes_are_damaged_is_not_handed_out) {
  World world;  // its stored bytes have another hash, and the hub is not there
  EXPECT_EQ(world.ask("GET", "/artifacts/" + world.sha).status, 503);
}

TEST(Workload, it_listens_on_a_private_socket_of_each_module) {
  World world;
  const auto uri = world.workload->uri_for("filter");
  ASSERT_TRUE(uri) << uri.error().message;
  const fs::path socket = uri->substr(7);
  EXPECT_EQ(fs::status(socket.parent_path()).permissions(), fs::perms::owner_all);
  EXPECT_NE(*world.workload->uri_for("other"), *uri);
  net::HttpClientOptions options;
  options.endpoint.unix_path = socket.string();
  net::HttpClient client(std::move(options));
  net::HttpRequest request;
  request.target = "/trust-bundle?api-version=2020-07-07";
  const auto response = world.runtime.block_on(client.send(std::move(request)));
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->status, 200);
  EXPECT_NE(response->body.find("BEGIN CERTIFICATE"), std::string::npos);
}

TEST(Sealing, every_changed_byte_is_noticed) {
  const Bytes sealed = *seal("key", "context", "secret");
  EXPECT_EQ(*unseal("key", "context", sealed), "secret");
  for (std::size_t i = 0; i < sealed.size(); ++i) {
    Bytes changed = sealed;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    EXPECT_FALSE(unseal("key", "context", changed)) << i;
    EXPECT_FALSE(unseal("key", "context", BytesView(sealed).substr(0, i))) << i;
  }
}

}  // namespace
}  // namespace nacelle::edge
