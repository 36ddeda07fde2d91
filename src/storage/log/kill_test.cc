// On the real disk: a process that is killed while it appends has lost nothing it was told is kept.
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <map>

#include "storage/log/log_testing.h"

namespace nacelle::storage {
namespace {

Bytes payload_of(Partition partition, int life, std::uint32_t number) {
  return fmt::format("{} {} {} {}", partition, life, number, std::string(number * 37 % 500, 'x'));
}

struct Told {
  std::uint32_t partition;
  std::uint32_t number;
  Offset offset;
};

/// Appends without end and tells the pipe of every answer; runs in a child process.
[[noreturn]] void append_for_ever(const LogOptions& options, int life, int pipe) {
  const ManualClock clock;
  auto log = EventLog::open(options, clock, real_file_system());
  if (!log) ::_exit(2);
  for (std::uint32_t number = 0;; ++number) {
    const Partition partition = number % options.partitions;
    (*log)->append(partition, payload_of(partition, life, number), [=](Result<Offset> at) {
      if (!at) ::_exit(3);
      const Told told{partition, number, *at};
      if (::write(pipe, &told, sizeof told) != sizeof told) ::_exit(4);
    });
    if (number % 64 == 63) (void)append_now(**log, partition, payload_of(partition, life, ++number));  // not too far ahead
  }
}

TEST(KilledProcess, loses_no_record_it_was_told_is_kept) {
  std::string name = (fs::temp_directory_path() / "nacelle-kill-XXXXXX").string();
  const fs::path folder = ::mkdtemp(name.data());
  const LogOptions options{.directory = folder / "events", .partitions = 3, .segment_bytes = 64_KiB};
  std::map<std::pair<std::uint32_t, Offset>, Bytes> promised;
  const ManualClock clock;
  constexpr int lives = 8;
  for (int life = 0; life < lives; ++life) {
    int ends[2];
    ASSERT_EQ(::pipe(ends), 0);
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) append_for_ever(options, life, ends[1]);
    ::close(ends[1]);
    Told told{};
    for (int answers = 0; ::read(ends[0], &told, sizeof told) == sizeof told;) {
      const bool fresh =
          promised.emplace(std::pair(told.partition, told.offset), payload_of(told.partition, life, told.number)).second;
      EXPECT_TRUE(fresh) << "offset " << told.offset << " was given twice";
      if (++answers == 100 + life * 67) ::kill(child, SIGKILL);  // what it still told before dying is read as well
    }
    ::close(ends[0]);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself with " << WEXITSTATUS(status);

    const auto log = EventLog::open(options, clock, real_file_system()).value();
    std::map<std::pair<std::uint32_t, Offset>, Bytes> found;
    for (Partition partition = 0; partition < 3; ++partition) {
      const auto records = read_all(*log, partition, 100'000).value();
      for (const auto& record : records) found[{partition, record.offset}] = record.payload;
    }
    for (const auto& [where, payload] : promised) ASSERT_EQ(found[where], payload) << "life " << life << " offset " << where.second;
    EXPECT_EQ(log->statistics().quarantined_segments, 0u);
  }
  std::printf("%d kills, %zu acknowledged records\n", lives, promised.size());
  fs::remove_all(folder);
}

}  // namespace
}  // namespace nacelle::storage
