// Who may connect, publish and subscribe over MQTT, written out for the hub as it is by default and with the open namespace.
// What is not written is refused.
#include <fstream>

#include "codec/text/encoding.h"
#include "net/tls/tls_stream.h"
#include "service/hub/authorization_fixture.h"

namespace nacelle::hub::testing {
namespace {

using net::test::Peer;

/// What somebody connects with.
struct Credentials {
  std::string client_id;
  std::optional<std::string> user_name;
  std::optional<std::string> password;
  std::optional<net::CertifiedKey> certificate = std::nullopt;  ///< then over TLS
};

struct Line {
  const char* topic;
  const char* closed;  // by default: the names of AuthorizationOfTopics::clients(), split at `|`
  const char* open;    // with --open-namespace
};

// Those of the last line come with certificates.
constexpr const char* hub_clients =
    "d1|d1/m|edge1|edge1/$edgeHub|"
    "self|signed|signed/m|edge3";

// Wire facts 1.5, 4.1, docs/decisions/0041 (an edge's $edgeHub for those in its scope), docs/mqtt.md.
const Line publishes[] = {
    {"devices/d1/messages/events/", "d1|edge1/$edgeHub", "d1|edge1/$edgeHub"},
    {"devices/d1/messages/events/a=b", "d1|edge1/$edgeHub", "d1|edge1/$edgeHub"},
    {"devices/d1/modules/m/messages/events/", "d1/m|edge1/$edgeHub", "d1/m|edge1/$edgeHub"},
    {"devices/edge1/messages/events/", "edge1|edge1/$edgeHub", "edge1|edge1/$edgeHub"},
    {"devices/edge1/modules/$edgeHub/messages/events/", "edge1/$edgeHub", "edge1/$edgeHub"},
    {"devices/edge1/modules/filter/messages/events/", "edge1/$edgeHub", "edge1/$edgeHub"},
    {"devices/self/messages/events/", "self", "self"},
    {"devices/signed/messages/events/", "signed", "signed"},
    {"devices/signed/modules/m/messages/events/", "signed/m", "signed/m"},
    {"devices/edge3/messages/events/", "edge3", "edge3"},
    {"devices/d2/messages/events/", "", ""},
    {"devices/d2/modules/m/messages/events/", "", ""},
    {"devices/shut/messages/events/", "", ""},
    {"devices/off/messages/events/", "", ""},
    {"devices/unknown/messages/events/", "", ""},
    {"devices/d1/messages/devicebound/", "", ""},
    {"devices/d1/modules/m/inputs/in/", "", ""},
    {"$iothub/twin/GET/?$rid=1", hub_clients, hub_clients},
    {"$iothub/twin/PATCH/properties/reported/?$rid=2", hub_clients, hub_clients},
    {"$iothub/methods/res/200/?$rid=3", hub_clients, hub_clients},
    {"$iothub/twin/PATCH/properties/desired/?$version=9", "", ""},
    {"$iothub/methods/POST/reboot/?$rid=4", "", ""},
    {"$iothub/else", "", ""},
    {"$dps/registrations/PUT/iotdps-register/?$rid=5", "registrant|reg2", "registrant|reg2"},
    {"$dps/registrations/GET/iotdps-get-operationstatus/?$rid=6&operationId=x", "registrant|reg2", "registrant|reg2"},
    {"$dps/registrations/res/200/?$rid=7", "", ""},
    {"$SYS/uptime", "", ""},
    {"plant/d1/speed", "", "d1|plain d1"},
    {"plant/d2/speed", "", ""},
    {"plant/all/stop", "", "plain service"},
};

const Line subscriptions[] = {
    {"devices/d1/messages/devicebound/#", "d1", "d1"},
    {"devices/d1/modules/m/inputs/#", "d1/m", "d1/m"},
    {"devices/d1/modules/m/#", "d1/m", "d1/m"},
    {"devices/self/messages/devicebound/#", "self", "self"},
    {"devices/signed/messages/devicebound/#", "signed", "signed"},
    {"devices/signed/modules/m/inputs/#", "signed/m", "signed/m"},
    {"devices/d2/messages/devicebound/#", "", ""},
    {"devices/d2/modules/m/inputs/#", "", ""},
    {"devices/edge1/messages/devicebound/#", "edge1", "edge1"},
    {"devices/edge1/modules/$edgeHub/inputs/#", "edge1/$edgeHub", "edge1/$edgeHub"},
    {"devices/+/messages/devicebound/#", "", ""},
    {"devices/#", "", ""},
    {"devices/d1/messages/events/#", "", ""},
    {"$iothub/twin/res/#", hub_clients, hub_clients},
    {"$iothub/twin/PATCH/properties/desired/#", hub_clients, hub_clients},
    {"$iothub/methods/POST/#", hub_clients, hub_clients},
    {"$iothub/#", "", ""},
    {"$dps/registrations/res/#", "registrant|reg2", "registrant|reg2"},
    {"$SYS/#", "", ""},
    {"#", "", ""},
    {"+/d1/speed", "", ""},
    {"plant/d1/#", "", "d1|plain d1|plain service"},
    {"plant/d2/#", "", "plain service"},
    {"plant/all/#", "",
     "d1|d1/m|edge1|edge1/$edgeHub|plain d1|plain service|anonymous|"
     "self|signed|signed/m|edge3|plain self"},
    {"$share/group/plant/d2/#", "", "plain service"},
};

constexpr const char* rules = R"({"rules":[
  {"who":"device:d1","publish":["plant/%n/#"],"subscribe":["plant/%n/#"]},
  {"who":"policy:service","publish":["plant/all/#"],"subscribe":["plant/#"]},
  {"who":"*","subscribe":["plant/all/#"]}]})";

