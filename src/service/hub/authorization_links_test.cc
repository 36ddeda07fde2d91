// Who may attach which link over AMQP, written out. What is not written is refused.
#include "codec/text/encoding.h"
#include "net/amqp/scripted_amqp_test.h"
#include "service/hub/amqp.h"
#include "service/hub/authorization_fixture.h"

namespace nacelle::hub::testing {
namespace {

using net::test::AmqpScript;

struct Line {
  const char* address;
  bool receives;
  const char* allowed;  // names of everyone(), split at `|`
};

constexpr const char* services = "iothubowner|service|service, for events";

// Wire facts 2.12, 7.3, 7.4.
const Line links[] = {
    {"/messages/devicebound", false, services},
    {"/messages/serviceBound/feedback", true, services},
    {"/messages/serviceBound/filenotifications", true, services},
    {"/Messages/ServiceBound/FileUploadNotifications", true, services},
    {"localhost/$management", false, services},
    {"localhost/$management", true, services},
    {"localhost/ConsumerGroups/$Default/Partitions/0", true, services},
    {"messages/events/ConsumerGroups/$Default/Partitions/1", true, services},
    {"/messages/devicebound", true, ""},
    {"/messages/serviceBound/feedback", false, ""},
    {"localhost/ConsumerGroups/$Default/Partitions/0", false, ""},
    {"localhost/ConsumerGroups/$Default/Partitions/99", true, ""},
    {"other/ConsumerGroups/$Default/Partitions/0", true, ""},
    {"/elsewhere", true, ""},
    {"", false, ""},
};

class AuthorizationOfLinks : public AuthorizationTest {
 protected:
  /// `token` is put for what it names, then the link is attached: `attached`, or the condition.
  static awaitable<std::string> attach(Amqp& amqp, std::string token, std::string address, bool receives) {
    const Executor strand = co_await asio::this_coro::executor;
    auto pipe = net::make_memory_pipe(strand);
    TaskScope serving(strand);
    serving.spawn(amqp.serve(std::move(pipe.left)));
    AmqpScript peer(std::move(pipe.right));
    co_await peer.open();
    if (token != "-") co_await put(peer, token);
    const std::string outcome = co_await peer.attach("link", 2, receives, address, "reply");
    peer.drop();
    co_await serving.close();
    co_return outcome;
  }

  /// The status of the answer.
  static awaitable<std::int64_t> put(AmqpScript& peer, std::string token, std::string audience = {}) {
    co_await peer.attach("cbs-out", 0, false, "$cbs");
    co_await peer.attach("cbs-in", 1, true, "$cbs", "cbs");
    peer.flow(1, 10);
    const auto parsed = sas::parse_token(token);
    amqp::Message request;
    request.message_id = "1";
    request.reply_to = "cbs";
    if (audience.empty()) audience = parsed ? parsed->resource : "localhost";
    request.application = {{"operation", "put-token"}, {"type", "servicebus.windows.net:sastoken"}, {"name", audience}};
    request.value = token;
    peer.transfer(0, request);
    const auto [reply, id] = co_await peer.receive();
    EXPECT_EQ(amqp::id_text(reply.correlation_id), "1");
    peer.dispose(id, 0x24);
    co_return amqp::find(reply.application, "status-code")->integer().value_or(0);
  }

