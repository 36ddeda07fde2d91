#include "storage/tables/database.h"

#include <gtest/gtest.h>
#include <sqlite3.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <fstream>
#include <thread>

namespace nacelle::storage {
namespace {

class DatabaseTest : public ::testing::Test {
 protected:
  DatabaseTest() {
    std::string name = (std::filesystem::temp_directory_path() / "nacelle-db-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    path = folder / "hub.db";
  }
  ~DatabaseTest() override { std::filesystem::remove_all(folder); }

  const std::vector<std::string> migrations{
      "CREATE TABLE device (id TEXT PRIMARY KEY, doc TEXT NOT NULL, n INTEGER, x REAL, b BLOB) STRICT"};
  std::filesystem::path folder;
  std::filesystem::path path;
};

TEST_F(DatabaseTest, every_kind_of_cell_comes_back_as_it_went_in) {
  auto db = Database::open(path, migrations).value();
  const std::string odd = std::string("a\0'\";--", 7);
  ASSERT_EQ(db.run("INSERT INTO device VALUES (?, ?, ?, ?, ?)", "d1", odd, -7, 0.1, Blob{std::string("\0\xff", 2)}).value(), 1);
  ASSERT_EQ(db.run("INSERT INTO device (id, doc, n, b) VALUES (?, ?, ?, ?)", std::string_view("d2"), "", nullptr, Blob{}).value(),
            1);
  const auto rows = db.query("SELECT doc, n, x, b FROM device ORDER BY id").value();
  ASSERT_EQ(rows.size(), 2u);
  EXPECT_EQ(text(rows[0][0]), odd);
  EXPECT_EQ(integer(rows[0][1]), -7);
  EXPECT_EQ(number(rows[0][2]), 0.1);
  EXPECT_EQ(blob(rows[0][3]), std::string("\0\xff", 2));
  EXPECT_EQ(text(rows[1][0]), "");
  EXPECT_EQ(integer(rows[1][1]), 0);
  EXPECT_TRUE(std::holds_alternative<std::nullptr_t>(rows[1][1]));
}

TEST_F(DatabaseTest, file_and_its_log_are_private_from_the_start) {
  auto db = Database::open(path, migrations).value();
  ASSERT_TRUE(db.run("INSERT INTO device (id, doc) VALUES ('a', 'b')"));
  for (const auto& file : {path, std::filesystem::path(path.string() + "-wal")}) {
    struct stat status {};
    ASSERT_EQ(::stat(file.c_str(), &status), 0) << file;
    EXPECT_EQ(status.st_mode & 0777, 0600u) << file;
  }
}

TEST_F(DatabaseTest, every_connection_waits_for_the_disk) {
  auto db = Database::open(path, migrations).value();
  EXPECT_EQ(integer(db.query("PRAGMA synchronous").value()[0][0]), 2);
  EXPECT_EQ(text(db.query("PRAGMA journal_mode").value()[0][0]), "wal");
  EXPECT_EQ(integer(db.query("PRAGMA foreign_keys").value()[0][0]), 1);
}

TEST_F(DatabaseTest, migrations_run_once_and_in_order) {
  auto wanted = migrations;
  { ASSERT_TRUE(Database::open(path, wanted).value().run("INSERT INTO device (id, doc) VALUES ('a', 'b')")); }
  wanted.push_back("ALTER TABLE device ADD COLUMN etag TEXT; CREATE TABLE module (id TEXT) STRICT");
  auto db = Database::open(path, wanted).value();
  EXPECT_EQ(integer(db.query("PRAGMA user_version").value()[0][0]), 2);
  EXPECT_EQ(db.query("SELECT etag FROM device").value().size(), 1u);
}

TEST_F(DatabaseTest, failed_migration_changes_nothing) {
  { ASSERT_TRUE(Database::open(path, migrations)); }
  auto wanted = migrations;
  wanted.push_back("CREATE TABLE half (id TEXT); CREATE TABLE device (id TEXT)");
  EXPECT_FALSE(Database::open(path, wanted));
  auto db = Database::open(path, migrations).value();
  EXPECT_FALSE(db.query("SELECT * FROM half"));
}

TEST_F(DatabaseTest, file_of_a_newer_version_is_a_conflict) {
  { ASSERT_TRUE(Database::open(path, migrations)); }
  EXPECT_EQ(Database::open(path, {}).error().fault, Fault::conflict);
}

TEST_F(DatabaseTest, file_that_is_no_database_is_corrupt) {
  std::ofstream(path) << "this is certainly not a database, but it is long enough to have a header of one hundred bytes, "
                         "and then some more so that nobody takes it for a short file";
  const auto opened = Database::open(path, migrations);
  ASSERT_FALSE(opened);
  EXPECT_EQ(opened.error().fault, Fault::corrupt);
  EXPECT_NE(opened.error().message.find("hub.db"), std::string::npos);
}

TEST_F(DatabaseTest, damaged_page_is_corrupt) {
  {
    auto db = Database::open(path, migrations).value();
    for (int i = 0; i < 200; ++i)
      ASSERT_TRUE(db.run("INSERT INTO device (id, doc) VALUES (?, ?)", std::to_string(i), std::string(300, 'x')));
  }
  std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
  file.seekp(3 * 4096);
  file << std::string(4096, '\x5a');
  file.close();
  EXPECT_EQ(Database::open(path, migrations).error().fault, Fault::corrupt);
}

TEST_F(DatabaseTest, broken_constraint_is_a_conflict_that_names_the_table_and_no_value) {
  auto db = Database::open(path, migrations).value();
  ASSERT_TRUE(db.run("INSERT INTO device (id, doc) VALUES (?, ?)", "secret-id", "secret-doc"));
  const auto again = db.run("INSERT INTO device (id, doc) VALUES (?, ?)", "secret-id", "secret-doc");
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().fault, Fault::conflict);
  EXPECT_NE(again.error().message.find("device"), std::string::npos);
  EXPECT_EQ(again.error().message.find("secret"), std::string::npos);
}

TEST_F(DatabaseTest, wrong_type_wrong_count_and_two_statements_are_refused) {
  auto db = Database::open(path, migrations).value();
  EXPECT_FALSE(db.run("INSERT INTO device (id, doc, n) VALUES ('a', 'b', ?)", "not a number"));
  EXPECT_EQ(db.run("INSERT INTO device (id, doc) VALUES (?, ?)", "a").error().fault, Fault::invalid_input);
  EXPECT_EQ(db.run("DELETE FROM device; DELETE FROM device").error().fault, Fault::invalid_input);
  EXPECT_EQ(db.run("").error().fault, Fault::invalid_input);
  EXPECT_FALSE(db.query("SELECT \"no such column\" FROM device")) << "double quotes do not make a text";
}

TEST_F(DatabaseTest, changed_rows_are_counted_per_statement) {
  auto db = Database::open(path, migrations).value();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(db.run("INSERT INTO device (id, doc) VALUES (?, '')", std::to_string(i)));
  EXPECT_EQ(db.run("UPDATE device SET n = 1").value(), 3);
  EXPECT_EQ(db.run("UPDATE device SET n = 1 WHERE id = 'none'").value(), 0);
  EXPECT_EQ(db.run("CREATE TABLE other (id TEXT)").value(), 0);
  EXPECT_EQ(db.run("DELETE FROM device WHERE id = '0'").value(), 1);
}

TEST_F(DatabaseTest, transaction_is_all_or_nothing) {
  auto db = Database::open(path, migrations).value();
  const auto failed = db.transaction([&]() -> Result<> {
    TRY(db.run("INSERT INTO device (id, doc) VALUES ('a', '')"));
    return fail(Fault::denied, "changed my mind");
  });
  ASSERT_FALSE(failed);
  EXPECT_EQ(failed.error().fault, Fault::denied);
  EXPECT_TRUE(db.query("SELECT * FROM device").value().empty());
  EXPECT_THROW((void)db.transaction([&]() -> Result<> {
    TRY(db.run("INSERT INTO device (id, doc) VALUES ('a', '')"));
    throw std::runtime_error("bug");
  }),
               std::runtime_error);
  EXPECT_TRUE(db.query("SELECT * FROM device").value().empty());
  ASSERT_TRUE(db.transaction([&]() -> Result<> {
    TRY(db.run("INSERT INTO device (id, doc) VALUES ('a', '')"));
    return {};
  }));
  EXPECT_EQ(db.query("SELECT * FROM device").value().size(), 1u);
}

TEST_F(DatabaseTest, threads_share_one_database) {
  auto db = Database::open(path, migrations).value();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&db, t] {
      for (int i = 0; i < 25; ++i)
        EXPECT_TRUE(db.run("INSERT INTO device (id, doc, n) VALUES (?, '', ?)", std::to_string(t * 100 + i), t));
    });
  for (auto& thread : threads) thread.join();
  EXPECT_EQ(integer(db.query("SELECT count(*) FROM device").value()[0][0]), 100);
}

TEST_F(DatabaseTest, two_openings_see_each_others_changes) {
  auto one = Database::open(path, migrations).value();
  auto two = Database::open(path, migrations).value();
  ASSERT_TRUE(one.run("INSERT INTO device (id, doc) VALUES ('a', 'x')"));
  EXPECT_EQ(text(two.query("SELECT doc FROM device").value()[0][0]), "x");
  ASSERT_TRUE(two.run("UPDATE device SET doc = 'y'"));
  EXPECT_EQ(text(one.query("SELECT doc FROM device").value()[0][0]), "y");
}

TEST_F(DatabaseTest, more_statements_than_the_cache_holds_still_work) {
  auto db = Database::open(path, migrations).value();
  for (int i = 0; i < 200; ++i) ASSERT_EQ(db.query("SELECT " + std::to_string(i) + ", count(*) FROM device").value().size(), 1u);
}

}  // namespace
}  // namespace nacelle::storage
