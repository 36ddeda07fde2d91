#include "service/simulator/replay.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "codec/json/value.h"
#include "codec/sas/token.h"
#include "domain/telemetry/message.h"
#include "domain/telemetry/topic.h"
#include "ml/dataset/synthetic.h"
#include "net/mqtt/server.h"
#include "net/socket/runtime.h"
#include "service/simulator/registration.h"

namespace nacelle::simulator {
namespace {

constexpr const char* hub_name = "hub.example.net";

/// A hub of two rules: a token must be signed by the device's key; a message is acknowledged, or, now and then, the
/// connection is closed instead.
class ScriptedHub final : public net::MqttPolicy {
 public:
  std::map<std::string, std::string> keys;  // set before anyone connects
  std::uint64_t close_every = 0;

  awaitable<net::MqttAccept> accept(const mqtt::Connect& connect, const Bytes&, std::string) override {
    net::MqttAccept answer;
    const auto user = telemetry::parse_user_name(connect.user_name.value_or(""));
    const auto token = sas::parse_token(connect.password.value_or(""));
    const auto key = keys.find(connect.client_id);
    const bool good = user && user->hub == hub_name && user->device_id == connect.client_id && token && key != keys.end() &&
                      sas::signed_by(*token, key->second);
    answer.code = good ? mqtt::ConnectCode::accepted : mqtt::ConnectCode::not_authorized;
    co_return answer;
  }
  void connected(const net::MqttConnectionPtr&) override {}
  void disconnected(const net::MqttConnectionPtr&, bool) override {}
  std::optional<mqtt::QoS> subscribe(const net::MqttConnectionPtr&, const mqtt::Subscription&) override { return std::nullopt; }
  void subscribed(const net::MqttConnectionPtr&, const std::string&) override {}
  void publish(const net::MqttConnectionPtr& connection, const mqtt::Publish& publish,
               std::function<void(Result<>)> done) override {
    std::uint64_t number = 0;
    {
      const std::lock_guard lock(mutex_);
      number = ++received_;
      if (close_every == 0 || number % close_every != 0) {
        messages_[connection->client_id()].emplace_back(publish.topic, publish.payload);
      }
    }
    if (close_every != 0 && number % close_every == 0) {
      connection->close("scripted");
      return done(fail(Fault::unavailable, "scripted"));
    }
    done({});
  }

  using Messages = std::map<std::string, std::vector<std::pair<std::string, std::string>>>;
  Messages messages() const {
    const std::lock_guard lock(mutex_);
    return messages_;
  }

 private:
  mutable std::mutex mutex_;
  Messages messages_;           // guarded by mutex_
  std::uint64_t received_ = 0;  // guarded by mutex_
};

class Replay : public testing::Test {
 protected:
  Replay() {
    server_ = net::MqttServer::make(runtime_.executor(), hub_, {});
    const auto port = server_->listen({}, nullptr);
    INVARIANT(port, "a free port is there");
    target_.endpoint.port = *port;
    target_.hub_name = hub_name;
    dataset::SyntheticFleet fleet;
    fleet.engines = 3;
    table_ = std::make_shared<dataset::FleetTable>(dataset::make_synthetic_fleet(fleet));
    for (const dataset::EngineRows& rows : table_->engines) {
      const std::string id = device_name("Client_", rows.unit);
      hub_.keys[id] = sas::random_key();
      feeds_.push_back({id, hub_.keys[id], rows});
    }
  }
  ~Replay() override { runtime_.block_on(server_->close()); }

  Result<ReplaySummary> run(ReplayOptions options = {}) {
    return runtime_.block_on(replay(runtime_.executor(), clock_, target_, feeds_, table_, std::move(options)));
  }

  /// Each device's cycles in the order of their first arrival.
  std::map<std::string, std::vector<std::int64_t>> first_arrivals() const {
    std::map<std::string, std::vector<std::int64_t>> out;
    for (const auto& [device, messages] : hub_.messages())
      for (const auto& [topic, body] : messages) {
        const std::int64_t cycle = json::parse(body)->find("CycleTime")->as_integer();
        auto& cycles = out[device];
        if (std::find(cycles.begin(), cycles.end(), cycle) == cycles.end()) cycles.push_back(cycle);
      }
    return out;
  }

