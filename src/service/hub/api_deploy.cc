// A deployment for one edge device (wire facts 2.9, 5.4): checked whole, then modules, then their desired properties.
#include <fmt/format.h>

#include <set>

#include "codec/text/encoding.h"
#include "domain/deployment/configuration.h"
#include "domain/deployment/manifest.h"
#include "foundation/log.h"
#include "service/hub/api.h"

namespace nacelle::hub {
namespace {

constexpr std::string_view managed_by_edge = "IotEdge";

bool is_system(const std::string& module) { return module.starts_with('$'); }

/// What will be done, decided before anything is.
struct Plan {
  struct Change {
    device::IdentityName module;
    twin::ServicePatch patch;
    bool replace = false;  ///< `properties.desired`; else paths below it
  };
  std::vector<device::IdentityName> create;
  std::vector<device::IdentityName> remove;
  std::vector<Change> changes;
};

/// The module's part of the document as it came, wherever the manifest's content lies.
const json::Value* content_of(const json::Value& document, const std::string& module) {
  const json::Value* inner = document.find("content");
  for (const json::Value* root : {&document, inner})
    for (const char* key : {"modulesContent", "moduleContent"})
      if (root && root->find(key)) return root->find(key)->find(module);
  return nullptr;
}

Result<Plan> make_plan(const Services& services, const device::DeviceId& device, const json::Value& document) {
  TRY_LET(const deployment::Manifest manifest, deployment::parse_manifest(document));
  const Identities& identities = services.registry.identities();
  Plan plan;
  std::set<std::string> named;
  for (const auto& [module, spec] : manifest.agent.modules) {
    named.insert(module);
    TRY_LET(device::ModuleId id, device::parse_module_id(module));
    const device::IdentityName name{device, std::move(id)};
    if (!identities.find(name)) plan.create.push_back(name);
  }
  if (manifest.desired.contains("$edgeAgent"))  // only a content that names the modules says which are no longer wanted
    for (const auto& module : identities.modules_of(device)) {
      const std::string& id = module->name.module.str();
      const bool ours = text::equal_ignoring_case(module->managed_by, managed_by_edge) && !is_system(id);
      if (ours && !named.contains(id)) plan.remove.push_back(module->name);
    }
  for (const auto& [module, desired] : manifest.desired) {
    TRY_LET(device::ModuleId id, device::parse_module_id(module));
    const device::IdentityName name{device, std::move(id)};
    if (!identities.find(name) && !named.contains(module))
      return fail(Fault::invalid_input,
                  fmt::format("manifest: module '{}' has desired properties and is not among $edgeAgent's modules", module));
    TRY(in(twin::check_limits(desired, "desired"), fmt::format("manifest: {}", module)));
    const json::Value* content = content_of(document, module);
    plan.changes.push_back({name, {std::nullopt, desired}, content && content->find("properties.desired")});
  }
  const std::size_t modules = identities.modules_of(device).size() + plan.create.size() - plan.remove.size();
  if (modules > Registry::max_modules)
    return fail(Fault::exhausted,
                fmt::format("manifest: the device would have {} modules; it may have {}", modules, Registry::max_modules));
  return plan;
}

/// `only_changes`: twins that are as they should be are not written again.
Result<> carry_out(Services& services, const Plan& plan, bool only_changes) {
  for (const auto& name : plan.create) {
    TRY_LET(device::Identity module, device::from_json(json::Object{}, name));
    module.managed_by = managed_by_edge;
    TRY(services.registry.create(std::move(module)));
  }
  // $edgeAgent last: the edge starts modules by it, and they should find their desired properties there.
  for (const bool agent : {false, true})
    for (const auto& change : plan.changes) {
      if ((change.module.module.str() == "$edgeAgent") != agent) continue;
      if (only_changes && change.replace) {
        TRY(bring_desired_to(services, change.module, *change.patch.desired));
        continue;
      }
      TRY_LET(twin::Twin twin, services.registry.twin(change.module));
      TRY_LET(const twin::Twin next, twin::apply(std::move(twin), change.patch, change.replace, services.clock.now()));
      TRY(store_desired(services, change.module, next, change.replace ? next.desired.values : *change.patch.desired));
    }
  for (const auto& name : plan.remove) {
    TRY(services.registry.remove(name));
    cut_off(services, {name}, true, "no longer in the device's deployment");
  }
  return {};
}

}  // namespace

Result<> bring_desired_to(Services& services, const device::IdentityName& name, const json::Value& wanted) {
  TRY_LET(twin::Twin twin, services.registry.twin(name));
  const json::Value patch = deployment::difference(twin.desired.values.as_object(), wanted.as_object());
  if (patch.as_object().empty()) return {};
  TRY_LET(const twin::Twin next, twin::apply(std::move(twin), {std::nullopt, patch}, false, services.clock.now()));
  return store_desired(services, name, next, patch);
}

Result<> deploy(Services& services, const device::DeviceId& device, const json::Value& manifest) {
  TRY_LET(const Plan plan, make_plan(services, device, manifest));
  return carry_out(services, plan, true);
}

net::HttpResponse apply_configuration(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  const auto document = call.json();
  if (!document) return services.error(document.error());
  if (!services.registry.identities().find(call.target)->edge)
    return services.error(kinds::argument_invalid, fmt::format("'{}' is not an edge device", call.target.device.str()));
  const auto plan = make_plan(services, call.target.device, *document);
  if (!plan && plan.error().fault == Fault::exhausted) return services.error(kinds::too_many_modules, plan.error().message);
  if (!plan) return services.error(plan.error());
  if (const auto done = carry_out(services, *plan, false); !done) return services.error(done.error());
  log::info("hub", "deployment for '{}': {} modules made, {} removed, {} twins written", call.target.device.str(),
            plan->create.size(), plan->remove.size(), plan->changes.size());
  return {204, {}, {}};
}

}  // namespace nacelle::hub
