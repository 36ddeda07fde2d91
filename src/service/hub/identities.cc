#include "service/hub/identities.h"

namespace nacelle::hub {

IdentityPtr Identities::find(const device::IdentityName& name) const {
  const auto known = shard(name.device).get();
  const auto at = known->find(name);
  return at == known->end() ? nullptr : at->second;
}

bool Identities::enabled(const device::Identity& identity) const {
  if (!identity.enabled) return false;
  if (!identity.name.is_module()) return true;
  const IdentityPtr device = find({identity.name.device, {}});
  return device && device->enabled;
}

std::vector<IdentityPtr> Identities::modules_of(const device::DeviceId& device) const {
  std::vector<IdentityPtr> modules;
  const auto known = shard(device).get();
  for (auto at = known->upper_bound({device, {}}); at != known->end() && at->first.device == device; ++at)
    modules.push_back(at->second);
  return modules;
}

void Identities::put(device::Identity identity) {
  auto& place = shard(identity.name.device);
  Shard next = *place.get();
  const device::IdentityName name = identity.name;
  next[name] = std::make_shared<const device::Identity>(std::move(identity));
  place.publish(std::move(next));
}

void Identities::erase(const device::IdentityName& name) {
  auto& place = shard(name.device);
  Shard next = *place.get();
  next.erase(name);
  place.publish(std::move(next));
}

Snapshot<Identities::Shard>& Identities::shard(const device::DeviceId& device) {
  return shards_[std::hash<device::DeviceId>{}(device) % shards_.size()];
}
const Snapshot<Identities::Shard>& Identities::shard(const device::DeviceId& device) const {
  return shards_[std::hash<device::DeviceId>{}(device) % shards_.size()];
}

}  // namespace nacelle::hub
