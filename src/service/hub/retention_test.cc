// How much of the event log a hub keeps, and what happens where captures want more of it.
#include "service/hub/filtered_files.h"
#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

class RetentionTest : public HubTest {
 protected:
  RetentionTest() {
    stop();
    HubOptions small = options();
    small.retention = {least_retained, std::chrono::hours{24}};
    start(small, disk);
    const auto who = add("press1");
    partition = storage::partition_of("press1", log().partitions());
    sender = connected(who);
  }
  ~RetentionTest() override {
    sender.reset();
    stop();
  }

  storage::EventLog& log() { return hub->services().log; }
  void send_bodies(int count, std::size_t bytes) {
    for (int i = 0; i < count; ++i)
      ASSERT_TRUE(publish(*sender, telemetry::event_topic("press1", {}, ""), std::string(bytes, 'x')));
  }
  ByteCount bytes_on_disk() {
    ByteCount bytes = 0;
    for (const auto& entry : storage::fs::recursive_directory_iterator(folder.path() / "hub" / "events"))
      if (entry.is_regular_file()) bytes += entry.file_size();
    return bytes;
  }

  /// 24 MB that a default route takes, to a partition of 16 MiB. Ready once all have an answer: whether each is acknowledged.
  std::future<bool> send_too_much() {
    const std::string body = R"({"OperationalSetting1":1,"more":")" + std::string(200'000, 'x') + "\"}";
    const std::string topic = telemetry::event_topic("press1", {}, "%24.ct=application%2Fjson&%24.ce=utf-8");
    // Half of them one by one: a client keeps no 24 MB of what is not acknowledged.
    for (int i = 0; i < too_many / 2; ++i) EXPECT_TRUE(publish(*sender, topic, body));
    const auto left = std::make_shared<std::atomic<int>>(too_many / 2);
    const auto good = std::make_shared<std::atomic<bool>>(true);
    const auto all = std::make_shared<std::promise<bool>>();
    for (int i = 0; i < too_many / 2; ++i)
      sender->publish(topic, body, mqtt::QoS::at_least_once, [left, good, all](Result<> acked) {
        if (!acked) *good = false;
        if (--*left == 0) all->set_value(*good);
      });
    return all->get_future();
  }
  /// Back once appends wait for a capture.
  void wait_until_held() {
    for (int i = 0; i < 100'000 && !log().statistics().holding; ++i) get("/statistics/messages");
    ASSERT_TRUE(log().statistics().holding);
  }
  CaptureStatus::OfRoute devices() { return hub->services().capture.status().routes.at(0); }

  static constexpr int too_many = 120;
  FilteredFiles disk{"/objects/"};
  storage::Partition partition = 0;
  std::unique_ptr<net::MqttClient> sender;
};

TEST_F(RetentionTest, oldest_messages_go_when_a_partition_is_larger_than_its_share) {
  const ByteCount share = least_retained / log().partitions();
  send_bodies(120, 200'000);  // one device, so one partition: 24 MB of its 16 MiB
  ASSERT_TRUE(log().apply_retention());
  EXPECT_GT(log().oldest(partition), 0u);
  EXPECT_LT(log().oldest(partition), 60u) << "what there is room for stays";
  EXPECT_EQ(log().head(partition), 120u);
  EXPECT_LT(bytes_on_disk(), share + share / 2);
}

TEST_F(RetentionTest, messages_go_when_they_are_too_old) {
  send_bodies(30, 200'000);
  flush();  // none is a route's
  clock.advance(std::chrono::hours{23});
  ASSERT_TRUE(log().apply_retention());
  EXPECT_EQ(log().oldest(partition), 0u);
  clock.advance(std::chrono::hours{2});
  ASSERT_TRUE(log().apply_retention());
  EXPECT_GT(log().oldest(partition), 0u);
}

TEST_F(RetentionTest, acknowledgements_wait_while_the_log_is_full_of_what_is_not_captured_yet) {
  disk.refuse = true;  // no capture file can be written
  auto all = send_too_much();
  wait_until_held();
  EXPECT_EQ(all.wait_for(std::chrono::seconds{0}), std::future_status::timeout);
  EXPECT_EQ(log().oldest(partition), 0u) << "nothing has been dropped";
  EXPECT_EQ(call("GET", "/devices/press1").status, 200) << "all else goes on";
  disk.refuse = false;
  EXPECT_TRUE(all.get());  // by itself
  EXPECT_EQ(captured("devicedata").size(), static_cast<std::size_t>(too_many));
  EXPECT_EQ(devices().lost, 0u);
  ASSERT_TRUE(log().apply_retention());
  EXPECT_GT(log().oldest(partition), 0u);
}

TEST_F(RetentionTest, a_capture_in_trouble_stops_nobody_for_ever) {
  disk.refuse = true;
  auto all = send_too_much();
  wait_until_held();
  clock.advance(std::chrono::seconds{61});
  EXPECT_TRUE(all.get());
  EXPECT_GT(log().oldest(partition), 0u);
  disk.refuse = false;
  const std::size_t found = captured("devicedata").size();
  EXPECT_EQ(found + devices().lost, static_cast<std::size_t>(too_many));
}

TEST_F(RetentionTest, a_route_that_is_disabled_is_waited_for_no_longer) {
  disk.refuse = true;
  auto all = send_too_much();
  wait_until_held();
  EXPECT_EQ(call("PUT", "/routes", R"({"routes":[]})").status, 200) << "though its last messages could not be written";
  EXPECT_TRUE(all.get());
}

TEST_F(RetentionTest, the_hub_closes_while_appends_wait) {
  disk.refuse = true;
  const auto all = send_too_much();
  wait_until_held();
  run(sender->close());
  disk.refuse = false;
  stop(true);
}

}  // namespace
}  // namespace nacelle::hub::testing
