#pragma once
// Fleet: what concerns many devices at once, over the registry: queries, configurations, jobs, provisioning.

#include "foundation/async.h"
#include "service/hub/queries.h"

namespace nacelle::hub {

struct Services;
class Configurations;
class Jobs;
class Provisioning;
class Transfers;
class Disk;

struct Fleet {
  static Result<std::unique_ptr<Fleet>> make(storage::Database& tables, Registry& registry, Disk& disk, const Clock& clock,
                                             const std::string& host);
  ~Fleet();
  /// On the tables strand, before anyone calls.
  Result<> open(Services& services);
  /// Starts what is due.
  awaitable<void> run();
  /// After this nothing is begun; call it when methods are closed.
  awaitable<void> close();

  Queries queries;
  std::unique_ptr<Configurations> configurations;
  std::unique_ptr<Jobs> jobs;
  std::unique_ptr<Transfers> transfers;
  std::unique_ptr<Provisioning> provisioning;  ///< there from the beginning

 private:
  Fleet(storage::Database& tables, const Registry& registry);
  Services* services_ = nullptr;
};

}  // namespace nacelle::hub
