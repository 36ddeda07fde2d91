#include "service/hub/access.h"

#include <gtest/gtest.h>

#include "service/hub/certificate_testing.h"
#include "service/hub/hub_testing.h"
#include "service/hub/schema.h"

namespace nacelle::hub {
namespace {

using device::DeviceId;
using device::IdentityName;
using device::ModuleId;
using hub::testing::client_request;
using hub::testing::der_of;

constexpr Need every_need[] = {
    Need::registry_read,     Need::registry_write,     Need::service, Need::identity,        Need::edge_device,
    Need::edge_scope,        Need::artifact,           Need::query,   Need::enrollment_read, Need::enrollment_write,
    Need::registration_read, Need::registration_write, Need::owner};

Caller policy(bool read, bool write, bool service, bool device) {
  Caller caller;
  caller.service = true;
  caller.rights = {read, write, service, device};
  return caller;
}
Caller owner() {
  Caller caller = policy(true, true, true, true);
  caller.rights = device::all_rights();
  return caller;
}
Caller provisioner(bool enroll, bool enroll_write, bool state, bool state_write) {
  Caller caller = policy(false, false, false, false);
  caller.rights = {false, false, false, false, enroll, enroll_write, state, state_write};
  return caller;
}
Caller identity(const char* device, const char* module, bool edge) {
  Caller caller;
  caller.name = {DeviceId(device), ModuleId(module)};
  caller.edge = edge;
  return caller;
}

// One row a caller; in the columns of every_need, `x` where the call is allowed. The target is device `edge1`.
TEST(Access, rights_are_this_table) {
  const IdentityName target{DeviceId("edge1"), {}};
  struct Row {
    const char* who;
    Caller caller;
    const char* allowed;
  };
  const Row rows[] = {
      // read write service identity edge scope artifact query, enrolments read write, registrations read write, owner
      {"iothubowner", owner(), "xxxx..xxxxxxx"},
      {"all rights of a hub, none of provisioning", policy(true, true, true, true), "xxxx..xx....."},
      {"service", policy(false, false, true, false), "..x...xx....."},
      {"device", policy(false, false, false, true), "...x........."},
      {"registryRead", policy(true, false, false, false), "x......x....."},
      {"registryReadWrite", policy(true, true, false, false), "xx.....x....."},
      {"provisioningserviceowner", provisioner(true, true, true, true), "........xxxx."},
      {"enrolments, reading", provisioner(true, false, false, false), "........x...."},
      {"enrolments, writing", provisioner(false, true, false, false), "........xx..."},
      {"registrations, reading", provisioner(false, false, true, false), "..........x.."},
      {"registrations, writing", provisioner(false, false, false, true), "..........xx."},
      {"no rights", policy(false, false, false, false), "............."},
      {"edge1 itself", identity("edge1", "", true), "...xxxx......"},
      {"edge1/$edgeHub", identity("edge1", "$edgeHub", true), ".....xx......"},
      {"edge1/filter", identity("edge1", "filter", true), "......x......"},
      {"another edge", identity("edge2", "", true), "......x......"},
      {"another edge's $edgeHub", identity("edge2", "$edgeHub", true), "......x......"},
      {"a leaf", identity("leaf", "", false), "............."},
      {"edge1, were it no edge", identity("edge1", "", false), "...x........."},
  };
  for (const Row& row : rows) {
    std::string found;
    for (const Need need : every_need) found += allowed(need, row.caller, target) ? 'x' : '.';
    EXPECT_EQ(found, row.allowed) << row.who;
  }
}

class AccessTest : public ::testing::Test {
 protected:
  AccessTest()
      : tables(open_registry_tables(folder.path()).value()),
        registry(Registry::open(tables, clock).value()),
        authorities(DeviceAuthorities::open(tables, notes.get_executor(), clock, root.certificate_pem).value()),
        access(*registry, *authorities, {"hub.example.net", "localhost"}, clock) {
    add("d1");
    add("d2");
  }
  void add(const char* id) { ASSERT_TRUE(registry->create(device::from_json(json::Object{}, {DeviceId(id), {}}).value())); }
  std::string key(const char* id) { return registry->identities().find({DeviceId(id), {}})->primary_key; }
  std::string token(const std::string& resource, const std::string& key, const char* skn = "",
                    std::chrono::seconds life = std::chrono::hours{1}) {
    return sas::make_token(resource, key, clock.now() + life, skn).value();
  }
  std::string owner_token() { return token("hub.example.net", registry->policy("iothubowner")->primary_key, "iothubowner"); }

