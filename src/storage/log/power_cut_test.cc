// The event log's promise under the worst a disk may do: an acknowledged record is there, once, in order, unaltered.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>

#include "foundation/log.h"
#include "storage/file/fault_file_system.h"
#include "storage/log/log_testing.h"

namespace nacelle::storage {
namespace {

struct Totals {
  std::size_t cuts = 0, acked = 0, refused = 0, read_back = 0, survived_unacked = 0;
  std::uint64_t torn = 0, quarantined = 0;
};

/// One log through several power cuts.
class Story {
 public:
  Story(std::uint64_t seed, bool faults, Totals& totals)
      : seed_(seed), faults_(faults), totals_(totals), random_(seed), disk_(seed + 1) {
    options_ = {.directory = "/e", .partitions = 2, .segment_bytes = 1500};
  }

  void run(int lives) {
    for (life_ = 0; life_ < lives && !::testing::Test::HasFatalFailure(); ++life_) {
      disk_.cut_power_after(below(120));  // may already fall into the opening
      if (faults_) make_trouble();
      live();
      disk_.cut_power_now();
      log_.reset();
      disk_.restart();
      ++totals_.cuts;
      open_and_check();
    }
  }

 private:
  std::string where() const { return fmt::format("seed {} life {}", seed_, life_); }
  std::size_t below(std::size_t bound) { return random_() % bound; }

  void make_trouble() {
    disk_.fail_one_in(Call::sync, 25);
    disk_.fail_one_in(Call::append, 25, below(2) ? Fault::exhausted : Fault::unavailable);
    disk_.fail_one_in(Call::truncate, 4);
    disk_.fail_one_in(Call::make_room, 10, Fault::exhausted);
    disk_.fail_one_in(Call::create, 10, Fault::exhausted);
    disk_.fail_one_in(Call::sync_directory, 10);
  }

  void live() {
    auto opened = EventLog::open(options_, clock_, disk_);
    if (!opened) return;
    log_ = std::move(opened).value();
    for (int burst = 0; burst < 40 && !disk_.power_is_out(); ++burst) {
      append_burst();
      read_some();
    }
    totals_.torn += log_->statistics().repaired_tails;
    totals_.quarantined += log_->statistics().quarantined_segments;
  }

  void append_burst() {
    Answers answers[2];
    std::vector<std::string> sent[2];
    const std::size_t count = 1 + below(12);
    for (std::size_t i = 0; i < count; ++i) {
      const Partition p = static_cast<Partition>(below(2));
      sent[p].push_back(fmt::format("{:08} {}", attempts_[p].size(), std::string(below(400), static_cast<char>('a' + below(26)))));
      attempts_[p].push_back(sent[p].back());
      log_->append(p, sent[p].back(), answers[p].next());
    }
    for (Partition p = 0; p < 2; ++p) {
      const auto all = answers[p].all();
      ASSERT_EQ(all.size(), sent[p].size());
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (!all[i]) {
          ++totals_.refused;
          continue;
        }
        ++totals_.acked;
        const bool fresh = promised_[p].emplace(*all[i], sent[p][i]).second;
        ASSERT_TRUE(fresh) << where() << ": offset " << *all[i] << " was given twice";
      }
    }
  }

  /// What a consumer has read it may act on: so it must stay, acknowledged or not.
  void read_some() {
    const Partition p = static_cast<Partition>(below(2));
    const auto records = log_->read(p, below(log_->head(p) + 1), 2000);
    if (!records) return;
    for (const auto& record : *records) {
      const auto [at, fresh] = promised_[p].emplace(record.offset, record.payload);
      ASSERT_EQ(at->second, record.payload) << where();
      ++totals_.read_back;
    }
  }

  void open_and_check() {
    auto opened = EventLog::open(options_, clock_, disk_);
    ASSERT_TRUE(opened) << where() << ": " << opened.error().message;
    log_ = std::move(opened).value();
    totals_.torn += log_->statistics().repaired_tails;
    totals_.quarantined += log_->statistics().quarantined_segments;
    for (Partition p = 0; p < 2; ++p) check(p);
    log_.reset();
  }

  void check(Partition p) {
    const auto read = read_all(*log_, p);
    ASSERT_TRUE(read) << where() << ": " << read.error().message;
    std::map<Offset, Bytes> found;
    std::size_t last_attempt = 0;
    Offset at = 0;
    for (const auto& record : *read) {
      ASSERT_TRUE(found.emplace(record.offset, record.payload).second) << where();
      ASSERT_EQ(found.rbegin()->first, record.offset) << where() << ": offsets must rise";
      const std::size_t attempt = std::stoul(record.payload.substr(0, 8));
      ASSERT_EQ(record.payload, attempts_[p].at(attempt)) << where() << ": altered";
      ASSERT_TRUE(found.size() == 1 || attempt > last_attempt) << where() << ": order or repetition";
      last_attempt = attempt;
      ASSERT_LE(record.follows, at) << where() << ": a reader would think that records are missing";
      at = record.offset + 1;
    }
    for (const auto& [offset, payload] : promised_[p]) {
      ASSERT_TRUE(found.contains(offset)) << where() << ": record " << offset << " of partition " << p << " is lost";
      ASSERT_EQ(found[offset], payload) << where();
    }
    totals_.survived_unacked += found.size() - promised_[p].size();
    for (const auto& [offset, payload] : found) promised_[p].emplace(offset, payload);
    ASSERT_TRUE(found.empty() || log_->head(p) == found.rbegin()->first + 1) << where();
  }

  const std::uint64_t seed_;
  const bool faults_;
  Totals& totals_;
  std::mt19937_64 random_;
  FaultFileSystem disk_;
  ManualClock clock_;
  LogOptions options_;
  std::unique_ptr<EventLog> log_;
  int life_ = 0;
  std::vector<Bytes> attempts_[2];
  std::map<Offset, Bytes> promised_[2];  // acknowledged or read: by offset, over all lives
};

void tell(const char* name, const Totals& t) {
  std::printf(
      "%s: %zu power cuts, %zu acked, %zu refused, %zu read back, %zu unacked survived, %llu torn tails, %llu quarantined\n", name,
      t.cuts, t.acked, t.refused, t.read_back, t.survived_unacked, static_cast<unsigned long long>(t.torn),
      static_cast<unsigned long long>(t.quarantined));
}

class PowerCut : public ::testing::Test {
 protected:
  PowerCut() { log::set_level(log::Level::off); }
  ~PowerCut() override { log::set_level(log::Level::info); }
};

TEST_F(PowerCut, no_promised_record_is_lost_altered_repeated_or_out_of_order) {
  Totals totals;
  for (std::uint64_t seed = 1; seed <= fault_rounds(600) && !HasFatalFailure(); ++seed) Story(seed, false, totals).run(5);
  tell("power cuts", totals);
  EXPECT_GT(totals.acked, 10'000u);
  EXPECT_GT(totals.torn, 100u) << "else the disk was too kind";
  EXPECT_EQ(totals.quarantined, 0u) << "a torn write is not damage";
}

TEST_F(PowerCut, nor_when_the_disk_fails_and_fills_up_as_well) {
  Totals totals;
  for (std::uint64_t seed = 1; seed <= fault_rounds(600) && !HasFatalFailure(); ++seed) Story(seed, true, totals).run(5);
  tell("power cuts and failing calls", totals);
  EXPECT_GT(totals.acked, 5'000u);
  EXPECT_EQ(totals.quarantined, 0u) << "a refused write is not damage";
}

}  // namespace
}  // namespace nacelle::storage
