#pragma once
// For tests: a peer that says and expects packets over an in-memory pipe, and a policy that records and decides by hand.
// Everything of one test runs on one strand.

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <utility>

#include "foundation/task_scope.h"
#include "net/mqtt/detail/packet_stream.h"
#include "net/mqtt/server.h"
#include "net/socket/memory_stream.h"
#include "net/socket/runtime.h"

namespace nacelle::net::test {

/// One end of a connection. A publish returned by next() is valid until the next call.
class Peer {
 public:
  explicit Peer(StreamPtr stream) : stream_(std::move(stream)), reader_(*stream_, 1 << 20) {}
  /// Speaks MQTT 5 from now on (a CONNECT speaks the version it names).
  void speak_v5() { version_ = mqtt::Version::v5; }

  template <class Packet>
  awaitable<void> send(Packet packet) {
    Bytes bytes;
    mqtt::encode(bytes, packet, version_);
    co_await send_raw(std::move(bytes));
  }
  awaitable<void> send_raw(Bytes bytes) { static_cast<void>(co_await stream_->write_all(bytes)); }

  /// Nothing at the connection's end.
  awaitable<std::optional<mqtt::Packet>> next() {
    while (true) {
      auto frame = reader_.next();
      if (!frame) co_return std::nullopt;
      if (*frame) {
        auto packet = mqtt::decode(**frame, version_);
        EXPECT_TRUE(packet);
        if (!packet) co_return std::nullopt;
        co_return std::move(*packet);
      }
      const auto filled = co_await reader_.fill();
      if (!filled) co_return std::nullopt;
    }
  }
  /// The next packet, which must be a `Packet`.
  template <class Packet>
  awaitable<Packet> expect() {
    auto packet = co_await next();
    const bool right = packet && std::holds_alternative<Packet>(*packet);
    EXPECT_TRUE(right) << "packet type " << (packet ? static_cast<int>(packet->index()) : -1);
    if (!right) co_return Packet{};
    co_return std::get<Packet>(std::move(*packet));
  }
  /// True if the other side ends the connection without another packet.
  awaitable<bool> ends() {
    const auto packet = co_await next();
    co_return !packet;
  }
  void drop() { stream_->close(); }
  Stream& stream() { return *stream_; }

 private:
  StreamPtr stream_;
  PacketReader reader_;
  mqtt::Version version_ = mqtt::Version::v3_1_1;
};

inline mqtt::Connect connect_as(std::string client_id, bool clean_session = true) {
  mqtt::Connect connect;
  connect.client_id = std::move(client_id);
  connect.clean_session = clean_session;
  return connect;
}

inline mqtt::Publish message(std::string_view topic, std::string_view payload, mqtt::PacketId id) {
  mqtt::Publish publish;
  publish.topic = topic;
  publish.payload = payload;
  publish.packet_id = id;
  publish.qos = id == 0 ? mqtt::QoS::at_most_once : mqtt::QoS::at_least_once;
  return publish;
}

inline mqtt::Subscribe subscribe_to(std::string filter, mqtt::QoS qos, mqtt::PacketId id = 1) {
  mqtt::Subscribe subscribe;
  subscribe.packet_id = id;
  subscribe.subscriptions.push_back({std::move(filter), qos});
  return subscribe;
}

struct HandPolicy final : MqttPolicy {
  struct Received {
    std::string client;
    std::string topic;
    Bytes payload;
    std::function<void(Result<>)> done;
  };
  MqttAccept verdict{mqtt::ConnectCode::accepted, {}, {}, {}};
  std::vector<std::string> events;
  std::vector<Received> received;
  bool answer_at_once = true;
  /// Not null: what is published is published to all.
  MqttServer* broadcast_by = nullptr;
  const Clock* clock = nullptr;
  Wake changed;

  awaitable<MqttAccept> accept(const mqtt::Connect&, const Bytes&, std::string) override { co_return verdict; }
  void connected(const MqttConnectionPtr& connection) override { event("+" + connection->client_id()); }
  void disconnected(const MqttConnectionPtr& connection, bool clean) override {
    event((clean ? "-" : "!") + connection->client_id());
  }
  std::optional<mqtt::QoS> subscribe(const MqttConnectionPtr&, const mqtt::Subscription& wanted) override {
    if (wanted.filter == "forbidden") return std::nullopt;
    return std::min(wanted.qos, most);
  }
  mqtt::QoS most = mqtt::QoS::at_least_once;  ///< granted to subscriptions
  void subscribed(const MqttConnectionPtr&, const std::string& filter) override { event("subscribed " + filter); }
  ~HandPolicy() override {
    for (const auto& each : received) each.done(fail(Fault::unavailable, "the test is over"));
  }
  /// Kept with each message: answers once, however often it is called.
  static std::function<void(Result<>)> once(std::function<void(Result<>)> done) {
    return [left = std::make_shared<std::function<void(Result<>)>>(std::move(done))](Result<> result) {
      if (const auto answer = std::exchange(*left, {})) answer(std::move(result));
    };
  }
  void publish(const MqttConnectionPtr& connection, const mqtt::Publish& publish, std::function<void(Result<>)> answer) override {
    const auto done = once(std::move(answer));
    received.push_back({connection->client_id(), std::string(publish.topic), Bytes(publish.payload), done});
    if (publish.topic == "denied")
      done(fail(Fault::denied, "not this topic"));
    else if (answer_at_once && broadcast_by != nullptr)
      done((broadcast_by->publish(make_message(publish, clock->now()), connection->client_id()), Result<>{}));
    else if (answer_at_once)
      done({});
    changed.notify();
  }

