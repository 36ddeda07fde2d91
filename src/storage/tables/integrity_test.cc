#include "storage/tables/integrity.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

#include "storage/tables/database.h"

namespace nacelle::storage {
namespace {

TEST(Integrity, sound_file_has_no_findings_a_damaged_one_has_and_other_files_are_no_database) {
  std::string name = (std::filesystem::temp_directory_path() / "nacelle-db-XXXXXX").string();
  const std::filesystem::path folder = ::mkdtemp(name.data());
  const auto path = folder / "hub.db";
  {
    auto db = Database::open(path, {"CREATE TABLE device (id TEXT PRIMARY KEY, doc TEXT NOT NULL) STRICT"}).value();
    const auto fill = [&]() -> Result<> {
      for (int i = 0; i < 500; ++i) TRY(db.run("INSERT INTO device VALUES (?, ?)", std::to_string(i), std::string(100, 'x')));
      return {};
    };
    ASSERT_TRUE(db.transaction(fill));
    EXPECT_TRUE(check_integrity(path).value().empty()) << "while it is open";
  }
  EXPECT_TRUE(check_integrity(path).value().empty());
  {
    std::fstream file(path, std::ios::binary | std::ios::in | std::ios::out);
    file.seekp(3 * 4096);  // a page of a tree
    file << std::string(64, '\xff');
  }
  const auto damaged = check_integrity(path);
  EXPECT_TRUE(!damaged ? damaged.error().fault == Fault::corrupt : !damaged->empty());
  std::ofstream(folder / "no.db") << std::string(8192, 'n');
  EXPECT_EQ(check_integrity(folder / "no.db").error().fault, Fault::corrupt);
  EXPECT_EQ(check_integrity(folder / "none.db").error().fault, Fault::not_found);
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace nacelle::storage
