#pragma once
// Twins: what routes and enrichments see as `$twin`, kept in memory for threads that are not the tables strand.

#include <array>
#include <map>

#include "domain/route/route.h"
#include "foundation/async.h"
#include "foundation/snapshot.h"
#include "service/hub/registry.h"

namespace nacelle::hub {

/// Read by any thread but the tables strand (twin_of may wait for it); filled and emptied on that strand alone. Holds about 64 MiB
/// of twins at most; what does not fit is read again. A message is routed with the twin as it is when it is looked at.
class Twins final : public route::TwinLookup {
 public:
  /// `tables`: the registry's strand. Borrows both.
  Twins(const Registry& registry, Executor tables) : registry_(registry), tables_(std::move(tables)) {}

  /// Of the device or module that sent it; null if it is not registered (any more).
  std::shared_ptr<const json::Value> twin_of(const telemetry::Message& message) const override;
  /// Tables strand: the twin was written or removed.
  void changed(const device::IdentityName& name);

 private:
  struct Kept {
    std::shared_ptr<const json::Value> document;
    ByteCount bytes = 0;
  };
  struct Shard {
    std::map<device::IdentityName, Kept> twins;
    ByteCount bytes = 0;
  };
  Snapshot<Shard>& shard(const device::IdentityName& name) const;
  std::shared_ptr<const json::Value> load(const device::IdentityName& name) const;

  const Registry& registry_;
  const Executor tables_;
  mutable std::array<Snapshot<Shard>, 64> shards_;
};

/// The same on the tables strand itself, without keeping anything.
class TwinsOnStrand final : public route::TwinLookup {
 public:
  explicit TwinsOnStrand(const Registry& registry) : registry_(registry) {}
  std::shared_ptr<const json::Value> twin_of(const telemetry::Message& message) const override;

 private:
  const Registry& registry_;
};

}  // namespace nacelle::hub
