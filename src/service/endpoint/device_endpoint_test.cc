// The endpoint between a scripted backend and clients that speak MQTT in packets over streams in memory.
#include "service/endpoint/device_endpoint.h"

#include <gtest/gtest.h>

#include <deque>
#include <map>

#include "foundation/task_scope.h"
#include "net/socket/memory_stream.h"

namespace nacelle::endpoint {
namespace {

using device::DeviceId;
using device::IdentityName;
using device::ModuleId;

const IdentityName dev1{DeviceId("dev1"), {}};
const IdentityName filter{DeviceId("edge1"), ModuleId("filter")};
const IdentityName edge_hub{DeviceId("edge1"), ModuleId("$edgeHub")};

/// Lets everybody else on the context go on first, `times` times.
awaitable<void> yield(int times = 1) {
  const Executor executor = co_await asio::this_coro::executor;
  for (int i = 0; i < times; ++i) co_await asio::post(executor, asio::use_awaitable);
}

/// Lets in whoever says `good`; keeps what it is told.
class ScriptedBackend final : public DeviceBackend {
 public:
  awaitable<Result<Timestamp>> authenticate(IdentityName who, telemetry::UserName, std::string password, Bytes) override {
    if (password == "later") co_return fail(Fault::unavailable, "the registry is closed");
    if (password == "unknown") co_return fail(Fault::not_found, "no such device");
    if (password != "good") co_return fail(Fault::denied, "the token is not signed with either key");
    authenticated.push_back(who.client_id());
    co_return Timestamp::max();
  }
  awaitable<Result<Principal>> authenticate_plain(std::string user_name, std::string password, Bytes) override {
    if (password != "good") co_return fail(Fault::denied, "the password is wrong");
    const bool service = user_name.starts_with("svc");
    Principal who{service ? Principal::Kind::policy : Principal::Kind::device, user_name, Timestamp::max()};
    co_return who;
  }
  void connected(const IdentityName& who) override { events.push_back("connected " + who.client_id()); }
  void disconnected(const IdentityName& who) override { events.push_back("disconnected " + who.client_id()); }
  void telemetry(telemetry::Message message, std::function<void(Result<>)> done) override {
    messages.push_back(std::move(message));
    if (hold)
      held.push_back(std::move(done));
    else
      done({});
  }
  bool stores_batches() const override { return batches; }
  void store(std::string_view device_id, storage::RecordBatch batch, storage::EventLog::BatchDone done) override {
    events.push_back(fmt::format("stored {} of {}", batch.records(), device_id));
    for (BytesView left = batch.frames(); !left.empty();) {
      std::uint32_t size = 0;
      std::memcpy(&size, left.data(), sizeof size);
      messages.push_back(telemetry::decode_record(left.substr(storage::RecordBatch::header_bytes, size)).value());
      left.remove_prefix(storage::RecordBatch::header_bytes + size);
    }
    done(storage::Offset{0}, std::move(batch));
  }
  bool may_send_for(const IdentityName& connection, const IdentityName& who) override {
    return connection == who || (connection == edge_hub && who.device.str() != "stranger");
  }
  std::string generation_id(const IdentityName& who) override { return "gen-" + who.client_id(); }
  awaitable<Result<json::Value>> get_twin(IdentityName) override {
    if (twin_fault) co_return fail(*twin_fault);
    co_return json::Value(json::Object{{"desired", json::Object{{"$version", 1}}}, {"reported", json::Object{{"$version", 1}}}});
  }
  awaitable<Result<ReportedAnswer>> patch_reported(IdentityName, json::Value patch,
                                                   std::optional<std::int64_t> base_version) override {
    if (twin_fault) co_return fail(*twin_fault);
    patches.push_back(json::print(patch) + (base_version ? " on " + std::to_string(*base_version) : ""));
    // The earlier patch takes longer: only a queue keeps them in order.
    co_await yield(patches.size() == 1 ? 50 : 0);
    co_return ReportedAnswer{static_cast<std::int64_t>(patches.size() + 1)};
  }
  void method_response(const IdentityName& who, const std::string& request_id, int status, Bytes body) override {
    events.push_back("response " + who.client_id() + " " + request_id + " " + std::to_string(status) + " " + body);
  }
  void subscriptions_changed(const IdentityName& who) override { ++subscription_changes[who.client_id()]; }

  std::vector<std::string> authenticated, events, patches;
  std::vector<telemetry::Message> messages;
  std::deque<std::function<void(Result<>)>> held;
  bool hold = false;
  bool batches = false;
  std::optional<Error> twin_fault;
  std::map<std::string, int> subscription_changes;
};

/// A client in packets. Publish packets borrow from `frame` until the next one is read.
struct Peer {
  net::StreamPtr stream;
  Bytes buffer;
  Bytes frame;

