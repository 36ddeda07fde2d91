// The edge as a whole, over loopback: clients with tokens, routes, store-and-forward, and starts without a network.
#include "service/edge/edge.h"

#include <gtest/gtest.h>

#include <mutex>

#include "codec/sas/token.h"
#include "foundation/random.h"
#include "net/mqtt/client.h"
#include "net/socket/runtime.h"
#include "net/tls/certificates.h"
#include "service/edge/edge_files.h"
#include "service/edge/scope_cache.h"
#include "service/edge/workload.h"

namespace nacelle::edge {
namespace {

const std::string key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const std::string wrong_key = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
constexpr std::string_view hub_name = "hub.invalid";  // never resolves: RFC 6761

json::Value identity(const std::string& device, const std::string& module = {}) {
  json::Object document{
      {"deviceId", device},
      {"generationId", "g1"},
      {"status", "enabled"},
      {"authentication",
       json::Object{{"type", "sas"}, {"symmetricKey", json::Object{{"primaryKey", key}, {"secondaryKey", key}}}}}};
  if (!module.empty()) document.set("moduleId", module);
  return document;
}

json::Value with_certificate(const std::string& device, const std::string& type, const std::string& thumbprint = {}) {
  json::Value document = identity(device);
  json::Object authentication{{"type", type}};
  if (!thumbprint.empty()) authentication.set("x509Thumbprint", json::Object{{"secondaryThumbprint", thumbprint}});
  document.as_object().set("authentication", std::move(authentication));
  return document;
}

net::CertificateRequest client_certificate(const std::string& name) {
  net::CertificateRequest request;
  request.common_name = name;
  request.client = true;
  request.server = false;
  return request;
}

struct NoModules final : ProcessRunner {
  Result<std::unique_ptr<Process>> start(const ProcessSpec& spec, std::function<void(int)>) override {
    const std::lock_guard lock(mutex);
    starts.push_back(spec);
    return fail(Fault::not_found, "no processes here");
  }
  std::mutex mutex;
  std::vector<ProcessSpec> starts;
};

/// A data folder as an edge leaves it that was configured once; its hub is not there.
struct ConfiguredEdge {
  fs::path folder = fs::temp_directory_path() / ("nacelle-edge-" + random_uuid());
  SystemClock clock;
  net::Runtime runtime{2};
  NoModules processes;
  std::string root_pem;
  net::CertifiedKey own = *net::make_root("own", std::chrono::hours(24), clock.now());      // leaf2's, by its thumbprint
  net::CertifiedKey plant = *net::make_root("Plant", std::chrono::hours(24), clock.now());  // signs leaf3's
  std::unique_ptr<Edge> edge;

  ConfiguredEdge() {
    const auto files = EdgeFiles::open(folder, storage::real_file_system());
    EXPECT_TRUE(files);
    const auto root = net::make_root("Test root", std::chrono::hours(1000), clock.now());
    net::CertificateRequest request;
    request.common_name = "edge1";
    request.authority = true;
    request.lifetime = std::chrono::hours(900);
    const auto authority = net::issue(*root, request, clock.now());
    root_pem = root->certificate_pem;
    save(*files, files->authority(),
         json::Object{{"certificate", authority->certificate_pem}, {"privateKey", authority->key_pem}, {"root", root_pem}});
    save(*files, files->scope(),
         json::Object{
             {"devices", json::Array{identity("edge1"), identity("leaf1"),
                                     with_certificate("leaf2", "selfSigned", net::inspect(own.certificate_pem)->sha256_thumbprint),
                                     with_certificate("leaf3", "certificateAuthority")}},
             {"authorities", json::Array{plant.certificate_pem}},
             {"modules", json::Array{identity("edge1", "$edgeHub"), identity("edge1", "$edgeAgent"), identity("edge1", "m")}}});
    save(*files, files->good_config("$edgeHub"), *json::parse(R"j({"schemaVersion":"1.1","routes":{
        "in":"FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO BrokeredEndpoint(\"/modules/m/inputs/in1\")",
        "up":"FROM /messages/modules/m/outputs/out INTO $upstream"},"$version":1})j"));
    save(*files, files->good_config("$edgeAgent"),
         *json::parse(R"({"schemaVersion":"1.1","modules":{"m":{"type":"process","settings":{"image":"prog"}}},"$version":1})"));
  }
  ~ConfiguredEdge() {
    stop();
    std::error_code ignored;
    fs::remove_all(folder, ignored);
  }
  static void save(const EdgeFiles& files, const fs::path& path, const json::Value& document) {
    EXPECT_TRUE(files.save(path, document));
  }
  void start() {
    EdgeOptions options;
    options.data = folder;
    options.connection = "HostName=" + std::string(hub_name) + ";DeviceId=edge1;SharedAccessKey=" + key;
    options.mqtts = 0;
    options.programs = "/opt";
    auto started =
        runtime.block_on(Edge::start(runtime.executor(), std::move(options), clock, storage::real_file_system(), processes));
    ASSERT_TRUE(started) << started.error().message;
    edge = std::move(*started);
  }
  void stop() {
    if (edge) runtime.block_on(edge->close());
    edge.reset();
  }
};

/// What a client of the edge has received, awaited with a bound.
struct Inbox {
  std::mutex mutex;
  std::vector<std::pair<std::string, std::string>> got;  // topic, body
  bool acknowledge = true;
  std::size_t size() {
    const std::lock_guard lock(mutex);
    return got.size();
  }
};

struct Client {
  net::Runtime& runtime;
  Inbox inbox;
  std::unique_ptr<net::MqttClient> mqtt;

