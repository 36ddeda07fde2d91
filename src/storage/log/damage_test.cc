// Damaged and cut files: the log opens, serves every record that is not itself hit, and never gives an offset twice.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include "foundation/log.h"
#include "storage/file/fault_file_system.h"
#include "storage/log/log_testing.h"

namespace nacelle::storage {
namespace {

class DamageTest : public ::testing::Test {
 protected:
  DamageTest() {
    log::set_level(log::Level::off);
    options = {.directory = "/e", .partitions = 1, .segment_bytes = 400};
    FaultFileSystem disk(1);
    auto log = EventLog::open(options, clock, disk).value();
    for (int i = 0; i < 20; ++i) {
      payloads.push_back(fmt::format("{:02}{}", i, std::string(static_cast<std::size_t>(i * 7 % 40), 'x')));
      EXPECT_TRUE(append_now(*log, 0, payloads.back()));
    }
    log.reset();
    for (const auto& path : disk.paths()) files[path] = disk.contents(path);
  }
  ~DamageTest() override { log::set_level(log::Level::info); }

  /// Opens the log with one file's bytes replaced.
  struct Opened {
    std::unique_ptr<FaultFileSystem> disk;
    std::unique_ptr<EventLog> log;
  };
  Opened open_with(const std::string& path, const Bytes& bytes) const {
    Opened opened{std::make_unique<FaultFileSystem>(1), nullptr};
    EXPECT_TRUE(opened.disk->make_directories("/e/0000"));
    for (const auto& [name, contents] : files) opened.disk->set_contents(name, name == path ? bytes : contents);
    auto log = EventLog::open(options, clock, *opened.disk);
    EXPECT_TRUE(log) << path << ": " << log.error().message;
    if (log) opened.log = std::move(log).value();
    return opened;
  }

  /// Every record read is unaltered; answers how many of the twenty are missing.
  std::size_t missing(const EventLog& log) const {
    const auto all = read_all(log, 0, 100);
    EXPECT_TRUE(all) << all.error().message;
    if (!all) return payloads.size();
    for (const auto& record : *all) EXPECT_EQ(record.payload, payloads.at(record.offset));
    return payloads.size() - all->size();
  }