  hub::testing::TemporaryFolder folder;
  ManualClock clock;
  storage::Database tables;
  std::unique_ptr<Registry> registry;
  net::CertifiedKey root = net::make_root("Plant root", std::chrono::hours{24}, clock.now()).value();
  asio::io_context notes;
  std::unique_ptr<DeviceAuthorities> authorities;
  Access access;
  const IdentityName d1{DeviceId("d1"), {}};
};

TEST_F(AccessTest, policy_token_gives_the_policys_rights) {
  const auto caller = access.identify(owner_token(), {});
  ASSERT_TRUE(caller.has_value());
  EXPECT_TRUE(caller->service);
  EXPECT_TRUE(caller->rights.registry_write);
}

TEST_F(AccessTest, wrong_key_unknown_policy_expiry_other_hub_and_no_token_are_denied) {
  const std::string right = registry->policy("service")->primary_key;
  EXPECT_EQ(access.identify(token("hub.example.net", sas::random_key(), "service"), {}).error().fault, Fault::denied);
  EXPECT_EQ(access.identify(token("hub.example.net", right, "nobody"), {}).error().fault, Fault::denied);
  EXPECT_EQ(access.identify(token("hub.example.net", right, "service", std::chrono::hours{-1}), {}).error().fault, Fault::denied);
  EXPECT_EQ(access.identify(token("other.example.net", right, "service"), {}).error().fault, Fault::denied);
  EXPECT_EQ(access.identify("", {}).error().fault, Fault::denied);
  EXPECT_EQ(access.identify("Bearer abc", {}).error().fault, Fault::denied);
}

TEST_F(AccessTest, device_speaks_for_itself_only) {
  const auto caller = access.identify(token(sas::device_resource("hub.example.net", "d1"), key("d1")), d1);
  ASSERT_TRUE(caller.has_value());
  EXPECT_TRUE(allowed(Need::identity, *caller, d1));
  EXPECT_FALSE(allowed(Need::identity, *caller, {DeviceId("d2"), {}}));
  EXPECT_FALSE(access.identify(token(sas::device_resource("hub.example.net", "d2"), key("d1")), d1).has_value());
}

TEST_F(AccessTest, disabled_device_and_modules_of_one_are_denied) {
  ASSERT_TRUE(registry->create(device::from_json(json::Object{}, {DeviceId("d1"), ModuleId("m")}).value()));
  const auto module = registry->identities().find({DeviceId("d1"), ModuleId("m")});
  const std::string own = token(sas::device_resource("hub.example.net", "d1"), key("d1"));
  const std::string modules = token(sas::device_resource("hub.example.net", "d1", "m"), module->primary_key);
  EXPECT_TRUE(access.check_device(d1, own, {}).has_value());
  EXPECT_TRUE(access.check_device(module->name, modules, {}).has_value());
  device::Identity disabled = *registry->identities().find(d1);
  disabled.enabled = false;
  ASSERT_TRUE(registry->update(disabled));
  EXPECT_FALSE(access.check_device(d1, own, {}).has_value());
  EXPECT_FALSE(access.check_device(module->name, modules, {}).has_value());
  EXPECT_FALSE(access.identify(own, d1).has_value());
}

TEST_F(AccessTest, policy_with_device_connect_may_stand_for_a_device_and_others_may_not) {
  const std::string resource = sas::device_resource("localhost:8883", "d1");
  EXPECT_TRUE(access.check_device(d1, token(resource, registry->policy("device")->primary_key, "device"), {}).has_value());
  EXPECT_FALSE(access.check_device(d1, token(resource, registry->policy("service")->primary_key, "service"), {}).has_value());
  const auto caller = access.identify(token(resource, registry->policy("iothubowner")->primary_key, "iothubowner"), d1);
  ASSERT_TRUE(caller.has_value());
  EXPECT_FALSE(caller->rights.registry_read) << "a token for one device speaks for nothing else";
}

TEST_F(AccessTest, no_reason_holds_a_secret) {
  const std::string secret = token(sas::device_resource("hub.example.net", "d2"), key("d1"));
  const auto refused = access.identify(secret, d1);
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().message.find("sig="), std::string::npos);
  EXPECT_EQ(refused.error().message.find(key("d1")), std::string::npos);
}

TEST_F(AccessTest, a_client_certificate_speaks_for_the_device_that_the_path_names_and_a_token_goes_first) {
  const auto own = net::issue(root, client_request("x1"), clock.now()).value();
  const Bytes shown = der_of(own.certificate_pem);
  const json::Value document = json::parse(R"({"authentication":{"type":"certificateAuthority"}})").value();
  const IdentityName x1{DeviceId("x1"), {}};
  ASSERT_TRUE(registry->create(device::from_json(document, x1).value()));
  EXPECT_TRUE(access.check_device(x1, "", shown).has_value());
  EXPECT_FALSE(access.check_device(x1, "", {}).has_value());
  EXPECT_FALSE(access.check_device(d1, "", shown).has_value()) << "it is registered to come with keys";

  const auto caller = access.identify("", x1, shown);
  ASSERT_TRUE(caller.has_value());
  EXPECT_TRUE(allowed(Need::identity, *caller, x1));
  for (const Need need : {Need::registry_read, Need::registry_write, Need::query, Need::service, Need::edge_device})
    EXPECT_FALSE(allowed(need, *caller, x1));
  EXPECT_FALSE(access.identify("", d1, shown).has_value());
  EXPECT_FALSE(access.identify("", {}, shown).has_value()) << "a path that names nobody";
  EXPECT_FALSE(access.identify("Bearer abc", x1, shown).has_value());
}

}  // namespace
}  // namespace nacelle::hub
