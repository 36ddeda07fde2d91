#pragma once
// Identities: every device and module, in memory, for checks that may not wait for the registry's tables.

#include <array>
#include <map>
#include <memory>
#include <optional>
#include <vector>

#include "domain/device/identity.h"
#include "foundation/snapshot.h"

namespace nacelle::hub {

using IdentityPtr = std::shared_ptr<const device::Identity>;

/// Read by any thread at any time; written by the registry alone, on its strand. Kept in shards, so that a change
/// republishes a small part of a large fleet.
class Identities {
 public:
  IdentityPtr find(const device::IdentityName& name) const;  ///< null if unknown
  bool enabled(const device::Identity& identity) const;      ///< itself and, of a module, its device
  std::vector<IdentityPtr> modules_of(const device::DeviceId& device) const;

  void put(device::Identity identity);
  void erase(const device::IdentityName& name);

 private:
  using Shard = std::map<device::IdentityName, IdentityPtr>;
  Snapshot<Shard>& shard(const device::DeviceId& device);
  const Snapshot<Shard>& shard(const device::DeviceId& device) const;

  // A device and its modules fall into one shard, so that modules_of reads one.
  std::array<Snapshot<Shard>, 256> shards_;
};

}  // namespace nacelle::hub
