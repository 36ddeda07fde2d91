// Profile and prepare of ten million rows of C-MAPSS text that stream by, beside the limit that reading the same bytes line by line
// sets. The bytes are made as they are read: a block of 100 000 rows, its units renumbered each time, so that no disk has a say.

#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <cstring>
#include <streambuf>

#include "ml/dataset/prepare.h"
#include "ml/dataset/row_batches.h"
#include "ml/dataset/synthetic.h"

namespace {

using namespace nacelle;

constexpr std::size_t blocks = 100;
constexpr std::size_t unit_digits = 9;

struct Block {
  std::string text;
  std::vector<std::size_t> unit_at;  ///< where each line's unit stands
  std::vector<std::int64_t> unit;
  std::int64_t units = 0;
  std::size_t rows = 0;

  Block() {
    const dataset::FleetTable table = dataset::make_synthetic_fleet({.engines = 430});
    units = static_cast<std::int64_t>(table.engines.size());
    rows = std::min<std::size_t>(100'000, table.row_count());
    for (std::size_t row = 0; row < rows; ++row) {
      unit_at.push_back(text.size());
      unit.push_back(table.unit[row]);
      text += fmt::format("{:09} {}", table.unit[row], table.cycle[row]);
      for (const auto& column : table.columns) text += fmt::format(" {:.4f}", column[row]);
      text += '\n';
    }
  }
};

const Block& block() {
  static const Block made;
  return made;
}

/// The block, again and again, as one long file.
class Repeated : public std::streambuf {
 public:
  Repeated() : text_(block().text) {}

 protected:
  int_type underflow() override {
    if (next_ == blocks) return traits_type::eof();
    for (std::size_t line = 0; line < block().rows; ++line) {
      auto unit = static_cast<std::uint64_t>(block().unit[line] + static_cast<std::int64_t>(next_) * block().units);
      for (std::size_t digit = unit_digits; digit-- > 0; unit /= 10)
        text_[block().unit_at[line] + digit] = static_cast<char>('0' + unit % 10);
    }
    ++next_;
    setg(text_.data(), text_.data(), text_.data() + text_.size());
    return traits_type::to_int_type(text_[0]);
  }

 private:
  std::string text_;
  std::size_t next_ = 0;
};

struct LongFile : private Repeated, public std::istream {
  LongFile() : std::istream(static_cast<Repeated*>(this)) {}
};

/// Takes everything and keeps nothing.
class Nowhere final : public std::streambuf {
 protected:
  std::streamsize xsputn(const char*, std::streamsize count) override { return count; }
  int_type overflow(int_type c) override { return traits_type::not_eof(c); }
};

void count_rows(benchmark::State& state) {
  state.SetItemsProcessed(static_cast<std::int64_t>(state.iterations() * blocks * block().rows));
}

void read_lines(benchmark::State& state) {
  for (auto _ : state) {
    LongFile in;
    dataset::LineReader lines(in, "limit");
    std::string_view line;
    while (lines.next(line).value()) benchmark::DoNotOptimize(line.data());
  }
  count_rows(state);
}

void profile(benchmark::State& state) {
  for (auto _ : state) {
    LongFile in;
    auto rows = dataset::RowReader::open(in, "long.txt", dataset::turbofan_schema()).value();
    dataset::Profiler profiler(dataset::turbofan_schema());
    const auto take = [&profiler](const dataset::RowBatch& batch) -> Result<> {
      for (std::size_t i = 0; i < batch.size(); ++i) profiler.add(batch.row(i));
      return {};
    };
    if (!dataset::read_in_batches(rows, take)) state.SkipWithError("the rows cannot be read");
    benchmark::DoNotOptimize(profiler.finish());
  }
  count_rows(state);
}

void profile_and_prepare(benchmark::State& state) {
  const auto open = []() -> Result<std::unique_ptr<std::istream>> {
    return std::unique_ptr<std::istream>(std::make_unique<LongFile>());
  };
  for (auto _ : state) {
    Nowhere nowhere;
    std::ostream out(&nowhere);
    const auto prepared = dataset::prepare_rows(open, "long.txt", dataset::turbofan_schema(), {}, out);
    if (!prepared) state.SkipWithError(prepared.error().message.c_str());
  }
  count_rows(state);
}

BENCHMARK(read_lines)->Iterations(1)->Unit(benchmark::kSecond)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(profile)->Iterations(1)->Unit(benchmark::kSecond)->MeasureProcessCPUTime()->UseRealTime();
BENCHMARK(profile_and_prepare)->Iterations(1)->Unit(benchmark::kSecond)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
