// How many partitions a hub's event log has.
#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

class PartitionsTest : public HubTest {
 protected:
  PartitionsTest() { stop(); }

  Result<std::unique_ptr<Hub>> open(const std::string& name, std::optional<storage::Partition> partitions) {
    HubOptions options;
    options.directory = folder.path() / name;
    options.bind = "127.0.0.1";
    options.partitions = partitions;
    return Hub::open(runtime.executor(), options, clock, storage::real_file_system());
  }
  /// Opens and closes a hub; the number its log had.
  storage::Partition partitions(const std::string& name, std::optional<storage::Partition> asked) {
    auto opened = open(name, asked).value();
    const auto found = opened->services().log.partitions();
    run(opened->close(false));
    return found;
  }
};

TEST_F(PartitionsTest, a_new_log_has_as_many_as_are_asked_for_or_the_usual_number) {
  EXPECT_EQ(partitions("usual", std::nullopt), usual_partitions);
  EXPECT_EQ(partitions("one", 1), 1u);
}

TEST_F(PartitionsTest, an_old_log_keeps_its_number_and_may_get_more) {
  EXPECT_EQ(partitions("one", 1), 1u);
  EXPECT_EQ(partitions("one", std::nullopt), 1u);
  EXPECT_EQ(partitions("one", 3), 3u);
  EXPECT_EQ(partitions("one", std::nullopt), 3u);
  const auto fewer = open("one", 2);
  ASSERT_FALSE(fewer);
  EXPECT_EQ(fewer.error().fault, Fault::conflict);
}

TEST_F(PartitionsTest, messages_of_all_devices_go_to_the_only_one_and_are_captured) {
  hub = open("single", 1).value();
  client.emplace(endpoint::HubClient::make(hub->found_at(), clock).value());
  for (const char* device : {"a", "b", "c"}) {
    const auto sender = connected(add(device));
    send(*sender, device, 0, 5);
    run(sender->close());
  }
  EXPECT_EQ(hub->services().log.head(0), 15u);
  EXPECT_EQ(captured("devicedata").size(), 15u);
}

}  // namespace
}  // namespace nacelle::hub::testing
