// Appends a second, beside a raw write-and-fdatasync loop of the same bytes in the same run: the time of a sync depends so
// much on the machine and its mood that only the ratio says something.
//
//   cmake --preset release && ninja -C build/release log_bench && build/release/bench/log_bench
//
// `window` appends are sent, then awaited; the raw loop writes as many bytes at once and syncs. Both write to the folder
// for temporary files: TMPDIR=/some/disk to choose another disk.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <atomic>
#include <chrono>
#include <ctime>
#include <fstream>
#include <thread>

#include "storage/log/detail/segment.h"
#include "storage/log/log_testing.h"

namespace nacelle::storage {
namespace {

constexpr std::size_t payload_bytes = 300;  // a turbofan reading with its envelope
constexpr std::size_t framed_bytes = payload_bytes + 24;

class TempFolder {
 public:
  TempFolder() {
    std::string name = (fs::temp_directory_path() / "nacelle-bench-XXXXXX").string();
    path = ::mkdtemp(name.data());
  }
  ~TempFolder() { fs::remove_all(path); }
  fs::path path;
};

using Seconds = std::chrono::duration<double>;

template <class Work>
double time_of(Work work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return Seconds(std::chrono::steady_clock::now() - begin).count();
}

/// Counts answers down; one wake-up at the end, not one an answer.
class Window {
 public:
  explicit Window(std::size_t size) : left_(size) {}
  void answered(bool well) {
    failed_ = failed_ || !well;
    if (left_.fetch_sub(1) == 1) left_.notify_one();
  }
  bool wait() {
    for (std::size_t left = left_; left != 0; left = left_) left_.wait(left);
    return !failed_;
  }

