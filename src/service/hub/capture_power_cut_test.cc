// Ingest and capture together on a disk that loses power: every acknowledged message is in the files, and none is there twice.
//
// Log and files lie on the failing disk. capture.db does not: SQLite's own promise is taken for granted, so nothing is written to
// it once the power is out, and what was committed before stays. Now and then it is lost as a whole.
#include <fmt/format.h>

#include <map>
#include <random>

#include "foundation/log.h"
#include "service/hub/capture_stream.h"
#include "service/hub/hub_testing.h"
#include "service/hub/schema.h"
#include "storage/file/fault_file_system.h"
#include "storage/log/log_testing.h"

namespace nacelle::hub {
namespace {

using namespace testing;
using storage::Call;
using storage::FaultFileSystem;
using storage::Partition;

struct Totals {
  std::size_t cuts = 0, acked = 0, refused = 0, captured = 0, files = 0, lost_tables = 0, failed_steps = 0;
};

constexpr Partition partitions = 2;

/// One hub's log and capture through several power cuts.
class Story {
 public:
  Story(std::uint64_t seed, bool trouble, storage::Database& tables, Totals& totals)
      : seed_(seed), trouble_(trouble), tables_(tables), totals_(totals), random_(seed), disk_(seed + 7) {
    options_ = {.directory = "/hub/events", .partitions = partitions, .segment_bytes = 3000};
    add_route("all", "true", CaptureEncoding::avro);
    add_route("even", "$body.n % 2 = 0", below(2) ? CaptureEncoding::json : CaptureEncoding::avro_deflate);
    forget_tables();
  }

  void run(int lives) {
    for (life_ = 0; life_ < lives && !::testing::Test::HasFatalFailure(); ++life_) {
      disk_.cut_power_after(below(160));
      if (trouble_) make_trouble();
      if (open()) live();
      disk_.cut_power_now();
      close();
      disk_.restart();
      ++totals_.cuts;
      if (below(12) == 0) {
        forget_tables();
        ++totals_.lost_tables;
      }
    }
    finish();
  }

 private:
  std::string where() const { return fmt::format("seed {} life {}", seed_, life_); }
  std::size_t below(std::size_t bound) { return random_() % bound; }

  void add_route(const std::string& name, const std::string& condition, CaptureEncoding encoding) {
    HubRoute route;
    route.name = name;
    route.condition = route::parse_condition(condition).value();
    route.endpoint = HubRoute::Endpoint::storage;
    route.storage.container = name;
    route.storage.encoding = encoding;
    route.storage.max_bytes = 500 + below(1500);
    routes_.push_back(std::move(route));
  }

  void forget_tables() { ASSERT_TRUE(tables_.run("DELETE FROM cursor")) << where(); }

  void make_trouble() {
    disk_.fail_one_in(Call::sync, 30);
    disk_.fail_one_in(Call::append, 30, below(2) ? Fault::exhausted : Fault::unavailable);
    disk_.fail_one_in(Call::create, 15, Fault::exhausted);
    disk_.fail_one_in(Call::rename, 15);
    disk_.fail_one_in(Call::sync_directory, 15);
  }

  bool open() {
    auto log = storage::EventLog::open(options_, clock_, disk_);
    if (!log) return false;
    log_ = std::move(log).value();
    auto objects = storage::open_folder_store("/hub/objects", disk_);
    if (!objects) return false;
    objects_ = std::move(objects).value();
    for (const HubRoute& route : routes_)
      for (Partition partition = 0; partition < partitions; ++partition) {
        if (disk_.power_is_out()) return false;
        auto stream = CaptureStream::open({*log_, *objects_, tables_, clock_, "hub1"}, route, partition, false);
        if (!stream) return false;
        streams_.push_back(std::move(stream).value());
      }
    return true;
  }

  void close() {
    streams_.clear();
    objects_.reset();
    log_.reset();
  }

  void live() {
    for (int turn = 0; turn < 25 && !disk_.power_is_out(); ++turn) {
      send(1 + below(8));
      clock_.advance(std::chrono::seconds{below(60)});
      for (const auto& stream : streams_) {
        if (disk_.power_is_out()) return;
        const bool good = (below(3) == 0 ? stream->flush() : stream->step()).has_value();
        totals_.failed_steps += good ? 0 : 1;
      }
    }
  }

  /// Appends and waits for the answers; what is acknowledged is promised.
  void send(std::size_t count) {
    storage::Answers answers[partitions];
    std::vector<int> sent[partitions];
    for (std::size_t i = 0; i < count; ++i) {
      const auto partition = static_cast<Partition>(below(partitions));
      const int number = next_number_++;
      sent[partition].push_back(number);
      const std::string body = fmt::format(R"({{"n":{},"pad":"{}"}})", number, std::string(below(200), 'x'));
      const auto message = make_message(fmt::format("d{}", partition), std::to_string(number), body);
      log_->append(partition, telemetry::encode_record(message), answers[partition].next());
    }
    for (Partition partition = 0; partition < partitions; ++partition) {
      const auto all = answers[partition].all();
      for (std::size_t i = 0; i < all.size(); ++i) {
        if (all[i]) promised_[partition].push_back(sent[partition][i]);
        ++(all[i] ? totals_.acked : totals_.refused);
      }
    }
  }