  template <class Packet>
  static awaitable<void> send(Peer& peer, Packet packet) {
    Bytes bytes;
    mqtt::encode(bytes, packet);
    const Result<> written = co_await peer.stream->write_all(bytes);
    EXPECT_TRUE(written);
  }

  /// The next packet; nothing at the connection's end.
  static awaitable<std::optional<mqtt::Packet>> next(Peer& peer) {
    while (true) {
      const auto size = mqtt::frame_size(peer.buffer, 1 << 20);
      EXPECT_TRUE(size);
      if (!size) co_return std::nullopt;
      if (*size) {
        peer.frame = peer.buffer.substr(0, **size);
        peer.buffer.erase(0, **size);
        auto packet = mqtt::decode(peer.frame);
        EXPECT_TRUE(packet);
        if (!packet) co_return std::nullopt;
        co_return std::move(*packet);
      }
      char chunk[4096];
      const auto read = co_await peer.stream->read_some(chunk, sizeof chunk);
      if (!read) co_return std::nullopt;
      peer.buffer.append(chunk, *read);
    }
  }

  template <class Packet>
  static awaitable<Packet> expect(Peer& peer) {
    const auto packet = co_await next(peer);
    EXPECT_TRUE(packet && std::holds_alternative<Packet>(*packet));
    if (!packet || !std::holds_alternative<Packet>(*packet)) co_return Packet{};
    co_return std::get<Packet>(*packet);
  }
};

mqtt::Connect connect_as(const IdentityName& who, std::string password = "good") {
  mqtt::Connect connect;
  connect.client_id = who.client_id();
  connect.user_name = "hub.example.net/" + who.client_id() + "/?api-version=2021-04-12";
  connect.password = std::move(password);
  return connect;
}

class EndpointTest : public testing::Test {
 public:
  explicit EndpointTest(std::optional<OpenNamespace> open = std::nullopt) : tasks_(context_.get_executor()) {
    DeviceEndpoint::Options options;
    options.hub_names = {"hub.example.net"};
    options.open_namespace = std::move(open);
    endpoint_ = DeviceEndpoint::make(context_.get_executor(), backend_, clock_, std::move(options));
  }

  /// Runs the test's story to its end, then closes the endpoint.
  void run(awaitable<void> story) {
    bool ended = false;
    asio::co_spawn(context_, tell(std::move(story)), [&ended](std::exception_ptr failure) {
      if (failure) std::rethrow_exception(failure);
      ended = true;
    });
    context_.run_for(std::chrono::seconds(60));  // a guard against a story that waits for ever
    EXPECT_TRUE(ended);
  }

  Peer dial() {
    auto pipe = net::make_memory_pipe(asio::make_strand(context_));
    tasks_.spawn(endpoint_->server().serve(std::move(pipe.left)));
    return Peer{std::move(pipe.right), {}, {}};
  }

  awaitable<Peer> dial_as(IdentityName who) {
    Peer peer = dial();
    const mqtt::Connect connect = connect_as(who);
    co_await Peer::send(peer, connect);
    const mqtt::Connack connack = co_await Peer::expect<mqtt::Connack>(peer);
    EXPECT_EQ(connack.code, mqtt::ConnectCode::accepted);
    co_return std::move(peer);
  }

  static awaitable<std::uint8_t> subscribe(Peer& peer, std::string wanted, mqtt::QoS qos = mqtt::QoS::at_least_once) {
    mqtt::Subscribe packet;
    packet.packet_id = 77;
    packet.subscriptions.push_back({wanted, qos});
    co_await Peer::send(peer, packet);
    const mqtt::Suback suback = co_await Peer::expect<mqtt::Suback>(peer);
    co_return suback.codes.empty() ? 0xff : suback.codes[0];
  }

  static awaitable<void> publish(Peer& peer, std::string topic, Bytes body, mqtt::PacketId id = 1, bool retain = false) {
    mqtt::Publish packet;
    packet.topic = topic;
    packet.payload = body;
    packet.packet_id = id;
    packet.qos = id == 0 ? mqtt::QoS::at_most_once : mqtt::QoS::at_least_once;
    packet.retain = retain;
    Bytes bytes;
    mqtt::encode(bytes, packet);
    const Result<> written = co_await peer.stream->write_all(bytes);
    EXPECT_TRUE(written);
  }

  asio::io_context context_;
  ManualClock clock_;
  ScriptedBackend backend_;
  std::unique_ptr<DeviceEndpoint> endpoint_;
  TaskScope tasks_;

