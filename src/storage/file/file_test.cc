#include "storage/file/file.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "storage/file/fault_file_system.h"

namespace nacelle::storage {
namespace {

class TempFolder {
 public:
  TempFolder() {
    std::string name = (fs::temp_directory_path() / "nacelle-file-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~TempFolder() { fs::remove_all(path); }
  fs::path path;
};

unsigned permissions(const fs::path& path) {
  struct stat status {};
  EXPECT_EQ(::stat(path.c_str(), &status), 0);
  return status.st_mode & 0777;
}

TEST(RealFile, appended_bytes_are_read_back_from_any_place) {
  const TempFolder folder;
  auto file = real_file_system().open(folder.path / "a", OpenMode::append).value();
  ASSERT_TRUE(file->append("hello "));
  ASSERT_TRUE(file->append("world"));
  ASSERT_TRUE(file->sync());
  EXPECT_EQ(file->read_at(4, 3).value(), "o w");
  EXPECT_EQ(file->read_at(6, 100).value(), "world");
  EXPECT_EQ(file->read_at(100, 5).value(), "");
  EXPECT_EQ(file->size().value(), 11u);
}

TEST(RealFile, truncated_file_goes_on_at_its_new_end) {
  const TempFolder folder;
  auto file = real_file_system().open(folder.path / "a", OpenMode::append).value();
  ASSERT_TRUE(file->append("good bad"));
  ASSERT_TRUE(file->truncate(4));
  ASSERT_TRUE(file->append("!"));
  EXPECT_EQ(file->read_at(0, 100).value(), "good!");
}

/// `files`: with a folder `in`.
void expect_room_behind_the_end(FileSystem& files, const fs::path& in) {
  const fs::path path = in / "a";
  auto file = files.open(path, OpenMode::append).value();
  ASSERT_TRUE(file->append("one"));
  ASSERT_TRUE(file->make_room(100'000));
  EXPECT_EQ(file->size().value(), 3u);
  EXPECT_EQ(read_file(files, path).value(), "one" + std::string(100'000, '\0'));
  const std::vector<BytesView> pieces{"t", "wo"};
  ASSERT_TRUE(file->append_all(pieces));
  ASSERT_TRUE(file->make_room(5));  // there is more
  ASSERT_TRUE(file->append("three"));
  EXPECT_EQ(file->size().value(), 11u);
  EXPECT_EQ(read_file(files, path).value(), "onetwothree" + std::string(99'992, '\0'));
  ASSERT_TRUE(file->truncate(6));
  EXPECT_EQ(read_file(files, path).value(), "onetwo");
  ASSERT_TRUE(file->make_room(2));
  ASSERT_TRUE(file->append("four"));  // beyond it
  EXPECT_EQ(read_file(files, path).value(), "onetwofour");
  EXPECT_EQ(file->size().value(), 10u);
}

TEST(RealFile, room_lies_behind_the_end_and_is_written_over) {
  const TempFolder folder;
  expect_room_behind_the_end(real_file_system(), folder.path);
}

TEST(FaultFileSystem, room_lies_behind_the_end_and_is_written_over) {
  FaultFileSystem disk(1);
  ASSERT_TRUE(disk.make_directories("/d"));
  expect_room_behind_the_end(disk, "/d");
}

TEST(RealFile, create_refuses_an_existing_file_and_sets_permissions) {
  const TempFolder folder;
  ASSERT_TRUE(real_file_system().open(folder.path / "key", OpenMode::create, 0600));
  EXPECT_EQ(permissions(folder.path / "key"), 0600u);
  const auto again = real_file_system().open(folder.path / "key", OpenMode::create, 0600);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().fault, Fault::conflict);
}

TEST(RealFile, absent_file_is_not_found_and_named) {
  const auto opened = real_file_system().open("/nonexistent/file", OpenMode::read);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().fault, Fault::not_found);
  EXPECT_NE(opened.error().message.find("/nonexistent/file"), std::string::npos);
}

TEST(RealFile, folder_is_not_a_file) {
  const TempFolder folder;
  EXPECT_EQ(real_file_system().open(folder.path, OpenMode::read).error().fault, Fault::not_found);
}

TEST(RealFile, full_disk_is_exhausted) {
  if (!fs::exists("/dev/full")) GTEST_SKIP() << "no /dev/full here";
  auto file = real_file_system().open("/dev/full", OpenMode::append).value();
  EXPECT_EQ(file->append("x").error().fault, Fault::exhausted);
}

TEST(RealFileSystem, folders_are_made_to_any_depth_and_listed_in_order) {
  const TempFolder folder;
  auto& files = real_file_system();
  ASSERT_TRUE(files.make_directories(folder.path / "x/y/z"));
  ASSERT_TRUE(files.make_directories(folder.path / "x/y/z/"));
  ASSERT_TRUE(files.open(folder.path / "x/y/b", OpenMode::create));
  ASSERT_TRUE(files.open(folder.path / "x/y/a", OpenMode::create));
  EXPECT_EQ(files.list(folder.path / "x/y").value(), (std::vector<std::string>{"a", "b", "z"}));
  EXPECT_TRUE(files.info(folder.path / "x/y/z").value().is_directory);
  EXPECT_FALSE(files.make_directories(folder.path / "x/y/a"));
  EXPECT_FALSE(files.make_directories(folder.path / "x/y/a/b"));
}

TEST(RealFileSystem, second_lock_is_a_conflict_until_the_first_goes) {
  const TempFolder folder;
  auto& files = real_file_system();
  auto first = files.lock(folder.path / "lock").value();
  EXPECT_EQ(files.lock(folder.path / "lock").error().fault, Fault::conflict);
  first.reset();
  EXPECT_TRUE(files.lock(folder.path / "lock"));
}

TEST(RealFileSystem, removing_what_is_absent_is_fine) {
  const TempFolder folder;
  EXPECT_TRUE(real_file_system().remove(folder.path / "nothing"));
}

TEST(WriteFileAtomic, replaces_the_whole_file_and_leaves_no_temporary) {
  const TempFolder folder;
  auto& files = real_file_system();
  ASSERT_TRUE(write_file_atomic(files, folder.path / "hub.json", "old and longer", 0600));
  ASSERT_TRUE(write_file_atomic(files, folder.path / "hub.json", "new", 0600));
  EXPECT_EQ(read_file(files, folder.path / "hub.json").value(), "new");
  EXPECT_EQ(permissions(folder.path / "hub.json"), 0600u);
  EXPECT_EQ(files.list(folder.path).value().size(), 1u);
}

TEST(ReadFile, larger_than_the_bound_is_exhausted) {
  const TempFolder folder;
  ASSERT_TRUE(write_file_atomic(real_file_system(), folder.path / "a", "12345"));
  EXPECT_EQ(read_file(real_file_system(), folder.path / "a", 4).error().fault, Fault::exhausted);
  EXPECT_TRUE(read_file(real_file_system(), folder.path / "a", 5));
}

TEST(WriteFileAtomic, is_whole_or_absent_after_a_power_cut_at_every_call) {
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    for (std::uint64_t cut = 0; cut < 6; ++cut) {
      FaultFileSystem disk(seed);
      ASSERT_TRUE(disk.make_directories("/d"));
      ASSERT_TRUE(write_file_atomic(disk, "/d/f", "first"));
      disk.cut_power_after(cut);
      const bool written = write_file_atomic(disk, "/d/f", std::string(2000, 'x')).has_value();
      disk.restart();
      const Bytes found = read_file(disk, "/d/f").value();
      EXPECT_TRUE(found == std::string(2000, 'x') || (!written && found == "first")) << "seed " << seed << " cut " << cut;
    }
  }
}

TEST(WriteFileAtomic, failure_leaves_the_old_file_and_no_temporary) {
  for (const Call call : {Call::append, Call::sync, Call::create, Call::rename}) {
    FaultFileSystem disk(1);
    ASSERT_TRUE(disk.make_directories("/d"));
    ASSERT_TRUE(write_file_atomic(disk, "/d/f", "first"));
    disk.fail_next(call);
    EXPECT_FALSE(write_file_atomic(disk, "/d/f", "second"));
    EXPECT_EQ(read_file(disk, "/d/f").value(), "first");
    EXPECT_EQ(disk.list("/d").value().size(), 1u);
  }
}

TEST(FaultFileSystem, synced_bytes_in_a_synced_folder_survive_and_unsynced_may_not) {
  bool lost = false;
  bool kept = false;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    FaultFileSystem disk(seed);
    ASSERT_TRUE(disk.make_directories("/d"));
    auto file = disk.open("/d/f", OpenMode::create).value();
    ASSERT_TRUE(file->append("safe"));
    ASSERT_TRUE(file->sync());
    ASSERT_TRUE(disk.sync_directory("/d"));
    ASSERT_TRUE(file->append(std::string(3000, 'u')));
    disk.cut_power_now();
    EXPECT_FALSE(file->append("x"));
    disk.restart();
    const Bytes found = disk.contents("/d/f");
    EXPECT_EQ(found.substr(0, 4), "safe");
    lost = lost || found.size() == 4;
    kept = kept || found == "safe" + std::string(3000, 'u');
    EXPECT_FALSE(file->sync()) << "a file opened before the cut is dead";
  }
  EXPECT_TRUE(lost);
  EXPECT_TRUE(kept);
}

TEST(FaultFileSystem, bytes_lost_by_a_failed_sync_do_not_come_back_with_a_good_one) {
  FaultFileSystem disk(3);
  ASSERT_TRUE(disk.make_directories("/d"));
  auto file = disk.open("/d/f", OpenMode::create).value();
  ASSERT_TRUE(disk.sync_directory("/d"));
  ASSERT_TRUE(file->append("gone"));
  disk.fail_next(Call::sync);
  EXPECT_FALSE(file->sync());
  EXPECT_TRUE(file->sync());
  EXPECT_EQ(file->read_at(0, 4).value(), "gone") << "readable from the cache";
  disk.cut_power_now();
  disk.restart();
  EXPECT_EQ(disk.contents("/d/f"), Bytes(4, '\0'));
}

TEST(FaultFileSystem, unsynced_folder_entry_may_be_lost) {
  bool lost = false;
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    FaultFileSystem disk(seed);
    ASSERT_TRUE(disk.make_directories("/d"));
    auto file = disk.open("/d/f", OpenMode::create).value();
    ASSERT_TRUE(file->append("x"));
    ASSERT_TRUE(file->sync());
    disk.cut_power_now();
    disk.restart();
    lost = lost || !disk.exists("/d/f").value();
  }
  EXPECT_TRUE(lost);
}

TEST(FaultFileSystem, full_disk_cuts_the_write_short) {
  FaultFileSystem disk(1);
  ASSERT_TRUE(disk.make_directories("/d"));
  auto file = disk.open("/d/f", OpenMode::create).value();
  disk.set_room(10);
  EXPECT_EQ(file->append("123456789012").error().fault, Fault::exhausted);
  EXPECT_EQ(disk.used(), 10u);
}

}  // namespace
}  // namespace nacelle::storage
