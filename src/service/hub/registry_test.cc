#include "service/hub/registry.h"

#include <sys/stat.h>

#include <set>

#include "service/hub/hub_testing.h"
#include "service/hub/schema.h"

namespace nacelle::hub {
namespace {

using device::DeviceId;
using device::Identity;
using device::IdentityName;
using device::ModuleId;

class RegistryTest : public ::testing::Test {
 protected:
  RegistryTest() { reopen(); }
  void reopen() {
    registry.reset();
    tables.reset();
    tables.emplace(open_registry_tables(folder.path()).value());
    registry = Registry::open(*tables, clock).value();
  }
  Identity make(const char* device, const char* module = "", bool edge = false) {
    Identity identity = device::from_json(json::Object{}, {DeviceId(device), ModuleId(module)}).value();
    identity.edge = edge;
    return identity;
  }

  hub::testing::TemporaryFolder folder;
  ManualClock clock;
  std::optional<storage::Database> tables;
  std::unique_ptr<Registry> registry;
};

TEST_F(RegistryTest, identities_twins_policies_and_secret_survive_a_restart) {
  const Identity made = registry->create(make("d1")).value();
  twin::Twin twin = registry->twin(made.name).value();
  twin = twin::apply(twin, twin::parse_service_patch(json::parse(R"({"properties":{"desired":{"rate":5}}})").value()).value(),
                     false, clock.now())
             .value();
  ASSERT_TRUE(registry->put_twin(made.name, twin));
  const std::string key = registry->policy("iothubowner")->primary_key;
  const Bytes secret = registry->secret();
  reopen();
  const IdentityPtr found = registry->identities().find(made.name);
  ASSERT_TRUE(found);
  EXPECT_EQ(found->primary_key, made.primary_key);
  EXPECT_EQ(found->generation_id, made.generation_id);
  EXPECT_EQ(registry->twin(made.name)->desired.version, 2);
  EXPECT_EQ(registry->policy("iothubowner")->primary_key, key);
  EXPECT_EQ(registry->secret(), secret);
  EXPECT_EQ(secret.size(), 32u);
}

TEST_F(RegistryTest, file_with_keys_is_private) {
  struct stat status {};
  ASSERT_EQ(::stat((folder.path() / "registry.db").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777, 0600u);
}

TEST_F(RegistryTest, five_policies_with_keys_of_their_own) {
  std::set<std::string> keys;
  for (const char* name : {"iothubowner", "service", "device", "registryRead", "registryReadWrite"}) {
    const PolicyPtr policy = registry->policy(name);
    ASSERT_TRUE(policy) << name;
    keys.insert(policy->primary_key);
    keys.insert(policy->secondary_key);
  }
  EXPECT_EQ(keys.size(), 10u);
  EXPECT_FALSE(registry->policy("admin"));
}

TEST_F(RegistryTest, edge_device_gets_its_scope_and_its_two_modules) {
  const Identity edge = registry->create(make("edge1", "", true)).value();
  EXPECT_EQ(edge.scope, "ms-azure-iot-edge://edge1-" + edge.generation_id);
  EXPECT_TRUE(registry->identities().find({DeviceId("edge1"), ModuleId("$edgeAgent")}));
  EXPECT_TRUE(registry->identities().find({DeviceId("edge1"), ModuleId("$edgeHub")}));
  EXPECT_EQ(registry->identities().modules_of(DeviceId("edge1")).size(), 2u);
}

TEST_F(RegistryTest, device_made_an_edge_by_an_update_gets_them_too) {
  Identity device = registry->create(make("d1")).value();
  device.edge = true;
  const Identity edge = registry->update(device).value();
  EXPECT_FALSE(edge.scope.empty());
  EXPECT_EQ(registry->identities().modules_of(DeviceId("d1")).size(), 2u);
}

TEST_F(RegistryTest, children_are_those_with_the_edges_scope) {
  const Identity edge = registry->create(make("edge1", "", true)).value();
  Identity leaf = make("leaf1");
  leaf.scope = edge.scope;
  ASSERT_TRUE(registry->create(leaf));
  ASSERT_TRUE(registry->create(make("stranger")));
  Identity below = make("edge2", "", true);
  below.parent_scopes = {edge.scope};
  ASSERT_TRUE(registry->create(below));
  const auto children = registry->children_of(edge).value();
  ASSERT_EQ(children.size(), 2u);
  EXPECT_EQ(children[0]->name.device.str(), "edge2");
  EXPECT_EQ(children[1]->name.device.str(), "leaf1");
}

TEST_F(RegistryTest, what_exists_is_a_conflict_and_a_module_needs_its_device) {
  ASSERT_TRUE(registry->create(make("d1")));
  EXPECT_EQ(registry->create(make("d1")).error().fault, Fault::conflict);
  EXPECT_EQ(registry->create(make("d2", "m")).error().fault, Fault::not_found);
  EXPECT_EQ(registry->update(make("d2")).error().fault, Fault::not_found);
  EXPECT_EQ(registry->remove({DeviceId("d2"), {}}).error().fault, Fault::not_found);
}

TEST_F(RegistryTest, update_raises_the_etag_and_keeps_the_generation) {
  const Identity made = registry->create(make("d1")).value();
  const Identity next = registry->update(make("d1")).value();
  EXPECT_EQ(next.etag, made.etag + 1);
  EXPECT_EQ(next.generation_id, made.generation_id);
}

TEST_F(RegistryTest, device_made_again_is_of_another_generation) {
  const Identity made = registry->create(make("d1")).value();
  ASSERT_TRUE(registry->remove(made.name));
  EXPECT_NE(registry->create(make("d1"))->generation_id, made.generation_id);
}

TEST_F(RegistryTest, with_a_device_go_its_modules_and_twins) {
  ASSERT_TRUE(registry->create(make("d1")));
  ASSERT_TRUE(registry->create(make("d1", "m")));
  ASSERT_TRUE(registry->create(make("d10")));
  ASSERT_TRUE(registry->remove({DeviceId("d1"), {}}));
  EXPECT_FALSE(registry->identities().find({DeviceId("d1"), ModuleId("m")}));
  EXPECT_FALSE(registry->twin({DeviceId("d1"), ModuleId("m")}));
  EXPECT_TRUE(registry->twin({DeviceId("d10"), {}}));
  reopen();
  EXPECT_EQ(registry->counts()->total, 1);
}

TEST_F(RegistryTest, modules_are_bounded) {
  ASSERT_TRUE(registry->create(make("d1")));
  for (std::size_t i = 0; i < Registry::max_modules; ++i)
    ASSERT_TRUE(registry->create(make("d1", ("m" + std::to_string(i)).c_str())));
  EXPECT_EQ(registry->create(make("d1", "one-more")).error().fault, Fault::exhausted);
}

}  // namespace
}  // namespace nacelle::hub