 private:
  awaitable<void> tell(awaitable<void> story) {
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await std::move(story);
    co_await endpoint_->close();
    co_await tasks_.close();
  }
};

// -- Connecting --------------------------------------------------------------------------------------------------------

struct Refused {
  mqtt::Connect connect;
  mqtt::ConnectCode code;
};

awaitable<void> expect_refusals(Peer (*dial)(void*), void* fixture, std::vector<Refused> cases) {
  for (std::size_t i = 0; i < cases.size(); ++i) {
    Peer peer = dial(fixture);
    co_await Peer::send(peer, cases[i].connect);
    const mqtt::Connack connack = co_await Peer::expect<mqtt::Connack>(peer);
    EXPECT_EQ(static_cast<int>(connack.code), static_cast<int>(cases[i].code)) << "case " << i;
    const auto more = co_await Peer::next(peer);
    EXPECT_FALSE(more) << "case " << i;
  }
}

TEST_F(EndpointTest, every_refusal_has_its_code) {
  using enum mqtt::ConnectCode;
  const auto changed = [](auto change) {
    mqtt::Connect connect = connect_as(dev1);
    change(connect);
    return connect;
  };
  const auto with_will = [&](std::string topic) {
    return changed([&](mqtt::Connect& c) { c.will = mqtt::Will{std::move(topic), "bye", mqtt::QoS::at_least_once, false}; });
  };
  std::vector<Refused> cases = {
      {changed([](mqtt::Connect& c) { c.client_id = "a/b/c"; }), identifier_rejected},
      {changed([](mqtt::Connect& c) { c.client_id = "no spaces"; }), identifier_rejected},
      {changed([](mqtt::Connect& c) {
         c.user_name.reset();
         c.password.reset();
       }),
       bad_user_name},
      {changed([](mqtt::Connect& c) { c.user_name = "hub.example.net/dev1"; }), bad_user_name},
      {changed([](mqtt::Connect& c) { c.user_name = "hub.example.net/dev2/?api-version=1"; }), not_authorized},
      {changed([](mqtt::Connect& c) { c.user_name = "hub.example.net/dev1/m/?api-version=1"; }), not_authorized},
      {changed([](mqtt::Connect& c) { c.user_name = "other.example.net/dev1/?api-version=1"; }), not_authorized},
      {changed([](mqtt::Connect& c) { c.password = "bad"; }), not_authorized},
      {changed([](mqtt::Connect& c) { c.password = "unknown"; }), not_authorized},
      {changed([](mqtt::Connect& c) { c.password = "later"; }), server_unavailable},
      {changed([](mqtt::Connect& c) { c.password.reset(); }), not_authorized},
      {changed([](mqtt::Connect& c) { c.password = ""; }), not_authorized},
      {with_will("devices/dev2/messages/events/"), not_authorized},
      {with_will("$iothub/twin/GET/?$rid=1"), not_authorized},
      {with_will("devices/dev1/messages/events/a=%zz"), not_authorized},
  };
  run(expect_refusals([](void* fixture) { return static_cast<EndpointTest*>(fixture)->dial(); }, this, std::move(cases)));
  EXPECT_TRUE(backend_.authenticated.empty());
  EXPECT_TRUE(backend_.events.empty());
}

TEST_F(EndpointTest, the_hubs_name_may_have_another_case_or_a_port) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    Peer peer = t->dial();
    mqtt::Connect connect = connect_as(dev1);
    connect.user_name = "HUB.example.net:8883/dev1/?api-version=1&DeviceClientType=x%2Fy";
    co_await Peer::send(peer, connect);
    const mqtt::Connack connack = co_await Peer::expect<mqtt::Connack>(peer);
    EXPECT_EQ(connack.code, mqtt::ConnectCode::accepted);
    EXPECT_TRUE(t->endpoint_->connected(dev1));
    const mqtt::Disconnect bye;
    co_await Peer::send(peer, bye);
    const auto more = co_await Peer::next(peer);
    EXPECT_FALSE(more);
  };
  run(story(this));
  EXPECT_EQ(backend_.events, (std::vector<std::string>{"connected dev1", "disconnected dev1"}));
  EXPECT_EQ(backend_.subscription_changes["dev1"], 1);
}

// -- Telemetry ---------------------------------------------------------------------------------------------------------

