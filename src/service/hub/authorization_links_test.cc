// Who may attach which link over AMQP, written out. What is not written is refused.
#include "codec/text/encoding.h"
#include "service/hub/amqp_testing.h"
#include "service/hub/authorization_fixture.h"

namespace nacelle::hub::testing {
namespace {

struct Line {
  const char* address;
  bool receives;
  const char* allowed;  // names of everyone(), split at `|`
};

constexpr const char* services = "iothubowner|service|service, for events";
// Policies by tokens of theirs for the device: one for the hub as a whole opens no device's links.
constexpr const char* device1 = "d1|device for d1|owner for d1";

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
    {"/devices/d1/messages/events", false, device1},
    {"Devices/d1/Messages/Events", false, device1},
    {"/devices/d1/messages/devicebound", true, device1},
    {"/devices/d1/twin", false, device1},
    {"/devices/d1/twin", true, device1},
    {"/devices/d1/methods/devicebound", false, device1},
    {"/devices/d1/methods/devicebound", true, device1},
    {"/devices/d1/modules/m/messages/events", false, "d1/m"},
    {"/devices/d1/modules/m/messages/events", true, "d1/m"},
    {"/devices/d1/modules/m/twin", true, "d1/m"},
    {"/devices/d1/modules/m/methods/devicebound", true, "d1/m"},
    {"/devices/d2/messages/events", false, "d2|device for d2"},
    {"/devices/edge1/modules/%24edgeHub/twin", false, "edge1/$edgeHub"},
    {"/devices/off/messages/events", false, ""},
    {"/devices/unknown/messages/events", false, ""},
    {"/devices/D1/messages/events", false, ""},
    {"/devices/d1/messages/events", true, ""},
    {"/devices/d1/messages/devicebound", false, ""},
    {"/devices/d1/modules/m/messages/devicebound", true, ""},
    {"/devices/d1/twin/more", true, ""},
    {"/devices//twin", true, ""},
    {"/devices/d1", true, ""},
    {"", false, ""},
};

class AuthorizationOfLinks : public AuthorizationTest {
 protected:
  /// `token` is put for what it names, then the link is attached: `attached`, or the condition.
  static awaitable<std::string> attach(Amqp& amqp, std::string token, std::string address, bool receives, Bytes der = {}) {
    const AmqpSessionPtr session = co_await join(amqp, std::move(der));
    if (token != "-") co_await put_token(*session->peer, token);
    const std::string outcome = co_await session->peer->attach("link", 2, receives, address, "reply");
    co_await leave(session);
    co_return outcome;
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
      const AmqpSessionPtr session = co_await join(amqp);
      const std::int64_t status = co_await put_token(*session->peer, shown, audience);
      co_await leave(session);
      co_return status;
    };
    EXPECT_EQ(run(story(*hub->services().amqp, each.token, each.audience)), each.status) << each.audience;
  }
}

/// The certificate of the connection, and no token: it opens the links of its own device.
TEST_F(AuthorizationOfLinks, of_devices_with_certificates_are_for_their_owners) {
  make_fleet();
  make_certified_fleet();
  Amqp& amqp = *hub->services().amqp;
  const auto events_of = [](const device::IdentityName& who) {
    return "/devices/" + who.device.str() + (who.is_module() ? "/modules/" + who.module.str() : "") + "/messages/events";
  };
  std::size_t good = 0;
  for (const auto& [name, holder] : holders) {
    const Bytes der = der_of(holder.key.certificate_pem);
    EXPECT_EQ(run(attach(amqp, "-", events_of(holder.who), false, der)), holder.good ? "attached" : "amqp:unauthorized-access")
        << name;
    EXPECT_NE(run(attach(amqp, "-", events_of(d2.name), false, der)), "attached") << name << ", to another's";
    EXPECT_NE(run(attach(amqp, "-", "/messages/serviceBound/feedback", true, der)), "attached") << name << ", to a service's";
    good += holder.good;
  }
  EXPECT_GE(good, 5u);
  EXPECT_EQ(run(attach(amqp, token(d1), events_of(d1.name), false, der_of(holders.at("self").key.certificate_pem))), "attached")
      << "a token counts beside a certificate";
  expect_known_reasons();
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
      co_await put_token(*peer, text);
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
