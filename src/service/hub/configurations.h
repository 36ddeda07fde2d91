#pragma once
// Configurations kept, and applied: whenever a device, a module or a configuration changes, who matches is asked again and the
// twins are brought to what the strongest matching configurations say (docs/decisions/0171-configurations.md).

#include <map>
#include <set>

#include "domain/deployment/configuration.h"
#include "service/hub/queries.h"

namespace nacelle::hub {

struct Services;

/// On the tables strand, all of it.
class Configurations {
 public:
  /// Loads what is stored and looks at the whole fleet once: a kill may have come between a change and its effect.
  static Result<std::unique_ptr<Configurations>> open(Services& services);

  /// By id; null if unknown.
  const deployment::Configuration* find(const std::string& id) const;
  std::vector<const deployment::Configuration*> all() const;  ///< by id

  /// Fault::conflict if it is there, exhausted beyond max_configurations.
  Result<> create(deployment::Configuration configuration);
  /// Keeps the time it was made. Fault::not_found; invalid_input for another content: that is fixed once made.
  Result<> update(deployment::Configuration configuration);
  Result<> remove(const std::string& id);

  /// The REST document with the results of its metrics and the system's.
  Result<json::Value> document(const deployment::Configuration& configuration);

  /// Something about `name` is not what it was; it will be looked at soon.
  void changed(const device::IdentityName& name);
  /// Looks at everything that changed, now.
  void settle();
  /// From now on nothing is looked at any more.
  void stop() { stopped_ = true; }

  static constexpr std::size_t max_configurations = 100;

 private:
  explicit Configurations(Services& services) : services_(services) {}
  Result<> load();
  Result<> store(const deployment::Configuration& configuration);
  Result<> changed_targets(const deployment::Configuration& configuration);
  void schedule();
  void look_at_some(std::size_t most);
  Result<> look_at(const device::IdentityName& name);
  Result<std::vector<const deployment::Configuration*>> matching(const device::IdentityName& name, deployment::ContentKind kind);
  Result<> apply_to_twin(const device::IdentityName& name, const std::vector<const deployment::Configuration*>& matching,
                         std::map<std::string, bool>& states);
  Result<> apply_to_edge(const device::IdentityName& name, const std::vector<const deployment::Configuration*>& matching,
                         std::map<std::string, bool>& states);
  Result<> record(const device::IdentityName& name, const std::map<std::string, bool>& states);
  Result<std::int64_t> count(std::string_view sql, const std::string& id);

  Services& services_;
  std::map<std::string, deployment::Configuration> known_;
  std::set<device::IdentityName> waiting_;
  bool scheduled_ = false;
  bool stopped_ = false;
};

}  // namespace nacelle::hub