  /// Topics that begin with `gather/` are gathered, and answered with `answer_gathered`.
  bool gather(const MqttConnectionPtr&, const mqtt::Publish& publish) override {
    if (!publish.topic.starts_with("gather/")) return false;
    gathered.emplace_back(publish.payload);
    return true;
  }
  void settle(const MqttConnectionPtr& connection, std::function<void(Result<>)> answer) override {
    const auto done = once(std::move(answer));
    received.push_back({connection->client_id(), "gathered", std::to_string(gathered.size()), done});
    gathered.clear();
    if (answer_at_once) done({});
    changed.notify();
  }
  std::vector<Bytes> gathered;

  void event(std::string text) {
    events.push_back(std::move(text));
    changed.notify();
  }
  /// Waits until `condition` holds; it is looked at after every call to the policy.
  template <class Condition>
  awaitable<void> until(Condition condition) {
    while (!condition()) co_await changed.wait_for_good();
  }
  awaitable<void> until_received(std::size_t count) {
    auto enough = [this, count] { return received.size() >= count; };
    co_await until(enough);
  }
  awaitable<void> until_event(std::string wanted) {
    auto there = [this, wanted] { return std::find(events.begin(), events.end(), wanted) != events.end(); };
    co_await until(there);
  }
};

struct MapStore final : MqttSessionStore {
  std::map<std::string, MqttKeptSession> kept;
  Result<std::optional<MqttKeptSession>> load(const std::string& id) override {
    const auto at = kept.find(id);
    return at == kept.end() ? std::nullopt : std::optional(at->second);
  }
  Result<> save(const std::string& id, const MqttKeptSession& session) override {
    if (id == "unlucky" && !session.subscriptions.empty()) return fail(Fault::exhausted, "disk full");
    kept[id] = session;
    return {};
  }
  Result<> forget(const std::string& id) override {
    kept.erase(id);
    return {};
  }
  Result<std::vector<std::string>> clients() override {
    std::vector<std::string> ids;
    for (const auto& [id, session] : kept) ids.push_back(id);
    return ids;
  }
};

/// A server, its policy and its peers on the calling coroutine's strand. `co_await close()` at the end.
struct Bench {
  explicit Bench(Executor on, MqttServer::Options options = {})
      : strand(on), tasks(on), server(MqttServer::make(on, policy, std::move(options))) {}

  std::unique_ptr<Peer> dial(std::size_t capacity = 64 * 1024) {
    auto pipe = make_memory_pipe(strand, capacity);
    deadline = pipe.left_deadline;
    tasks.spawn(server->serve(std::move(pipe.left)));
    return std::make_unique<Peer>(std::move(pipe.right));
  }
  /// Dials and is accepted.
  awaitable<std::unique_ptr<Peer>> join(mqtt::Connect connect, bool expect_session = false) {
    auto peer = dial();
    if (connect.v5()) peer->speak_v5();
    co_await peer->send(connect);
    const auto connack = co_await peer->template expect<mqtt::Connack>();
    EXPECT_EQ(connack.code, mqtt::ConnectCode::accepted);
    EXPECT_EQ(connack.reason, mqtt::Reason::success);
    EXPECT_EQ(connack.session_present, expect_session);
    co_return peer;
  }
  awaitable<void> close() {
    co_await server->close();
    co_await tasks.close();
  }

  Executor strand;
  HandPolicy policy;
  TaskScope tasks;
  std::unique_ptr<MqttServer> server;
  std::shared_ptr<DeadlineProbe> deadline;  ///< of the server's end of the last dial
};

inline MqttServer::Options with_limits(MqttLimits limits) {
  MqttServer::Options options;
  options.limits = limits;
  return options;
}

/// Runs one test's coroutine on a strand with a server; the server must then close without waiting for anyone.
template <class Script>
void with_bench(Script script, MqttServer::Options options = {}) {
  Runtime runtime(2);
  auto run = [](Script body, MqttServer::Options o) -> awaitable<void> {
    const Executor strand = co_await asio::this_coro::executor;
    Bench bench(strand, std::move(o));
    co_await body(bench);
    co_await bench.close();
    EXPECT_EQ(bench.server->connections(), 0u);
  };
  runtime.block_on(run(script, std::move(options)));
}

}  // namespace nacelle::net::test
