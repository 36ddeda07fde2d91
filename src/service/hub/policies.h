#pragma once
// Policies: the shared access policies of services, their rights and keys, in tables and as a snapshot (wire facts 2.12).

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "domain/device/identity.h"
#include "foundation/snapshot.h"
#include "storage/tables/database.h"

namespace nacelle::hub {

using PolicyPtr = std::shared_ptr<const device::Policy>;

/// Changes belong to the tables strand and are durable when the call is back; find() and list() may be called by any thread.
class Policies {
 public:
  /// Makes the built-in ones, with random keys, at the first start.
  static Result<std::unique_ptr<Policies>> open(storage::Database& tables);

  PolicyPtr find(std::string_view name) const;  ///< null if unknown
  std::vector<PolicyPtr> list() const;          ///< by name

  /// Keys that are empty are made. Fault::conflict if it exists, exhausted beyond max_policies.
  Result<PolicyPtr> create(device::Policy policy);
  Result<PolicyPtr> set_rights(const std::string& name, const device::Rights& rights);  ///< Fault::not_found
  Result<PolicyPtr> regenerate(const std::string& name, device::KeyChange change);      ///< Fault::not_found
  /// Fault::not_found. The hub's own commands use `owner`: it stays, with its rights (Fault::conflict).
  Result<> remove(const std::string& name);

  static constexpr std::size_t max_policies = 64;
  static constexpr std::string_view owner = "iothubowner";

 private:
  using List = std::vector<PolicyPtr>;
  explicit Policies(storage::Database& tables) : tables_(tables) {}
  Result<> make_built_in();
  Result<> load();
  Result<> insert(const device::Policy& policy);
  Result<PolicyPtr> replace(device::Policy policy);

  storage::Database& tables_;
  Snapshot<List> known_;
};

}  // namespace nacelle::hub
