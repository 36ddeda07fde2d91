#pragma once
// A hub in the test's own process, on free ports, with a clock that stands still, and hands to call it.

#include "net/mqtt/client.h"
#include "net/socket/runtime.h"
#include "net/tls/context.h"
#include "service/endpoint/hub_client.h"
#include "service/hub/hub.h"
#include "service/hub/hub_testing.h"

namespace nacelle::hub::testing {

class HubTest : public ::testing::Test {
 protected:
  using Json = json::Value;

  // The clock begins now: certificates are checked by OpenSSL against the machine's time.
  HubTest() : clock(SystemClock().now()) { start(); }
  ~HubTest() override { stop(); }

  /// What a hub is opened with unless a test says otherwise.
  HubOptions options() const {
    HubOptions options;
    options.directory = folder.path() / "hub";
    options.bind = "127.0.0.1";
    return options;
  }
  void start() { start(options()); }
  void start(HubOptions with, storage::FileSystem& files = storage::real_file_system()) {
    hub = Hub::open(runtime.executor(), std::move(with), clock, files).value();
    client.emplace(endpoint::HubClient::make(hub->found_at(), clock).value());
  }
  /// Without `flush` the folder is left as by a kill.
  void stop(bool flush = false) {
    if (!hub) return;
    client.reset();
    run(hub->close(flush));
    hub.reset();
  }

  template <class T>
  T run(awaitable<T> task) {
    return runtime.block_on(std::move(task));
  }

  Json parse(const std::string& text) { return json::parse(text).value(); }
  Json get(const std::string& target) { return run(client->get(target)).value(); }
  /// One call as the policy iothubowner, or with another Authorization ("-": none).
  net::HttpResponse call(const std::string& method, const std::string& target, const std::string& body = {},
                         net::Headers headers = {}, const std::string& authorization = {}) {
    net::HttpRequest request;
    request.method = method;
    request.target = target;
    request.body = body;
    request.headers = headers;
    if (authorization.empty()) return run(client->send(std::move(request))).value();
    if (authorization != "-") request.headers.set("authorization", authorization);
    net::HttpClientOptions options;
    options.endpoint = {"127.0.0.1", hub->found_at().https, {}};
    options.tls = trust();
    net::HttpClient plain(std::move(options));
    return run(plain.send(std::move(request))).value();
  }
  std::string error_code(const net::HttpResponse& response) { return std::string(response.headers.get("iothub-errorcode")); }

  device::Identity add(const std::string& id, bool edge = false, const std::string& scope = {}) {
    return run(client->ensure_device(device::DeviceId(id), edge, scope)).value();
  }
  device::Identity module(const std::string& device, const std::string& id) {
    return *hub->services().registry.identities().find({device::DeviceId(device), device::ModuleId(id)});
  }
  std::string token(const device::Identity& who, std::chrono::seconds life = std::chrono::hours{1}) {
    return sas::make_token(sas::device_resource("localhost", who.name.device.str(), who.name.module.str()), who.primary_key,
                           clock.now() + life)
        .value();
  }
  std::shared_ptr<net::TlsClientContext> trust() {
    const Bytes ca = storage::read_file(storage::real_file_system(), hub->found_at().ca_path).value();
    return net::TlsClientContext::make(ca).value();
  }

  std::unique_ptr<net::MqttClient> mqtt(const device::Identity& who, net::MqttClient::OnMessage on_message = {}) {
    net::MqttClientOptions options;
    options.endpoint = {"127.0.0.1", hub->found_at().mqtts, {}};
    options.tls = trust();
    options.client_id = who.name.client_id();
    options.user_name =
        telemetry::print_user_name({"localhost", who.name.device.str(), who.name.module.str(), "2021-04-12", "test", {}});
    const std::string password = token(who);
    options.password = [password] { return ready(password); };
    return net::MqttClient::make(runtime.executor(), std::move(options), std::move(on_message));
  }
  std::unique_ptr<net::MqttClient> connected(const device::Identity& who, net::MqttClient::OnMessage on_message = {}) {
    auto made = mqtt(who, std::move(on_message));
    const auto started = run(made->start(std::chrono::seconds{30}));
    EXPECT_TRUE(started.has_value()) << (started ? "" : started.error().message);
    return made;
  }
  Result<> publish(net::MqttClient& from, const std::string& topic, const std::string& body) {
    return run(from.publish(topic, body, mqtt::QoS::at_least_once));
  }
  /// Sends `count` readings and waits for all acknowledgements.
  void send(net::MqttClient& from, const std::string& device, int first, int count) {
    std::atomic<int> left{count};
    std::promise<void> all;
    for (int i = first; i < first + count; ++i) {
      const std::string topic =
          telemetry::event_topic(device, {}, "%24.ct=application%2Fjson&%24.ce=utf-8&%24.mid=" + device + ":" + std::to_string(i));
      from.publish(topic, R"({"OperationalSetting1":0.5,"CycleTime":)" + std::to_string(i) + "}", mqtt::QoS::at_least_once,
                   [&](Result<> acked) {
                     EXPECT_TRUE(acked.has_value());
                     if (--left == 0) all.set_value();
                   });
    }
    all.get_future().get();
  }

  void flush() { EXPECT_EQ(call("POST", "/capture/flush").status, 204); }
  std::vector<telemetry::Message> captured(const std::string& container) {
    flush();
    return read_captured(hub->services().objects, "capture/" + container + "/");
  }

  static awaitable<Result<std::string>> ready(std::string text) { co_return text; }

  TemporaryFolder folder;
  ManualClock clock;
  net::Runtime runtime{2};
  std::unique_ptr<Hub> hub;
  std::optional<endpoint::HubClient> client;
};

}  // namespace nacelle::hub::testing
