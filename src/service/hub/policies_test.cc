#include "service/hub/policies.h"

#include <fstream>

#include "service/hub/hub_fixture.h"
#include "service/hub/schema.h"

namespace nacelle::hub::testing {
namespace {

class PoliciesTest : public ::testing::Test {
 protected:
  PoliciesTest() { reopen(); }
  void reopen() {
    policies.reset();
    tables.emplace(open_registry_tables(folder.path()).value());
    policies = Policies::open(*tables).value();
  }
  static device::Policy named(const std::string& name, bool service = true) {
    device::Policy policy;
    policy.name = name;
    policy.rights.service_connect = service;
    return policy;
  }

  TemporaryFolder folder;
  std::optional<storage::Database> tables;
  std::unique_ptr<Policies> policies;
};

TEST_F(PoliciesTest, what_is_made_changed_and_deleted_survives_a_restart) {
  const std::string key = policies->create(named("line-a")).value()->primary_key;
  ASSERT_TRUE(policies->create(named("line-b")));
  ASSERT_TRUE(policies->remove("line-b"));
  ASSERT_TRUE(policies->remove("registryRead")) << "a built-in one";
  device::Rights rights;
  rights.enrollment_read = true;
  ASSERT_TRUE(policies->set_rights("line-a", rights));
  reopen();
  ASSERT_TRUE(policies->find("line-a"));
  EXPECT_EQ(policies->find("line-a")->primary_key, key);
  EXPECT_EQ(policies->find("line-a")->rights, rights);
  EXPECT_FALSE(policies->find("line-b"));
  EXPECT_FALSE(policies->find("registryRead")) << "it is not made again";
}

TEST_F(PoliciesTest, provisioning_owner_has_no_right_to_the_registry) {
  const device::Rights rights = policies->find("provisioningserviceowner")->rights;
  EXPECT_FALSE(rights.registry_read || rights.registry_write || rights.service_connect || rights.device_connect);
  EXPECT_TRUE(rights.enrollment_write && rights.registration_write);
}

TEST_F(PoliciesTest, keys_are_made_anew_one_at_a_time) {
  const PolicyPtr before = policies->find("service");
  const PolicyPtr swapped = policies->regenerate("service", device::KeyChange::swap).value();
  EXPECT_EQ(swapped->primary_key, before->secondary_key);
  const PolicyPtr after = policies->regenerate("service", device::KeyChange::secondary).value();
  EXPECT_EQ(after->primary_key, before->secondary_key);
  EXPECT_NE(after->secondary_key, before->primary_key);
  EXPECT_EQ(policies->regenerate("nobody", device::KeyChange::primary).error().fault, Fault::not_found);
}

TEST_F(PoliciesTest, owner_stays_names_are_plain_and_their_number_is_bounded) {
  EXPECT_EQ(policies->remove("iothubowner").error().fault, Fault::conflict);
  EXPECT_EQ(policies->set_rights("iothubowner", {}).error().fault, Fault::conflict);
  EXPECT_EQ(policies->create(named("service")).error().fault, Fault::conflict);
  EXPECT_EQ(policies->create(named("a&skn=b")).error().fault, Fault::invalid_input);
  while (policies->list().size() < Policies::max_policies)
    ASSERT_TRUE(policies->create(named("p" + std::to_string(policies->list().size()))));
  EXPECT_EQ(policies->create(named("one-more")).error().fault, Fault::exhausted);
}

/// A hub made before the provisioning service had rights of its own: its policies keep their keys.
TEST_F(PoliciesTest, older_hubs_policies_are_brought_up_to_date) {
  policies.reset();
  ASSERT_TRUE(tables->run("DELETE FROM meta WHERE name = 'policies_made'"));
  ASSERT_TRUE(tables->run("DELETE FROM policy WHERE name = 'provisioningserviceowner'"));
  ASSERT_TRUE(tables->run("UPDATE policy SET primary_key = 'kept' WHERE name = 'service'"));
  reopen();
  EXPECT_EQ(policies->find("service")->primary_key, "kept");
  EXPECT_TRUE(policies->find("provisioningserviceowner"));
}

class PoliciesApiTest : public HubTest {
 protected:
  std::string key_of(const std::string& policy) {
    return parse(call("GET", "/policies/" + policy + "/keys").body).find("primaryKey")->as_string();
  }
  net::HttpResponse devices_as(const std::string& policy, const std::string& key) {
    return call("GET", "/devices", {}, {}, sas::make_token("localhost", key, clock.now() + std::chrono::hours{1}, policy).value());
  }
};

TEST_F(PoliciesApiTest, policy_is_made_listed_changed_and_deleted_over_rest) {
  EXPECT_EQ(call("PUT", "/policies/line-a", R"({"rights":["RegistryWrite"]})").status, 200);
  EXPECT_EQ(error_code(call("PUT", "/policies/line-a", R"({"rights":[]})")), "PolicyAlreadyExists");
  EXPECT_EQ(get("/policies").as_array().size(), 7u);
  EXPECT_EQ(json::print(get("/policies/line-a")), R"({"name":"line-a","rights":["RegistryRead","RegistryWrite"]})") << "no keys";
  const std::string key = key_of("line-a");
  EXPECT_EQ(devices_as("line-a", key).status, 200);
  EXPECT_EQ(call("PUT", "/policies/line-a", R"({"rights":["ServiceConnect"]})", {{"if-match", "*"}}).status, 200);
  EXPECT_EQ(devices_as("line-a", key).status, 401);
  EXPECT_EQ(call("DELETE", "/policies/line-a").status, 204);
  EXPECT_EQ(error_code(call("GET", "/policies/line-a")), "PolicyNotFound");
  EXPECT_EQ(call("DELETE", "/policies/iothubowner").status, 412);
  for (const char* bad :
       {"", "{", "[]", R"({"rights":["All"]})", R"({"rights":[],"primaryKey":"short"})", R"({"rights":[],"name":"x"})"})
    EXPECT_EQ(call("PUT", "/policies/line-b", bad).status, 400) << bad;
  for (const char* bad : {"", "{}", R"({"key":"both"})", R"({"key":1})"})
    EXPECT_EQ(call("POST", "/policies/service/keys/regenerate", bad).status, 400) << bad;
}

TEST_F(PoliciesApiTest, owners_new_key_is_in_the_hub_file_at_once) {
  const std::string old = key_of("iothubowner");
  ASSERT_EQ(call("POST", "/policies/iothubowner/keys/regenerate", R"({"key":"primary"})").status, 200);
  EXPECT_EQ(call("GET", "/devices").status, 401) << "the client still signs with the old key";
  const auto file = endpoint::read_hub_file(folder.path() / "hub").value();
  EXPECT_EQ(file.connection_string.find(old), std::string::npos);
  auto fresh = endpoint::HubClient::make(file, clock).value();
  EXPECT_TRUE(run(fresh.get("/devices")).has_value());
}

TEST_F(PoliciesApiTest, connections_made_with_a_policy_end_with_its_key_its_right_or_itself) {
  const auto identity = add("d1");
  add("d2");
  const auto connect = [&](const device::Identity& who) {
    net::MqttClientOptions options;
    options.endpoint = {"127.0.0.1", hub->found_at().mqtts, {}};
    options.tls = trust();
    options.client_id = who.name.client_id();
    options.user_name = telemetry::print_user_name({"localhost", who.name.device.str(), "", "2021-04-12", "test", {}});
    const std::string password =
        sas::make_token(sas::device_resource("localhost", who.name.device.str()),
                        hub->services().registry.policy("device")->primary_key, clock.now() + std::chrono::hours{1}, "device")
            .value();
    options.password = [password] { return ready(password); };
    auto made = net::MqttClient::make(runtime.executor(), std::move(options), {});
    EXPECT_TRUE(run(made->start(std::chrono::seconds{30})).has_value());
    return made;
  };
  const auto there = [&] { return hub->services().endpoint.connected(identity.name); };
  auto own = connected(*hub->services().registry.identities().find({device::DeviceId("d2"), {}}));
  const char* ends[][3] = {{"POST", "/policies/device/keys/regenerate", R"({"key":"primary"})"},
                           {"PUT", "/policies/device", R"({"rights":["ServiceConnect"]})"},
                           {"DELETE", "/policies/device", ""}};
  for (const auto& [method, target, body] : ends) {
    if (std::string(method) == "DELETE") {
      ASSERT_EQ(call("PUT", "/policies/device", R"({"rights":["DeviceConnect"]})", {{"if-match", "*"}}).status, 200);
    }
    auto device = connect(identity);
    EXPECT_TRUE(there());
    const net::Headers headers = std::string(method) == "PUT" ? net::Headers{{"if-match", "*"}} : net::Headers{};
    EXPECT_LT(call(method, target, body, headers).status, 300) << method;
    while (there()) std::this_thread::yield();
    run(device->close());
  }
  EXPECT_EQ(own->reconnects(), 0u) << "a device with its own key is nobody's business";
  run(own->close());
}

}  // namespace
}  // namespace nacelle::hub::testing