  /// The power is back for good: everything is captured, and the files are compared with the promises.
  void finish() {
    disk_.cut_power_after(1'000'000'000);  // never
    for (const Call call : {Call::sync, Call::append, Call::create, Call::rename, Call::sync_directory}) disk_.fail_one_in(call, 0);
    ASSERT_TRUE(open()) << where();
    for (const auto& stream : streams_) {
      const auto flushed = stream->flush();
      ASSERT_TRUE(flushed) << where() << ": " << flushed.error().message;
    }
    for (const HubRoute& route : routes_) check(route);
    close();
  }

  void check(const HubRoute& route) {
    std::map<Partition, std::vector<int>> found;
    const std::string prefix = "capture/" + route.storage.container + "/";
    const auto files = objects_->list(prefix).value();
    for (const auto& object : files) {
      ++totals_.files;
      const Bytes bytes = objects_->get(object.name).value();
      for (const int number : object.name.ends_with(".json") ? numbers_in_lines(bytes) : numbers_in_container(bytes)) {
        const Partition partition = partition_of_.at(number);
        found[partition].push_back(number);
        ++totals_.captured;
      }
    }
    for (Partition partition = 0; partition < partitions; ++partition) {
      std::map<int, int> times;
      for (const int number : found[partition])
        ASSERT_EQ(++times[number], 1) << where() << ": message " << number << " is twice in '" << route.name << "'";
      for (const int number : promised_[partition]) {
        if (route.name != "all" && number % 2 != 0) continue;
        ASSERT_EQ(times.count(number), 1u) << where() << ": message " << number << " is missing in '" << route.name << "'";
      }
    }
  }

  std::vector<int> numbers_in_container(const Bytes& bytes) {
    std::vector<int> numbers;
    auto reader = avro::ContainerReader::open(BytesView(bytes)).value();
    const auto read = reader.each_record([&](avro::Decoder& record) -> Result<> {
      TRY_LET(const telemetry::Message message, telemetry::read_capture_record(record));
      numbers.push_back(note(message.device_id(), message.system.get("messageId")));
      return {};
    });
    EXPECT_TRUE(read) << where() << ": " << read.error().message;
    return numbers;
  }

  std::vector<int> numbers_in_lines(const Bytes& bytes) {
    std::vector<int> numbers;
    for (std::size_t at = 0; at < bytes.size();) {
      const std::size_t end = bytes.find('\n', at);
      EXPECT_NE(end, Bytes::npos) << where() << ": a torn line";
      if (end == Bytes::npos) break;
      const auto line = json::parse(std::string_view(bytes).substr(at, end - at));
      EXPECT_TRUE(line) << where();
      if (line) {
        const json::Value* system = line->find("SystemProperties");
        numbers.push_back(note(system->find("connectionDeviceId")->as_string(), system->find("messageId")->as_string()));
      }
      at = end + 1;
    }
    return numbers;
  }

  int note(std::string_view device, std::string_view id) {
    const int number = std::stoi(std::string(id));
    partition_of_[number] = device == "d1" ? 1 : 0;
    return number;
  }

  const std::uint64_t seed_;
  const bool trouble_;
  storage::Database& tables_;
  Totals& totals_;
  std::mt19937_64 random_;
  FaultFileSystem disk_;
  ManualClock clock_;
  storage::LogOptions options_;
  std::vector<HubRoute> routes_;
  std::unique_ptr<storage::EventLog> log_;
  std::unique_ptr<storage::ObjectStore> objects_;
  std::vector<std::unique_ptr<CaptureStream>> streams_;
  int life_ = 0;
  int next_number_ = 0;
  std::vector<int> promised_[partitions];
  std::map<int, Partition> partition_of_;
};

class CapturePowerCut : public ::testing::Test {
 protected:
  CapturePowerCut() : tables(open_capture_tables(folder.path()).value()) {
    log::set_level(log::Level::off);
    // This process is not killed: what is committed stays without a sync each time, which would be most of the test's time.
    EXPECT_TRUE(tables.query("PRAGMA synchronous = OFF"));
  }
  ~CapturePowerCut() override { log::set_level(log::Level::info); }

  void run(const char* name, bool trouble, std::uint64_t stories) {
    Totals totals;
    for (std::uint64_t seed = 1; seed <= stories && !HasFatalFailure(); ++seed) Story(seed, trouble, tables, totals).run(6);
    std::printf(
        "%s: %zu power cuts (seeds 1 to %llu), %zu acked, %zu refused, %zu records in %zu files, %zu failed steps, "
        "%zu times without capture.db: %s\n",
        name, totals.cuts, static_cast<unsigned long long>(stories), totals.acked, totals.refused, totals.captured, totals.files,
        totals.failed_steps, totals.lost_tables, HasFatalFailure() ? "FAILED" : "0 acked missing, 0 captured twice");
    EXPECT_GT(totals.acked, stories * 20);
    EXPECT_GT(totals.captured, totals.acked);
  }

  TemporaryFolder folder;
  storage::Database tables;
};

TEST_F(CapturePowerCut, every_acknowledged_message_is_captured_once) {
  run("log and capture, power cuts", false, storage::fault_rounds(250));
}

TEST_F(CapturePowerCut, and_when_the_disk_fails_and_fills_up_as_well) {
  run("log and capture, power cuts and failing calls", true, storage::fault_rounds(250));
}

}  // namespace
}  // namespace nacelle::hub