TEST_F(EndpointTest, a_message_is_stamped_and_acknowledged_only_when_durable) {
  backend_.hold = true;
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    Peer peer = co_await t->dial_as(filter);
    co_await publish(
        peer,
        "devices/edge1/modules/filter/messages/events/%24.on=alerts&%24.mid=7&%24.cdid=liar&$connectionDeviceId=liar&level=high/",
        "{}", 9, true);
    co_await Peer::send(peer, mqtt::Pingreq{});
    co_await Peer::expect<mqtt::Pingresp>(peer);  // the PUBACK has not come before it
    EXPECT_EQ(t->backend_.held.size(), 1u);
    for (const auto& done : t->backend_.held) done({});
    const mqtt::Puback puback = co_await Peer::expect<mqtt::Puback>(peer);
    EXPECT_EQ(puback.packet_id, 9);
  };
  run(story(this));
  ASSERT_EQ(backend_.messages.size(), 1u);
  const telemetry::Message& m = backend_.messages[0];
  EXPECT_EQ(m.source, telemetry::Source::module_messages);
  EXPECT_EQ(m.device_id(), "edge1");
  EXPECT_EQ(m.module_id(), "filter");
  EXPECT_EQ(m.output(), "alerts");
  EXPECT_EQ(m.system.get("messageId"), "7");
  EXPECT_EQ(m.system.get("connectionDeviceGenerationId"), "gen-edge1/filter");
  EXPECT_EQ(m.system.get("connectionAuthMethod"),
            R"({"scope":"module","type":"sas","issuer":"iothub","acceptingIpFilterRule":null})");
  EXPECT_EQ(m.system.get("enqueuedTime"), "2030-01-01T00:00:00.0000000Z");
  EXPECT_EQ(m.enqueued_at, clock_.now());
  EXPECT_EQ(m.application, (telemetry::Properties{{"level", "high"}, {"mqtt-retain", "true"}}));
  EXPECT_EQ(m.body, "{}");
}

awaitable<void> expect_closed_after(Peer peer, std::string topic, Bytes body) {
  mqtt::Publish packet;
  packet.topic = topic;
  packet.payload = body;
  packet.qos = mqtt::QoS::at_least_once;
  packet.packet_id = 1;
  Bytes bytes;
  mqtt::encode(bytes, packet);
  static_cast<void>(co_await peer.stream->write_all(bytes));
  const auto answer = co_await Peer::next(peer);
  EXPECT_FALSE(answer) << topic.substr(0, 80);
}

TEST_F(EndpointTest, a_publish_that_is_not_the_clients_to_make_closes_the_connection) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    const std::pair<std::string, std::size_t> publishes[] = {{"devices/dev2/messages/events/", 2},
                                                             {"devices/dev1/modules/m/messages/events/", 2},
                                                             {"some/other/topic", 2},
                                                             {"devices/dev1/messages/events/a=%zz", 2},
                                                             {"devices/dev1/messages/events/", 256 * 1024 + 1}};
    for (const auto& [topic, size] : publishes) {
      Peer peer = co_await t->dial_as(dev1);
      const Bytes body(size, 'x');
      co_await expect_closed_after(std::move(peer), topic, body);
    }
  };
  run(story(this));
  EXPECT_TRUE(backend_.messages.empty());
}

/// What a reader of the log sees, whichever way it came.
std::string described(const telemetry::Message& message) {
  std::vector<std::string> lines;
  for (const auto& [name, value] : message.system) lines.push_back(name + "=" + value);
  std::sort(lines.begin(), lines.end());
  for (const auto& [name, value] : message.application) lines.push_back("." + name + "=" + value);
  return fmt::format("{} {} {} {}", static_cast<int>(message.source), fmt::join(lines, ";"), message.body,
                     message.enqueued_at.time_since_epoch().count());
}

TEST_F(EndpointTest, a_batch_holds_the_same_messages_as_come_one_by_one) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    const std::vector<std::string> bags = {"",
                                           "%24.ct=application%2Fjson&%24.ce=utf-8&level=high",
                                           "%24.ct=application%2Fjson&%24.ce=utf-8&level=high",
                                           "%24.mid=7&a=b/",
                                           "connectionDeviceId=other&x=%20",
                                           "level=low"};
    for (const IdentityName& who : {dev1, filter}) {
      std::vector<std::string> seen[2];
      for (const bool batches : {false, true}) {
        t->backend_.batches = batches;
        t->backend_.messages.clear();
        Peer peer = co_await t->dial_as(who);
        const std::string prefix = telemetry::event_topic(who.device.str(), who.module.str(), {});
        mqtt::PacketId id = 0;
        for (const std::string& bag : bags) {
          ++id;
          co_await publish(peer, prefix + bag, "body " + bag, id, id == 3);
          const auto puback = co_await Peer::expect<mqtt::Puback>(peer);
          EXPECT_EQ(puback.packet_id, id);
        }
        for (const auto& message : t->backend_.messages) seen[batches].push_back(described(message));
      }
      EXPECT_EQ(seen[0].size(), bags.size());
      EXPECT_EQ(seen[0], seen[1]);
    }
    const auto stored = std::count(t->backend_.events.begin(), t->backend_.events.end(), "stored 1 of dev1");
    EXPECT_EQ(stored, 5) << "all but the retained one, which takes the long way";
  };
  run(story(this));
}

