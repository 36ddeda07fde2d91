#pragma once
// For tests of what the broker must not forget: a server over a log and a table that lives and dies again and again.

#include "domain/telemetry/message.h"
#include "foundation/log.h"
#include "net/mqtt/scripted_peer_test.h"
#include "service/endpoint/published.h"
#include "service/hub/hub_testing.h"
#include "service/hub/kept_messages.h"
#include "service/hub/schema.h"
#include "storage/file/fault_file_system.h"
#include "storage/log/log_testing.h"

namespace nacelle::hub::testing {

using mqtt::QoS;
using net::MqttMessageStore;
using net::test::Peer;

/// The store up to a power cut; what comes after it reaches nobody.
class CutStore final : public MqttMessageStore {
 public:
  explicit CutStore(std::shared_ptr<KeptMessages> real) : real_(std::move(real)) {}
  void cut() { cut_ = true; }

  Result<net::MqttKeptMessages> load() override { return real_->load(); }
  Result<> replay(const std::function<void(const net::MqttReplayed&)>& take) override { return real_->replay(take); }
  std::uint64_t published(const net::MqttMessagePtr& m, Retained r, std::span<const Waiting> w) override {
    return cut_ ? 1 : real_->published(m, r, w);
  }
  std::uint64_t wait(const net::MqttMessagePtr& m, const Waiting& w) override { return cut_ ? 1 : real_->wait(m, w); }
  void sent(std::uint64_t id, mqtt::PacketId packet_id, Done done) override {
    if (!cut_) real_->sent(id, packet_id, std::move(done));
  }
  void received(std::uint64_t id, Done done) override {
    if (!cut_) real_->received(id, std::move(done));
  }
  void settled(std::uint64_t id) override {
    if (!cut_) real_->settled(id);
  }
  void unreleased(const net::MqttKeptIdentifier& i, const net::MqttPlace& at) override { real_->unreleased(i, at); }
  void released(const std::string& session, mqtt::PacketId id, Done done) override {
    if (!cut_) real_->released(session, id, std::move(done));
  }
  void forget_retained(const std::string& topic) override {
    if (!cut_) real_->forget_retained(topic);
  }
  std::uint64_t hold_will(net::MqttKeptWill will) override { return cut_ ? 1 : real_->hold_will(std::move(will)); }
  void drop_will(std::uint64_t id) override {
    if (!cut_) real_->drop_will(id);
  }
  void forget_session(const std::string& session) override {
    if (!cut_) real_->forget_session(session);
  }
  void close() override {
    if (!cut_) real_->close();
  }

 private:
  const std::shared_ptr<KeptMessages> real_;
  std::atomic<bool> cut_ = false;
};

/// Every publish to the log, and once it is durable to the subscribers: the endpoint's and the hub's part.
class LoggingPolicy final : public net::MqttPolicy {
 public:
  LoggingPolicy(Executor strand, storage::EventLog& log, std::shared_ptr<KeptMessages> kept, const Clock& clock)
      : strand_(std::move(strand)), log_(log), kept_(std::move(kept)), clock_(clock) {}

  std::shared_ptr<net::MqttServer> server;
  std::vector<std::string> wills;
  std::atomic<int> appending = 0;  // the log will call back

  awaitable<net::MqttAccept> accept(const mqtt::Connect&, const Bytes&, std::string) override {
    net::MqttAccept yes;
    yes.code = mqtt::ConnectCode::accepted;
    yes.max_qos = QoS::exactly_once;
    co_return yes;
  }
  void connected(const net::MqttConnectionPtr&) override {}
  void disconnected(const net::MqttConnectionPtr&, bool) override {}
  std::optional<QoS> subscribe(const net::MqttConnectionPtr&, const mqtt::Subscription& wanted) override { return wanted.qos; }
  void subscribed(const net::MqttConnectionPtr&, const std::string&) override {}
  std::string describe(const net::MqttConnectionPtr& connection) override { return "it was " + connection->client_id(); }
  std::shared_ptr<void> recall(const std::string& description) override { return std::make_shared<std::string>(description); }
  void will(const net::MqttConnectionPtr& from, const mqtt::Publish& packet, std::function<void(Result<>)> done) override {
    wills.push_back(from->context ? *std::static_pointer_cast<std::string>(from->context) : "");
    publish(from, packet, std::move(done));
  }
  void publish(const net::MqttConnectionPtr& from, const mqtt::Publish& packet, std::function<void(Result<>)> done) override {
    telemetry::Message message;
    message.enqueued_at = clock_.now();
    message.body = packet.payload;
    const auto since = from->kept_since();
    message.published = endpoint::print_published(packet, from->client_id(), since);
    net::MqttKeptIdentifier identifier{from->client_id(), since.value_or(Timestamp{}), 0};
    if (since && packet.qos == QoS::exactly_once) identifier.packet_id = packet.packet_id;
    const auto partition = storage::partition_of(from->client_id(), log_.partitions());
    kept_->begin(partition);
    ++appending;
    log_.append(partition, telemetry::encode_record(message),
                [this, partition, identifier, shared = net::make_message(packet, clock_.now()), name = from->client_id(),
                 done = std::move(done)](Result<storage::Offset> at) {
                  if (!at) {
                    kept_->refused(partition);
                    done(fail(std::move(at).error()));
                    --appending;
                    return;
                  }
                  shared->kept_at = net::MqttPlace{partition, *at};
                  kept_->stored(identifier, *shared->kept_at);
                  asio::post(strand_, [server = server, shared, name] { server->publish(shared, name); });
                  done({});
                  --appending;
                });
  }

