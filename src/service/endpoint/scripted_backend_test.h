#pragma once
// For tests: an endpoint between a scripted backend and clients that speak MQTT in packets over streams in memory.

#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "foundation/task_scope.h"
#include "net/mqtt/scripted_peer_test.h"
#include "net/socket/memory_stream.h"
#include "service/endpoint/device_endpoint.h"

namespace nacelle::endpoint::test {

using device::DeviceId;
using device::IdentityName;
using device::ModuleId;

inline const IdentityName dev1{DeviceId("dev1"), {}};
inline const IdentityName filter{DeviceId("edge1"), ModuleId("filter")};
inline const IdentityName edge_hub{DeviceId("edge1"), ModuleId("$edgeHub")};

/// Lets everybody else on the context go on first, `times` times.
inline awaitable<void> yield(int times = 1) {
  const Executor executor = co_await asio::this_coro::executor;
  for (int i = 0; i < times; ++i) co_await asio::post(executor, asio::use_awaitable);
}

/// Lets in whoever says `good`; keeps what it is told.
class ScriptedBackend final : public DeviceBackend {
 public:
  awaitable<Result<Timestamp>> authenticate(IdentityName who, telemetry::UserName, std::string password, Bytes) override {
    if (password == "later") co_return fail(Fault::unavailable, "the registry is closed");
    if (password == "unknown") co_return fail(Fault::not_found, "no such device");
    if (password != "good") co_return fail(Fault::denied, "the token is not signed with either key");
    authenticated.push_back(who.client_id());
    co_return Timestamp::max();
  }
  awaitable<Result<Principal>> authenticate_plain(std::string user_name, std::string password, Bytes) override {
    if (password != "good") co_return fail(Fault::denied, "the password is wrong");
    const bool service = user_name.starts_with("svc");
    Principal who{service ? Principal::Kind::policy : Principal::Kind::device, user_name, Timestamp::max()};
    co_return who;
  }
  void connected(const IdentityName& who) override { events.push_back("connected " + who.client_id()); }
  void disconnected(const IdentityName& who) override { events.push_back("disconnected " + who.client_id()); }
  void telemetry(telemetry::Message message, std::function<void(Result<>)> done) override {
    messages.push_back(std::move(message));
    if (hold)
      held.push_back(std::move(done));
    else
      done({});
  }
  bool stores_batches() const override { return batches; }
  void store(std::string_view device_id, storage::RecordBatch batch, storage::EventLog::BatchDone done) override {
    events.push_back(fmt::format("stored {} of {}", batch.records(), device_id));
    for (BytesView left = batch.frames(); !left.empty();) {
      std::uint32_t size = 0;
      std::memcpy(&size, left.data(), sizeof size);
      messages.push_back(telemetry::decode_record(left.substr(storage::RecordBatch::header_bytes, size)).value());
      left.remove_prefix(storage::RecordBatch::header_bytes + size);
    }
    done(storage::Offset{0}, std::move(batch));
  }
  bool may_send_for(const IdentityName& connection, const IdentityName& who) override {
    return connection == who || (connection == edge_hub && who.device.str() != "stranger");
  }
  std::string generation_id(const IdentityName& who) override { return "gen-" + who.client_id(); }
  awaitable<Result<json::Value>> get_twin(IdentityName) override {
    if (twin_fault) co_return fail(*twin_fault);
    co_return json::Value(json::Object{{"desired", json::Object{{"$version", 1}}}, {"reported", json::Object{{"$version", 1}}}});
  }
  awaitable<Result<ReportedAnswer>> patch_reported(IdentityName, json::Value patch,
                                                   std::optional<std::int64_t> base_version) override {
    if (twin_fault) co_return fail(*twin_fault);
    patches.push_back(json::print(patch) + (base_version ? " on " + std::to_string(*base_version) : ""));
    // The earlier patch takes longer: only a queue keeps them in order.
    co_await yield(patches.size() == 1 ? 50 : 0);
    co_return ReportedAnswer{static_cast<std::int64_t>(patches.size() + 1)};
  }
  void method_response(const IdentityName& who, const std::string& request_id, int status, Bytes body) override {
    events.push_back("response " + who.client_id() + " " + request_id + " " + std::to_string(status) + " " + body);
  }
  void subscriptions_changed(const IdentityName& who) override { ++subscription_changes[who.client_id()]; }