class AuthorizationOfTopics : public AuthorizationTest {
 protected:
  void open_namespace() {
    stop();
    std::ofstream(folder.path() / "hub" / "namespace.json") << rules;
    HubOptions open = options();
    open.open_namespace = open.allow_anonymous = true;
    start(open);
  }

  static std::string user_name(const std::string& client_id, const std::string& host = "localhost") {
    return host + "/" + client_id + "/?api-version=2021-04-12";
  }
  Credentials as(const device::Identity& who) {
    const std::string id = who.name.client_id();
    return {id, user_name(id), token(who)};
  }
  Credentials as_registrant(const std::string& key) {
    return {"reg1", id_scope + "/registrations/reg1/api-version=2019-03-31", registration_token(key)};
  }

  /// With a certificate there is no password, or an empty one.
  static Credentials showing_of(const Holder& holder) {
    const std::string id = holder.who.client_id();
    return {id, user_name(id), std::nullopt, holder.key};
  }
  Credentials registering_with(const Holder& holder) {
    const std::string id = holder.who.device.str();
    return {id, id_scope + "/registrations/" + id + "/api-version=2019-03-31", std::nullopt, holder.key};
  }

  std::map<std::string, Credentials> clients(bool open) {
    std::map<std::string, Credentials> all{{"d1", as(d1)},
                                           {"d1/m", as(module("d1", "m"))},
                                           {"edge1", as(edge1)},
                                           {"edge1/$edgeHub", as(module("edge1", "$edgeHub"))},
                                           {"registrant", as_registrant(registration_key)}};
    for (const char* name : {"self", "signed", "signed/m", "edge3"}) all[name] = showing_of(holders.at(name));
    all["reg2"] = registering_with(registrants.at("reg2"));
    if (!open) return all;
    all["plain self"] = {"dashboard", "self", std::nullopt, holders.at("self").key};
    all["plain d1"] = {"dashboard", "d1", identity("d1").primary_key};
    all["plain service"] = {"dashboard", "service", hub->services().registry.policy("service")->primary_key};
    all["anonymous"] = {"dashboard", std::nullopt, std::nullopt};
    return all;
  }

  /// As the hub's listener does, on the strand of the test.
  static awaitable<void> serve_tls(net::MqttServer& server, net::StreamPtr inner, std::shared_ptr<net::TlsServerContext> tls) {
    auto secured = co_await net::accept_tls(std::move(inner), std::move(tls));
    if (!secured) co_return;
    co_await server.serve(*std::move(secured));
  }
  std::shared_ptr<net::TlsServerContext> server_tls() {
    const auto read = [&](const char* name) {
      return storage::read_file(storage::real_file_system(), folder.path() / "hub" / "certs" / name).value();
    };
    if (!server_tls_) server_tls_ = net::TlsServerContext::make(read("server.pem"), read("server.key")).value();
    return server_tls_;
  }

