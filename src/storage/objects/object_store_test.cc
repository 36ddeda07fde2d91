#include "storage/objects/object_store.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include "storage/file/fault_file_system.h"

namespace nacelle::storage {
namespace {

class FolderStoreTest : public ::testing::Test {
 protected:
  FolderStoreTest() {
    std::string name = (fs::temp_directory_path() / "nacelle-objects-XXXXXX").string();
    root = ::mkdtemp(name.data());
    store = open_folder_store(root, real_file_system()).value();
  }
  ~FolderStoreTest() override { fs::remove_all(root); }

  std::vector<std::string> names(std::string_view prefix) const {
    std::vector<std::string> all;
    const auto found = store->list(prefix).value();
    for (const auto& object : found) all.push_back(object.name);
    return all;
  }

  fs::path root;
  std::unique_ptr<ObjectStore> store;
};

TEST_F(FolderStoreTest, open_object_stays_what_it_was) {
  ASSERT_TRUE(store->put("a", "one and two"));
  const auto reader = store->open("a");
  ASSERT_TRUE(reader);
  ASSERT_TRUE(store->put("a", "another"));
  EXPECT_EQ((*reader)->size(), 11u);
  EXPECT_EQ((*reader)->read_at(0, 3).value(), "one");
  EXPECT_EQ((*reader)->read_at(8, 100).value(), "two");
  const auto absent = store->open("b");
  ASSERT_FALSE(absent);
  EXPECT_EQ(absent.error().fault, Fault::not_found);
  EXPECT_FALSE(store->open("../a"));
}

TEST_F(FolderStoreTest, put_objects_are_read_back_replaced_and_removed) {
  ASSERT_TRUE(store->put("capture/telemetry/2030/01/a.avro", "one"));
  ASSERT_TRUE(store->put("capture/telemetry/2030/01/a.avro", "two"));
  EXPECT_EQ(store->get("capture/telemetry/2030/01/a.avro").value(), "two");
  EXPECT_TRUE(store->exists("capture/telemetry/2030/01/a.avro").value());
  EXPECT_FALSE(store->exists("capture/telemetry").value()) << "a folder is no object";
  ASSERT_TRUE(store->remove("capture/telemetry/2030/01/a.avro"));
  ASSERT_TRUE(store->remove("capture/telemetry/2030/01/a.avro"));
  EXPECT_EQ(store->get("capture/telemetry/2030/01/a.avro").error().fault, Fault::not_found);
}

TEST_F(FolderStoreTest, names_that_leave_the_root_or_mean_nothing_are_refused) {
  const std::string bad[] = {"",
                             "/etc/passwd",
                             "../x",
                             "a/../b",
                             "a//b",
                             "a/",
                             ".",
                             "a/./b",
                             std::string("a\0b", 3),
                             ".partial/x",
                             ".partial",
                             std::string(1025, 'a'),
                             "a/" + std::string(256, 'b')};
  for (const std::string& name : bad) {
    EXPECT_EQ(store->put(name, "x").error().fault, Fault::invalid_input) << name;
    EXPECT_EQ(store->get(name).error().fault, Fault::invalid_input) << name;
    EXPECT_EQ(store->exists(name).error().fault, Fault::invalid_input) << name;
    EXPECT_EQ(store->remove(name).error().fault, Fault::invalid_input) << name;
  }
  for (const std::string name : {"..a", "a..b", ".config/x", "a b/ü", "x/.partial"}) EXPECT_TRUE(store->put(name, "x")) << name;
}

TEST_F(FolderStoreTest, object_appears_with_commit_and_not_before) {
  auto writer = store->create("x/y").value();
  ASSERT_TRUE(writer->write("12"));
  ASSERT_TRUE(writer->write("34"));
  EXPECT_TRUE(names("").empty());
  ASSERT_TRUE(writer->commit());
  EXPECT_EQ(store->get("x/y").value(), "1234");
  EXPECT_EQ(writer->write("5").error().fault, Fault::conflict);
  EXPECT_EQ(writer->commit().error().fault, Fault::conflict);
}

TEST_F(FolderStoreTest, writer_without_commit_leaves_nothing) {
  { ASSERT_TRUE(store->create("x").value()->write("12")); }
  EXPECT_TRUE(names("").empty());
  EXPECT_EQ(real_file_system().list(root / ".partial").value(), (std::vector<std::string>{"lock"}));
}

TEST_F(FolderStoreTest, list_is_sorted_by_whole_name_and_takes_any_prefix) {
  for (const char* name : {"a/b", "a-b", "a/c/d", "ab", "b"}) ASSERT_TRUE(store->put(name, "123"));
  EXPECT_EQ(names(""), (std::vector<std::string>{"a-b", "a/b", "a/c/d", "ab", "b"}));
  EXPECT_EQ(names("a/"), (std::vector<std::string>{"a/b", "a/c/d"}));
  EXPECT_EQ(names("a/c/d"), (std::vector<std::string>{"a/c/d"}));
  EXPECT_EQ(names("a"), (std::vector<std::string>{"a-b", "a/b", "a/c/d", "ab"}));
  EXPECT_TRUE(names("../").empty());
  EXPECT_TRUE(names("/").empty());
  EXPECT_EQ(store->list("b").value()[0].bytes, 3u);
  EXPECT_GT(store->list("b").value()[0].modified_at, Timestamp{});
}

TEST_F(FolderStoreTest, leftovers_go_at_opening_but_not_those_of_a_living_process) {
  auto writer = store->create("x").value();
  ASSERT_TRUE(writer->write("half"));
  auto second = open_folder_store(root, real_file_system()).value();
  ASSERT_TRUE(writer->commit()) << "the second opening must leave the first one's temporary alone";
  store.reset();
  second.reset();
  ASSERT_TRUE(write_file_atomic(real_file_system(), root / ".partial/killed", "rest of a killed process"));
  store = open_folder_store(root, real_file_system()).value();
  EXPECT_FALSE(fs::exists(root / ".partial/killed"));
  EXPECT_EQ(names(""), (std::vector<std::string>{"x"}));
}

TEST_F(FolderStoreTest, object_and_folder_of_one_name_cannot_both_be) {
  ASSERT_TRUE(store->put("a", "x"));
  EXPECT_FALSE(store->put("a/b", "x"));
  ASSERT_TRUE(store->put("c/d", "x"));
  EXPECT_FALSE(store->put("c", "x"));
  EXPECT_EQ(names(""), (std::vector<std::string>{"a", "c/d"}));
}

TEST_F(FolderStoreTest, larger_than_asked_for_is_exhausted) {
  ASSERT_TRUE(store->put("a", "12345"));
  EXPECT_EQ(store->get("a", 4).error().fault, Fault::exhausted);
}

TEST(FolderStoreFaults, objects_are_whole_old_or_absent_after_a_power_cut_at_every_call) {
  std::size_t cuts = 0;
  for (std::uint64_t seed = 0; seed < 40; ++seed) {
    for (std::uint64_t cut = 0; cut < 14; ++cut, ++cuts) {
      FaultFileSystem disk(seed);
      auto store = open_folder_store("/o", disk).value();
      ASSERT_TRUE(store->put("x/old", "first"));
      disk.cut_power_after(cut);
      const bool replaced = store->put("x/old", std::string(3000, 'r')).has_value();
      const bool added = store->put("y/new", std::string(3000, 'n')).has_value();
      store.reset();
      disk.restart();
      store = open_folder_store("/o", disk).value();
      const Bytes old = store->get("x/old").value();
      EXPECT_TRUE(old == std::string(3000, 'r') || (!replaced && old == "first")) << "seed " << seed << " cut " << cut;
      const auto fresh = store->get("y/new");
      EXPECT_TRUE(fresh ? *fresh == std::string(3000, 'n') : !added) << "seed " << seed << " cut " << cut;
      const auto objects = store->list("").value();
      for (const auto& object : objects) EXPECT_TRUE(object.name == "x/old" || object.name == "y/new") << object.name;
    }
  }
  std::printf("%zu power cuts\n", cuts);
}

TEST(FolderStoreFaults, full_disk_is_exhausted_and_leaves_nothing) {
  FaultFileSystem disk(1);
  auto store = open_folder_store("/o", disk).value();
  disk.set_room(100);
  EXPECT_EQ(store->put("a", std::string(200, 'x')).error().fault, Fault::exhausted);
  EXPECT_EQ(disk.used(), 0u);
  EXPECT_TRUE(store->put("a", std::string(100, 'x')));
}

TEST(FolderStoreFaults, failed_sync_is_never_committed) {
  FaultFileSystem disk(1);
  auto store = open_folder_store("/o", disk).value();
  auto writer = store->create("a").value();
  ASSERT_TRUE(writer->write("x"));
  disk.fail_next(Call::sync);
  EXPECT_FALSE(writer->commit());
  EXPECT_FALSE(writer->commit()) << "a second sync would answer well without having written anything";
  EXPECT_FALSE(store->exists("a").value());
}

}  // namespace
}  // namespace nacelle::storage
