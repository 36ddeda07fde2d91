// An event log whose disk is full, fails, or is damaged while it is open.
#include "storage/log/event_log_fixture.h"

namespace nacelle::storage {
namespace {

TEST_F(EventLogTest, full_disk_refuses_and_the_log_goes_on_once_there_is_room) {
  options.segment_bytes = 1_MiB;
  reopen();
  append(0, "kept");
  disk.set_room(disk.used());
  Offset stored = 1;
  while (append_now(*log, 0, std::string(200, 'x'))) ++stored;  // in the room that was made before
  EXPECT_GT(stored, 1000u);
  disk.set_room(disk.used() + 50);
  for (int i = 0; i < 3; ++i) EXPECT_EQ(append_now(*log, 0, std::string(200, 'x')).error().fault, Fault::exhausted);
  EXPECT_EQ(append_now(*log, 1, std::string(200, 'x')).error().fault, Fault::exhausted) << "needs a new file";
  EXPECT_EQ(log->head(0), stored);
  EXPECT_EQ(append(0, "tiny"), stored);
  reopen();  // a full disk does not keep it from opening
  EXPECT_EQ(read_all(*log, 0).value().size(), stored + 1);
  disk.set_room(~0ULL);
  EXPECT_EQ(append(0, "after"), stored + 1);
  EXPECT_EQ(append(1, "after"), 0u);
  EXPECT_EQ(log->statistics().quarantined_segments + log->statistics().repaired_tails, 0u);
}

TEST_F(EventLogTest, room_for_small_appends_is_neither_a_record_nor_damage) {
  options.segment_bytes = 1_MiB;
  reopen();
  const std::string path = "/events/0000/00000000000000000000.log";
  for (int i = 0; i < 3; ++i) append(0, "record");
  const std::size_t with_room = disk.contents(path).size();
  EXPECT_GT(with_room, 200'000u);
  disk.cut_power_now();  // as a kill leaves it, room and all
  log.reset();
  disk.restart();
  EXPECT_EQ(disk.contents(path).size(), with_room) << "the room was synced with the records";
  reopen();
  EXPECT_EQ(log->head(0), 3u);
  EXPECT_GE(log->next(0), 3u + (with_room - 200) / 24) << "as many records as a damaged disk may have made zeros of";
  append(0, "after");
  const auto all = read_all(*log, 0).value();
  ASSERT_EQ(all.size(), 4u);
  EXPECT_EQ(all.back().follows, 3u) << "nothing was missed";
  EXPECT_EQ(log->statistics().quarantined_segments + log->statistics().repaired_tails, 0u);
  EXPECT_LT(disk.contents(path).size(), 300u) << "given back";
}

TEST_F(EventLogTest, a_log_that_is_closed_keeps_no_room_and_large_appends_make_none) {
  options.segment_bytes = 1_MiB;
  reopen();
  const std::string path = "/events/0000/00000000000000000000.log";
  append(0, std::string(100'000, 'x'));
  EXPECT_LT(disk.contents(path).size(), 101'000u);
  append(0, "small");
  EXPECT_GT(disk.contents(path).size(), 300'000u);
  log.reset();
  EXPECT_LT(disk.contents(path).size(), 101'000u);
  reopen();
  EXPECT_EQ(append(0, "goes on where it was"), 2u);
}

TEST_F(EventLogTest, failed_sync_is_never_acknowledged_and_its_offsets_are_not_used_again) {
  append(0, "one");
  disk.fail_next(Call::sync);
  const auto refused = append_now(*log, 0, "two");
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().fault, Fault::unavailable);
  EXPECT_EQ(log->head(0), 1u) << "what is not synced is not read";
  const Offset third = append(0, "three");
  EXPECT_GT(third, 1u);
  disk.cut_power_now();
  log.reset();
  disk.restart();
  reopen();
  const auto all = read_all(*log, 0).value();
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.front().payload, "one");
  EXPECT_EQ(all.back().payload, "three");
  EXPECT_EQ(all.back().offset, third);
  EXPECT_EQ(all.back().follows, 1u) << "the gap holds nothing that was lost";
}

TEST_F(EventLogTest, next_is_never_below_a_cursor_even_if_the_last_record_is_destroyed) {
  for (int i = 0; i < 10; ++i) append(0, "record");
  EXPECT_EQ(log->next(0), 10u);
  log.reset();
  const std::string path = "/events/0000/00000000000000000000.log";
  Bytes bytes = disk.contents(path);
  bytes.back() ^= 1;
  disk.set_contents(path, bytes);
  log = EventLog::open(options, clock, disk).value();
  EXPECT_EQ(log->head(0), 9u);
  EXPECT_GE(log->next(0), 10u);
  const Offset at = append(0, "new");
  EXPECT_GE(at, 10u);
  EXPECT_EQ(log->read(0, 9, 1).value().at(0).offset, at);
  EXPECT_EQ(log->read(0, 9, 1).value().at(0).follows, 9u);
}

TEST_F(EventLogTest, write_that_can_neither_be_finished_nor_cut_off_ends_the_segment) {
  append(0, "one");
  disk.fail_next(Call::truncate, 1);
  disk.fail_next(Call::append, 1);
  EXPECT_FALSE(append_now(*log, 0, "two"));
  append(0, "three");
  reopen();
  const auto all = read_all(*log, 0).value();
  EXPECT_EQ(all.front().payload, "one");
  EXPECT_EQ(all.back().payload, "three");
}

TEST_F(EventLogTest, one_partitions_fault_leaves_the_others_alone) {
  append(0, "a");
  append(1, "b");
  disk.fail_next(Call::append);
  Answers answers;
  EXPECT_FALSE(append_now(*log, 0, "x"));
  EXPECT_TRUE(append_now(*log, 1, "y"));
}

/// Commits that `count` appends take which come, spread over four partitions, while the log's thread is busy.
std::size_t commits_of(std::size_t count) {
  ManualClock clock;
  FaultFileSystem disk{9};
  const auto log = EventLog::open({.directory = "/many", .partitions = 4}, clock, disk).value();
  std::promise<void> busy, go;
  Answers answers;
  log->append(0, "first", [&](const Result<Offset>&) {
    busy.set_value();
    go.get_future().wait();
  });
  busy.get_future().wait();
  for (std::size_t i = 0; i < count; ++i) log->append(static_cast<Partition>(i % 4), fmt::format("{}", i), answers.next());
  go.set_value();
  for (const auto& answer : answers.all()) EXPECT_TRUE(answer);
  for (Partition partition = 0; partition < 4; ++partition) {
    const auto records = log->read(partition, 0, 1_MiB).value();
    const std::size_t begins = partition == 0 ? 1 : 0;
    for (std::size_t i = begins; i < records.size(); ++i)
      EXPECT_EQ(records[i].payload, fmt::format("{}", partition + 4 * (i - begins))) << "in the order of appending";
  }
  return log->statistics().commit_records.count() - 1;
}

TEST(EventLogCommits, of_few_appends_for_many_files_half_the_files_take_turns) {
  EXPECT_EQ(commits_of(1), 1u);
  EXPECT_EQ(commits_of(4), 1u) << "one for each file: all are synced side by side";
  EXPECT_EQ(commits_of(24), 2u) << "six for each file";
  EXPECT_EQ(commits_of(200), 1u) << "many share their sync well enough";
}

TEST_F(EventLogTest, damage_met_by_a_reader_is_put_aside_and_the_rest_served) {
  for (int i = 0; i < 60; ++i) append(0, fmt::format("{:0100}", i));
  const std::string path = "/events/0000/00000000000000000000.log";
  Bytes bytes = disk.contents(path);
  bytes[bytes.size() / 2] ^= 1;
  disk.set_contents(path, bytes);
  const auto all = read_all(*log, 0).value();
  EXPECT_EQ(all.size(), 59u);
  EXPECT_EQ(log->statistics().quarantined_segments, 1u);
  EXPECT_TRUE(disk.exists(path + ".quarantined").value());
  EXPECT_EQ(disk.contents(path + ".quarantined"), bytes);
  Offset at = 0;
  std::uint64_t missed = 0;
  for (const auto& record : all) {
    missed += record.follows > at ? record.follows - at : 0;
    at = record.offset + 1;
  }
  EXPECT_EQ(missed, 1u) << "a reader can tell";
  reopen();
  EXPECT_EQ(read_all(*log, 0).value().size(), 59u);
  EXPECT_EQ(log->statistics().quarantined_segments, 0u) << "mended for good";
}

TEST_F(EventLogTest, damage_without_room_to_mend_serves_what_comes_before_it) {
  for (int i = 0; i < 60; ++i) append(0, fmt::format("{:0100}", i));
  log.reset();
  const std::string path = "/events/0000/00000000000000000000.log";
  Bytes bytes = disk.contents(path);
  bytes[bytes.size() / 2] ^= 1;
  disk.set_contents(path, bytes);
  disk.set_room(disk.used());
  log = EventLog::open(options, clock, disk).value();
  const auto all = read_all(*log, 0).value();
  EXPECT_GT(all.size(), 50u);
  EXPECT_LT(all.size(), 59u);
  disk.set_room(~0ULL);
  reopen();
  EXPECT_EQ(read_all(*log, 0).value().size(), 59u);
}

}  // namespace
}  // namespace nacelle::storage
