#include "service/hub/capture_stream.h"

#include <fmt/format.h>

#include <atomic>
#include <random>
#include <thread>

#include "service/hub/capture_file.h"
#include "service/hub/hub_testing.h"
#include "service/hub/schema.h"

namespace nacelle::hub {
namespace {

using namespace testing;
using namespace std::chrono_literals;

/// An object store that dies at a chosen step: before or after an object appears. Stands for a kill at that instant.
class DyingStore final : public storage::ObjectStore {
 public:
  enum class Death { none, creating, writing, before_commit, after_commit };
  explicit DyingStore(storage::ObjectStore& inner) : inner_(inner) {}
  Death death = Death::none;

  Result<std::unique_ptr<storage::ObjectWriter>> create(std::string_view name) override {
    if (death == Death::creating) return killed();
    TRY_LET(auto writer, inner_.create(name));
    return std::unique_ptr<storage::ObjectWriter>(std::make_unique<Writer>(*this, std::move(writer)));
  }
  Result<> put(std::string_view name, BytesView bytes) override { return inner_.put(name, bytes); }
  Result<Bytes> get(std::string_view name, ByteCount max_bytes) const override { return inner_.get(name, max_bytes); }
  Result<std::unique_ptr<storage::ObjectReader>> open(std::string_view name) const override { return inner_.open(name); }
  Result<bool> exists(std::string_view name) const override { return inner_.exists(name); }
  Result<bool> make_durable(std::string_view name) const override { return inner_.make_durable(name); }
  Result<> remove(std::string_view name) override { return inner_.remove(name); }
  Result<std::vector<storage::ObjectInfo>> list(std::string_view prefix) const override { return inner_.list(prefix); }

 private:
  static Failure killed() { return fail(Fault::unavailable, "killed"); }
  class Writer final : public storage::ObjectWriter {
   public:
    Writer(DyingStore& store, std::unique_ptr<storage::ObjectWriter> inner) : store_(store), inner_(std::move(inner)) {}
    Result<> write(BytesView bytes) override { return store_.death == Death::writing ? Result<>(killed()) : inner_->write(bytes); }
    Result<> commit() override {
      if (store_.death == Death::before_commit) return killed();
      TRY(inner_->commit());
      return store_.death == Death::after_commit ? Result<>(killed()) : Result<>{};
    }

   private:
    DyingStore& store_;
    std::unique_ptr<storage::ObjectWriter> inner_;
  };
  storage::ObjectStore& inner_;
};

class CaptureStreamTest : public ::testing::Test {
 protected:
  CaptureStreamTest()
      : objects(storage::open_folder_store(folder.path() / "objects", storage::real_file_system()).value()), store(*objects) {
    storage::LogOptions options;
    options.directory = folder.path() / "events";
    options.partitions = 2;
    log = storage::EventLog::open(options, clock, storage::real_file_system()).value();
    tables.emplace(open_capture_tables(folder.path()).value());
    route.name = "all";
    route.endpoint = HubRoute::Endpoint::storage;
    route.storage.container = "telemetry";
  }

  Result<std::unique_ptr<CaptureStream>> open(bool begin_at_head = false) {
    return CaptureStream::open({*log, store, *tables, clock, "hub1"}, route, 0, begin_at_head);
  }
  void send(const std::string& id, const std::string& body = "{}") { append(*log, 0, make_message("d1", id, body)); }
  std::vector<std::string> captured() { return message_ids(read_captured(*objects, "capture/telemetry/")); }

  /// The ids in files of lines, each line a whole document.
  std::vector<std::string> captured_lines() {
    std::vector<std::string> ids;
    const auto files = objects->list("capture/telemetry/").value();
    for (const auto& object : files) {
      const Bytes lines = objects->get(object.name).value();
      EXPECT_TRUE(lines.ends_with('\n')) << object.name;
      for (std::size_t at = 0; at < lines.size(); at = lines.find('\n', at) + 1) {
        const auto line = json::parse(std::string_view(lines).substr(at, lines.find('\n', at) - at));
        EXPECT_TRUE(line.has_value()) << object.name;
        ids.push_back(line->at_path({"SystemProperties", "messageId"})->as_string());
      }
    }
    return ids;
  }

