#include "storage/log/inspect.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>
#include <future>

#include "storage/log/event_log.h"

namespace nacelle::storage {
namespace {

class InspectTest : public ::testing::Test {
 protected:
  InspectTest() {
    std::string name = (fs::temp_directory_path() / "nacelle-log-XXXXXX").string();
    folder = ::mkdtemp(name.data());
    LogOptions options;
    options.directory = folder / "events";
    options.partitions = 2;
    log = EventLog::open(options, clock, real_file_system()).value();
    for (int i = 0; i < 20; ++i) {
      std::promise<void> synced;
      log->append(0, "record " + std::to_string(i), [&](const Result<Offset>& at) {
        EXPECT_TRUE(at);
        synced.set_value();
      });
      synced.get_future().get();
    }
  }
  ~InspectTest() override {
    log.reset();
    fs::remove_all(folder);
  }
  LogFindings look() { return inspect_event_log(folder / "events", real_file_system()).value(); }
  fs::path first_segment() {
    for (const auto& entry : fs::directory_iterator(folder / "events" / "0000"))
      if (entry.path().extension() == ".log") return entry.path();
    return {};
  }

  fs::path folder;
  ManualClock clock;
  std::unique_ptr<EventLog> log;
};

TEST_F(InspectTest, sound_log_is_found_sound_while_it_is_open_and_after) {
  EXPECT_TRUE(look().damaged.empty());
  EXPECT_EQ(look().partitions, 2u);
  EXPECT_GE(look().segments, 1u);
  log.reset();
  EXPECT_TRUE(look().damaged.empty());
  EXPECT_EQ(inspect_event_log(folder / "nothing", real_file_system()).error().fault, Fault::not_found);
}

TEST_F(InspectTest, torn_last_write_is_no_damage_and_a_changed_byte_is) {
  log.reset();
  const fs::path file = first_segment();
  const auto size = fs::file_size(file);
  std::string bytes = read_file(real_file_system(), file).value();
  const auto write = [&](const std::string& changed) { std::ofstream(file, std::ios::binary | std::ios::trunc) << changed; };
  write(bytes.substr(0, size - 3));
  EXPECT_TRUE(look().damaged.empty());
  std::string changed = bytes;
  changed[bytes.find("record 3")] ^= 1;
  write(changed);
  const LogFindings found = look();
  ASSERT_EQ(found.damaged.size(), 1u);
  EXPECT_NE(found.damaged[0].find(file.string()), std::string::npos);
  EXPECT_EQ(read_file(real_file_system(), file).value(), changed) << "a look changes nothing";
  for (std::size_t cut = 0; cut < bytes.size(); cut += 7) {
    write(bytes.substr(0, cut));
    EXPECT_TRUE(inspect_event_log(folder / "events", real_file_system()).has_value()) << cut;
  }
  std::ofstream(file.string() + ".quarantined") << "x";
  EXPECT_EQ(look().quarantined.size(), 1u);
}

}  // namespace
}  // namespace nacelle::storage