 private:
  std::atomic<std::size_t> left_;
  std::atomic<bool> failed_{false};
};

/// One window: from `producers` threads, over all partitions.
bool append_window(EventLog& log, std::size_t window, unsigned producers) {
  Window answers(window);
  const Bytes payload(payload_bytes, 'x');
  const auto produce = [&](unsigned producer) {
    for (std::size_t i = producer; i < window; i += producers)
      log.append(static_cast<Partition>(i % log.partitions()), payload,
                 [&](const Result<Offset>& at) { answers.answered(at.has_value()); });
  };
  std::vector<std::thread> threads;
  for (unsigned producer = 1; producer < producers; ++producer) threads.emplace_back(produce, producer);
  produce(0);
  for (auto& thread : threads) thread.join();
  return answers.wait();
}

void append_beside_raw(benchmark::State& state) {
  const auto window = static_cast<std::size_t>(state.range(0));
  const auto partitions = static_cast<Partition>(state.range(1));
  const auto producers = static_cast<unsigned>(state.range(2));
  const TempFolder folder;
  const SystemClock clock;
  auto& files = real_file_system();
  auto log =
      EventLog::open({.directory = folder.path / "log", .partitions = partitions, .max_partition_bytes = 256_MiB}, clock, files)
          .value();
  auto raw = files.open(folder.path / "raw", OpenMode::create).value();
  const Bytes bytes(window * framed_bytes, 'x');
  double log_time = 0, raw_time = 0;
  std::uint64_t raw_size = 0;
  bool well = true;
  for (auto _ : state) {
    // Turn about, so that both meet the same weather.
    const double took = time_of([&] { well = append_window(*log, window, producers) && well; });
    state.SetIterationTime(took);
    log_time += took;
    raw_time += time_of([&] { well = raw->append(bytes).has_value() && raw->sync().has_value() && well; });
    raw_size += bytes.size();
    if (raw_size > 256_MiB) {
      well = raw->truncate(0).has_value() && raw->sync().has_value() && well;
      raw_size = 0;
    }
  }
  if (!well) state.SkipWithError("an append or a sync failed");
  const double appends = static_cast<double>(window) * static_cast<double>(state.iterations());
  state.counters["appends/s"] = appends / log_time;
  state.counters["raw/s"] = appends / raw_time;
  state.counters["ratio"] = raw_time / log_time;
  const auto statistics = log->statistics();
  state.counters["appends/sync"] = static_cast<double>(statistics.appended) / static_cast<double>(statistics.syncs);
}

BENCHMARK(append_beside_raw)
    ->ArgNames({"window", "partitions", "producers"})
    ->ArgsProduct({{1, 16, 256, 1024, 4096, 16384}, {1, 4}, {1}})
    ->Args({16384, 1, 4})
    ->Args({16384, 4, 4})
    ->UseManualTime()
    ->Unit(benchmark::kMillisecond);

void read_back(benchmark::State& state) {
  const TempFolder folder;
  const SystemClock clock;
  auto log = EventLog::open({.directory = folder.path, .partitions = 1}, clock, real_file_system()).value();
  append_window(*log, 200'000, 1);
  Offset next = 0;
  std::size_t records = 0;
  for (auto _ : state) {
    const auto read = log->read(0, next, static_cast<ByteCount>(state.range(0))).value();
    records += read.size();
    next = read.empty() || read.back().offset + 1 == log->head(0) ? 0 : read.back().offset + 1;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(records));
}
BENCHMARK(read_back)->ArgName("bytes")->Arg(1)->Arg(64 << 10)->Arg(1 << 20);

constexpr Offset records_each = 50;

/// A partition of `count` small segments, written directly: the log itself would sync each three times.
void write_segments(const fs::path& folder, std::size_t count) {
  fs::create_directories(folder);
  for (std::size_t i = 0; i < count; ++i) {
    const Offset first = i * records_each;
    Bytes bytes = detail::encode_segment_header({0, first, first, 7, false});
    for (Offset offset = first; offset < first + records_each; ++offset)
      detail::encode_record(bytes, {offset, Timestamp{std::chrono::seconds(offset)}, true, Bytes(payload_bytes, 'x')}, 7);
    std::ofstream(folder / detail::segment_name(first), std::ios::binary) << bytes;
  }
}

/// Records of a log of `segments` segments, the same ones at each call.
class RandomOffsets {
 public:
  explicit RandomOffsets(std::size_t segments) : records_(segments * records_each) {}
  Offset next() {
    state_ = state_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return (state_ >> 33) % records_;
  }

 private:
  const std::size_t records_;
  std::uint64_t state_ = 42;
};

constexpr int looks = 1000;  // in a round

/// What the machine allows: the bytes that a look-up reads, of files that are open, looked at no further. Processor time.
std::clock_t read_files_randomly(const fs::path& folder, std::size_t segments, int rounds) {
  std::vector<std::unique_ptr<File>> files;
  for (std::size_t i = 0; i < segments; ++i)
    files.push_back(real_file_system().open(folder / detail::segment_name(i * records_each), OpenMode::read, 0600).value());
  const auto read = [&] {
    RandomOffsets offsets(segments);
    for (int i = 0; i < looks; ++i)
      benchmark::DoNotOptimize(files[offsets.next() / records_each]->read_at(0, 32_KiB).value().data());
  };
  read();
  const std::clock_t before = std::clock();
  for (int round = 0; round < rounds; ++round) read();
  return std::clock() - before;
}

/// What grows with the number of segments: opening; and what should not: a look-up with a read, an append.
void many_segments(benchmark::State& state) {
  const auto segments = static_cast<std::size_t>(state.range(0));
  const TempFolder folder;
  write_segments(folder.path / "log" / "0000", segments);
  const SystemClock clock;
  const LogOptions options{.directory = folder.path / "log",
                           .partitions = 1,
                           .max_age = std::chrono::hours(24 * 365 * 100),
                           .max_open_files = segments + 1};
  constexpr int rounds = 10;
  double opening = 0, first_reading = 0, reading = 0, appending = 0;
  std::size_t appends = 0;
  std::clock_t cpu_of_reading = 0, cpu_of_appending = 0, cpu_of_files = 0;
  for (auto _ : state) {
    std::unique_ptr<EventLog> log;
    opening += time_of([&] { log = EventLog::open(options, clock, real_file_system()).value(); });
    const auto read_randomly = [&] {
      RandomOffsets offsets(segments);
      for (int i = 0; i < looks; ++i)
        if (log->read(0, offsets.next(), 1).value().empty()) state.SkipWithError("a record is missing");
    };
    // A segment is read through when it is first looked into: with few segments only few reads pay for that.
    first_reading += time_of(read_randomly);
    const std::clock_t before_reading = std::clock();  // processor time: it says as much on a busy machine
    for (int round = 0; round < rounds; ++round) reading += time_of(read_randomly);
    cpu_of_reading += std::clock() - before_reading;
    append_window(*log, 256, 1);  // begins the segment
    const std::clock_t before_appending = std::clock();
    appending += time_of([&] {
      for (int i = 0; i < 100; ++i, appends += 256) append_window(*log, 256, 1);
    });
    cpu_of_appending += std::clock() - before_appending;
    cpu_of_files += read_files_randomly(folder.path / "log" / "0000", segments, rounds);
  }
  const auto iterations = static_cast<double>(state.iterations());
  const double reads = iterations * looks * rounds;
  state.counters["open_ms"] = 1000 * opening / iterations;
  state.counters["first_reads/s"] = iterations * looks / first_reading;
  state.counters["reads/s"] = reads / reading;
  state.counters["appends/s"] = static_cast<double>(appends) / appending;
  const auto microseconds = [](std::clock_t ticks, double count) {
    return 1e6 * static_cast<double>(ticks) / CLOCKS_PER_SEC / count;
  };
  state.counters["cpu_us_a_read"] = microseconds(cpu_of_reading, reads);
  state.counters["cpu_us_a_bare_read"] = microseconds(cpu_of_files, reads);
  state.counters["cpu_us_an_append"] = microseconds(cpu_of_appending, static_cast<double>(appends));
}
BENCHMARK(many_segments)
    ->ArgName("segments")
    ->Arg(10)
    ->Arg(100)
    ->Arg(1000)
    ->Arg(10000)
    ->Iterations(2)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace nacelle::storage
