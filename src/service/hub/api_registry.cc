// Devices and modules over REST (wire facts 2.3).
#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "service/hub/api.h"

namespace nacelle::hub {
namespace {

constexpr std::size_t most_devices_listed = 1000;

json::Value document_of(const Services& services, const device::Identity& identity) {
  return device::to_json(identity, services.registry.facts(identity.name));
}

net::HttpResponse with_etag(net::HttpResponse response, std::int64_t etag) {
  response.headers.set("etag", fmt::format("\"{}\"", twin::etag_text(etag)));
  return response;
}

net::HttpResponse create(Services& services, device::Identity identity) {
  const device::IdentityName name = identity.name;
  if (services.registry.identities().find(name))
    return name.is_module() ? services.error(kinds::module_exists,
                                             fmt::format("module '{}' exists on device '{}'", name.module.str(), name.device.str()))
                            : services.error(kinds::device_exists, fmt::format("device '{}' exists", name.device.str()));
  if (name.is_module())
    if (auto answer = missing(services, {name.device, {}})) return *std::move(answer);
  const auto made = services.registry.create(std::move(identity));
  if (!made && made.error().fault == Fault::exhausted && name.is_module()) {
    const bool full = services.registry.identities().modules_of(name.device).size() >= Registry::max_modules;
    if (full) return services.error(kinds::too_many_modules, made.error().message);
  }
  if (!made) return services.error(made.error());
  return with_etag(json_answer(200, document_of(services, *made)), made->etag);
}

net::HttpResponse update(Services& services, device::Identity identity, const device::Identity& old) {
  const bool shut_out = !identity.enabled && old.enabled;
  const bool other_keys = identity.primary_key != old.primary_key || identity.secondary_key != old.secondary_key;
  const bool other_kind = identity.authentication != old.authentication || identity.primary_thumbprint != old.primary_thumbprint ||
                          identity.secondary_thumbprint != old.secondary_thumbprint;
  const auto made = services.registry.update(std::move(identity));
  if (!made) return services.error(made.error());
  if (shut_out)
    cut_off(services, with_modules(services, old.name), false, "disabled in the registry");
  else if (other_kind)
    cut_off(services, {old.name}, false, "its credentials were changed in the registry");
  else if (other_keys)  // who came with the key that stays goes on
    recheck(services, old.name, "its key was changed in the registry");
  return with_etag(json_answer(200, document_of(services, *made)), made->etag);
}

}  // namespace

net::HttpResponse put_device(Services& services, const Call& call) {
  const auto document = call.json();
  if (!document) return services.error(document.error());
  auto identity = device::from_json(*document, call.target);
  if (!identity) return services.error(identity.error());
  if (!call.request.headers.contains("if-match")) return create(services, std::move(*identity));

  if (auto answer = missing(services, call.target)) return *std::move(answer);
  const IdentityPtr old = services.registry.identities().find(call.target);
  if (!twin::etag_matches(call.request.headers.get("if-match"), old->etag))
    return services.error(kinds::precondition_failed, "the identity has another etag by now");
  keep_credentials(*identity, *old, *document);
  return update(services, std::move(*identity), *old);
}

net::HttpResponse get_device(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  const IdentityPtr identity = services.registry.identities().find(call.target);
  return with_etag(json_answer(200, document_of(services, *identity)), identity->etag);
}

net::HttpResponse regenerate_key(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  const auto change = key_change_of(call);
  if (!change) return services.error(change.error());
  const IdentityPtr old = services.registry.identities().find(call.target);
  if (old->authentication != device::Authentication::sas)
    return services.error(kinds::argument_invalid, "the identity does not authenticate with keys");
  if (!twin::etag_matches(call.request.headers.get("if-match"), old->etag))
    return services.error(kinds::precondition_failed, "the identity has another etag by now");
  device::Identity next = *old;
  device::change_keys(*change, next.primary_key, next.secondary_key);
  return update(services, std::move(next), *old);
}

net::HttpResponse list_devices(Services& services, const Call& call) {
  std::size_t most = most_devices_listed;
  if (const auto top = call.request.query("top"); !top.empty()) {
    const auto number = text::parse_integer(top, "top");
    if (!number || *number < 1) return services.error(kinds::argument_invalid, "top: expected a number above 0");
    most = std::min<std::size_t>(most, static_cast<std::size_t>(*number));
  }
  const auto devices = services.registry.devices(most);
  if (!devices) return services.error(devices.error());
  json::Array list;
  for (const auto& device : *devices) list.push_back(document_of(services, *device));
  return json_answer(200, list);
}

net::HttpResponse list_modules(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  json::Array list;
  for (const auto& module : services.registry.identities().modules_of(call.target.device))
    list.push_back(document_of(services, *module));
  return json_answer(200, list);
}

net::HttpResponse delete_device(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  const IdentityPtr identity = services.registry.identities().find(call.target);
  if (!twin::etag_matches(call.request.headers.get("if-match"), identity->etag))
    return services.error(kinds::precondition_failed, "the identity has another etag by now");
  const auto names = with_modules(services, call.target);
  if (const auto removed = services.registry.remove(call.target); !removed) return services.error(removed.error());
  cut_off(services, names, true, "deleted from the registry");
  return {204, {}, {}};
}

net::HttpResponse device_statistics(Services& services, const Call&) {
  const auto counts = services.registry.counts();
  if (!counts) return services.error(counts.error());
  return json_answer(200, json::Object{{"totalDeviceCount", counts->total},
                                       {"enabledDeviceCount", counts->enabled},
                                       {"disabledDeviceCount", counts->total - counts->enabled}});
}

net::HttpResponse service_statistics(Services& services, const Call&) {
  return json_answer(200, json::Object{{"connectedDeviceCount", static_cast<std::int64_t>(services.registry.connected_devices())}});
}

}  // namespace nacelle::hub