TEST_F(EndpointTest, a_message_of_exactly_the_limit_passes) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    Peer peer = co_await t->dial_as(dev1);
    const Bytes body(256 * 1024, 'x');
    co_await publish(peer, "devices/dev1/messages/events/", body);
    co_await Peer::expect<mqtt::Puback>(peer);
  };
  run(story(this));
  EXPECT_EQ(backend_.messages.size(), 1u);
}

TEST_F(EndpointTest, an_edge_hub_may_publish_for_its_leaves_and_modules_and_nobody_else) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    Peer peer = co_await t->dial_as(edge_hub);
    co_await publish(peer, "devices/leaf7/messages/events/%24.ctime=2030-01-01T00%3A00%3A00Z", "1", 1);
    co_await Peer::expect<mqtt::Puback>(peer);
    co_await publish(peer, "devices/edge1/modules/filter/messages/events/", "2", 2);
    co_await Peer::expect<mqtt::Puback>(peer);
    co_await expect_closed_after(std::move(peer), "devices/stranger/messages/events/", "3");
    Peer module = co_await t->dial_as(filter);
    co_await expect_closed_after(std::move(module), "devices/leaf7/messages/events/", "4");
  };
  run(story(this));
  ASSERT_EQ(backend_.messages.size(), 2u);
  EXPECT_EQ(backend_.messages[0].device_id(), "leaf7");
  EXPECT_EQ(backend_.messages[0].system.find("connectionModuleId"), nullptr);
  EXPECT_EQ(backend_.messages[0].system.get("connectionDeviceGenerationId"), "gen-leaf7");
  EXPECT_EQ(backend_.messages[0].system.get("iothub-creation-time-utc"), "2030-01-01T00:00:00Z");
  EXPECT_EQ(backend_.messages[1].module_id(), "filter");
}

TEST_F(EndpointTest, a_will_becomes_telemetry_when_the_connection_breaks_and_not_after_disconnect) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    for (const bool clean : {true, false}) {
      Peer peer = t->dial();
      mqtt::Connect connect = connect_as(dev1);
      connect.will = mqtt::Will{"devices/dev1/messages/events/why=power", "bye", mqtt::QoS::at_least_once, false};
      co_await Peer::send(peer, connect);
      co_await Peer::expect<mqtt::Connack>(peer);
      const mqtt::Disconnect bye;
      if (clean) co_await Peer::send(peer, bye);
      peer.stream->close();
      while (t->endpoint_->connections() > 0) co_await yield();
      EXPECT_EQ(t->backend_.messages.size(), clean ? 0u : 1u);
    }
  };
  run(story(this));
  ASSERT_EQ(backend_.messages.size(), 1u);
  EXPECT_EQ(backend_.messages[0].application, (telemetry::Properties{{"why", "power"}, {"iothub-MessageType", "Will"}}));
  EXPECT_EQ(backend_.messages[0].body, "bye");
}

// -- Twins -------------------------------------------------------------------------------------------------------------

TEST_F(EndpointTest, twin_reads_and_patches_are_answered_in_order) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    Peer peer = co_await t->dial_as(dev1);
    const std::uint8_t granted = co_await subscribe(peer, "$iothub/twin/res/#", mqtt::QoS::at_most_once);
    EXPECT_EQ(granted, 0);
    co_await publish(peer, "$iothub/twin/GET/?$rid=a%20b", " ", 0);
    const auto view = co_await Peer::expect<mqtt::Publish>(peer);
    EXPECT_EQ(view.topic, "$iothub/twin/res/200/?$rid=a%20b");
    EXPECT_EQ(view.payload, R"({"desired":{"$version":1},"reported":{"$version":1}})");
    co_await publish(peer, "$iothub/twin/PATCH/properties/reported/?$rid=2", R"({"a":1})", 0);
    co_await publish(peer, "$iothub/twin/PATCH/properties/reported/?$rid=3&$version=2", R"({"a":null})", 0);
    const auto second = co_await Peer::expect<mqtt::Publish>(peer);
    EXPECT_EQ(second.topic, "$iothub/twin/res/204/?$rid=2&$version=2");
    EXPECT_EQ(second.payload, "");
    const auto third = co_await Peer::expect<mqtt::Publish>(peer);
    EXPECT_EQ(third.topic, "$iothub/twin/res/204/?$rid=3&$version=3");
  };
  run(story(this));
  EXPECT_EQ(backend_.patches, (std::vector<std::string>{R"({"a":1})", R"({"a":null} on 2)"}));
}