  /// With a certificate instead of a token.
  Client(ConfiguredEdge& world, const std::string& device, const net::CertifiedKey& shown)
      : Client(world, device, {}, {}, &shown) {}

  Client(ConfiguredEdge& world, const std::string& device, const std::string& module = {}, const std::string& with_key = key,
         const net::CertifiedKey* shown = nullptr)
      : runtime(world.runtime) {
    net::MqttClientOptions options;
    options.endpoint.host = "127.0.0.1";
    options.endpoint.port = world.edge->mqtts();
    options.tls = shown ? *net::TlsClientContext::make(world.root_pem, shown->certificate_pem, shown->key_pem)
                        : *net::TlsClientContext::make(world.root_pem);
    options.client_id = module.empty() ? device : device + "/" + module;
    options.user_name = std::string(hub_name) + "/" + options.client_id + "/?api-version=2021-04-12";
    if (!shown) {
      const auto token =
          sas::make_token(sas::device_resource(hub_name, device, module), with_key, world.clock.now() + std::chrono::hours(1));
      options.password = [token]() -> awaitable<Result<std::string>> { return ready(*token); };
    }
    mqtt = net::MqttClient::make(asio::make_strand(runtime.executor()), std::move(options),
                                 [this](const mqtt::Publish& publish, std::function<void()> done) {
                                   const std::lock_guard lock(inbox.mutex);
                                   inbox.got.emplace_back(std::string(publish.topic), std::string(publish.payload));
                                   if (inbox.acknowledge) done();
                                 });
  }
  ~Client() { runtime.block_on(mqtt->close()); }
  static awaitable<Result<std::string>> ready(std::string text) { co_return text; }
  Result<> connect() { return runtime.block_on(mqtt->start(std::chrono::seconds(20))); }
  Result<> publish(std::string topic, Bytes body) {
    return runtime.block_on(mqtt->publish(std::move(topic), std::move(body), mqtt::QoS::at_least_once));
  }
  Result<> subscribe(std::string filter) { return runtime.block_on(mqtt->subscribe(std::move(filter), mqtt::QoS::at_least_once)); }
  bool wait_for(std::size_t count) {
    for (int i = 0; i < 3000 && inbox.size() < count; ++i) runtime.block_on(nap());
    return inbox.size() >= count;
  }
  static awaitable<bool> nap() { co_return co_await sleep_for(std::chrono::milliseconds(5)); }
};

const std::string leaf_topic = "devices/leaf1/messages/events/%24.mid=1&%24.ct=application%2Fjson&%24.ce=utf-8";

TEST(EdgeOffline, a_configured_edge_starts_without_a_network_and_lets_its_own_in) {
  ConfiguredEdge world;
  world.start();
  EXPECT_TRUE(world.edge->offline());
  Client leaf(world, "leaf1");
  EXPECT_TRUE(leaf.connect());
  Client module(world, "edge1", "m");
  EXPECT_TRUE(module.connect());
  Client stranger(world, "leaf9");
  const auto refused = stranger.connect();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::denied);
  Client forger(world, "leaf1", {}, wrong_key);
  EXPECT_FALSE(forger.connect());
}