 private:
  const Executor strand_;
  storage::EventLog& log_;
  const std::shared_ptr<KeptMessages> kept_;
  const Clock& clock_;
};

/// One life of a server, on one strand.
struct Life {
  Life(Executor on, const storage::fs::path& folder, storage::FileSystem& disk, std::shared_ptr<net::test::MapStore> sessions,
       const Clock& clock)
      : strand(on), tasks(on) {
    log = storage::EventLog::open({.directory = "/e", .partitions = 2, .segment_bytes = 4000}, clock, disk).value();
    kept = KeptMessages::open(open_broker_tables(folder).value(), *log).value();
    store = std::make_shared<CutStore>(kept);
    policy = std::make_unique<LoggingPolicy>(on, *log, kept, clock);
    net::MqttServer::Options options;
    options.sessions = std::move(sessions);
    options.messages = store;
    options.clock = &clock;
    options.broadcasts = [](std::string_view) { return true; };
    policy->server = server = net::MqttServer::make(on, *policy, std::move(options));
  }

  awaitable<std::unique_ptr<Peer>> join(mqtt::Connect connect) {
    auto pipe = net::make_memory_pipe(strand, 64 * 1024);
    tasks.spawn(server->serve(std::move(pipe.left)));
    auto peer = std::make_unique<Peer>(std::move(pipe.right));
    if (connect.v5()) peer->speak_v5();
    co_await peer->send(connect);
    const auto connack = co_await peer->expect<mqtt::Connack>();
    EXPECT_EQ(connack.reason, mqtt::Reason::success);
    co_return peer;
  }
  /// With `cut`: nothing more gets on disk.
  awaitable<void> end(bool cut) {
    if (cut) store->cut();
    co_await server->close();
    co_await tasks.close();
    while (policy->appending > 0) co_await asio::post(strand, asio::use_awaitable);
    policy->server.reset();
    server.reset();
  }

  Executor strand;
  TaskScope tasks;
  std::unique_ptr<storage::EventLog> log;
  std::shared_ptr<KeptMessages> kept;
  std::shared_ptr<CutStore> store;
  std::unique_ptr<LoggingPolicy> policy;
  std::shared_ptr<net::MqttServer> server;
};

inline mqtt::Connect kept_session(const std::string& id) {
  auto connect = net::test::connect_as(id, false);
  connect.protocol_level = 5;
  mqtt::Properties properties;
  properties.session_expiry = mqtt::never_expires;
  connect.properties = std::make_shared<const mqtt::Properties>(std::move(properties));
  return connect;
}

inline mqtt::Publish publish(std::string_view topic, std::string_view payload, QoS qos, bool retain = false) {
  auto packet = net::test::message(topic, payload, qos == QoS::at_most_once ? 0 : 1);
  packet.qos = qos;
  packet.retain = retain;
  return packet;
}

class KeptMessagesTest : public ::testing::Test {
 protected:
  KeptMessagesTest() { log::set_level(log::Level::off); }
  ~KeptMessagesTest() override { log::set_level(log::Level::info); }

  /// `script(life)` on a strand; then the life ends, by a cut or in order.
  template <class Script>
  void live(bool cut, Script script) {
    net::Runtime runtime(2);
    auto run = [](KeptMessagesTest* self, bool cut_it, Script body) -> awaitable<void> {
      const Executor on = asio::make_strand(co_await asio::this_coro::executor);
      auto all = [](KeptMessagesTest* test, Executor strand, bool cuts, Script then) -> awaitable<void> {
        Life life(strand, test->folder.path(), test->disk, test->sessions, test->clock);
        co_await then(life);
        if (cuts) test->disk.cut_power_now();
        co_await life.end(cuts);
      };
      auto task = all(self, on, cut_it, body);
      co_await asio::co_spawn(on, std::move(task), asio::use_awaitable);
    };
    runtime.block_on(run(this, cut, script));
    if (cut) disk.restart();
  }

  TemporaryFolder folder;
  storage::FaultFileSystem disk{7};
  std::shared_ptr<net::test::MapStore> sessions = std::make_shared<net::test::MapStore>();
  ManualClock clock;
};

}  // namespace nacelle::hub::testing
