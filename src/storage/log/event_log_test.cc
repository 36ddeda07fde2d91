#include "storage/log/event_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "storage/log/event_log_fixture.h"

namespace nacelle::storage {
namespace {

TEST_F(EventLogTest, records_have_rising_offsets_per_partition_and_are_read_back) {
  EXPECT_EQ(append(0, "a"), 0u);
  EXPECT_EQ(append(0, "b"), 1u);
  EXPECT_EQ(append(1, "c"), 0u);
  const auto records = log->read(0, 0, 1_MiB).value();
  ASSERT_EQ(records.size(), 2u);
  EXPECT_EQ(records[1].payload, "b");
  EXPECT_EQ(records[1].offset, 1u);
  EXPECT_EQ(records[1].appended_at, clock.now());
  EXPECT_EQ(log->head(0), 2u);
  EXPECT_EQ(log->head(1), 1u);
  EXPECT_EQ(log->oldest(0), 0u);
}

TEST_F(EventLogTest, empty_log_and_empty_payload_are_fine) {
  EXPECT_TRUE(log->read(0, 0, 100).value().empty());
  EXPECT_EQ(log->head(0), 0u);
  EXPECT_EQ(append(0, ""), 0u);
  ASSERT_EQ(log->read(0, 0, 0).value().size(), 1u);
  EXPECT_TRUE(log->read(0, 1, 100).value().empty());
  EXPECT_TRUE(log->read(0, 1000, 100).value().empty());
  EXPECT_EQ(log->read(2, 0, 100).error().fault, Fault::invalid_input);
}

TEST_F(EventLogTest, read_keeps_to_its_bound_but_gives_at_least_one) {
  for (int i = 0; i < 10; ++i) append(0, std::string(100, 'x'));
  EXPECT_EQ(log->read(0, 0, 1).value().size(), 1u);
  EXPECT_EQ(log->read(0, 0, 250).value().size(), 2u);
  EXPECT_EQ(log->read(0, 4, 300).value().size(), 3u);
  EXPECT_EQ(log->read(0, 4, 300).value()[0].offset, 4u);
}

TEST_F(EventLogTest, reading_goes_on_over_segments_and_after_reopening) {
  for (int i = 0; i < 100; ++i) append(0, fmt::format("{:0100}", i));
  EXPECT_GT(segments(0), 5u);
  for (int round = 0; round < 2; ++round, reopen()) {
    const auto all = read_all(*log, 0).value();
    ASSERT_EQ(all.size(), 100u);
    for (std::size_t i = 0; i < all.size(); ++i) {
      EXPECT_EQ(all[i].offset, i);
      EXPECT_EQ(all[i].payload, fmt::format("{:0100}", i));
    }
    EXPECT_EQ(log->read(0, 0, 1_MiB).value().size(), 100u);
    EXPECT_EQ(log->head(0), 100u);
  }
  EXPECT_EQ(append(0, "next"), 100u);
}

TEST_F(EventLogTest, record_larger_than_a_segment_has_one_of_its_own) {
  append(0, "small");
  append(0, std::string(10'000, 'L'));
  append(0, "small");
  reopen();
  EXPECT_EQ(read_all(*log, 0).value()[1].payload.size(), 10'000u);
}

TEST_F(EventLogTest, second_opening_is_a_conflict) {
  EXPECT_EQ(EventLog::open(options, clock, disk).error().fault, Fault::conflict);
}

TEST_F(EventLogTest, fewer_partitions_than_there_are_is_a_conflict) {
  log.reset();
  options.partitions = 1;
  EXPECT_EQ(EventLog::open(options, clock, disk).error().fault, Fault::conflict);
  options.partitions = 0;
  EXPECT_FALSE(EventLog::open(options, clock, disk));
}

TEST_F(EventLogTest, one_burst_takes_few_syncs_and_is_answered_in_order) {
  Answers answers;
  for (int i = 0; i < 5000; ++i) log->append(0, "x", answers.next());
  const auto all = answers.all();
  for (std::size_t i = 0; i < all.size(); ++i) ASSERT_EQ(all[i].value(), i);
  EXPECT_EQ(log->statistics().appended, 5000u);
  EXPECT_LT(log->statistics().syncs, 2500u);
}

TEST_F(EventLogTest, appends_of_several_threads_keep_each_threads_order) {
  constexpr int threads = 4, each = 1500;
  Answers answers;
  std::vector<std::thread> writers;
  for (int t = 0; t < threads; ++t)
    writers.emplace_back([&, t] {
      for (int i = 0; i < each; ++i) log->append(static_cast<Partition>(i % 2), fmt::format("{} {}", t, i), answers.next());
    });
  for (auto& writer : writers) writer.join();
  for (const auto& answer : answers.all()) ASSERT_TRUE(answer);
  std::size_t found = 0;
  for (Partition partition = 0; partition < 2; ++partition) {
    std::map<int, int> last;
    const auto all = read_all(*log, partition, 50'000).value();
    for (const auto& record : all) {
      int t = 0, i = 0;
      ASSERT_EQ(std::sscanf(record.payload.c_str(), "%d %d", &t, &i), 2);
      if (last.contains(t)) {
        EXPECT_EQ(i, last[t] + 2);
      }
      last[t] = i;
    }
    found += all.size();
  }
  EXPECT_EQ(found, static_cast<std::size_t>(threads * each));
}

TEST_F(EventLogTest, readers_beside_a_writer_see_only_whole_answered_records) {
  std::atomic<bool> stop = false;
  std::thread reader([&] {
    Offset next = 0;
    while (!stop) {
      const auto records = log->read(0, next, 5000);
      ASSERT_TRUE(records) << records.error().message;
      for (const auto& record : *records) {
        ASSERT_EQ(record.offset, next++);
        ASSERT_EQ(record.payload, fmt::format("{:060}", record.offset));
      }
      ASSERT_LE(next, log->head(0));
    }
  });
  for (int round = 0; round < 100; ++round) {
    Answers answers;
    for (int i = 0; i < 20; ++i) log->append(0, fmt::format("{:060}", round * 20 + i), answers.next());
    answers.all();
  }
  stop = true;
  reader.join();
}

TEST_F(EventLogTest, destructor_answers_what_waits) {
  Answers answers;
  for (int i = 0; i < 100; ++i) log->append(0, "x", answers.next());
  log.reset();
  EXPECT_EQ(answers.all().size(), 100u);
}

TEST_F(EventLogTest, too_large_a_record_and_an_unknown_partition_are_refused) {
  EXPECT_EQ(append_now(*log, 0, std::string(1_MiB + 1, 'x')).error().fault, Fault::invalid_input);
  EXPECT_EQ(append_now(*log, 9, "x").error().fault, Fault::invalid_input);
  EXPECT_EQ(log->statistics().refused, 2u);
  EXPECT_EQ(append(0, "x"), 0u);
}

TEST_F(EventLogTest, more_than_may_wait_is_exhausted_and_later_appends_are_taken_again) {
  log.reset();
  options.max_waiting_bytes = 10'000;
  log = EventLog::open(options, clock, disk).value();
  std::promise<void> go;
  Answers answers;
  log->append(0, "first", [&](Result<Offset>) { go.get_future().wait(); });  // keeps the log's thread busy
  for (int i = 0; i < 50; ++i) log->append(0, std::string(1000, 'x'), answers.next());
  go.set_value();
  std::size_t refused = 0;
  for (const auto& answer : answers.all()) {
    if (answer) continue;
    EXPECT_EQ(answer.error().fault, Fault::exhausted);
    ++refused;
  }
  EXPECT_GE(refused, 40u);
  EXPECT_LT(refused, 50u);
  EXPECT_EQ(log->statistics().refused, refused);
  while (!append_now(*log, 0, "after")) {  // the bound is freed just after the answers
  }
}

RecordBatch batch_of(std::initializer_list<BytesView> payloads) {
  RecordBatch batch;
  for (const BytesView payload : payloads) batch.add(payload);
  return batch;
}

Result<Offset> append_now(EventLog& log, Partition partition, RecordBatch batch) {
  std::promise<Result<Offset>> answer;
  log.append(partition, std::move(batch), [&](Result<Offset> at, RecordBatch) { answer.set_value(std::move(at)); });
  return answer.get_future().get();
}

TEST_F(EventLogTest, a_batch_is_records_one_after_another_and_comes_back_for_another_use) {
  EXPECT_EQ(append(0, "before"), 0u);
  std::promise<RecordBatch> back;
  RecordBatch batch = batch_of({"a", "", "ccc"});
  batch.begin() += "thought better of it";
  batch.drop();
  log->append(0, std::move(batch), [&](Result<Offset> at, RecordBatch returned) {
    EXPECT_EQ(at.value(), 1u);
    back.set_value(std::move(returned));
  });
  RecordBatch again = back.get_future().get();
  again.clear();
  again.add("again");
  EXPECT_EQ(append_now(*log, 0, std::move(again)).value(), 4u);
  EXPECT_EQ(log->statistics().appended, 5u);
  reopen();
  std::vector<Bytes> payloads;
  const auto records = log->read(0, 0, 1_MiB).value();
  for (const auto& record : records) {
    EXPECT_EQ(record.offset, payloads.size());
    EXPECT_EQ(record.follows, record.offset);
    payloads.push_back(record.payload);
  }
  EXPECT_EQ(payloads, (std::vector<Bytes>{"before", "a", "", "ccc", "again"}));
}

TEST_F(EventLogTest, a_batch_lies_in_one_segment_and_is_refused_as_one) {
  const Bytes large(900, 'x');
  EXPECT_EQ(append_now(*log, 0, batch_of({large})).value(), 0u);
  EXPECT_EQ(append_now(*log, 0, batch_of({large, large, large})).value(), 1u) << "larger than a segment: has one to itself";
  EXPECT_EQ(segments(0), 2u);
  disk.set_room(disk.used() + 1500);
  EXPECT_EQ(append_now(*log, 0, batch_of({large, large})).error().fault, Fault::exhausted);
  disk.set_room(~0ULL);
  EXPECT_EQ(append_now(*log, 0, RecordBatch()).error().fault, Fault::invalid_input);
  EXPECT_EQ(append_now(*log, 0, batch_of({"ok", Bytes(2_MiB, 'x')})).error().fault, Fault::invalid_input);
  ASSERT_TRUE(append_now(*log, 0, batch_of({"after"})));
  const auto records = log->read(0, 0, 1_MiB).value();
  ASSERT_EQ(records.size(), 5u) << "nothing of a refused batch is there";
  EXPECT_EQ(records.back().payload, "after");
}

TEST_F(EventLogTest, oldest_segments_go_when_there_are_too_many_bytes) {
  log.reset();
  options.max_partition_bytes = 6000;
  log = EventLog::open(options, clock, disk).value();
  for (int i = 0; i < 200; ++i) append(0, fmt::format("{:0100}", i));
  log.reset();  // the last drop is done
  log = EventLog::open(options, clock, disk).value();
  EXPECT_LE(segments(0), 4u);
  EXPECT_GT(log->oldest(0), 100u);
  const auto records = log->read(0, 0, 1).value();
  ASSERT_EQ(records.size(), 1u);
  EXPECT_EQ(records[0].offset, log->oldest(0)) << "older than kept: from the oldest kept";
  EXPECT_EQ(append(0, "next"), 200u);
}

TEST_F(EventLogTest, old_segments_go_by_age_and_offsets_go_on) {
  for (int i = 0; i < 40; ++i) append(0, std::string(100, 'o'));
  clock.advance(std::chrono::hours(24 * 5));
  for (int i = 0; i < 20; ++i) append(0, std::string(100, 'n'));
  ASSERT_TRUE(log->apply_retention());
  EXPECT_EQ(log->oldest(0), 0u);
  clock.advance(std::chrono::hours(24 * 3));
  ASSERT_TRUE(log->apply_retention());
  EXPECT_GT(log->oldest(0), 20u);
  EXPECT_LE(log->oldest(0), 40u);
  clock.advance(std::chrono::hours(24 * 30));
  ASSERT_TRUE(log->apply_retention());
  EXPECT_EQ(segments(0), 1u);
  EXPECT_EQ(log->head(0), 60u);
  reopen();
  EXPECT_EQ(append(0, "x"), 60u);
}

TEST_F(EventLogTest, offset_at_finds_the_first_record_as_late_as_a_time) {
  const Timestamp start = clock.now();
  EXPECT_EQ(log->offset_at(0, start), 0u);
  for (int i = 0; i < 100; ++i) {
    append(0, std::string(100, 'x'));
    clock.advance(std::chrono::seconds(10));
  }
  for (int round = 0; round < 2; ++round, reopen()) {
    for (int i = 0; i < 100; ++i) {
      EXPECT_EQ(log->offset_at(0, start + std::chrono::seconds(10 * i)), static_cast<Offset>(i));
      EXPECT_EQ(log->offset_at(0, start + std::chrono::seconds(10 * i) - std::chrono::microseconds(1)), static_cast<Offset>(i));
    }
    EXPECT_EQ(log->offset_at(0, start - std::chrono::hours(1)), 0u);
    EXPECT_EQ(log->offset_at(0, clock.now()), 100u);
  }
}

TEST_F(EventLogTest, offset_at_after_the_clock_was_set_back_still_finds_the_first) {
  const Timestamp start = clock.now();
  for (const int at : {0, 100, 50, 60, 200}) {
    clock.set(start + std::chrono::seconds(at));
    append(0, "x");
  }
  EXPECT_EQ(log->offset_at(0, start + std::chrono::seconds(55)), 1u);
  EXPECT_EQ(log->offset_at(0, start + std::chrono::seconds(101)), 4u);
}

TEST_F(EventLogTest, listener_hears_commits_until_it_is_ended) {
  std::atomic<int> heard = 0;
  Offset seen = 0;
  const auto end = log->on_commit([&] {
    seen = log->head(0);
    ++heard;
  });
  append(0, "a");
  log->append(0, "b", nullptr);
  append(0, "c");
  end();
  const int before = heard;
  EXPECT_GE(before, 1);
  EXPECT_GE(seen, 1u) << "what was committed can be read when the listener is called";
  append(0, "d");
  append(0, "e");
  EXPECT_EQ(heard, before);
  end();
}

TEST_F(EventLogTest, listener_may_end_itself_and_outlive_the_log) {
  std::function<void()> end;
  std::atomic<int> heard = 0;
  end = log->on_commit([&] {
    ++heard;
    end();
  });
  const auto other = log->on_commit([] {});
  for (int i = 0; i < 3; ++i) append(0, "a");
  log.reset();
  EXPECT_EQ(heard, 1);
  end();
  other();
}

TEST(PartitionOf, is_the_same_for_ever) {
  EXPECT_EQ(partition_of("", 4), 14695981039346656037ULL % 4);
  EXPECT_EQ(partition_of("a", 1'000'000), 0xaf63dc4c8601ec8cULL % 1'000'000);
  EXPECT_EQ(partition_of("foobar", 1'000'000), 0x85944171f73967e8ULL % 1'000'000);
  EXPECT_EQ(partition_of("x", 1), 0u);
}

}  // namespace
}  // namespace nacelle::storage
