#pragma once
// Registry: devices, modules, shared access policies and twins, in tables, with identities mirrored in memory.

#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "domain/telemetry/message.h"
#include "domain/twin/twin.h"
#include "foundation/clock.h"
#include "service/hub/identities.h"
#include "service/hub/policies.h"
#include "storage/tables/database.h"

namespace nacelle::hub {

/// Who wants to hear of what happens to devices, modules and twins: on the tables strand, after it was written. Keep it short.
class RegistryWatcher {
 public:
  virtual ~RegistryWatcher() = default;
  virtual void created(const device::Identity& identity) = 0;
  virtual void removed(const device::Identity& identity, const twin::Twin& last) = 0;
  virtual void twin_changed(const device::IdentityName& name, const twin::Twin& before, const twin::Twin& after) = 0;
  virtual void connection_changed(const device::IdentityName& name, bool connected) = 0;
  /// Whether it does: what is not wanted is not told, and the twin as it was is not read.
  virtual bool wants(telemetry::Source source) const = 0;
};

/// Belongs to the tables strand (Disk::tables), but for identities(), policy() and secret(), which any thread may read.
/// Every change is durable when the call is back.
class Registry {
 public:
  /// Loads all identities; makes the policies and their random keys at the first start.
  static Result<std::unique_ptr<Registry>> open(storage::Database& tables, const Clock& clock);

  const Identities& identities() const { return identities_; }
  PolicyPtr policy(std::string_view name) const { return policies_->find(name); }  ///< null if unknown
  Policies& policies() { return *policies_; }
  const Policies& policies() const { return *policies_; }
  const Bytes& secret() const { return secret_; }  ///< 32 bytes of this hub's own, for signing its own grants

  /// A new device or module, with its twin; an edge device with its scope and its modules `$edgeAgent` and `$edgeHub`.
  /// Fault::conflict if it exists, not_found if a module's device does not, exhausted beyond max_modules.
  Result<device::Identity> create(device::Identity identity);
  /// Keeps generation and scope of an edge device; counts the etag up. Fault::not_found.
  Result<device::Identity> update(device::Identity identity);
  /// What the device or module says is its model; its etag stays. Fault::invalid_input for one that is too long.
  Result<> note_model(const device::IdentityName& name, const std::string& model);
  /// With a device go its modules; with each its twin. Fault::not_found.
  Result<> remove(const device::IdentityName& name);

  Result<std::vector<device::IdentityName>> names_after(const std::string& device, std::size_t limit) const;  ///< devices, by id
  Result<std::vector<IdentityPtr>> devices(std::size_t limit) const;                                          ///< by id
  Result<std::vector<IdentityPtr>> children_of(const device::Identity& edge) const;  ///< leaves, and edges below it

  struct Counts {
    std::int64_t total = 0;
    std::int64_t enabled = 0;
  };
  Result<Counts> counts() const;

  Result<twin::Twin> twin(const device::IdentityName& name) const;
  Result<> put_twin(const device::IdentityName& name, const twin::Twin& twin);

  /// Called on the tables strand after a device, module or twin was written or removed.
  void on_change(std::function<void(const device::IdentityName&)> told) { told_.push_back(std::move(told)); }
  /// One watcher; it outlives what is done on the strand.
  void watch(RegistryWatcher& watcher) { watcher_ = &watcher; }

  /// Who is connected and when that last changed; not kept over a restart.
  void note_connection(const device::IdentityName& name, bool connected);
  void note_messages(const device::IdentityName& name, int waiting);  ///< cloudToDeviceMessageCount
  void note_activity(const device::IdentityName& name);
  device::ConnectionFacts facts(const device::IdentityName& name) const;
  std::size_t connected_devices() const;
  const std::map<device::IdentityName, device::ConnectionFacts>& presence() const { return presence_; }

  static constexpr std::size_t max_modules = 50;

 private:
  Registry(storage::Database& tables, const Clock& clock) : tables_(tables), clock_(clock) {}
  Result<> load();
  Result<> load_secret();
  Result<> insert(const device::Identity& identity);
  bool watched(telemetry::Source source) const { return watcher_ && watcher_->wants(source); }
  std::string next_generation();
  void tell(const device::IdentityName& name) const {
    for (const auto& told : told_) told(name);
  }

  storage::Database& tables_;
  const Clock& clock_;
  Identities identities_;
  std::unique_ptr<Policies> policies_;
  Bytes secret_;  // fixed once open
  std::int64_t last_generation_ = 0;
  std::map<device::IdentityName, device::ConnectionFacts> presence_;
  std::vector<std::function<void(const device::IdentityName&)>> told_;
  RegistryWatcher* watcher_ = nullptr;
};

}  // namespace nacelle::hub