  /// One connection: CONNECT, perhaps one packet, and what comes of it: `accepted`, `refused`.
  template <class Packet>
  awaitable<std::string> try_it(Credentials credentials, std::optional<Packet> packet) {
    const Executor strand = co_await asio::this_coro::executor;
    auto pipe = net::make_memory_pipe(strand);
    TaskScope serving(strand);
    net::MqttServer& server = hub->services().endpoint.server();
    net::StreamPtr mine = std::move(pipe.right);
    if (credentials.certificate) {
      serving.spawn(serve_tls(server, std::move(pipe.left), server_tls()));
      const auto shown = showing(*credentials.certificate);
      auto secured = co_await net::connect_tls(std::move(mine), shown, "localhost");
      EXPECT_TRUE(secured.has_value());
      if (!secured) {
        co_await serving.close();
        co_return "no TLS";
      }
      mine = *std::move(secured);
    } else {
      serving.spawn(server.serve(std::move(pipe.left)));
    }
    Peer peer(std::move(mine));
    mqtt::Connect connect = net::test::connect_as(credentials.client_id);
    if (v5_) {
      connect.protocol_level = 5;
      peer.speak_v5();
    }
    connect.user_name = credentials.user_name;
    connect.password = credentials.password;
    co_await peer.send(connect);
    const auto connack = co_await peer.expect<mqtt::Connack>();
    std::string outcome =
        connack.code == mqtt::ConnectCode::accepted && connack.reason == mqtt::Reason::success ? "accepted" : "refused";
    if (packet && outcome == "accepted") {
      co_await peer.send(*packet);
      outcome = co_await outcome_of(peer);
    }
    peer.drop();
    co_await serving.close();
    co_return outcome;
  }

  /// Of a publish or a subscription; other packets (answers to twin calls) are passed over.
  static awaitable<std::string> outcome_of(Peer& peer) {
    while (true) {
      const auto answer = co_await peer.next();
      if (!answer) co_return "refused";
      if (const auto* puback = std::get_if<mqtt::Puback>(&*answer))
        co_return static_cast<int>(puback->reason) < 0x80 ? "accepted" : "refused";
      if (const auto* suback = std::get_if<mqtt::Suback>(&*answer))
        co_return suback->codes.at(0) < mqtt::subscription_refused ? "accepted" : "refused";
    }
  }

  std::string connecting(const Credentials& credentials) { return run(try_it<mqtt::Publish>(credentials, std::nullopt)); }

  /// Each refusal is counted, logged once, and tells no secret.
  template <class Callers>
  void expect_connecting(const Callers& accepted, const Callers& refused) {
    ::testing::internal::CaptureStderr();
    const std::uint64_t before = refusals_counted();
    for (const auto& [name, credentials] : accepted) EXPECT_EQ(connecting(credentials), "accepted") << name;
    for (const auto& [name, credentials] : refused) EXPECT_EQ(connecting(credentials), "refused") << name;
    const std::string log = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(refusals_counted() - before, refused.size());
    EXPECT_EQ(refusals_in(log), refused.size());
    expect_no_secret(log);
    expect_known_reasons();
  }
  std::string publishing(const Credentials& credentials, const char* topic) {
    return run(try_it<mqtt::Publish>(credentials, net::test::message(topic, "{}", 1)));
  }
  std::string subscribing(const Credentials& credentials, const char* filter) {
    return run(try_it<mqtt::Subscribe>(credentials, net::test::subscribe_to(filter, mqtt::QoS::at_least_once)));
  }

  void expect_table(bool open) {
    const auto all = clients(open);
    ::testing::internal::CaptureStderr();
    const std::uint64_t before = refusals_counted();
    std::uint64_t refused = 0;
    const auto check = [&](const Line& line, bool publish) {
      std::set<std::string> allowed;
      for (const std::string_view name : text::split(open ? line.open : line.closed, '|'))
        if (!name.empty()) allowed.insert(std::string(name));
      for (const auto& name : allowed) EXPECT_TRUE(all.contains(name)) << line.topic << " is allowed to a stranger: " << name;
      for (const auto& [name, credentials] : all) {
        const std::string expected = allowed.contains(name) ? "accepted" : "refused";
        refused += expected == "refused";
        const std::string found = publish ? publishing(credentials, line.topic) : subscribing(credentials, line.topic);
        EXPECT_EQ(found, expected) << name << (publish ? " publishes to " : " subscribes to ") << line.topic;
      }
    };
    for (const Line& line : publishes) check(line, true);
    for (const Line& line : subscriptions) check(line, false);
    const std::string log = ::testing::internal::GetCapturedStderr();
    EXPECT_EQ(refusals_counted() - before, refused);
    EXPECT_EQ(refusals_in(log), refused);
    expect_no_secret(log);
    expect_known_reasons();
  }

  bool v5_ = false;  ///< clients speak MQTT 5
  std::shared_ptr<net::TlsServerContext> server_tls_;
};

