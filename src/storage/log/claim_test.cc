// What readers claim of a log is kept; where it leaves no room, appends wait.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "storage/file/fault_file_system.h"
#include "storage/log/log_testing.h"

namespace nacelle::storage {
namespace {

using namespace std::chrono_literals;

/// Two partitions of about ten segments of ten records.
class ClaimTest : public ::testing::Test {
 protected:
  ClaimTest() {
    options.directory = "/events";
    options.partitions = 2;
    options.segment_bytes = 96 + 10 * record_bytes;
    options.max_partition_bytes = 10 * options.segment_bytes;
    log = EventLog::open(options, clock, disk).value();
  }
  static constexpr ByteCount record_bytes = 24 + 100;

  void append(Partition partition, int count) {
    for (int i = 0; i < count; ++i) ASSERT_TRUE(append_now(*log, partition, Bytes(100, 'x')));
  }
  /// Appends until one is not answered; back once the log says that it holds that one back.
  std::future<Result<Offset>> append_until_held(Partition partition) {
    std::future<Result<Offset>> answer;
    for (int i = 0; i < 1000; ++i) {
      const std::uint64_t held_before = log->statistics().held_records;
      auto synced = std::make_shared<std::promise<Result<Offset>>>();
      answer = synced->get_future();
      log->append(partition, Bytes(100, 'x'), [synced](Result<Offset> at) { synced->set_value(std::move(at)); });
      while (!answered(answer) && log->statistics().held_records == held_before) std::this_thread::yield();
      if (!answered(answer)) return answer;
    }
    ADD_FAILURE() << "nothing is held back";
    return answer;
  }
  static bool answered(const std::future<Result<Offset>>& answer) { return answer.wait_for(0s) == std::future_status::ready; }

  ManualClock clock;
  FaultFileSystem disk{7};
  LogOptions options;
  std::unique_ptr<EventLog> log;
};

TEST_F(ClaimTest, what_nobody_claims_goes_as_ever) {
  append(0, 300);
  EXPECT_GT(log->oldest(0), 150u);
  EXPECT_EQ(log->statistics().held_records, 0u);
}

TEST_F(ClaimTest, appends_wait_while_a_partition_is_full_of_what_is_claimed_and_go_on_when_it_is_not) {
  const auto claim = log->claim(0, 5, "a reader");
  auto late = append_until_held(0);
  EXPECT_EQ(log->oldest(0), 0u) << "all that is claimed is there";
  EXPECT_TRUE(log->statistics().holding);
  const Offset head = log->head(0);
  claim->move(9);  // still in the oldest segment
  append(1, 20);   // the other partition has room, and asks after the first each time
  EXPECT_FALSE(answered(late));
  claim->move(10);  // the oldest segment is not wanted any more
  EXPECT_EQ(late.get().value(), head) << "nothing was left out";
  EXPECT_EQ(log->oldest(0), 10u);
  EXPECT_FALSE(log->statistics().holding);
  EXPECT_EQ(log->statistics().held_records, 1u);
}

TEST_F(ClaimTest, what_waited_is_stored_in_its_order_before_what_comes_later) {
  auto claim = log->claim(0, 0, "a reader");
  auto first = append_until_held(0);
  std::vector<std::future<Result<Offset>>> later;
  for (int i = 0; i < 5; ++i) {
    auto synced = std::make_shared<std::promise<Result<Offset>>>();
    later.push_back(synced->get_future());
    log->append(0, fmt::format("{}", i), [synced](Result<Offset> at) { synced->set_value(std::move(at)); });
  }
  claim.reset();  // given up: a route that is no more
  const Offset at = first.get().value();
  for (int i = 0; i < 5; ++i) EXPECT_EQ(later[static_cast<std::size_t>(i)].get().value(), at + 1 + static_cast<Offset>(i));
  const auto records = log->read(0, at + 1, 1_MiB).value();
  ASSERT_EQ(records.size(), 5u);
  EXPECT_EQ(records[3].payload, "3");
}

TEST_F(ClaimTest, the_log_lets_go_of_what_a_reader_claims_that_does_not_come_on) {
  const auto stuck = log->claim(0, 3, "one that is stuck");
  const auto moving = log->claim(0, 4, "one that comes on");
  auto late = append_until_held(0);
  clock.advance(options.longest_wait - 1s);
  moving->move(7);
  append(1, 1);
  EXPECT_FALSE(answered(late));
  clock.advance(1s);
  append(1, 1);
  EXPECT_FALSE(answered(late)) << "there is one that has come on";
  moving->move(50);
  EXPECT_TRUE(late.get().has_value());
  EXPECT_GT(log->oldest(0), 3u) << "for the other nothing is kept";
  stuck->move(log->oldest(0));  // it is back
  auto again = append_until_held(0);
  stuck->move(log->head(0)), moving->move(log->head(0));
  EXPECT_TRUE(again.get().has_value());
}

TEST_F(ClaimTest, age_takes_nothing_that_is_claimed) {
  append(0, 30);
  auto claim = log->claim(0, 15, "a reader");
  clock.advance(options.max_age + 1h);
  ASSERT_TRUE(log->apply_retention());
  EXPECT_EQ(log->oldest(0), 10u);
  EXPECT_EQ(claim->due(), Offset{20}) << "but its reader is asked to be done with it";
  claim.reset();
  ASSERT_TRUE(log->apply_retention());
  EXPECT_GT(log->oldest(0), 15u);
}

TEST_F(ClaimTest, a_reader_is_told_when_the_oldest_segments_should_go) {
  const auto slow = log->claim(0, 12, "a slow reader");
  append(0, 60);
  EXPECT_FALSE(slow->due()) << "there is room";
  append(0, 20);
  EXPECT_EQ(slow->due(), std::nullopt) << "more than three quarters, but the first segment is enough, and not wanted";
  append(0, 15);
  EXPECT_EQ(slow->due(), Offset{20}) << "where the segment ends in which it stands";
  EXPECT_EQ(log->claim(0, 60, "a quick one")->due(), std::nullopt);
}

TEST_F(ClaimTest, closing_the_log_stores_what_waits) {
  auto claim = log->claim(0, 0, "a reader");
  auto late = append_until_held(0);
  claim.reset();
  log.reset();
  EXPECT_TRUE(late.get().has_value());
}

}  // namespace
}  // namespace nacelle::storage