TEST_F(EndpointTest, failed_twin_calls_carry_an_error_code_and_a_message) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    Peer peer = co_await t->dial_as(dev1);
    co_await subscribe(peer, "$iothub/twin/res/#");
    const struct {
      const char* query;
      const char* body;
      std::optional<Error> fault;
      const char* status;
      int code;
    } cases[] = {{"", "{", {}, "400", 400004},
                 {"", "", {}, "400", 400004},
                 {"", "[1]", {}, "400", 400004},
                 {"&$version=x", "{}", {}, "400", 400004},
                 {"", "{}", Error{Fault::conflict, "reported properties are at version 4, the patch is for 3"}, "412", 412001},
                 {"", "{}", Error{Fault::unavailable, "the hub cannot be reached"}, "503", 503001},
                 {"", "{}", Error{Fault::corrupt, "the twin cannot be read"}, "500", 500001}};
    for (const auto& c : cases) {
      t->backend_.twin_fault = c.fault;
      co_await publish(peer, std::string("$iothub/twin/PATCH/properties/reported/?$rid=9") + c.query, c.body, 5);
      std::string topic;
      Bytes body;
      bool acknowledged = false;
      for (int i = 0; i < 2; ++i) {  // the reply and the PUBACK, in either order
        const auto packet = co_await Peer::next(peer);
        if (!packet) co_return;
        acknowledged = acknowledged || std::holds_alternative<mqtt::Puback>(*packet);
        const auto* reply = std::get_if<mqtt::Publish>(&*packet);
        if (!reply) continue;
        topic = reply->topic;
        body = reply->payload;
      }
      EXPECT_TRUE(acknowledged);
      EXPECT_EQ(topic, "$iothub/twin/res/" + std::string(c.status) + "/?$rid=9");
      const auto error = json::parse(body);
      EXPECT_TRUE(error && error->find("errorCode") && error->find("message") && error->find("trackingId") &&
                  error->find("timestampUtc"));
      if (!error) co_return;
      EXPECT_EQ(error->find("errorCode")->as_integer(), c.code);
    }
  };
  run(story(this));
}

// -- Subscriptions -----------------------------------------------------------------------------------------------------

TEST_F(EndpointTest, filters_of_the_table_are_granted_and_others_refused) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    Peer device = co_await t->dial_as(dev1);
    Peer module = co_await t->dial_as(filter);
    const struct {
      bool by_module;
      const char* filter;
      int code;
    } cases[] = {{false, "devices/dev1/messages/devicebound/#", 1},
                 {false, "$iothub/twin/PATCH/properties/desired/#", 1},
                 {false, "$iothub/methods/POST/#", 1},
                 {false, "devices/dev2/messages/devicebound/#", 0x80},
                 {false, "devices/dev1/modules/filter/inputs/#", 0x80},
                 {false, "#", 0x80},
                 {false, "devices/dev1/messages/events/#", 0x80},
                 {true, "devices/edge1/modules/filter/inputs/#", 1},
                 {true, "devices/edge1/modules/filter/#", 1},
                 {true, "devices/edge1/modules/other/inputs/#", 0x80},
                 {true, "devices/edge1/messages/devicebound/#", 0x80}};
    for (const auto& c : cases) {
      const std::uint8_t code = co_await subscribe(c.by_module ? module : device, c.filter, mqtt::QoS::exactly_once);
      EXPECT_EQ(code, c.code) << c.filter;
    }
  };
  run(story(this));
  EXPECT_EQ(backend_.subscription_changes["dev1"], 1 + 3);
  EXPECT_EQ(backend_.subscription_changes["edge1/filter"], 1 + 2);
}

// -- To clients --------------------------------------------------------------------------------------------------------

TEST_F(EndpointTest, an_input_carries_its_sender_and_is_done_when_acknowledged) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    Peer peer = co_await t->dial_as(filter);
    EXPECT_FALSE(t->endpoint_->accepts_input(filter, "in1"));
    co_await subscribe(peer, "devices/edge1/modules/filter/inputs/#");
    EXPECT_TRUE(t->endpoint_->accepts_input(filter, "in1"));
    telemetry::Message message;
    message.system = {
        {"connectionDeviceId", "leaf1"}, {"connectionModuleId", "cam"}, {"outputName", "o"}, {"contentType", "application/json"}};
    message.application = {{"a b", "c&d"}};
    message.body = "{}";
    bool done = false;
    t->endpoint_->deliver_input(filter, "in1", message, [&done](Result<> result) { done = result.has_value(); });
    const auto input = co_await Peer::expect<mqtt::Publish>(peer);
    EXPECT_EQ(input.topic,
              "devices/edge1/modules/filter/inputs/in1/%24.cdid=leaf1&%24.cmid=cam&%24.ct=application%2Fjson&a%20b=c%26d");
    EXPECT_EQ(input.qos, mqtt::QoS::at_least_once);
    EXPECT_FALSE(done);
    co_await Peer::send(peer, mqtt::Puback{input.packet_id});
    co_await Peer::send(peer, mqtt::Pingreq{});
    co_await Peer::expect<mqtt::Pingresp>(peer);
    EXPECT_TRUE(done);
  };
  run(story(this));
}