  TemporaryFolder folder;
  ManualClock clock;
  std::unique_ptr<storage::ObjectStore> objects;
  DyingStore store;
  std::unique_ptr<storage::EventLog> log;
  std::optional<storage::Database> tables;
  HubRoute route;
};

using Ids = std::vector<std::string>;

TEST_F(CaptureStreamTest, what_is_synced_when_flush_is_called_is_in_complete_files) {
  auto stream = open().value();
  for (const char* id : {"a", "b", "c"}) send(id);
  ASSERT_TRUE(stream->flush());
  EXPECT_EQ(captured(), (Ids{"a", "b", "c"}));
  EXPECT_EQ(stream->captured(), 3u);
  EXPECT_EQ(stream->behind() + stream->gathered(), 0u);
}

TEST_F(CaptureStreamTest, file_says_which_offsets_it_holds_and_is_named_by_the_format) {
  send("a");
  send("b");
  auto stream = open().value();
  ASSERT_TRUE(stream->flush());
  const auto files = objects->list("capture/").value();
  ASSERT_EQ(files.size(), 1u);
  EXPECT_EQ(files[0].name, "capture/telemetry/hub1/2030/01/01/00/00/00-000000000000.avro");
  const Bytes bytes = objects->get(files[0].name).value();
  const auto reader = avro::ContainerReader::open(BytesView(bytes));
  const auto extent = read_extent(reader->header()).value();
  EXPECT_EQ(extent.partition, 0u);
  EXPECT_EQ(extent.first, 0u);
  EXPECT_EQ(extent.next, 2u);
}

TEST_F(CaptureStreamTest, only_what_the_condition_takes_is_captured) {
  route.condition = route::parse_condition("$body.level > 3").value();
  auto stream = open().value();
  send("low", R"({"level":1})");
  send("high", R"({"level":7})");
  send("none", "no json");
  ASSERT_TRUE(stream->flush());
  EXPECT_EQ(captured(), Ids{"high"});
}

TEST_F(CaptureStreamTest, file_is_written_when_its_oldest_message_is_old_enough_and_not_before) {
  route.storage.max_age = 100s;
  auto stream = open().value();
  send("a");
  ASSERT_TRUE(stream->step());
  clock.advance(99s);
  ASSERT_TRUE(stream->step());
  EXPECT_TRUE(captured().empty());
  clock.advance(1s);
  ASSERT_TRUE(stream->step());
  EXPECT_EQ(captured(), Ids{"a"});
}

TEST_F(CaptureStreamTest, file_is_written_when_it_is_large_enough) {
  route.storage.max_bytes = 1024;
  auto stream = open().value();
  for (int i = 0; i < 10; ++i) send(fmt::format("{}", i), '"' + std::string(300, 'x') + '"');
  ASSERT_TRUE(stream->step());
  EXPECT_GE(stream->files(), 2u);
  EXPECT_GE(captured().size(), 6u);
  ASSERT_TRUE(stream->flush());
  EXPECT_EQ(captured(), (Ids{"0", "1", "2", "3", "4", "5", "6", "7", "8", "9"}));
}

/// A log that holds some hundred messages.
class SmallLogTest : public CaptureStreamTest {
 protected:
  SmallLogTest() {
    log.reset();
    storage::LogOptions options;
    options.directory = folder.path() / "small";
    options.partitions = 2;
    options.segment_bytes = 4096;
    options.max_partition_bytes = 65536;
    log = storage::EventLog::open(options, clock, storage::real_file_system()).value();
  }
  void send_some(int count) {
    for (int i = 0; i < count; ++i) send(fmt::format("{}", sent++), '"' + std::string(300, 'x') + '"');
  }
  /// Sends without waiting for the answers; back once the log holds some back. The answer comes when it has taken all.
  std::future<void> send_until_held(int count) {
    const std::uint64_t before = log->statistics().held_records;
    const auto held = [&] { return log->statistics().held_records > before; };
    const auto left = std::make_shared<std::atomic<int>>(count);
    const auto all = std::make_shared<std::promise<void>>();
    for (int i = 0; i < count; ++i) {
      const auto message = make_message("d1", fmt::format("{}", sent++), '"' + std::string(300, 'x') + '"');
      log->append(0, telemetry::encode_record(message), [left, all](Result<storage::Offset> at) {
        EXPECT_TRUE(at.has_value());
        if (--*left == 0) all->set_value();
      });
      while (*left > count - i - 1 && !held()) std::this_thread::yield();  // one by one: together they might be one commit
    }
    EXPECT_TRUE(held());
    return all->get_future();
  }
  int sent = 0;
};

TEST_F(SmallLogTest, messages_are_in_a_file_before_the_log_lets_go_of_them) {
  auto stream = open().value();
  for (int round = 0; round < 40; ++round) {
    send_some(20);
    ASSERT_TRUE(stream->step());
  }
  EXPECT_GT(log->oldest(0), 0u) << "the log has let go of some";
  EXPECT_EQ(stream->lost(), 0u);
  EXPECT_LT(stream->files(), 40u) << "not each a file of its own";
  ASSERT_TRUE(stream->flush());
  EXPECT_EQ(captured().size(), 800u);
}

TEST_F(SmallLogTest, appends_wait_for_a_stream_that_is_behind_and_nothing_is_lost) {
  auto stream = open().value();
  std::future<void> rest = send_until_held(400);
  EXPECT_EQ(log->oldest(0), 0u);
  EXPECT_NE(rest.wait_for(0s), std::future_status::ready);
  ASSERT_TRUE(stream->step());
  rest.get();
  ASSERT_TRUE(stream->flush());
  EXPECT_EQ(captured().size(), 400u);
  EXPECT_EQ(stream->lost(), 0u);
  ASSERT_TRUE(log->apply_retention());
  EXPECT_GT(log->oldest(0), 100u);
}

TEST_F(SmallLogTest, a_route_that_takes_nothing_holds_nothing_back) {
  route.condition = route::parse_condition("false").value();
  auto stream = open().value();
  for (int round = 0; round < 20; ++round) {
    send_some(20);
    ASSERT_TRUE(stream->step());
  }
  EXPECT_EQ(log->statistics().held_records, 0u);
  EXPECT_GT(log->oldest(0), 100u);
  EXPECT_TRUE(captured().empty());
}

TEST_F(SmallLogTest, a_route_that_takes_little_has_its_file_before_the_log_waits_for_it) {
  route.condition = route::parse_condition("$messageId = '5' OR $messageId = '200'").value();
  route.storage.max_age = 24h;
  auto stream = open().value();
  for (int round = 0; round < 20; ++round) {
    send_some(20);
    ASSERT_TRUE(stream->step());
  }
  EXPECT_EQ(log->statistics().held_records, 0u);
  EXPECT_EQ(captured(), (Ids{"5", "200"}));
  EXPECT_EQ(stream->files(), 2u);
}

TEST_F(SmallLogTest, the_log_waits_for_a_stream_that_starts_far_behind) {
  send_some(150);
  auto stream = open().value();
  std::future<void> rest = send_until_held(100);
  EXPECT_EQ(log->oldest(0), 0u) << "nothing was dropped since it is there";
  ASSERT_TRUE(stream->step());
  rest.get();
  ASSERT_TRUE(stream->flush());
  EXPECT_EQ(captured().size(), 250u);
}

TEST_F(SmallLogTest, what_a_stream_in_trouble_loses_is_counted_once_and_the_rest_is_captured) {
  route.storage.max_bytes = 5000;
  auto stream = open().value();
  store.death = DyingStore::Death::creating;
  send_some(60);
  ASSERT_FALSE(stream->step());
  EXPECT_GT(stream->gathered(), 0u);
  std::future<void> rest = send_until_held(400);
  clock.advance(61s);  // the log's patience is at an end
  rest.get();
  ASSERT_TRUE(log->apply_retention());  // its own thread does so, too, but after it has acknowledged
  ASSERT_FALSE(stream->step());
  store.death = DyingStore::Death::none;
  ASSERT_TRUE(stream->step());
  EXPECT_GT(stream->lost(), 20u);
  const auto lost = stream->lost();
  rest = send_until_held(400);  // it is waited for again
  ASSERT_TRUE(stream->step());
  rest.get();
  ASSERT_TRUE(stream->flush());
  EXPECT_EQ(stream->lost(), lost);
  EXPECT_EQ(captured().size() + lost, 860u);
}

TEST_F(CaptureStreamTest, nothing_new_makes_no_file) {
  auto stream = open().value();
  ASSERT_TRUE(stream->flush());
  ASSERT_TRUE(stream->flush());
  EXPECT_TRUE(objects->list("").value().empty());
}

TEST_F(CaptureStreamTest, restart_neither_repeats_nor_skips) {
  send("a");
  ASSERT_TRUE(open().value()->flush());
  send("b");
  auto again = open().value();
  ASSERT_TRUE(again->step());  // looked at, not yet in a file, and forgotten with the process
  again.reset();
  send("c");
  auto last = open().value();
  ASSERT_TRUE(last->flush());
  EXPECT_EQ(captured(), (Ids{"a", "b", "c"}));
  EXPECT_EQ(last->captured(), 3u);
}

TEST_F(CaptureStreamTest, kill_after_the_file_appeared_and_before_the_cursor_moved_repeats_nothing) {
  auto stream = open().value();
  send("a");
  store.death = DyingStore::Death::after_commit;
  ASSERT_FALSE(stream->flush());
  stream.reset();
  store.death = DyingStore::Death::none;
  clock.advance(1h);
  send("b");
  auto again = open().value();
  ASSERT_TRUE(again->flush());
  EXPECT_EQ(captured(), (Ids{"a", "b"}));
  EXPECT_EQ(again->captured(), 2u);
}

TEST_F(CaptureStreamTest, kill_before_the_file_appeared_loses_nothing) {
  for (const auto death : {DyingStore::Death::creating, DyingStore::Death::writing, DyingStore::Death::before_commit}) {
    auto stream = open().value();
    send(fmt::format("{}", static_cast<int>(death)));
    store.death = death;
    ASSERT_FALSE(stream->flush());
    store.death = DyingStore::Death::none;
  }
  ASSERT_TRUE(open().value()->flush());
  EXPECT_EQ(captured(), (Ids{"1", "2", "3"}));
}

TEST_F(CaptureStreamTest, failing_disk_is_tried_again_without_repeats) {
  auto stream = open().value();
  send("a");
  store.death = DyingStore::Death::after_commit;
  ASSERT_FALSE(stream->flush());
  store.death = DyingStore::Death::writing;
  send("b");
  ASSERT_FALSE(stream->flush());
  store.death = DyingStore::Death::none;
  clock.advance(1min);
  ASSERT_TRUE(stream->flush());
  ASSERT_TRUE(stream->flush());
  EXPECT_EQ(captured(), (Ids{"a", "b"}));
}

TEST_F(CaptureStreamTest, lost_cursors_are_derived_from_the_files) {
  send("a");
  ASSERT_TRUE(open().value()->flush());
  tables.reset();
  for (const char* file : {"capture.db", "capture.db-wal", "capture.db-shm"}) std::filesystem::remove(folder.path() / file);
  tables.emplace(open_capture_tables(folder.path()).value());
  send("b");
  clock.advance(1min);
  auto stream = open().value();
  EXPECT_EQ(stream->captured(), 1u);
  ASSERT_TRUE(stream->flush());
  EXPECT_EQ(captured(), (Ids{"a", "b"}));
}

TEST_F(CaptureStreamTest, container_added_later_begins_with_what_comes_then) {
  send("before");
  auto stream = open(true).value();
  send("after");
  ASSERT_TRUE(stream->flush());
  EXPECT_EQ(captured(), Ids{"after"});
}

TEST_F(CaptureStreamTest, lines_of_json_are_captured_as_exactly_and_derived_from_their_names) {
  route.storage.encoding = CaptureEncoding::json;
  send("a", R"({"rate": 1.50})");
  send("b", "no json");
  ASSERT_TRUE(open().value()->flush());
  send("c");
  auto stream = open().value();
  store.death = DyingStore::Death::after_commit;
  ASSERT_FALSE(stream->flush());
  store.death = DyingStore::Death::none;
  clock.advance(1min);
  for (const char* file : {"capture.db", "capture.db-wal", "capture.db-shm"}) {
    tables.reset();
    std::filesystem::remove(folder.path() / file);
  }
  tables.emplace(open_capture_tables(folder.path()).value());
  stream = open().value();
  EXPECT_EQ(stream->captured(), 3u);
  send("d");
  ASSERT_TRUE(stream->flush());
  EXPECT_EQ(captured_lines(), (Ids{"a", "b", "c", "d"}));
  const auto files = objects->list("capture/").value();
  ASSERT_EQ(files.size(), 3u);
  EXPECT_EQ(files[0].name, "capture/telemetry/hub1/2030/01/01/00/00/00-00-000000000000-000000000002.json");
  EXPECT_NE(objects->get(files[0].name).value().find(R"("Body":{"rate": 1.50})"), Bytes::npos);
}

TEST_F(CaptureStreamTest, properties_are_put_on_what_is_captured) {
  class OneTwin final : public route::TwinLookup {
   public:
    std::shared_ptr<const json::Value> twin_of(const telemetry::Message&) const override {
      return std::make_shared<const json::Value>(json::parse(R"({"tags":{"site":"north"}})").value());
    }
  } twins;
  route.condition = route::parse_condition("$twin.tags.site = 'north'").value();
  route.enrichments = {route::Enrichment::make("site", "$twin.tags.site", {"storage:telemetry"}).value(),
                       route::Enrichment::make("hub", "$iothubname", {"storage:telemetry"}).value()};
  auto stream = CaptureStream::open({*log, store, *tables, clock, "hub1", &twins}, route, 0, false).value();
  send("a");
  ASSERT_TRUE(stream->flush());
  const auto messages = read_captured(*objects, "capture/telemetry/");
  ASSERT_EQ(messages.size(), 1u);
  EXPECT_EQ(messages[0].application, (telemetry::Properties{{"site", "north"}, {"hub", "hub1"}}));
  EXPECT_EQ(stream->not_enriched(), 0u);
}

TEST_F(CaptureStreamTest, kills_at_random_steps_capture_each_message_exactly_once) {
  std::mt19937 random(20260101);
  route.storage.max_bytes = 600;
  Ids sent;
  auto stream = open().value();
  for (int round = 0; round < 150; ++round) {
    for (unsigned n = random() % 4; n > 0; --n) {
      sent.push_back(fmt::format("{}", sent.size()));
      send(sent.back());
    }
    store.death = static_cast<DyingStore::Death>(random() % 5);
    const auto result = random() % 2 ? stream->flush() : stream->step();
    const bool restart = !result || random() % 3 == 0;
    if (restart && random() % 2) {  // else the same process tries again
      store.death = DyingStore::Death::none;
      stream = open().value();
    }
    clock.advance(std::chrono::seconds{random() % 90});
  }
  store.death = DyingStore::Death::none;
  stream = open().value();
  ASSERT_TRUE(stream->flush());
  const Ids found = captured();
  EXPECT_EQ(found, sent);
  EXPECT_EQ(stream->captured(), sent.size());
}

}  // namespace
}  // namespace nacelle::hub