  net::Runtime runtime_{2};
  ManualClock clock_;
  ScriptedHub hub_;
  std::unique_ptr<net::MqttServer> server_;
  Target target_;
  std::shared_ptr<dataset::FleetTable> table_;
  std::vector<Feed> feeds_;
};

TEST_F(Replay, every_reading_of_every_engine_arrives_in_order) {
  const auto summary = run();
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_TRUE(summary->complete());
  EXPECT_EQ(summary->counts.acked, table_->row_count());
  EXPECT_EQ(summary->counts.sent, table_->row_count());
  const auto arrivals = first_arrivals();
  ASSERT_EQ(arrivals.size(), 3u);
  for (const auto& [device, cycles] : arrivals) {
    EXPECT_TRUE(std::is_sorted(cycles.begin(), cycles.end())) << device;
    EXPECT_EQ(cycles.front(), 1);
  }
}

TEST_F(Replay, a_message_says_what_it_is) {
  ASSERT_TRUE(run());
  const auto messages = hub_.messages();
  const auto& [topic, body] = messages.at("Client_001").front();
  const auto parsed = telemetry::parse_publish_topic(topic);
  ASSERT_TRUE(parsed);
  telemetry::Message message;
  ASSERT_TRUE(telemetry::read_property_bag(std::get<telemetry::EventTopic>(*parsed).bag, message));
  EXPECT_EQ(message.system.get("contentType"), "application/json");
  EXPECT_EQ(message.system.get("contentEncoding"), "utf-8");
  EXPECT_EQ(parse_iso8601(message.system.get("iothub-creation-time-utc")).value(), clock_.now());
  EXPECT_EQ(body, reading_body(*table_, 0));
}

TEST_F(Replay, lost_connections_lose_nothing) {
  hub_.close_every = 97;
  const auto summary = run();
  ASSERT_TRUE(summary) << summary.error().message;
  EXPECT_TRUE(summary->complete());
  EXPECT_GT(summary->counts.reconnects, 0u);
  // This hub takes what comes behind the message it let fall, before its connection is closed: nothing may rely on order
  // to tell that all is acknowledged.
  std::size_t distinct = 0;
  for (const auto& [device, cycles] : first_arrivals()) distinct += cycles.size();
  EXPECT_EQ(distinct, table_->row_count());
}

TEST_F(Replay, a_refused_device_ends_it_with_its_name_and_no_key) {
  feeds_[1].key_base64 = sas::random_key();
  const auto summary = run();
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().fault, Fault::denied);
  EXPECT_NE(summary.error().message.find("Client_002"), std::string::npos) << summary.error().message;
  EXPECT_EQ(summary.error().message.find(feeds_[1].key_base64), std::string::npos);
}

TEST_F(Replay, progress_ends_at_the_whole) {
  Progress last;
  ReplayOptions options;
  options.on_progress = [&last](const Progress& progress) { last = progress; };
  ASSERT_TRUE(run(std::move(options)));
  EXPECT_EQ(last.acked, last.total);
  EXPECT_EQ(last.total, table_->row_count());
}

TEST(ReadingBody, keeps_every_bit_and_leaves_silence_out) {
  dataset::TableBuilder builder;
  std::vector<double> values(dataset::turbofan_column_count, 0.1 + 0.2);
  values[1] = -0.0005;
  values[2] = std::numeric_limits<double>::quiet_NaN();
  values[3] = -0.0;
  builder.add(7, 12, values);
  const auto table = builder.finish();
  ASSERT_TRUE(table) << table.error().message;
  const auto body = json::parse(reading_body(*table, 0));
  ASSERT_TRUE(body) << body.error().message;
  EXPECT_EQ(body->find("CycleTime")->as_integer(), 12);
  EXPECT_EQ(body->find("OperationalSetting1")->as_number(), 0.1 + 0.2);
  EXPECT_EQ(body->find("OperationalSetting2")->as_number(), -0.0005);
  EXPECT_EQ(body->find("OperationalSetting3"), nullptr);
  EXPECT_TRUE(std::signbit(body->find("Sensor1")->as_number()));
  EXPECT_EQ(body->find("Sensor21")->as_number(), 0.1 + 0.2);
}

TEST(DeviceName, has_three_digits_at_least) {
  EXPECT_EQ(device_name("Client_", 1), "Client_001");
  EXPECT_EQ(device_name("Client_", 1234), "Client_1234");
}

}  // namespace
}  // namespace nacelle::simulator