TEST_F(EndpointTest, a_message_whose_properties_fit_no_topic_is_an_error_and_not_a_broken_packet) {
  telemetry::Message message;
  message.application = {{"k", std::string(70'000, 'v')}};
  std::optional<Fault> fault;
  endpoint_->deliver_input(filter, "in1", message, [&fault](Result<> result) {
    if (!result) fault = result.error().fault;
  });
  EXPECT_EQ(fault, Fault::invalid_input);
}

TEST_F(EndpointTest, cloud_to_device_desired_changes_and_methods_reach_their_subscriber) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    Peer peer = co_await t->dial_as(dev1);
    EXPECT_FALSE(t->endpoint_->call_method(dev1, "reboot", "1a", "null"));
    co_await subscribe(peer, "devices/dev1/messages/devicebound/#");
    co_await subscribe(peer, "$iothub/twin/PATCH/properties/desired/#", mqtt::QoS::at_most_once);
    co_await subscribe(peer, "$iothub/methods/POST/#", mqtt::QoS::at_most_once);

    telemetry::Message message;
    message.system = {{"messageId", "m1"}, {"to", "/devices/dev1/messages/devicebound"}};
    message.body = "hello";
    t->endpoint_->deliver_cloud_to_device(dev1, message, [](const Result<>&) {});
    const auto c2d = co_await Peer::expect<mqtt::Publish>(peer);
    EXPECT_EQ(c2d.topic, "devices/dev1/messages/devicebound/%24.mid=m1&%24.to=%2Fdevices%2Fdev1%2Fmessages%2Fdevicebound");
    EXPECT_EQ(c2d.payload, "hello");

    const json::Value change = json::Object{{"rate", nullptr}, {"$version", 4}};
    t->endpoint_->notify_desired(dev1, change, 4);
    const auto desired = co_await Peer::expect<mqtt::Publish>(peer);
    EXPECT_EQ(desired.topic, "$iothub/twin/PATCH/properties/desired/?$version=4");
    EXPECT_EQ(desired.payload, R"({"rate":null,"$version":4})");

    EXPECT_TRUE(t->endpoint_->call_method(dev1, "get state", "1b", "{}"));
    const auto call = co_await Peer::expect<mqtt::Publish>(peer);
    EXPECT_EQ(call.topic, "$iothub/methods/POST/get%20state/?$rid=1b");
    co_await publish(peer, "$iothub/methods/res/-3/?$rid=1b", "{\"ok\":true}", 4);
    co_await Peer::expect<mqtt::Puback>(peer);
  };
  run(story(this));
  EXPECT_EQ(backend_.events[1], "response dev1 1b -3 {\"ok\":true}");
}

// The open namespace.

OpenNamespace with_rules() {
  OpenNamespace open;
  open.rules = AccessRules::parse(json::parse(R"({"rules":[{"who":"device:*","publish":["own/%n/#"],"subscribe":["own/#"]},
                                                           {"who":"anonymous","subscribe":["own/+"]}]})")
                                      .value())
                   .value();
  open.allow_anonymous = true;
  return open;
}

class OpenEndpointTest : public EndpointTest {
 public:
  OpenEndpointTest() : EndpointTest(with_rules()) {}

  awaitable<mqtt::Connack> knock(Peer& peer, std::string client_id, std::optional<std::string> user_name, std::string password) {
    peer = dial();
    mqtt::Connect connect;
    connect.client_id = std::move(client_id);
    connect.user_name = user_name;
    if (user_name) connect.password = std::move(password);
    co_await Peer::send(peer, connect);
    const mqtt::Connack connack = co_await Peer::expect<mqtt::Connack>(peer);
    co_return connack;
  }
  static mqtt::Publish message(std::string_view topic, mqtt::PacketId id) {
    return {topic, "hello", id == 0 ? mqtt::QoS::at_most_once : mqtt::QoS::at_least_once, true, false, id};
  }
};