  /// As Event Hubs clients sign: with the key's text.
  std::string events_token(const std::string& policy, const std::string& resource,
                           std::chrono::seconds life = std::chrono::hours{1}) {
    const auto key = hub->services().registry.policy(policy)->primary_key;
    return sas::make_token(text::percent_encode_strict(resource), text::base64_encode(key), clock.now() + life, policy).value();
  }
};

TEST_F(AuthorizationOfLinks, are_this_table) {
  make_fleet();
  auto all = everyone();
  all["service, for events"] = events_token("service", "sb://localhost/localhost");
  all["service, for events, expired"] = events_token("service", "sb://localhost/localhost", std::chrono::hours{-1});
  all["service, for events elsewhere"] = events_token("service", "sb://other.example.net/localhost");
  all["registryRead, for events"] = events_token("registryRead", "sb://localhost/localhost");
  all["service, for events, signed as for the hub"] =
      policy_token("service", text::percent_encode_strict("sb://localhost/localhost"));
  ::testing::internal::CaptureStderr();
  const std::uint64_t before = refusals_counted();
  for (const Line& line : links) {
    std::set<std::string> allowed;
    for (const std::string_view name : text::split(line.allowed, '|'))
      if (!name.empty()) allowed.insert(std::string(name));
    for (const auto& name : allowed) EXPECT_TRUE(all.contains(name)) << line.address << " is allowed to a stranger: " << name;
    for (const auto& [name, token] : all) {
      const std::string found = run(attach(*hub->services().amqp, token, line.address, line.receives));
      EXPECT_EQ(found == "attached", allowed.contains(name))
          << name << (line.receives ? " receives from " : " sends to ") << line.address << ": " << found;
    }
  }
  const std::string log = ::testing::internal::GetCapturedStderr();
  EXPECT_GT(refusals_counted() - before, 0u);
  EXPECT_EQ(refusals_in(log), refusals_counted() - before);
  expect_no_secret(log);
  expect_known_reasons();
}

TEST_F(AuthorizationOfLinks, tokens_are_taken_for_what_they_cover) {
  make_fleet();
  const struct {
    std::string token, audience;
    std::int64_t status;
  } cases[] = {
      {policy_token("service"), "localhost", 200},
      {policy_token("service"), "LOCALHOST:5671", 200},
      {policy_token("service"), "other.example.net", 401},
      {policy_token("service"), "localhost/devices/d1", 401},  // it has no DeviceConnect
      {policy_token("device"), "localhost/devices/d1", 200},
      {policy_token("device"), "localhost", 401},
      {token(d1), "localhost/devices/d1", 200},
      {token(d1), "localhost%2Fdevices%2Fd1", 200},
      {token(d1), "localhost/devices/d2", 401},
      {token(d1), "localhost", 401},
      {token(d1), "localhost/devices/d1/modules/m", 401},
      {token(module("d1", "m")), "localhost/devices/d1/modules/m", 200},
      {token(identity("off")), "localhost/devices/off", 401},
      {events_token("service", "sb://localhost:5671/localhost"), "sb://localhost:5671/localhost/$management", 200},
      {events_token("service", "sb://localhost/localhost/ConsumerGroups/a"),
       "sb://localhost/localhost/ConsumerGroups/ab/Partitions/0", 401},
      {policy_token("service"), "sb://localhost/localhost", 401},
      {"rubbish", "localhost", 401},
      {policy_token("service"), "%", 401},
      {policy_token("service"), std::string(2000, 'x'), 401},
  };
  for (const auto& each : cases) {
    auto story = [](Amqp& amqp, std::string shown, std::string audience) -> awaitable<std::int64_t> {
      const Executor strand = co_await asio::this_coro::executor;
      auto pipe = net::make_memory_pipe(strand);
      TaskScope serving(strand);
      serving.spawn(amqp.serve(std::move(pipe.left)));
      AmqpScript peer(std::move(pipe.right));
      co_await peer.open();
      const std::int64_t status = co_await put(peer, shown, audience);
      peer.drop();
      co_await serving.close();
      co_return status;
    };
    EXPECT_EQ(run(story(*hub->services().amqp, each.token, each.audience)), each.status) << each.audience;
  }
}

/// A lapsed token, a key that was changed and a policy that is gone end the links that stood on them.
TEST_F(AuthorizationOfLinks, end_with_what_they_stood_on) {
  make_fleet();
  const auto ends = [&](std::string shown, std::function<void()> change) {
    auto begin = [](Amqp& amqp, std::string text, std::shared_ptr<TaskScope>& serving) -> awaitable<std::shared_ptr<AmqpScript>> {
      const Executor strand = co_await asio::this_coro::executor;
      auto pipe = net::make_memory_pipe(strand);
      serving = std::make_shared<TaskScope>(strand);
      serving->spawn(amqp.serve(std::move(pipe.left)));
      auto peer = std::make_shared<AmqpScript>(std::move(pipe.right));
      co_await peer->open();
      co_await put(*peer, text);
      const auto outcome = co_await peer->attach("link", 2, true, "/messages/serviceBound/feedback");
      EXPECT_EQ(outcome, "attached");
      co_return peer;
    };
    auto rest = [](std::shared_ptr<AmqpScript> peer, std::function<void()> changed, Executor pool) -> awaitable<std::string> {
      auto work = [changed] { return changed(), true; };
      co_await run_on(pool, work);
      const auto detach = co_await peer->expect(net::test::amqp_detach);
      co_return detach.condition(2);
    };
    auto whole = [begin, rest](Amqp& amqp, std::string text, std::function<void()> changed,
                               Executor pool) -> awaitable<std::string> {
      std::shared_ptr<TaskScope> serving;
      const auto peer = co_await begin(amqp, text, serving);
      const std::string condition = co_await rest(peer, changed, pool);
      peer->drop();
      co_await serving->close();
      co_return condition;
    };
    return run(whole(*hub->services().amqp, std::move(shown), std::move(change), hub->services().disk.files()));
  };
  Amqp& amqp = *hub->services().amqp;
  EXPECT_EQ(ends(policy_token("service"),
                 [&] { EXPECT_EQ(call("POST", "/policies/service/keys/regenerate", R"({"key":"primary"})").status, 200); }),
            "amqp:unauthorized-access");
  EXPECT_EQ(call("PUT", "/policies/brief", R"({"rights":["ServiceConnect"]})").status, 200);
  EXPECT_EQ(ends(policy_token("brief"), [&] { EXPECT_EQ(call("DELETE", "/policies/brief").status, 204); }),
            "amqp:unauthorized-access");
  EXPECT_EQ(ends(policy_token("service", "localhost", std::chrono::minutes{1}),
                 [&] {
                   clock.advance(std::chrono::minutes{7});  // a minute, and what a clock may be behind
                   amqp.server().sweep(std::chrono::steady_clock::now());
                 }),
            "amqp:unauthorized-access");
}

}  // namespace
}  // namespace nacelle::hub::testing
