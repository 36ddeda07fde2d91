#include "service/hub/fleet.h"

#include "service/hub/api.h"
#include "service/hub/configurations.h"
#include "service/hub/jobs.h"
#include "service/hub/provisioning.h"
#include "service/hub/transfers.h"

namespace nacelle::hub {

Fleet::Fleet(storage::Database& tables, const Registry& registry) : queries(tables, registry) {}
Fleet::~Fleet() = default;

Result<std::unique_ptr<Fleet>> Fleet::make(storage::Database& tables, Registry& registry, Disk& disk, const Clock& clock,
                                           const std::string& host) {
  std::unique_ptr<Fleet> fleet(new Fleet(tables, registry));
  TRY_LET(fleet->provisioning, Provisioning::open(tables, registry, disk, clock, host));
  return fleet;
}

Result<> Fleet::open(Services& services) {
  services_ = &services;
  provisioning->serve(services);
  TRY_LET(configurations, Configurations::open(services));
  TRY_LET(jobs, Jobs::open(services));
  TRY_LET(transfers, Transfers::open(services));
  services.registry.on_change([this](const device::IdentityName& name) { configurations->changed(name); });
  return {};
}

awaitable<void> Fleet::run() { co_await jobs->run(); }

awaitable<void> Fleet::close() {
  if (!services_) co_return;
  auto stop = [this] {
    configurations->stop();
    return true;
  };
  co_await run_on(services_->disk.tables(), stop);
  co_await jobs->close();
  co_await transfers->close();
}

}  // namespace nacelle::hub