TEST_F(AuthorizationOfTopics, are_this_table) {
  make_fleet();
  make_certified_fleet();
  expect_table(false);
}

TEST_F(AuthorizationOfTopics, are_this_table_over_mqtt_5_too) {
  make_fleet();
  make_certified_fleet();
  v5_ = true;
  expect_table(false);
}

TEST_F(AuthorizationOfTopics, are_this_table_with_the_open_namespace) {
  make_fleet();
  make_certified_fleet();
  open_namespace();
  expect_table(true);
}

TEST_F(AuthorizationOfTopics, connections_are_accepted_from_these_and_refused_from_all_others) {
  make_fleet();
  const auto with = [&](std::string password) { return Credentials{"d1", user_name("d1"), std::move(password)}; };
  const std::map<std::string, Credentials> accepted{
      {"d1", as(d1)},
      {"d1/m", as(module("d1", "m"))},
      {"d1, secondary key", with(signed_with(d1.secondary_key, "", resource("d1")))},
      {"device for d1", with(policy_token("device", resource("d1")))},
      {"device for the hub", with(policy_token("device"))},
      {"owner for d1", with(policy_token("iothubowner", resource("d1")))},
      {"registrant", as_registrant(registration_key)},
  };
  std::map<std::string, Credentials> refused{
      {"registrant, wrong key", as_registrant(sas::random_key())},
      {"registrant as another", {"reg2", id_scope + "/registrations/reg1/api-version=1", registration_token(registration_key)}},
      {"registrant of another scope",
       {"reg1", "0ne00000000/registrations/reg1/api-version=1", registration_token(registration_key)}},
      {"off", as(identity("off"))},
      {"unknown", {"unknown", user_name("unknown"), signed_with(sas::random_key(), "", resource("unknown"))}},
      {"user name of d2", {"d1", user_name("d2"), token(d1)}},
      {"client id of d2", {"d2", user_name("d1"), token(d1)}},
      {"another hub's user name", {"d1", user_name("d1", "other.example.net"), token(d1)}},
      {"no user name", {"d1", std::nullopt, std::nullopt}},
      {"no password", {"d1", user_name("d1"), std::nullopt}},
      {"no api-version", {"d1", "localhost/d1", token(d1)}},
      {"the key itself", with(d1.primary_key)},
      {"plain d1", {"dashboard", "d1", d1.primary_key}},
      {"plain service", {"dashboard", "service", hub->services().registry.policy("service")->primary_key}},
      {"a line\nof its own", {"d1\nrefused", user_name("d1"), token(d1)}},
  };
  for (const char* name : {"garbage",
                           "bearer",
                           "d1, expired",
                           "d1, wrong key",
                           "d1, another hub",
                           "d1 as d2",
                           "d1/m",
                           "d2",
                           "d2/m",
                           "edge1",
                           "edge1/$edgeHub",
                           "owner, expired",
                           "owner, another hub",
                           "device for d2",
                           "service for d1",
                           "deleted policy",
                           "old key of service",
                           "registrant",
                           "service",
                           "registryRead",
                           "registryReadWrite",
                           "provisioningserviceowner",
                           "no-rights"})
    refused[std::string("d1 with the token of ") + name] = with(everyone().at(name));
  expect_connecting(accepted, refused);
}

TEST_F(AuthorizationOfTopics, connections_with_certificates_are_accepted_from_their_owners_and_refused_from_all_others) {
  make_fleet();
  make_certified_fleet();
  std::map<std::string, Credentials> accepted, refused;
  for (const auto& [name, holder] : holders) (holder.good ? accepted : refused)[name] = showing_of(holder);
  for (const auto& [name, holder] : registrants) (holder.good ? accepted : refused)[name] = registering_with(holder);
  const Credentials self = showing_of(holders.at("self"));
  const auto altered = [](Credentials credentials, auto change) {
    change(credentials);
    return credentials;
  };
  accepted["self, an empty password"] = altered(self, [](Credentials& c) { c.password = ""; });
  accepted["d1 with its token, and a certificate"] = altered(as(d1), [&](Credentials& c) { c.certificate = self.certificate; });
  refused["self, no certificate"] = altered(self, [](Credentials& c) { c.certificate.reset(); });
  refused["self, the token of d1"] = altered(self, [&](Credentials& c) { c.password = token(d1); });
  refused["self, rubbish as password"] = altered(self, [](Credentials& c) { c.password = "rubbish"; });
  refused["self, as a module"] = altered(self, [](Credentials& c) { c.client_id = "self/m", c.user_name = user_name("self/m"); });
  refused["self, client id of signed"] = altered(self, [](Credentials& c) { c.client_id = "signed"; });
  refused["self, another hub"] = altered(self, [](Credentials& c) { c.user_name = user_name("self", "other.example.net"); });
  refused["signed, the certificate of its module"] =
      altered(showing_of(holders.at("signed")), [&](Credentials& c) { c.certificate = holders.at("signed/m").key; });
  refused["plain self"] = {"dashboard", "self", std::nullopt, self.certificate};
  expect_connecting(accepted, refused);
}