TEST(EdgeOffline, leaves_with_certificates_are_let_in_by_what_the_scope_says_of_them) {
  ConfiguredEdge world;
  world.start();
  const Timestamp now = world.clock.now();
  const auto signed_for = [&](const net::CertifiedKey& by, const char* name) {
    return *net::issue(by, client_certificate(name), now);
  };
  EXPECT_TRUE(Client(world, "leaf2", world.own).connect());
  EXPECT_TRUE(Client(world, "leaf3", signed_for(world.plant, "leaf3")).connect());
  const auto refused = [&](const char* device, const net::CertifiedKey& shown) {
    const auto outcome = Client(world, device, shown).connect();
    return !outcome && outcome.error().fault == Fault::denied;
  };
  EXPECT_TRUE(refused("leaf2", *net::make_root("own", std::chrono::hours(24), now))) << "another certificate";
  EXPECT_TRUE(refused("leaf2", signed_for(world.plant, "leaf2"))) << "it is known by its thumbprint";
  EXPECT_TRUE(refused("leaf3", signed_for(world.plant, "leaf2"))) << "another's name";
  EXPECT_TRUE(refused("leaf3", signed_for(*net::make_root("Plant", std::chrono::hours(24), now), "leaf3")));
  EXPECT_TRUE(refused("leaf3", *net::issue(world.plant, client_certificate("leaf3"), now - std::chrono::hours(24 * 366))))
      << "expired";
  EXPECT_TRUE(refused("leaf1", signed_for(world.plant, "leaf1"))) << "it has keys";
  EXPECT_FALSE(Client(world, "leaf2").connect()) << "a token, where a certificate is registered";
}

TEST(EdgeScope, authorities_that_are_none_make_the_document_bad) {
  for (const char* wrong : {R"({"authorities":5})", R"({"authorities":[5]})", R"({"authorities":["no certificate"]})"})
    EXPECT_FALSE(parse_authorities(*json::parse(wrong))) << wrong;
  const auto none = parse_authorities(*json::parse("{}"));
  EXPECT_TRUE(none && !*none) << "as an older hub tells it";
}

TEST(EdgeOffline, a_leaf_message_reaches_the_module_with_its_sender_named) {
  ConfiguredEdge world;
  world.start();
  Client module(world, "edge1", "m");
  ASSERT_TRUE(module.connect());
  ASSERT_TRUE(module.subscribe("devices/edge1/modules/m/inputs/#"));
  Client leaf(world, "leaf1");
  ASSERT_TRUE(leaf.connect());
  ASSERT_TRUE(leaf.publish(leaf_topic, R"({"CycleTime":1})"));
  ASSERT_TRUE(module.wait_for(1));
  const auto& [topic, body] = module.inbox.got.front();
  EXPECT_TRUE(topic.starts_with("devices/edge1/modules/m/inputs/in1/")) << topic;
  EXPECT_NE(topic.find("%24.cdid=leaf1"), std::string::npos) << topic;
  EXPECT_EQ(topic.find("%24.cmid"), std::string::npos) << topic;
  EXPECT_NE(topic.find("iothub-enqueuedtime="), std::string::npos) << topic;
  EXPECT_EQ(body, R"({"CycleTime":1})");
}

TEST(EdgeOffline, messages_wait_on_disk_for_their_module_over_a_restart_in_order) {
  ConfiguredEdge world;
  world.start();
  {
    Client leaf(world, "leaf1");
    ASSERT_TRUE(leaf.connect());
    for (int i = 0; i < 50; ++i) ASSERT_TRUE(leaf.publish(leaf_topic, std::to_string(i)));
  }
  world.stop();
  world.start();
  Client module(world, "edge1", "m");
  ASSERT_TRUE(module.connect());
  ASSERT_TRUE(module.subscribe("devices/edge1/modules/m/inputs/#"));
  ASSERT_TRUE(module.wait_for(50));
  for (int i = 0; i < 50; ++i) EXPECT_EQ(module.inbox.got[static_cast<std::size_t>(i)].second, std::to_string(i));
}

