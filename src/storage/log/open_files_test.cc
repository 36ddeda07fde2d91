// Files kept open for readers: a segment is opened once while it is among those lately used, and what retention removes or damage
// replaces is let go.
#include "storage/log/detail/open_files.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <fstream>

#include "foundation/log.h"
#include "foundation/random.h"
#include "storage/file/fault_file_system.h"
#include "storage/log/log_testing.h"

namespace nacelle::storage {
namespace {

/// A disk that counts how often files are opened for reading.
class CountingDisk final : public FileSystem {
 public:
  Result<std::unique_ptr<File>> open(const fs::path& path, OpenMode mode, unsigned permissions) override {
    if (mode == OpenMode::read) ++opened;
    return disk.open(path, mode, permissions);
  }
  Result<> rename(const fs::path& from, const fs::path& to) override { return disk.rename(from, to); }
  Result<> remove(const fs::path& path) override { return disk.remove(path); }
  Result<> make_directories(const fs::path& path) override { return disk.make_directories(path); }
  Result<> sync_directory(const fs::path& path) override { return disk.sync_directory(path); }
  Result<bool> exists(const fs::path& path) const override { return disk.exists(path); }
  Result<FileInfo> info(const fs::path& path) const override { return disk.info(path); }
  Result<std::vector<std::string>> list(const fs::path& directory) const override { return disk.list(directory); }
  Result<std::unique_ptr<FileLock>> lock(const fs::path& path) override { return disk.lock(path); }

  FaultFileSystem disk{3};
  int opened = 0;
};

TEST(OpenFiles, the_one_used_longest_ago_is_closed_first) {
  CountingDisk disk;
  for (const char* name : {"/0", "/1", "/2"}) disk.disk.set_contents(name, name);
  detail::OpenFiles files(disk, 2);
  std::weak_ptr<const File> one = *files.open(1, "/1");
  ASSERT_TRUE(files.open(0, "/0"));
  ASSERT_TRUE(files.open(1, "/1"));
  EXPECT_EQ(disk.opened, 2);
  ASSERT_TRUE(files.open(2, "/2"));  // takes the place of 0
  EXPECT_EQ(files.size(), 2u);
  ASSERT_TRUE(files.open(1, "/1"));
  EXPECT_EQ(disk.opened, 3);
  ASSERT_TRUE(files.open(0, "/0"));
  EXPECT_EQ(disk.opened, 4);
  EXPECT_FALSE(one.expired());
  files.forget(1);
  EXPECT_TRUE(one.expired());
  files.forget(1);
  EXPECT_EQ(files.size(), 1u);
  EXPECT_EQ(files.open(9, "/9").error().fault, Fault::not_found);
}

TEST(OpenFiles, with_no_room_every_look_opens) {
  CountingDisk disk;
  disk.disk.set_contents("/0", "0");
  detail::OpenFiles files(disk, 0);
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(files.open(0, "/0"));
  EXPECT_EQ(disk.opened, 3);
  EXPECT_EQ(files.size(), 0u);
}

TEST(OpenFiles, random_reads_of_a_log_open_each_segment_once) {
  CountingDisk disk;
  ManualClock clock;
  const LogOptions options{.directory = "/e", .partitions = 1, .segment_bytes = 400, .max_open_files = 64};
  const auto log = EventLog::open(options, clock, disk).value();
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(append_now(*log, 0, fmt::format("{:060}", i)));
  const auto read_each = [&] {
    for (Offset offset = 0; offset < 100; ++offset)
      EXPECT_EQ(log->read(0, offset * 37 % 100, 1).value().at(0).payload, fmt::format("{:060}", offset * 37 % 100));
  };
  read_each();  // also reads through each segment
  const int before = disk.opened;
  read_each();
  EXPECT_EQ(disk.opened, before);
  EXPECT_GT(log->statistics().segments, 20u);
}

/// On the machine's own file system: what is open can be seen there.
class OpenFilesOnDisk : public ::testing::Test {
 protected:
  OpenFilesOnDisk() { log::set_level(log::Level::off); }
  ~OpenFilesOnDisk() override {
    log.reset();
    fs::remove_all(folder);
    log::set_level(log::Level::info);
  }

  void open(std::size_t records) {
    options.max_open_files = 64;
    log = EventLog::open(options, clock, real_file_system()).value();
    for (std::size_t i = 0; i < records; ++i) EXPECT_TRUE(append_now(*log, 0, fmt::format("{:060}", i)));
  }

  /// This process's descriptors of files below the folder.
  std::vector<std::string> descriptors() const {
    std::vector<std::string> all;
    for (const auto& entry : fs::directory_iterator("/proc/self/fd")) {
      std::error_code gone;
      const std::string target = fs::read_symlink(entry.path(), gone).string();
      if (target.starts_with(folder.string())) all.push_back(target);
    }
    return all;
  }

  const fs::path folder = fs::temp_directory_path() / ("open-files-" + random_uuid());
  ManualClock clock;
  LogOptions options{.directory = folder / "e", .partitions = 1, .segment_bytes = 400};
  std::unique_ptr<EventLog> log;
};

TEST_F(OpenFilesOnDisk, what_retention_removes_is_not_held_open) {
  open(100);
  ASSERT_EQ(read_all(*log, 0)->size(), 100u);
  EXPECT_GT(descriptors().size(), 20u);
  clock.advance(std::chrono::hours(24 * 30));
  // The log's own thread may be at it too, after the last segment was begun: then both are done when one is left.
  for (int i = 0; i < 100'000 && log->statistics().segments > 1; ++i) ASSERT_TRUE(log->apply_retention());
  ASSERT_EQ(log->statistics().segments, 1u);
  for (const std::string& target : descriptors()) EXPECT_EQ(target.find("(deleted)"), std::string::npos) << target;
  EXPECT_LE(descriptors().size(), 3u) << "the lock, the last segment for writing and reading";
}

TEST_F(OpenFilesOnDisk, damage_in_an_open_segment_is_put_aside_and_the_rest_is_served) {
  open(100);
  ASSERT_EQ(read_all(*log, 0)->size(), 100u);  // every segment is open now
  const fs::path first = folder / "e/0000" / "00000000000000000000.log";
  {
    std::fstream file(first, std::ios::in | std::ios::out | std::ios::binary);
    file.seekp(96 + 24 + 10);
    file.put('X');
  }
  EXPECT_EQ(read_all(*log, 0)->size(), 99u);
  EXPECT_EQ(log->statistics().quarantined_segments, 1u);
  EXPECT_EQ(log->read(0, 1, 1).value().at(0).offset, 1u);
  for (const std::string& target : descriptors()) EXPECT_FALSE(target.ends_with(".quarantined")) << target;
}

}  // namespace
}  // namespace nacelle::storage
