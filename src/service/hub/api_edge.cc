// What edges need of the hub: model artifacts, their own authority, the identities in their scope. Our own calls.
#include <fmt/format.h>

#include "codec/digest/digest.h"
#include "foundation/log.h"
#include "service/hub/api.h"
#include "service/hub/object_body.h"

namespace nacelle::hub {
namespace {

Result<std::string> artifact_object(const std::string& sha256) {
  bool good = sha256.size() == 64;
  for (const char c : sha256) good = good && ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'));
  if (!good) return fail(Fault::invalid_input, "an artifact is named by the 64 lower-case hexadecimal digits of its SHA-256");
  return "artifacts/" + sha256;
}

}  // namespace

awaitable<net::HttpResponse> put_artifact(Services& services, Call call) {
  const auto object = artifact_object(call.captures[0]);
  if (!object) co_return services.error(object.error());
  auto work = [&objects = services.objects, object = *object, sha256 = call.captures[0],
               bytes = std::move(call.request.body)]() -> Result<> {
    if (const auto found = digest::sha256_hex(bytes); found != sha256)
      return fail(Fault::invalid_input, fmt::format("the body's SHA-256 is {}, not the one in the path", found));
    return objects.put(object, bytes);
  };
  const auto stored = co_await run_on(services.disk.files(), std::move(work));
  if (!stored) co_return services.error(stored.error());
  co_return net::HttpResponse{201, {}, {}};
}

awaitable<net::HttpResponse> get_artifact(Services& services, Call call) {
  const auto object = artifact_object(call.captures[0]);
  if (!object) co_return services.error(object.error());
  auto work = [&objects = services.objects, object = *object] { return objects.open(object); };
  auto artifact = co_await run_on(services.disk.files(), work);
  if (!artifact) co_return services.error(artifact.error());
  co_return object_response(services.disk, std::move(*artifact));
}

net::HttpResponse edge_authority(Services& services, const Call& call) {
  const auto issued = services.authority.issue_edge_authority(call.target.device.str());
  if (!issued) return services.error(issued.error());
  log::info("hub", "issued an edge authority to '{}'", call.target.device.str());
  return json_answer(
      200, json::Object{
               {"certificate", issued->certificate_pem}, {"privateKey", issued->key_pem}, {"root", services.authority.root_pem()}});
}

net::HttpResponse identities_in_scope(Services& services, const Call& call) {
  const Identities& identities = services.registry.identities();
  const IdentityPtr edge = identities.find({call.target.device, {}});
  if (!edge) return *missing(services, {call.target.device, {}});
  const auto children = services.registry.children_of(*edge);
  if (!children) return services.error(children.error());
  json::Array devices{device::to_json(*edge, services.registry.facts(edge->name))};
  json::Array modules;
  const auto add_modules = [&](const device::DeviceId& id) {
    for (const auto& module : identities.modules_of(id))
      modules.push_back(device::to_json(*module, services.registry.facts(module->name)));
  };
  add_modules(edge->name.device);
  for (const auto& child : *children) {
    devices.push_back(device::to_json(*child, services.registry.facts(child->name)));
    add_modules(child->name.device);
  }
  json::Array authorities;
  for (const auto& pem : services.device_authorities.trusted_pems()) authorities.emplace_back(pem);
  return json_answer(
      200, json::Object{{"devices", std::move(devices)}, {"modules", std::move(modules)}, {"authorities", std::move(authorities)}});
}

}  // namespace nacelle::hub