TEST_F(OpenEndpointTest, a_message_is_stored_before_it_is_acknowledged_and_passed_on) {
  run([](OpenEndpointTest& test) -> awaitable<void> {
    Peer sender, reader;
    co_await test.knock(sender, "s", "dev1", "good");
    co_await test.knock(reader, "r", std::nullopt, {});
    const auto granted = co_await subscribe(reader, "own/+");
    EXPECT_EQ(granted, 1);
    test.backend_.hold = true;
    const auto publish = message("own/dev1", 5);
    co_await Peer::send(sender, publish);
    co_await yield(20);
    co_await Peer::send(sender, mqtt::Pingreq{});
    co_await Peer::send(reader, mqtt::Pingreq{});
    co_await Peer::expect<mqtt::Pingresp>(sender);
    co_await Peer::expect<mqtt::Pingresp>(reader);
    EXPECT_EQ(test.backend_.held.size(), 1u);
    if (test.backend_.held.empty()) co_return;
    test.backend_.held[0]({});
    const auto puback = co_await Peer::expect<mqtt::Puback>(sender);
    EXPECT_EQ(puback.packet_id, 5);
    const auto received = co_await Peer::expect<mqtt::Publish>(reader);
    EXPECT_EQ(received.topic, "own/dev1");
    EXPECT_EQ(received.payload, "hello");
    const telemetry::Message& stored = test.backend_.messages.at(0);
    EXPECT_EQ(stored.system.get("mqttTopic"), "own/dev1");
    EXPECT_EQ(stored.system.get("mqttClientId"), "s");
    EXPECT_EQ(stored.device_id(), "dev1");
    EXPECT_EQ(stored.system.get("connectionDeviceGenerationId"), "gen-dev1");
    EXPECT_EQ(stored.application.get("mqtt-retain"), "true");
    EXPECT_EQ(stored.body, "hello");
  }(*this));
}

TEST_F(OpenEndpointTest, what_could_not_be_stored_reaches_nobody) {
  run([](OpenEndpointTest& test) -> awaitable<void> {
    Peer peer;
    co_await test.knock(peer, "s", "dev1", "good");
    co_await subscribe(peer, "own/#");
    test.backend_.hold = true;
    for (const mqtt::PacketId id : {1, 2}) {
      const auto publish = message("own/dev1", id);
      co_await Peer::send(peer, publish);
    }
    co_await yield(20);
    EXPECT_EQ(test.backend_.held.size(), 2u);
    if (test.backend_.held.size() != 2) co_return;
    test.backend_.held[0](fail(Fault::exhausted, "disk full"));
    test.backend_.held[1]({});
    const auto first = co_await Peer::next(peer);
    const auto second = co_await Peer::next(peer);
    EXPECT_TRUE(first && second && first->index() != second->index());  // one PUBACK, one message
    co_await Peer::send(peer, mqtt::Pingreq{});
    co_await Peer::expect<mqtt::Pingresp>(peer);
  }(*this));
}

TEST_F(OpenEndpointTest, nobody_takes_the_session_of_an_iot_hub_client) {
  run([](OpenEndpointTest& test) -> awaitable<void> {
    Peer device = co_await test.dial_as(dev1);
    Peer plain, anonymous, bad;
    co_await test.knock(plain, "dev1", "dev2", "good");
    co_await test.knock(anonymous, "dev1", std::nullopt, {});
    const auto refused = co_await test.knock(bad, "dev1", "dev1", "guess");
    EXPECT_EQ(refused.code, mqtt::ConnectCode::not_authorized);
    EXPECT_EQ(test.endpoint_->connections(), 3u);
    co_await Peer::send(device, mqtt::Pingreq{});
    co_await Peer::expect<mqtt::Pingresp>(device);
    const auto hub_topic = co_await subscribe(plain, "$iothub/twin/res/#");
    EXPECT_EQ(hub_topic, 0x80);
    const auto shared_hub_topic = co_await subscribe(plain, "$share/g/devices/dev1/messages/devicebound/#");
    EXPECT_EQ(shared_hub_topic, 0x80);
    const auto beyond = co_await subscribe(anonymous, "own/#");
    EXPECT_EQ(beyond, 0x80);
    const auto forged = message("devices/dev1/messages/events/", 1);
    co_await Peer::send(plain, forged);
    const auto ended = co_await Peer::next(plain);
    EXPECT_FALSE(ended);
    const auto other = message("own/dev1", 1);  // dev2 may not
    co_await test.knock(plain, "dev1", "dev2", "good");
    co_await Peer::send(plain, other);
    const auto ended_too = co_await Peer::next(plain);
    EXPECT_FALSE(ended_too);
    EXPECT_TRUE(test.backend_.messages.empty());
  }(*this));
}

TEST_F(OpenEndpointTest, an_iot_hub_client_uses_both_namespaces) {
  run([](OpenEndpointTest& test) -> awaitable<void> {
    Peer device = co_await test.dial_as(dev1);
    const auto hub_filter = co_await subscribe(device, "devices/dev1/messages/devicebound/#");
    EXPECT_EQ(hub_filter, 1);
    const auto open_filter = co_await subscribe(device, "own/#");
    EXPECT_EQ(open_filter, 1);
    for (const char* topic : {"own/dev1/x", "devices/dev1/messages/events/"}) {
      const auto publish = message(topic, 0);
      co_await Peer::send(device, publish);
    }
    const auto received = co_await Peer::expect<mqtt::Publish>(device);
    EXPECT_EQ(received.topic, "own/dev1/x");
    co_await yield(20);
    EXPECT_EQ(test.backend_.messages.size(), 2u);
  }(*this));
}

}  // namespace
}  // namespace nacelle::endpoint
