// How much of the event log a hub keeps.
#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

class RetentionTest : public HubTest {
 protected:
  RetentionTest() {
    stop();
    HubOptions options;
    options.directory = folder.path() / "hub";
    options.bind = "127.0.0.1";
    options.retention = {least_retained, std::chrono::hours{24}};
    hub = Hub::open(runtime.executor(), options, clock, storage::real_file_system()).value();
    client.emplace(endpoint::HubClient::make(hub->found_at(), clock).value());
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
  clock.advance(std::chrono::hours{23});
  ASSERT_TRUE(log().apply_retention());
  EXPECT_EQ(log().oldest(partition), 0u);
  clock.advance(std::chrono::hours{2});
  ASSERT_TRUE(log().apply_retention());
  EXPECT_GT(log().oldest(partition), 0u);
}

}  // namespace
}  // namespace nacelle::hub::testing
