// Devices over AMQP, by a scripted peer: what goes wrong, and what no SDK would send.
#include "service/hub/amqp_testing.h"
#include "service/hub/hub_fixture.h"
#include "service/hub/reach.h"
#include "service/hub/routes.h"

namespace nacelle::hub::testing {
namespace {

constexpr std::uint32_t link = 2;  // handles 0 and 1 are those of $cbs
constexpr std::uint32_t other = 3;
constexpr std::uint64_t accepted = 0x24;
constexpr std::uint64_t released = 0x26;

/// What stories need of the hub, whose strand is not theirs.
struct At {
  Services& services;
  std::string token;
  Amqp& amqp() const { return *services.amqp; }
};

awaitable<AmqpSessionPtr> device_session(At at) {
  const AmqpSessionPtr session = co_await join(at.amqp());
  const std::int64_t status = co_await put_token(*session->peer, at.token);
  EXPECT_EQ(status, 200);
  co_return session;
}

awaitable<std::string> send_to_device(At at, std::string id) {
  auto work = [&services = at.services, id] {
    telemetry::Message message;
    message.system.set("messageId", id);
    message.system.set("ack", "full");
    message.body = "for it";
    const auto sent = services.cloud_to_device.send(device::DeviceId("d1"), message);
    return sent ? sent->message_id : sent.error().message;
  };
  auto sent = co_await run_on(at.services.disk.tables(), work);
  co_return sent;
}

awaitable<std::int64_t> waiting(At at) {
  auto work = [&services = at.services] { return services.cloud_to_device.waiting(device::DeviceId("d1")); };
  const std::int64_t count = co_await run_on(at.services.disk.tables(), work);
  co_return count;
}

amqp::Map channel(const char* name) { return {{amqp::Symbol{"com.microsoft:channel-correlation-id"}, name}}; }

amqp::Message twin_request(const char* id, const char* operation, const char* resource = "", const char* body = " ") {
  amqp::Message request;
  if (*id) request.correlation_id = id;
  request.annotations = {{amqp::Symbol{"operation"}, operation}};
  if (*resource) request.annotations.push_back({amqp::Symbol{"resource"}, resource});
  request.data = body;
  return request;
}

class AmqpDevicesTest : public HubTest {
 protected:
  AmqpDevicesTest() : d1(add("d1")) {}
  At at() { return {hub->services(), token(d1)}; }
  bool is_connected() { return get("/devices/d1").find("connectionState")->as_string() == "Connected"; }
  std::vector<telemetry::Message> stored() {
    std::vector<telemetry::Message> all;
    auto& log = hub->services().log;
    for (storage::Partition partition = 0; partition < log.partitions(); ++partition) {
      const auto records = log.read(partition, log.oldest(partition), 1 << 20);
      EXPECT_TRUE(records);
      for (const auto& record : *records) all.push_back(telemetry::decode_record(record.payload).value());
    }
    return all;
  }
  const device::Identity d1;
};

TEST_F(AmqpDevicesTest, telemetry_says_of_its_sender_what_the_hub_knows) {
  auto story = [](At at) -> awaitable<void> {
    const AmqpSessionPtr session = co_await device_session(at);
    AmqpScript& peer = *session->peer;
    const auto said1 = co_await peer.attach("events", link, false, "/devices/d1/messages/events");
    EXPECT_EQ(said1, "attached");
    amqp::Message sent;
    sent.message_id = amqp::Uuid{};
    sent.user_id = "me";
    sent.creation = amqp::Instant{1'893'456'000'000};
    sent.annotations = {{amqp::Symbol{"dt-subject"}, "thermostat"}};
    sent.application = {{"connectionDeviceId", "liar"}, {"level", "high"}, {"iothub-outputname", "alerts"}};
    sent.data = "{}";
    peer.transfer(link, sent);
    const auto said2 = co_await peer.outcome();
    EXPECT_EQ(said2, "accepted");
    co_await leave(session);
  };
  run(story(at()));
  const auto all = stored();
  ASSERT_EQ(all.size(), 1u);
  const auto& system = all[0].system;
  EXPECT_EQ(all[0].device_id(), "d1");
  EXPECT_EQ(system.get("messageId"), "00000000-0000-0000-0000-000000000000");
  EXPECT_EQ(system.get("userId"), "me");
  EXPECT_EQ(system.get("iothub-creation-time-utc"), "2030-01-01T00:00:00.000Z");
  EXPECT_EQ(system.get("dt-subject"), "thermostat");
  EXPECT_EQ(all[0].output(), "alerts");
  EXPECT_EQ(system.get("connectionDeviceGenerationId"), d1.generation_id);
  EXPECT_NE(system.get("connectionAuthMethod").find(R"("scope":"device","type":"sas")"), std::string::npos);
  EXPECT_EQ(all[0].application, (telemetry::Properties{{"level", "high"}}));
}

TEST_F(AmqpDevicesTest, telemetry_that_is_refused_leaves_its_link) {
  auto story = [](At at) -> awaitable<void> {
    const AmqpSessionPtr session = co_await device_session(at);
    AmqpScript& peer = *session->peer;
    co_await peer.attach("events", link, false, "/devices/d1/messages/events");
    amqp::Message sent;
    sent.value = amqp::Map{};
    peer.transfer(link, sent);  // the first delivery on this session is 1: the token's was 0
    const auto said3 = co_await peer.outcome();
    EXPECT_EQ(said3, "rejected com.microsoft:argument-error");

    amqp::Message whole;
    whole.data = std::string(telemetry::max_message_bytes + 1, 'x');
    const Bytes bytes = amqp::encode_message(whole);
    constexpr std::size_t piece = 60'000;
    for (std::size_t from = 0; from < bytes.size(); from += piece) {
      const bool more = from + piece < bytes.size();
      amqp::List fields{net::test::number(link), net::test::number(2), amqp::Binary{"2"}, net::test::number(0), false, more};
      peer.say(net::test::amqp_transfer, std::move(fields), bytes.substr(from, piece));
    }
    const auto said4 = co_await peer.outcome();
    EXPECT_EQ(said4, "rejected amqp:link:message-size-exceeded");

    whole.data = "cut short";
    const Bytes cut = amqp::encode_message(whole);
    amqp::List fields{net::test::number(link), net::test::number(3), amqp::Binary{"3"}, net::test::number(0), false};
    peer.say(net::test::amqp_transfer, std::move(fields), cut.substr(0, cut.size() - 1));
    const auto said5 = co_await peer.outcome();
    EXPECT_EQ(said5, "rejected amqp:decode-error");

    amqp::List again{net::test::number(link), net::test::number(4), amqp::Binary{"4"}, net::test::number(0), false};
    peer.say(net::test::amqp_transfer, std::move(again), cut);
    const auto said6 = co_await peer.outcome();
    EXPECT_EQ(said6, "accepted");
    co_await leave(session);
  };
  run(story(at()));
  ASSERT_EQ(stored().size(), 1u);
  EXPECT_EQ(hub->services().counters.refusals.of(Way::publish), 2u);
}

TEST_F(AmqpDevicesTest, messages_come_again_until_they_are_accepted) {
  auto story = [](At at) -> awaitable<void> {
    const auto said7 = co_await send_to_device(at, "m1");
    EXPECT_EQ(said7, "m1");
    AmqpSessionPtr session = co_await device_session(at);
    co_await session->peer->attach("in", link, true, "/devices/d1/messages/devicebound");
    session->peer->flow(link, 10);
    const auto first = co_await session->peer->receive();
    EXPECT_EQ(amqp::id_text(first.first.message_id), "m1");
    EXPECT_EQ(first.first.data, "for it");
    EXPECT_EQ(first.first.to, "/devices/d1/messages/devicebound");
    EXPECT_EQ(amqp::find(first.first.annotations, "iothub-deliverycount")->integer(), 0);
    session->peer->dispose(first.second, released);
    const auto second = co_await session->peer->receive();
    EXPECT_EQ(amqp::find(second.first.annotations, "iothub-deliverycount")->integer(), 1);
    co_await leave(session);  // without a word about it
    session = co_await device_session(at);
    co_await session->peer->attach("in", link, true, "/devices/d1/messages/devicebound");
    session->peer->flow(link, 10);
    const auto third = co_await session->peer->receive();
    EXPECT_EQ(amqp::id_text(third.first.message_id), "m1");
    session->peer->dispose(third.second, accepted);
    const auto said8 = co_await send_to_device(at, "m2");
    EXPECT_EQ(said8, "m2");
    const auto fourth = co_await session->peer->receive();  // and by then the first one is settled
    EXPECT_EQ(amqp::id_text(fourth.first.message_id), "m2");
    const auto said9 = co_await waiting(at);
    EXPECT_EQ(said9, 1);
    co_await leave(session);
  };
  run(story(at()));
}

TEST_F(AmqpDevicesTest, a_second_receiver_of_messages_takes_the_place_of_the_first) {
  auto story = [](At at) -> awaitable<void> {
    const AmqpSessionPtr first = co_await device_session(at);
    co_await first->peer->attach("in", link, true, "/devices/d1/messages/devicebound");
    co_await first->peer->attach("again", other, true, "/devices/d1/messages/devicebound");
    const auto replaced = co_await first->peer->expect(net::test::amqp_detach);
    EXPECT_EQ(replaced.condition(2), "amqp:link:stolen");
    EXPECT_EQ(replaced.field(0).integer(), link) << "the older one goes";

    const AmqpSessionPtr second = co_await device_session(at);
    co_await second->peer->attach("in", link, true, "/devices/d1/messages/devicebound");
    const auto stolen = co_await first->peer->expect(net::test::amqp_detach);
    EXPECT_EQ(stolen.condition(2), "amqp:link:stolen");
    EXPECT_EQ(stolen.field(0).integer(), other);
    second->peer->flow(link, 10);
    const auto said10 = co_await send_to_device(at, "m1");
    EXPECT_EQ(said10, "m1");
    const auto got = co_await second->peer->receive();
    EXPECT_EQ(amqp::id_text(got.first.message_id), "m1");
    co_await leave(first);
    EXPECT_TRUE(at.services.reach.connected({device::DeviceId("d1"), {}}, Protocol::amqp)) << "over the second one";
    co_await leave(second);
    EXPECT_FALSE(at.services.reach.connected({device::DeviceId("d1"), {}}, Protocol::amqp));
  };
  run(story(at()));
}

TEST_F(AmqpDevicesTest, twin_requests_are_answered_by_their_correlation_id) {
  auto story = [](At at) -> awaitable<void> {
    const AmqpSessionPtr session = co_await device_session(at);
    AmqpScript& peer = *session->peer;
    const auto ask = [&peer](amqp::Message request) -> awaitable<std::string> {
      peer.transfer(link, request);
      const auto got = co_await peer.receive();
      const auto* status = amqp::find(got.first.annotations, "status");
      peer.dispose(got.second, accepted);
      co_return amqp::id_text(got.first.correlation_id) + " " + std::to_string(status ? status->integer().value_or(0) : 0);
    };
    co_await peer.attach("ask", link, false, "/devices/d1/twin", {}, {}, channel("twin:1"));
    peer.transfer(link, twin_request("0", "GET"));
    const auto said11 = co_await peer.outcome();
    EXPECT_EQ(said11, "rejected amqp:not-allowed") << "nobody would get the answer";
    co_await peer.attach("told", other, true, "/devices/d1/twin", {}, {}, channel("twin:1"));
    peer.flow(other, 100);
    peer.transfer(link, twin_request("", "GET"));
    const auto said12 = co_await peer.outcome();
    EXPECT_EQ(said12, "rejected com.microsoft:argument-error") << "no correlation id";
    const std::pair<amqp::Message, const char*> cases[] = {
        {twin_request("a", "GET"), "a 200"},
        {twin_request("b", "PATCH", "/properties/reported", R"({"rate":1})"), "b 204"},
        {twin_request("c", "PATCH", "/properties/reported", "[1]"), "c 400"},
        {twin_request("d", "PATCH", "/properties/reported", R"({"rate":)"), "d 400"},
        {twin_request("e", "PATCH", "/properties/desired", "{}"), "e 400"},
        {twin_request("f", "POST"), "f 400"},
        {twin_request("g", ""), "g 400"},
        {twin_request("h", "PUT", "/notifications/twin/properties/desired"), "h 200"}};
    for (const auto& [request, expected] : cases) {
      const std::string answered = co_await ask(request);
      EXPECT_EQ(answered, expected);
    }

    const auto change = [&services = at.services](int rate) {
      const device::IdentityName who{device::DeviceId("d1"), {}};
      const json::Value values = json::Object{{"rate", rate}};
      services.reach.notify_desired(who, values, rate);
      return true;
    };
    change(5);
    const auto told = co_await peer.receive();
    EXPECT_TRUE(told.first.correlation_id.is_null());
    EXPECT_EQ(told.first.data, R"({"rate":5})");
    EXPECT_EQ(amqp::find(told.first.annotations, "version")->integer(), 5);
    const auto said13 = co_await ask(twin_request("i", "DELETE", "/notifications/twin/properties/desired"));
    EXPECT_EQ(said13, "i 200");
    change(6);
    const auto said14 = co_await ask(twin_request("j", "GET"));
    EXPECT_EQ(said14, "j 200") << "and nothing before it";
    co_await leave(session);
  };
  run(story(at()));
  EXPECT_EQ(get("/twins/d1").at_path({"properties", "reported", "rate"})->as_integer(), 1);
}

TEST_F(AmqpDevicesTest, methods_are_answered_by_the_device_that_was_asked) {
  add("d2");
  auto story = [](At at, std::string stranger) -> awaitable<void> {
    const AmqpSessionPtr session = co_await device_session(at);
    AmqpScript& peer = *session->peer;
    co_await peer.attach("asked", link, true, "/devices/d1/methods/devicebound");
    co_await peer.attach("reply", other, false, "/devices/d1/methods/devicebound");
    peer.flow(link, 10);
    const At as_stranger{at.services, stranger};
    const AmqpSessionPtr another = co_await device_session(as_stranger);
    co_await another->peer->attach("reply", other, false, "/devices/d2/methods/devicebound");

    MethodRequest request;
    request.name = "turn";
    request.payload = json::Object{{"by", 7}};
    std::optional<Result<MethodAnswer>> answer;
    const Executor strand = co_await asio::this_coro::executor;
    TaskScope calling(strand);
    auto call = [](Services& services, MethodRequest wanted, std::optional<Result<MethodAnswer>>& into) -> awaitable<void> {
      device::IdentityName who{device::DeviceId("d1"), {}};
      auto answered = co_await services.methods.invoke(std::move(who), std::move(wanted));
      into = std::move(answered);
    };
    calling.spawn(call(at.services, request, answer));
    const auto got = co_await peer.receive();
    EXPECT_EQ(amqp::text_at(got.first.application, "IoThub-methodname"), "turn");
    EXPECT_EQ(got.first.data, R"({"by":7})");

    amqp::Message reply;
    reply.correlation_id = got.first.correlation_id;
    reply.data = R"("done")";
    peer.transfer(other, reply);
    const auto said15 = co_await peer.outcome();
    EXPECT_EQ(said15, "rejected com.microsoft:argument-error") << "without a status";
    reply.application = {{"IoThub-status", std::int32_t{666}}};
    another->peer->transfer(other, reply);
    const auto said16 = co_await another->peer->outcome();
    EXPECT_EQ(said16, "accepted") << "and ignored";
    reply.application = {{"IoThub-status", std::int32_t{200}}};
    peer.transfer(other, reply);
    const auto said17 = co_await peer.outcome();
    EXPECT_EQ(said17, "accepted");
    while (!answer) co_await asio::post(strand, asio::use_awaitable);
    EXPECT_TRUE(*answer);
    if (*answer) {
      EXPECT_EQ((*answer)->status, 200);
    }
    co_await calling.close();
    co_await leave(another);
    co_await leave(session);
    const device::IdentityName who{device::DeviceId("d1"), {}};
    const auto gone = co_await at.services.methods.invoke(who, request);
    EXPECT_FALSE(gone) << "nobody is there any more";
  };
  run(story(at(), token(*hub->services().registry.identities().find({device::DeviceId("d2"), {}}))));
}

TEST_F(AmqpDevicesTest, the_later_connection_takes_over_from_the_other_protocol) {
  auto over_mqtt = connected(d1);
  EXPECT_TRUE(is_connected());
  AmqpSessionPtr session;
  const Executor strand = asio::make_strand(runtime.executor());
  const auto on_strand = [&](awaitable<void> task) {
    auto there = [](Executor where, awaitable<void> work) -> awaitable<bool> {
      co_await asio::co_spawn(where, std::move(work), asio::use_awaitable);
      co_return true;
    };
    run(there(strand, std::move(task)));
  };
  auto attach = [](At at, AmqpSessionPtr& into) -> awaitable<void> {
    into = co_await device_session(at);
    const std::string outcome = co_await into->peer->attach("events", link, false, "/devices/d1/messages/events");
    EXPECT_EQ(outcome, "attached");
  };
  auto end = [](AmqpSessionPtr of) -> awaitable<void> {
    const auto detach = co_await of->peer->expect(net::test::amqp_detach);
    EXPECT_EQ(detach.condition(2), "amqp:link:stolen");
    co_await leave(of);
  };
  on_strand(attach(at(), session));
  on_strand(end(session));  // our MQTT client comes back at once, and takes over in its turn
  while (over_mqtt->reconnects() == 0) std::this_thread::yield();
  EXPECT_TRUE(hub->services().endpoint.connected(d1.name));
  EXPECT_TRUE(is_connected()) << "the end of the one is not the end of the other";
  run(over_mqtt->close());
  while (is_connected()) std::this_thread::yield();
}

TEST_F(AmqpDevicesTest, a_deleted_device_has_no_links_even_by_a_policy) {
  const std::string by_policy =
      sas::make_token(sas::device_resource("localhost", "d1"), hub->services().registry.policy("iothubowner")->primary_key,
                      clock.now() + std::chrono::hours{1}, "iothubowner")
          .value();
  auto story = [](At at, std::function<void()> remove) -> awaitable<void> {
    const AmqpSessionPtr session = co_await device_session(at);
    const auto said18 = co_await session->peer->attach("events", link, false, "/devices/d1/messages/events");
    EXPECT_EQ(said18, "attached");
    auto work = [remove] { return remove(), true; };
    co_await run_on(at.services.disk.files(), work);
    const auto detach = co_await session->peer->expect(net::test::amqp_detach);
    EXPECT_EQ(detach.condition(2), "amqp:unauthorized-access");
    const auto said19 = co_await session->peer->attach("again", other, false, "/devices/d1/messages/events");
    EXPECT_EQ(said19, "amqp:unauthorized-access");
    co_await leave(session);
  };
  const auto remove = [&] { EXPECT_EQ(call("DELETE", "/devices/d1", "", {{"if-match", "*"}}).status, 204); };
  run(story({hub->services(), by_policy}, remove));
}

}  // namespace
}  // namespace nacelle::hub::testing