/// Plain clients' sessions have names of their own: they end with the identity's or the policy's key all the same.
TEST_F(AuthorizationOfTopics, plain_clients_end_with_their_key_or_their_device) {
  make_fleet();
  make_certified_fleet();
  open_namespace();
  const Executor strand = asio::make_strand(runtime.executor());
  TaskScope serving(strand);
  const auto on_strand = [&](awaitable<bool> task) {
    auto there = [](Executor where, awaitable<bool> work) -> awaitable<bool> {
      const bool answer = co_await asio::co_spawn(where, std::move(work), asio::use_awaitable);
      co_return answer;
    };
    return run(there(strand, std::move(task)));
  };
  const auto join = [&](Credentials credentials) {
    auto pipe = net::make_memory_pipe(strand);
    serving.spawn(hub->services().endpoint.server().serve(std::move(pipe.left)));
    auto peer = std::make_shared<Peer>(std::move(pipe.right));
    auto story = [](std::shared_ptr<Peer> with, Credentials shown) -> awaitable<bool> {
      mqtt::Connect connect = net::test::connect_as(shown.client_id);
      connect.user_name = shown.user_name;
      connect.password = shown.password;
      co_await with->send(connect);
      const auto connack = co_await with->expect<mqtt::Connack>();
      co_return connack.code == mqtt::ConnectCode::accepted;
    };
    EXPECT_TRUE(on_strand(story(peer, credentials)));
    return peer;
  };
  const auto all = clients(true);
  auto plain_device = join(all.at("plain d1"));
  auto plain_policy = join(all.at("plain service"));
  auto anonymous = join({"someone", std::nullopt, std::nullopt});
  EXPECT_EQ(call("POST", "/devices/d1/keys/regenerate", R"({"key":"primary"})").status, 200);
  EXPECT_TRUE(on_strand(plain_device->ends()));
  EXPECT_EQ(call("POST", "/policies/service/keys/regenerate", R"({"key":"primary"})").status, 200);
  EXPECT_TRUE(on_strand(plain_policy->ends()));
  plain_device = join(clients(true).at("plain d1"));
  EXPECT_EQ(call("PUT", "/devices/d1", R"({"deviceId":"d1","status":"disabled"})", {{"if-match", "*"}}).status, 200);
  EXPECT_TRUE(on_strand(plain_device->ends()));
  auto still_there = [](std::shared_ptr<Peer> with) -> awaitable<bool> {
    co_await with->send(mqtt::Pingreq{});
    const auto answer = co_await with->next();
    co_return answer&& std::holds_alternative<mqtt::Pingresp>(*answer);
  };
  EXPECT_TRUE(on_strand(still_there(anonymous))) << "nobody's key was changed";
  run(serving.close());
}

// -- Keys that change -------------------------------------------------------------------------------------------------

TEST_F(AuthorizationOfTopics, regenerated_key_ends_the_connections_made_with_it_and_no_others) {
  make_fleet();
  auto first = connected(d1);
  auto other = connected(d2);
  const auto sessions = [&] { return hub->services().endpoint.connected(d1.name); };
  ASSERT_EQ(call("POST", "/devices/d1/keys/regenerate", R"({"key":"secondary"})").status, 200);
  ASSERT_EQ(call("POST", "/devices/d1/keys/regenerate", R"({"key":"swap"})").status, 200);
  EXPECT_TRUE(sessions()) << "its key has only changed places";
  EXPECT_EQ(first->reconnects(), 0u);
  ASSERT_EQ(call("POST", "/devices/d1/keys/regenerate", R"({"key":"secondary"})").status, 200);
  while (sessions()) std::this_thread::yield();  // ends with the connection; the client cannot come back
  EXPECT_EQ(connecting(as(d1)), "refused") << "the old key";
  EXPECT_EQ(connecting(as(identity("d1"))), "accepted") << "the new one";
  EXPECT_EQ(other->reconnects(), 0u);
  run(first->close());
  run(other->close());
}

}  // namespace
}  // namespace nacelle::hub::testing