  std::vector<std::string> authenticated, events, patches;
  std::vector<telemetry::Message> messages;
  std::deque<std::function<void(Result<>)>> held;
  bool hold = false;
  bool batches = false;
  std::optional<Error> twin_fault;
  std::map<std::string, int> subscription_changes;
};

using Peer = net::test::Peer;
using PeerPtr = std::unique_ptr<Peer>;

inline mqtt::Connect connect_as(const IdentityName& who, std::string password = "good") {
  mqtt::Connect connect;
  connect.client_id = who.client_id();
  connect.user_name = "hub.example.net/" + who.client_id() + "/?api-version=2021-04-12";
  connect.password = std::move(password);
  return connect;
}

class EndpointTest : public testing::Test {
 public:
  explicit EndpointTest(std::optional<OpenNamespace> open = std::nullopt) : tasks_(context_.get_executor()) {
    DeviceEndpoint::Options options;
    options.hub_names = {"hub.example.net"};
    options.open_namespace = std::move(open);
    endpoint_ = DeviceEndpoint::make(context_.get_executor(), backend_, clock_, std::move(options));
  }

  /// Runs the test's story to its end, then closes the endpoint.
  void run(awaitable<void> story) {
    bool ended = false;
    asio::co_spawn(context_, tell(std::move(story)), [&ended](std::exception_ptr failure) {
      if (failure) std::rethrow_exception(failure);
      ended = true;
    });
    context_.run_for(std::chrono::seconds(60));  // a guard against a story that waits for ever
    EXPECT_TRUE(ended);
  }

  PeerPtr dial() {
    auto pipe = net::make_memory_pipe(asio::make_strand(context_));
    tasks_.spawn(endpoint_->server().serve(std::move(pipe.left)));
    return std::make_unique<Peer>(std::move(pipe.right));
  }

  awaitable<PeerPtr> dial_as(IdentityName who) {
    PeerPtr peer = dial();
    const mqtt::Connect connect = connect_as(who);
    co_await peer->send(connect);
    const mqtt::Connack connack = co_await peer->expect<mqtt::Connack>();
    EXPECT_EQ(connack.code, mqtt::ConnectCode::accepted);
    co_return std::move(peer);
  }

  static awaitable<std::uint8_t> subscribe(PeerPtr& peer, std::string wanted, mqtt::QoS qos = mqtt::QoS::at_least_once) {
    mqtt::Subscribe packet;
    packet.packet_id = 77;
    packet.subscriptions.push_back({wanted, qos});
    co_await peer->send(packet);
    const mqtt::Suback suback = co_await peer->expect<mqtt::Suback>();
    co_return suback.codes.empty() ? 0xff : suback.codes[0];
  }

  static awaitable<void> publish(PeerPtr& peer, std::string topic, Bytes body, mqtt::PacketId id = 1, bool retain = false) {
    mqtt::Publish packet;
    packet.topic = topic;
    packet.payload = body;
    packet.packet_id = id;
    packet.qos = id == 0 ? mqtt::QoS::at_most_once : mqtt::QoS::at_least_once;
    packet.retain = retain;
    Bytes bytes;
    mqtt::encode(bytes, packet);
    co_await peer->send_raw(std::move(bytes));
  }

  asio::io_context context_;
  ManualClock clock_;
  ScriptedBackend backend_;
  std::unique_ptr<DeviceEndpoint> endpoint_;
  TaskScope tasks_;

 private:
  awaitable<void> tell(awaitable<void> story) {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await std::move(story);
    co_await endpoint_->close();
    co_await tasks_.close();
  }
};

}  // namespace nacelle::endpoint::test
