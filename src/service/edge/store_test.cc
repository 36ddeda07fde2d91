// RouteTable, MessageStore and Pump together: what is routed waits on disk, and goes out in order, at least once.
#include <gtest/gtest.h>

#include <filesystem>
#include <future>
#include <thread>

#include "foundation/random.h"
#include "net/socket/runtime.h"
#include "service/edge/pump.h"

namespace nacelle::edge {
namespace {

using std::chrono::seconds;

struct Folder {
  fs::path path = fs::temp_directory_path() / ("nacelle-store-" + random_uuid());
  ~Folder() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};

telemetry::Message message(const std::string& body, const std::string& module = {}, const std::string& output = {}) {
  telemetry::Message made;
  made.source = module.empty() ? telemetry::Source::device_messages : telemetry::Source::module_messages;
  made.system.set("connectionDeviceId", module.empty() ? "leaf1" : "edge1");
  if (!module.empty()) made.system.set("connectionModuleId", module);
  if (!output.empty()) made.system.set("outputName", output);
  made.body = body;
  made.enqueued_at = ManualClock().now();
  return made;
}

RouteTable table(std::string_view routes) {
  const auto desired = json::parse(R"({"schemaVersion":"1.1","routes":)" + std::string(routes) +
                                   R"(,"storeAndForwardConfiguration":{"timeToLiveSecs":60}})");
  auto config = deployment::parse_hub_config(*desired);
  EXPECT_TRUE(config) << config.error().message;
  return RouteTable(std::move(*config));
}

TEST(RouteTable, one_endpoint_gets_a_message_once_at_the_best_priority) {
  const RouteTable routes = table(R"j({"a":"FROM /messages/* INTO $upstream",
      "b":{"route":"FROM /messages/modules/m/outputs/* INTO $upstream","priority":3,"timeToLiveSecs":5},
      "c":{"route":"FROM /messages/* INTO BrokeredEndpoint(\"/modules/w/inputs/i\")","priority":7}})j");
  const auto targets = routes.targets(message("{}", "m", "o"));
  ASSERT_EQ(targets.size(), 2u);
  for (const Target& target : targets) {
    EXPECT_EQ(target.queue.priority, target.queue.endpoint.upstream() ? 3u : 7u);
    EXPECT_EQ(target.time_to_live_seconds, target.queue.endpoint.upstream() ? 5 : 60);
  }
  EXPECT_EQ(routes.targets(message("{}")).front().queue.priority, 2'000'000'000u);
}

TEST(RouteTable, the_leaf_route_of_the_tutorial_takes_no_module_messages) {
  const RouteTable routes = table(
      R"j({"leaf":"FROM /messages/* WHERE NOT IS_DEFINED($connectionModuleId) INTO BrokeredEndpoint(\"/modules/r/inputs/i\")"})j");
  EXPECT_EQ(routes.targets(message("{}")).size(), 1u);
  EXPECT_TRUE(routes.targets(message("{}", "m", "o")).empty());
}

/// A receiver that acknowledges when told to.
struct Receiver {
  bool ready = true;
  std::vector<std::string> got;
  std::vector<std::function<void(Result<>)>> waiting;
  void answer_all(bool well) {
    auto all = std::exchange(waiting, {});
    for (auto& done : all) done(well ? Result<>() : fail(Fault::unavailable, "gone"));
  }
};
class ReceiverSink final : public Sink {
 public:
  explicit ReceiverSink(Receiver& receiver) : receiver_(receiver) {}
  bool ready() override { return receiver_.ready; }
  void send(telemetry::Message sent, std::function<void(Result<>)> done) override {
    receiver_.got.push_back(sent.body);
    receiver_.waiting.push_back(std::move(done));
  }

 private:
  Receiver& receiver_;
};

/// All on one io_context that the test turns by hand; the spool's thread is waited for.
struct Bench {
  Folder folder;
  ManualClock clock;
  asio::io_context context;
  std::unique_ptr<MessageStore> store;
  Receiver receiver;
  std::shared_ptr<Pump> pump;

  Bench() { open(); }
  ~Bench() { close(); }
  void open() {
    auto opened = MessageStore::open({.directory = folder.path}, clock, storage::real_file_system());
    ASSERT_TRUE(opened) << opened.error().message;
    store = std::move(*opened);
  }
  void close() {
    if (pump) pump->stop();
    pump.reset();
    store.reset();
    turn();
  }
  void turn() {
    context.restart();
    context.poll();
  }
  void put(const std::string& body, std::uint32_t priority = 1, std::int64_t life = -1) {
    std::promise<bool> synced;
    store->append(message(body), {{{EndpointName{}, priority}, life}}, [&](Result<> done) { synced.set_value(done.has_value()); });
    ASSERT_TRUE(synced.get_future().get());
  }
  void start(std::size_t window = 100) {
    Pump::Options options;
    options.window = window;
    options.retry_after = std::chrono::milliseconds(1);
    pump = Pump::make(context.get_executor(), EndpointName{}, std::make_unique<ReceiverSink>(receiver), clock, options);
    for (const auto& [name, spool] : store->queues({})) pump->add_queue(name, *spool);
    turn();
  }
  void turn_until(std::size_t count) {
    for (int i = 0; i < 20'000 && receiver.got.size() < count; ++i) {
      turn();
      std::this_thread::sleep_for(std::chrono::microseconds(100));
    }
  }
};

using Bodies = std::vector<std::string>;

TEST(Pump, higher_priority_goes_first_and_order_is_kept_within) {
  Bench bench;
  bench.put("low1", 9);
  bench.put("low2", 9);
  bench.put("high1", 0);
  bench.put("high2", 0);
  bench.start();
  EXPECT_EQ(bench.receiver.got, (Bodies{"high1", "high2", "low1", "low2"}));
}

TEST(Pump, no_more_than_the_window_is_on_its_way) {
  Bench bench;
  for (int i = 0; i < 5; ++i) bench.put(std::to_string(i));
  bench.start(2);
  EXPECT_EQ(bench.receiver.got.size(), 2u);
  bench.receiver.answer_all(true);
  bench.turn();
  EXPECT_EQ(bench.receiver.got, (Bodies{"0", "1", "2", "3"}));
}

TEST(Pump, what_was_not_acknowledged_is_sent_again_in_order) {
  Bench bench;
  for (int i = 0; i < 3; ++i) bench.put(std::to_string(i));
  bench.start();
  auto waiting = std::exchange(bench.receiver.waiting, {});
  waiting[0]({});
  waiting[1](fail(Fault::unavailable, "gone"));
  waiting[2](fail(Fault::unavailable, "gone"));
  bench.turn_until(5);
  EXPECT_EQ(bench.receiver.got, (Bodies{"0", "1", "2", "1", "2"}));
}

TEST(Pump, what_was_acknowledged_behind_a_failure_is_not_sent_again) {
  Bench bench;
  for (int i = 0; i < 4; ++i) bench.put(std::to_string(i));
  bench.start();
  auto waiting = std::exchange(bench.receiver.waiting, {});
  waiting[0](fail(Fault::exhausted, "full"));
  waiting[1]({});
  waiting[2](fail(Fault::exhausted, "full"));
  waiting[3]({});
  bench.turn_until(6);
  EXPECT_EQ(bench.receiver.got, (Bodies{"0", "1", "2", "3", "0", "2"}));
  bench.receiver.answer_all(true);
  bench.turn();
  EXPECT_EQ(bench.store->waiting(), 0u);
}

TEST(Pump, a_restart_goes_on_behind_what_was_acknowledged) {
  Bench bench;
  for (int i = 0; i < 3; ++i) bench.put(std::to_string(i));
  bench.start();
  auto waiting = std::exchange(bench.receiver.waiting, {});
  waiting[0]({});
  bench.turn();
  bench.close();
  bench.receiver.got.clear();
  bench.open();
  bench.start();
  EXPECT_EQ(bench.receiver.got, (Bodies{"1", "2"}));
}

TEST(Pump, what_has_outlived_its_time_is_not_sent) {
  Bench bench;
  bench.put("short", 1, 10);
  bench.put("long", 1, 100);
  bench.clock.advance(seconds(11));
  bench.start();
  EXPECT_EQ(bench.receiver.got, (Bodies{"long"}));
  EXPECT_EQ(bench.pump->expired(), 1u);
}

TEST(Pump, it_waits_for_a_receiver_and_goes_on_when_woken) {
  Bench bench;
  bench.put("a");
  bench.receiver.ready = false;
  bench.start();
  EXPECT_TRUE(bench.receiver.got.empty());
  bench.receiver.ready = true;
  bench.pump->wake();
  bench.turn();
  EXPECT_EQ(bench.receiver.got, (Bodies{"a"}));
}

TEST(MessageStore, a_message_for_two_endpoints_is_answered_once_both_have_it) {
  Bench bench;
  std::promise<bool> synced;
  bench.store->append(message("x"), {{{EndpointName{}, 1}, -1}, {{EndpointName{"m/odd name", "in.put"}, 2}, -1}},
                      [&](Result<> done) { synced.set_value(done.has_value()); });
  ASSERT_TRUE(synced.get_future().get());
  EXPECT_EQ(bench.store->waiting(), 2u);
  bench.close();
  bench.open();
  EXPECT_EQ(bench.store->endpoints(), (std::vector<EndpointName>{{}, {"m/odd name", "in.put"}}));
}

TEST(StoredMessage, every_truncation_is_refused) {
  const Bytes whole = encode_stored({never_expires, message("body")});
  ASSERT_TRUE(decode_stored(whole));
  for (std::size_t cut = 0; cut < whole.size(); ++cut) EXPECT_FALSE(decode_stored(BytesView(whole).substr(0, cut))) << cut;
}

}  // namespace
}  // namespace nacelle::edge
