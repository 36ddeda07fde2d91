#include "storage/log/spool.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>

#include "foundation/log.h"
#include "storage/file/fault_file_system.h"
#include "storage/log/log_testing.h"

namespace nacelle::storage {
namespace {

class SpoolTest : public ::testing::Test {
 protected:
  SpoolTest() {
    log::set_level(log::Level::off);
    options = {.directory = "/s", .segment_bytes = 1000, .max_bytes = 100'000};
    reopen();
  }
  ~SpoolTest() override { log::set_level(log::Level::info); }

  void reopen() {
    spool.reset();
    spool = Spool::open(options, clock, disk).value();
  }
  Offset append(Bytes payload) { return append_now(*spool, std::move(payload)).value(); }

  ManualClock clock;
  FaultFileSystem disk{3};
  SpoolOptions options;
  std::unique_ptr<Spool> spool;
};

TEST_F(SpoolTest, records_come_out_in_order_until_committed) {
  for (int i = 0; i < 5; ++i) EXPECT_EQ(append(fmt::format("{}", i)), static_cast<Offset>(i));
  EXPECT_EQ(spool->waiting(), 5u);
  ASSERT_TRUE(spool->commit(2));
  EXPECT_EQ(spool->committed(), 2u);
  EXPECT_EQ(spool->waiting(), 3u);
  const auto rest = spool->read(0, 1_MiB).value();
  ASSERT_EQ(rest.size(), 3u);
  EXPECT_EQ(rest[0].payload, "2");
  EXPECT_EQ(spool->read(4, 1_MiB).value().size(), 1u);
  ASSERT_TRUE(spool->commit(5));
  EXPECT_EQ(spool->waiting(), 0u);
  EXPECT_TRUE(spool->read(0, 1_MiB).value().empty());
  EXPECT_EQ(spool->commit(6).error().fault, Fault::invalid_input);
  ASSERT_TRUE(spool->commit(1)) << "going back is ignored";
  EXPECT_EQ(spool->committed(), 5u);
}

TEST_F(SpoolTest, cursor_and_records_survive_a_restart) {
  for (int i = 0; i < 50; ++i) append(fmt::format("{:050}", i));
  ASSERT_TRUE(spool->commit(20));
  reopen();
  EXPECT_EQ(spool->committed(), 20u);
  EXPECT_EQ(spool->waiting(), 30u);
  EXPECT_EQ(spool->read(0, 1).value().at(0).payload, fmt::format("{:050}", 20));
  EXPECT_EQ(append("next"), 50u);
}

TEST_F(SpoolTest, consumed_segments_are_deleted) {
  for (int i = 0; i < 100; ++i) append(std::string(100, 'x'));
  const std::size_t before = disk.paths().size();
  ASSERT_TRUE(spool->commit(100));
  append("x");  // behind it, the commit has been worked on
  append("y");
  EXPECT_LT(disk.paths().size(), 5u);
  EXPECT_GT(before, 10u);
  EXPECT_EQ(spool->dropped(), 0u);
  EXPECT_EQ(spool->head(), 102u);
}

TEST_F(SpoolTest, beyond_the_bound_the_oldest_are_dropped_and_counted) {
  spool.reset();
  options.max_bytes = 10'000;
  reopen();
  for (int i = 0; i < 500; ++i) append(fmt::format("{:0100}", i));
  append("last");
  reopen();
  const auto rest = spool->read(0, 1_MiB).value();
  ASSERT_FALSE(rest.empty());
  EXPECT_GT(rest[0].offset, 400u);
  EXPECT_EQ(rest[0].payload, fmt::format("{:0100}", rest[0].offset));
  EXPECT_EQ(rest.size(), spool->waiting());
  EXPECT_LE(disk.used(), 11'000u);
}

TEST_F(SpoolTest, dropped_counts_what_was_not_yet_delivered) {
  spool.reset();
  options.max_bytes = 10'000;
  reopen();
  for (int i = 0; i < 60; ++i) append(std::string(100, 'x'));
  ASSERT_TRUE(spool->commit(60));
  for (int i = 0; i < 60; ++i) append(std::string(100, 'x'));
  append_now(*spool, "x").value();
  EXPECT_EQ(spool->dropped(), 0u) << "what was delivered is not lost";
  for (int i = 0; i < 300; ++i) append(std::string(100, 'x'));
  const std::uint64_t appended = spool->head() - 60;
  append_now(*spool, "x").value();  // tidying up follows an answer, so the next answer comes after it
  EXPECT_GT(spool->dropped(), 200u);
  EXPECT_LE(spool->dropped() + spool->waiting(), appended + 1);
}

TEST_F(SpoolTest, damaged_cursor_is_put_aside_and_everything_comes_again) {
  for (int i = 0; i < 5; ++i) append("x");
  ASSERT_TRUE(spool->commit(3));
  spool.reset();
  const Bytes good = disk.contents("/s/cursor");
  ASSERT_EQ(good.size(), 24u);
  for (std::size_t at = 0; at < good.size(); ++at) {
    Bytes bad = good;
    bad[at] ^= 1;
    disk.set_contents("/s/cursor", bad);
    reopen();
    EXPECT_EQ(spool->waiting(), 5u) << at;
    EXPECT_TRUE(disk.exists("/s/cursor.quarantined").value());
    spool.reset();
    ASSERT_TRUE(disk.remove("/s/cursor.quarantined"));
  }
  for (const Bytes& bad : {Bytes(), Bytes(23, 'x'), Bytes(10'000, 'x')}) {
    disk.set_contents("/s/cursor", bad);
    reopen();
    EXPECT_EQ(spool->waiting(), 5u);
  }
}

TEST_F(SpoolTest, records_after_lost_ones_are_not_taken_for_delivered) {
  for (int i = 0; i < 5; ++i) append("x");
  ASSERT_TRUE(spool->commit(5));
  spool.reset();
  for (const auto& path : disk.paths())
    if (path.ends_with(".log")) {
      ASSERT_TRUE(disk.remove(path));
    }
  reopen();
  EXPECT_EQ(spool->waiting(), 0u);
  EXPECT_EQ(append("new"), 5u);
  EXPECT_EQ(spool->read(0, 1_MiB).value().at(0).payload, "new");
}

TEST_F(SpoolTest, second_opening_is_a_conflict) { EXPECT_EQ(Spool::open(options, clock, disk).error().fault, Fault::conflict); }

TEST_F(SpoolTest, full_disk_refuses_and_delivery_goes_on) {
  for (int i = 0; i < 30; ++i) append(std::string(100, 'x'));
  disk.set_room(disk.used());
  std::size_t stored = 30;
  while (append_now(*spool, std::string(100, 'x'))) ++stored;  // in the room that was made before
  EXPECT_EQ(append_now(*spool, std::string(100, 'x')).error().fault, Fault::exhausted);
  EXPECT_EQ(spool->read(0, 1_MiB).value().size(), stored);
  ASSERT_TRUE(spool->commit(stored));
  while (!append_now(*spool, "fits, once the consumed segments are gone")) {}
  EXPECT_EQ(spool->waiting(), 1u);
}

TEST_F(SpoolTest, listener_hears_of_new_records) {
  std::promise<Offset> heard;
  std::function<void()> end;
  end = spool->on_commit([&] {
    end();
    heard.set_value(spool->head());
  });
  append("x");
  EXPECT_EQ(heard.get_future().get(), 1u);
}

TEST_F(SpoolTest, after_power_cuts_nothing_acked_and_undelivered_is_missing) {
  std::size_t cuts = 0, acked = 0, again = 0;
  for (std::uint64_t seed = 0; seed < 300; ++seed) {
    std::mt19937_64 random(seed);
    FaultFileSystem power(seed);
    std::map<Offset, Bytes> promised;
    Offset delivered = 0;  // committed by the consumer, durable or not
    for (int life = 0; life < 4; ++life, ++cuts) {
      power.cut_power_after(random() % 150);
      if (auto opened = Spool::open(options, clock, power)) {
        auto& now = **opened;
        for (int burst = 0; burst < 40 && !power.power_is_out(); ++burst) {
          for (std::size_t i = random() % 5; i > 0; --i) {
            const Bytes payload = fmt::format("{} {}", random(), std::string(random() % 200, 'x'));
            if (const auto at = append_now(now, payload)) {
              ASSERT_TRUE(promised.emplace(*at, payload).second) << "seed " << seed << ": offset " << *at << " twice";
              ++acked;
            }
          }
          const auto records = now.read(0, 300);
          if (!records || records->empty() || random() % 2) continue;
          if (now.commit(records->back().offset + 1)) delivered = std::max(delivered, records->back().offset + 1);
        }
      }
      power.cut_power_now();
      power.restart();
      const auto now = Spool::open(options, clock, power).value();
      std::map<Offset, Bytes> found;
      for (Offset from = 0;;) {
        const auto records = now->read(from, 1000).value();
        if (records.empty()) break;
        for (const auto& record : records) found[record.offset] = record.payload;
        from = records.back().offset + 1;
      }
      ASSERT_LE(now->committed(), std::max(delivered, now->head()));
      for (const auto& [offset, payload] : promised) {
        if (offset < delivered) {
          again += found.contains(offset) ? 1 : 0;
          continue;
        }
        ASSERT_TRUE(found.contains(offset)) << "seed " << seed << " life " << life << ": " << offset << " is lost";
        ASSERT_EQ(found[offset], payload);
      }
    }
  }
  std::printf("%zu power cuts, %zu acked, %zu delivered records came again\n", cuts, acked, again);
}

}  // namespace
}  // namespace nacelle::storage