TEST(EdgeOffline, what_a_module_did_not_acknowledge_comes_again) {
  ConfiguredEdge world;
  world.start();
  Client leaf(world, "leaf1");
  ASSERT_TRUE(leaf.connect());
  ASSERT_TRUE(leaf.publish(leaf_topic, "once"));
  {
    Client forgetful(world, "edge1", "m");
    forgetful.inbox.acknowledge = false;
    ASSERT_TRUE(forgetful.connect());
    ASSERT_TRUE(forgetful.subscribe("devices/edge1/modules/m/inputs/#"));
    ASSERT_TRUE(forgetful.wait_for(1));
  }
  Client module(world, "edge1", "m");
  ASSERT_TRUE(module.connect());
  ASSERT_TRUE(module.subscribe("devices/edge1/modules/m/inputs/#"));
  EXPECT_TRUE(module.wait_for(1));
}

TEST(EdgeOffline, modules_are_started_from_the_cached_manifest_with_their_environment) {
  ConfiguredEdge world;
  world.start();
  for (int i = 0; i < 1000; ++i) {
    world.runtime.block_on(Client::nap());
    const std::lock_guard lock(world.processes.mutex);
    if (!world.processes.starts.empty()) break;
  }
  const std::lock_guard lock(world.processes.mutex);
  ASSERT_FALSE(world.processes.starts.empty());
  const auto& environment = world.processes.starts.front().environment;
  EXPECT_EQ(environment.at("IOTEDGE_DEVICEID"), "edge1");
  EXPECT_EQ(environment.at("IOTEDGE_MODULEID"), "m");
  EXPECT_EQ(environment.at("IOTEDGE_MODULEGENERATIONID"), "g1");
  EXPECT_EQ(environment.at("IOTEDGE_IOTHUBHOSTNAME"), hub_name);
  EXPECT_TRUE(environment.at("IOTEDGE_WORKLOADURI").starts_with("unix:///"));
  EXPECT_EQ(environment.at("IOTEDGE_GATEWAYHOSTNAME"), "localhost:" + std::to_string(world.edge->mqtts()));
  EXPECT_EQ(world.processes.starts.front().program, "/opt/prog");
}

TEST(EdgeStart, a_bad_connection_string_is_one_clear_sentence) {
  for (const char* wrong : {"", "HostName=h", "HostName=h;SharedAccessKeyName=p;SharedAccessKey=a2V5",
                            "HostName=h;DeviceId=d;ModuleId=m;SharedAccessKey=a2V5"}) {
    net::Runtime runtime(1);
    SystemClock clock;
    NoModules processes;
    EdgeOptions options;
    options.connection = wrong;
    options.data = fs::temp_directory_path() / ("nacelle-none-" + random_uuid());
    const auto data = options.data;
    const auto started =
        runtime.block_on(Edge::start(runtime.executor(), std::move(options), clock, storage::real_file_system(), processes));
    ASSERT_FALSE(started) << wrong;
    EXPECT_EQ(started.error().fault, Fault::invalid_input) << started.error().message;
    EXPECT_FALSE(fs::exists(data)) << "no half-written state";
  }
}

TEST(EdgeFiles, a_long_data_folder_gets_a_short_socket_folder_and_keeps_it) {
  const fs::path base = fs::temp_directory_path() / ("nacelle-long-" + random_uuid());
  const fs::path deep = base / std::string(120, 'd');
  const auto files = EdgeFiles::open(deep, storage::real_file_system());
  ASSERT_TRUE(files);
  const auto first = files->socket_folder();
  ASSERT_TRUE(first);
  EXPECT_LT(first->string().size() + 16, 107u);
  EXPECT_EQ(*files->socket_folder(), *first);
  fs::remove_all(*first);
  fs::remove_all(base);
}

TEST(EdgeFiles, a_damaged_document_is_set_aside) {
  const fs::path base = fs::temp_directory_path() / ("nacelle-damaged-" + random_uuid());
  const auto files = EdgeFiles::open(base, storage::real_file_system());
  ASSERT_TRUE(files);
  ASSERT_TRUE(storage::write_file_atomic(storage::real_file_system(), files->scope(), "{\"devices\":["));
  EXPECT_FALSE(files->load(files->scope()));
  EXPECT_TRUE(fs::exists(files->scope().string() + ".quarantined"));
  fs::remove_all(base);
}

}  // namespace
}  // namespace nacelle::edge