  ManualClock clock;
  LogOptions options;
  std::vector<Bytes> payloads;
  std::map<std::string, Bytes> files;
};

TEST_F(DamageTest, any_flipped_byte_costs_at_most_its_own_record_and_no_offset_comes_twice) {
  std::size_t flips = 0, lost = 0, quarantined = 0, torn = 0;
  ASSERT_GE(files.size(), 3u);
  for (const auto& [path, contents] : files) {
    for (std::size_t at = 0; at < contents.size(); ++at) {
      for (const int mask : {0x01, 0x80, 0xff}) {
        Bytes damaged = contents;
        damaged[at] = static_cast<char>(damaged[at] ^ mask);
        auto opened = open_with(path, damaged);
        ASSERT_TRUE(opened.log);
        const std::size_t gone = missing(*opened.log);
        ASSERT_LE(gone, 1u) << path << " byte " << at;
        ASSERT_GE(append_now(*opened.log, 0, "new").value(), 20u) << path << " byte " << at << ": an offset was given twice";
        const auto statistics = opened.log->statistics();
        ASSERT_GE(statistics.quarantined_segments + statistics.repaired_tails, gone) << "a loss must be counted";
        ++flips;
        lost += gone;
        quarantined += statistics.quarantined_segments;
        torn += statistics.repaired_tails;
      }
    }
  }
  std::printf("%zu flips over %zu files: %zu records lost, %zu segments quarantined, %zu tails cut\n", flips, files.size(), lost,
              quarantined, torn);
}

TEST_F(DamageTest, any_truncated_file_costs_only_what_was_cut_off) {
  std::size_t cuts = 0;
  for (const auto& [path, contents] : files) {
    std::size_t before = ~std::size_t{0};
    for (std::size_t size = 0; size <= contents.size(); ++size, ++cuts) {
      auto opened = open_with(path, contents.substr(0, size));
      ASSERT_TRUE(opened.log);
      const std::size_t gone = missing(*opened.log);
      ASSERT_LE(gone, before) << path << " cut to " << size;
      ASSERT_LE(gone, 8u) << "other segments' records are all there";
      ASSERT_TRUE(append_now(*opened.log, 0, "new"));
      before = gone;
    }
    EXPECT_EQ(before, 0u);
  }
  std::printf("%zu truncations\n", cuts);
}

TEST_F(DamageTest, garbage_in_place_of_a_file_or_beside_it_is_survived) {
  const std::string last = files.rbegin()->first;
  const std::string first = "/e/0000/00000000000000000000.log";
  for (const std::string& path : {first, last}) {
    for (const Bytes& garbage :
         {Bytes(), Bytes(5000, '\0'), Bytes(5000, '\xff'), Bytes(48, 'x'), files[first].substr(0, 96) + Bytes(300, 'x')}) {
      auto opened = open_with(path, garbage);
      ASSERT_TRUE(opened.log);
      EXPECT_LE(missing(*opened.log), 8u);
      EXPECT_GE(append_now(*opened.log, 0, "new").value(), path == last && garbage.size() < 96 ? 0u : 20u);
    }
  }
  auto opened = open_with("/e/0000/notes.txt", "");
  opened.disk->set_contents("/e/0000/notes.txt", "somebody's notes");
  opened.disk->set_contents("/e/0000/00000000000000000000.log.bak", "x");
  opened.disk->set_contents("/e/0000/0.log", "x");
  opened.log.reset();
  opened.log = EventLog::open(options, clock, *opened.disk).value();
  EXPECT_EQ(missing(*opened.log), 0u);
  EXPECT_EQ(opened.log->statistics().quarantined_segments, 0u);
}

TEST_F(DamageTest, file_of_a_newer_program_is_refused_and_left_alone) {
  const std::string last = files.rbegin()->first;
  Bytes newer = files[last];
  FaultFileSystem disk(1);
  ASSERT_TRUE(disk.make_directories("/e/0000"));
  for (const auto& [name, contents] : files) disk.set_contents(name, contents);
  // Version 2, with a correct checksum over it: found by trying, as CRC-32 can be undone over four free bytes.
  for (const std::size_t copy : {std::size_t{0}, std::size_t{48}}) {
    newer[copy + 8] = 2;
    Bytes head = newer.substr(copy, 44);
    std::uint32_t sum = ~0U;
    for (const unsigned char byte : head) {
      sum ^= byte;
      for (int bit = 0; bit < 8; ++bit) sum = (sum >> 1) ^ (0xedb88320U & (0U - (sum & 1)));
    }
    sum = ~sum;
    for (int i = 0; i < 4; ++i) newer[copy + 44 + static_cast<std::size_t>(i)] = static_cast<char>(sum >> (8 * i));
  }
  disk.set_contents(last, newer);
  const auto opened = EventLog::open(options, clock, disk);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().fault, Fault::conflict);
  EXPECT_EQ(disk.contents(last), newer);
}

TEST_F(DamageTest, kill_while_a_segment_is_put_aside_is_finished_at_the_next_opening) {
  const std::string first = "/e/0000/00000000000000000000.log";
  std::size_t cuts = 0;
  for (std::uint64_t cut = 0; cut < 12; ++cut) {
    for (std::uint64_t seed = 0; seed < 20; ++seed, ++cuts) {
      FaultFileSystem disk(seed);
      ASSERT_TRUE(disk.make_directories("/e/0000"));
      for (const auto& [name, contents] : files) disk.set_contents(name, contents);
      Bytes damaged = files[first];
      damaged[130] ^= 1;
      disk.set_contents(first, damaged);
      disk.cut_power_after(cut);
      EventLog::open(options, clock, disk).has_value();
      disk.cut_power_now();
      disk.restart();
      const auto log = EventLog::open(options, clock, disk).value();
      ASSERT_EQ(missing(*log), 1u) << "cut " << cut << " seed " << seed;
    }
  }
  std::printf("%zu cuts\n", cuts);
}

}  // namespace
}  // namespace nacelle::storage
