#include "service/hub/policies.h"

#include <algorithm>

#include <fmt/format.h>

namespace nacelle::hub {
namespace {

using device::Policy;
using device::Rights;

/// Wire facts 2.12, and the provisioning service's own.
std::vector<Policy> built_in_policies() {
  Rights service, device, read, write, provisioning;
  service.service_connect = true;
  device.device_connect = true;
  read.registry_read = true;
  write.registry_read = write.registry_write = true;
  provisioning.enrollment_read = provisioning.enrollment_write = true;
  provisioning.registration_read = provisioning.registration_write = true;
  return {{std::string(Policies::owner), {}, {}, device::all_rights()},
          {"service", {}, {}, service},
          {"device", {}, {}, device},
          {"registryRead", {}, {}, read},
          {"registryReadWrite", {}, {}, write},
          {"provisioningserviceowner", {}, {}, provisioning}};
}

void make_missing_keys(Policy& policy) {
  if (policy.primary_key.empty()) policy.primary_key = sas::random_key();
  if (policy.secondary_key.empty()) policy.secondary_key = sas::random_key();
}

Failure unknown(std::string_view name) {
  return fail(Fault::not_found, fmt::format("there is no shared access policy '{}'", name));
}

}  // namespace

Result<std::unique_ptr<Policies>> Policies::open(storage::Database& tables) {
  std::unique_ptr<Policies> policies(new Policies(tables));
  TRY(policies->make_built_in());
  TRY(policies->load());
  return policies;
}

/// Once in a hub's life: what was deleted later stays deleted. Hubs made before there were marks have some of them already.
Result<> Policies::make_built_in() {
  TRY_LET(const auto made, tables_.query("SELECT 1 FROM meta WHERE name = 'policies_made'"));
  if (!made.empty()) return {};
  const auto write = [&]() -> Result<> {
    for (Policy& policy : built_in_policies()) {
      TRY_LET(const auto there, tables_.query("SELECT 1 FROM policy WHERE name = ?", policy.name));
      if (!there.empty()) continue;
      make_missing_keys(policy);
      TRY(insert(policy));
    }
    TRY(tables_.run("INSERT INTO meta VALUES ('policies_made', ?)", storage::Blob{"1"}));
    return {};
  };
  return tables_.transaction(write);
}

Result<> Policies::load() {
  TRY_LET(const auto rows,
          tables_.query("SELECT name, primary_key, secondary_key, registry_read, registry_write, service_connect, device_connect, "
                        "enrollment_read, enrollment_write, registration_read, registration_write FROM policy ORDER BY name"));
  List list;
  for (const storage::Row& row : rows) {
    const auto right = [&](std::size_t column) { return storage::integer(row[column]) != 0; };
    const Rights rights{right(3), right(4), right(5), right(6), right(7), right(8), right(9), right(10)};
    list.push_back(
        std::make_shared<const Policy>(Policy{storage::text(row[0]), storage::text(row[1]), storage::text(row[2]), rights}));
  }
  known_.publish(std::move(list));
  return {};
}

Result<> Policies::insert(const Policy& policy) {
  const Rights& rights = policy.rights;
  TRY(tables_.run(
      "INSERT OR REPLACE INTO policy (name, primary_key, secondary_key, registry_read, registry_write, service_connect, "
      "device_connect, enrollment_read, enrollment_write, registration_read, registration_write) "
      "VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
      policy.name, policy.primary_key, policy.secondary_key, rights.registry_read, rights.registry_write, rights.service_connect,
      rights.device_connect, rights.enrollment_read, rights.enrollment_write, rights.registration_read, rights.registration_write));
  return {};
}

PolicyPtr Policies::find(std::string_view name) const {
  const auto known = known_.get();
  const auto at = std::find_if(known->begin(), known->end(), [&](const auto& policy) { return policy->name == name; });
  return at == known->end() ? nullptr : *at;
}

std::vector<PolicyPtr> Policies::list() const { return *known_.get(); }

Result<PolicyPtr> Policies::create(Policy policy) {
  TRY(device::check_policy_name(policy.name));
  if (find(policy.name)) return fail(Fault::conflict, fmt::format("policy '{}' exists", policy.name));
  if (known_.get()->size() >= max_policies)
    return fail(Fault::exhausted, fmt::format("there are {} policies, the most there may be", max_policies));
  make_missing_keys(policy);
  return replace(std::move(policy));
}

Result<PolicyPtr> Policies::replace(Policy policy) {
  const std::string name = policy.name;
  TRY(insert(policy));
  TRY(load());
  return find(name);
}

Result<PolicyPtr> Policies::set_rights(const std::string& name, const Rights& rights) {
  const PolicyPtr old = find(name);
  if (!old) return unknown(name);
  if (name == owner && rights != device::all_rights())
    return fail(Fault::conflict, fmt::format("'{}' keeps all rights: the hub's own commands use it", owner));
  Policy next = *old;
  next.rights = rights;
  return replace(std::move(next));
}

Result<PolicyPtr> Policies::regenerate(const std::string& name, device::KeyChange change) {
  const PolicyPtr old = find(name);
  if (!old) return unknown(name);
  Policy next = *old;
  device::change_keys(change, next.primary_key, next.secondary_key);
  return replace(std::move(next));
}

Result<> Policies::remove(const std::string& name) {
  if (name == owner) return fail(Fault::conflict, fmt::format("'{}' stays: the hub's own commands use it", owner));
  if (!find(name)) return unknown(name);
  TRY(tables_.run("DELETE FROM policy WHERE name = ?", name));
  return load();
}

}  // namespace nacelle::hub
