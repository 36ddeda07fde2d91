// Captured Avro back to a labelled data set, beside a bare pass over the same bytes: each block inflated (libdeflate), each
// record's fields stepped over, each body parsed (simdjson) and nothing kept. Turn about in one process; medians of the rounds.
//
//   bench/import/run [--build DIR] [--messages N] [--files N] [--rounds N] [--threads N]
#include <fmt/format.h>
#include <libdeflate.h>
#include <simdjson.h>
#include <stdlib.h>
#include <time.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <thread>

#include "codec/avro/container.h"
#include "domain/telemetry/capture.h"
#include "ml/dataset/labels.h"
#include "service/workbench/data_source.h"

namespace {

namespace fs = std::filesystem;
using namespace nacelle;

constexpr std::size_t cycles_an_engine = 250;

/// The tutorial's message of one engine's cycle, as the hub captures it.
telemetry::Message message_of(std::size_t engine, std::size_t cycle) {
  telemetry::Message message;
  message.enqueued_at = Timestamp{std::chrono::seconds{1'893'456'000 + cycle}};
  const std::string device = fmt::format("Client_{:03}", engine);
  message.system = {{"connectionDeviceId", device},
                    {"connectionAuthMethod", R"({"scope":"device","type":"sas","issuer":"iothub","acceptingIpFilterRule":null})"},
                    {"connectionDeviceGenerationId", "638400000000000001"},
                    {"enqueuedTime", format_iso8601(message.enqueued_at, 7)},
                    {"contentType", "application/json"},
                    {"contentEncoding", "utf-8"}};
  message.body = fmt::format(R"({{"DeviceId":"{}","CycleTime":{})", device, cycle);
  for (std::size_t i = 1; i <= 3; ++i)
    message.body += fmt::format(R"(,"OperationalSetting{}":{:.4f})", i, 0.001 * static_cast<double>((engine + cycle * i) % 97));
  for (std::size_t i = 1; i <= 21; ++i)
    message.body += fmt::format(R"(,"Sensor{}":{:.2f})", i, 500 + 0.37 * static_cast<double>((engine * 31 + cycle * i) % 211));
  message.body += '}';
  return message;
}

/// Engines from `first` on, their cycles in turn as they arrive at a hub. Answers the file's messages.
void write_file(const fs::path& path, std::size_t first, std::size_t messages) {
  std::ofstream out(path, std::ios::binary);
  avro::ContainerOptions options;
  options.schema = telemetry::capture_schema;
  options.sync_marker = Bytes(avro::sync_marker_bytes, 's');
  const auto sink = [&out](BytesView bytes) -> Result<> {
    out.write(bytes.data(), static_cast<std::streamsize>(bytes.size()));
    return {};
  };
  auto file = avro::ContainerWriter::open(std::move(options), sink).value();
  const std::size_t engines = (messages + cycles_an_engine - 1) / cycles_an_engine;
  Bytes record;
  for (std::size_t i = 0; i < messages; ++i) {
    record.clear();
    telemetry::append_capture_record(record, message_of(first + i % engines, 1 + i / engines));
    file.add(record).value();
  }
  file.flush_block().value();
  out.close();
  if (!out) {
    fmt::print(stderr, "{}: cannot be written\n", path.string());
    std::exit(1);
  }
}

std::string read_whole(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  std::string bytes(fs::file_size(path), '\0');
  in.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  return bytes;
}

/// Avro's bytes as a stranger would step over them; the files are our own, so nothing is checked.
struct Walk {
  const char* at;
  std::int64_t number() {
    std::uint64_t value = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(*at++);
      value |= std::uint64_t{byte & 0x7fu} << shift;
      if (byte < 0x80) return static_cast<std::int64_t>(value >> 1) ^ -static_cast<std::int64_t>(value & 1);
    }
  }
  std::string_view bytes() {
    const auto size = static_cast<std::size_t>(number());
    at += size;
    return {at - size, size};
  }
  void map() {
    for (std::int64_t count = number(); count != 0; count = number())
      for (; count > 0; --count) {
        bytes();
        bytes();
      }
  }
};

/// How many bodies of the file are JSON.
std::size_t bare_pass(const fs::path& path) {
  const std::string file = read_whole(path);
  Walk walk{file.data() + 4};
  walk.map();
  walk.at += avro::sync_marker_bytes;
  const std::unique_ptr<libdeflate_decompressor, void (*)(libdeflate_decompressor*)> inflate(libdeflate_alloc_decompressor(),
                                                                                             libdeflate_free_decompressor);
  simdjson::dom::parser parser;
  std::string block(1 << 20, '\0');
  std::string body;
  std::size_t parsed = 0;
  while (walk.at < file.data() + file.size()) {
    const std::int64_t records = walk.number();
    const std::string_view packed = walk.bytes();
    std::size_t size = 0;
    if (libdeflate_deflate_decompress(inflate.get(), packed.data(), packed.size(), block.data(), block.size(), &size) !=
        LIBDEFLATE_SUCCESS)
      return 0;
    Walk inside{block.data()};
    for (std::int64_t i = 0; i < records; ++i) {
      inside.bytes();
      inside.map();
      inside.map();
      inside.number();
      body.assign(inside.bytes());
      const std::size_t length = body.size();
      body.append(simdjson::SIMDJSON_PADDING, ' ');
      simdjson::dom::element root;
      parsed += parser.parse(body.data(), length, false).get(root) == simdjson::SUCCESS ? 1 : 0;
    }
    walk.at += avro::sync_marker_bytes;
  }
  return parsed;
}

std::size_t bare_import(const std::vector<fs::path>& files, int threads) {
  std::atomic<std::size_t> next = 0;
  std::atomic<std::size_t> parsed = 0;
  const auto work = [&] {
    for (std::size_t i = next++; i < files.size(); i = next++) parsed += bare_pass(files[i]);
  };
  std::vector<std::jthread> helpers;
  for (int t = 1; t < threads; ++t) helpers.emplace_back(work);
  work();
  helpers.clear();
  return parsed;
}

/// Rows with a finite label.
std::size_t import_and_label(const fs::path& folder, int threads) {
  const auto import = workbench::import_captured({folder}, false, threads);
  if (!import) {
    fmt::print(stderr, "{}\n", import.error().message);
    return 0;
  }
  const std::vector<double> labels = dataset::label_rul(import->table);
  return static_cast<std::size_t>(std::count_if(labels.begin(), labels.end(), [](double rul) { return rul >= 0; }));
}

double processor_seconds() {
  timespec now{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Messages a second, and processor time a message in microseconds: on a busy machine only the second says something.
struct Rate {
  double messages = 0;
  double micros = 0;
};

template <class Work>
Rate rate_of(std::size_t messages, Work work) {
  const auto begin = std::chrono::steady_clock::now();
  const double processor = processor_seconds();
  const std::size_t found = work();
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  const double used = processor_seconds() - processor;
  if (found != messages) {
    fmt::print(stderr, "expected {} messages, found {}\n", messages, found);
    std::exit(1);
  }
  return {static_cast<double>(messages) / seconds, used * 1e6 / static_cast<double>(messages)};
}

double median(const std::vector<Rate>& rates, double Rate::*of) {
  std::vector<double> values;
  for (const Rate& rate : rates) values.push_back(rate.*of);
  std::sort(values.begin(), values.end());
  return values[values.size() / 2];
}

}  // namespace

int main(int argc, char** argv) {
  std::size_t messages = 400'000;
  std::size_t files = 8;
  int rounds = 5;
  int threads = 2;
  CLI::App app("Captured Avro to a labelled data set, beside a bare inflate and parse of the same bytes");
  app.add_option("--messages", messages)->check(CLI::Range(1'000, 100'000'000))->capture_default_str();
  app.add_option("--files", files)->check(CLI::Range(1, 10'000))->capture_default_str();
  app.add_option("--rounds", rounds)->check(CLI::Range(1, 1'000))->capture_default_str();
  app.add_option("--threads", threads)->check(CLI::Range(1, 64))->capture_default_str();
  CLI11_PARSE(app, argc, argv);

  std::string name = (fs::temp_directory_path() / "nacelle-import-XXXXXX").string();
  const fs::path folder = ::mkdtemp(name.data());
  const std::size_t each = messages / files;
  messages = each * files;
  std::vector<fs::path> paths;
  std::uintmax_t bytes = 0;
  for (std::size_t i = 0; i < files; ++i) {
    paths.push_back(folder / fmt::format("{:04}.avro", i));
    write_file(paths.back(), 1 + i * (each / cycles_an_engine + 1), each);
    bytes += fs::file_size(paths.back());
  }
  fmt::print("{} messages in {} files, {:.1f} MiB; {} threads, {} rounds\n", messages, files,
             static_cast<double>(bytes) / (1 << 20), threads, rounds);
  std::vector<Rate> ours, bare;
  for (int round = 0; round < rounds; ++round) {
    ours.push_back(rate_of(messages, [&] { return import_and_label(folder, threads); }));
    bare.push_back(rate_of(messages, [&] { return bare_import(paths, threads); }));
    fmt::print("round {}: labelled data set {:.0f}/s, {:.2f} us each; bare pass {:.0f}/s, {:.2f} us\n", round + 1,
               ours.back().messages, ours.back().micros, bare.back().messages, bare.back().micros);
  }
  const double by_clock = median(bare, &Rate::messages) / median(ours, &Rate::messages);
  const double by_processor = median(ours, &Rate::micros) / median(bare, &Rate::micros);
  fmt::print(
      "median: labelled data set {:.0f} messages/s, bare inflate and parse {:.0f}/s: the bare pass is {:.2f} times as fast, "
      "by processor time {:.2f}\n",
      median(ours, &Rate::messages), median(bare, &Rate::messages), by_clock, by_processor);
  fs::remove_all(folder);
  return 0;
}
