// Twins over REST (wire facts 2.4).
#include <fmt/format.h>

#include "service/hub/api.h"

namespace nacelle::hub {
namespace {

std::string_view authentication_text(device::Authentication authentication) {
  switch (authentication) {
    case device::Authentication::sas: return "sas";
    case device::Authentication::self_signed: return "selfSigned";
    case device::Authentication::certificate_authority: return "certificateAuthority";
    case device::Authentication::none: return "none";
  }
  return "none";
}

net::HttpResponse twin_answer(const Services& services, const device::IdentityName& name, const twin::Twin& twin) {
  const auto document = twin_document(services.registry, services.tables, name, twin);
  if (!document) return services.error(document.error());
  net::HttpResponse response = json_answer(200, *document);
  response.headers.set("etag", fmt::format("\"{}\"", twin::etag_text(twin.etag)));
  return response;
}

net::HttpResponse write_twin(Services& services, const Call& call, bool replace) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  const auto body = call.json();
  if (!body) return services.error(body.error());
  const auto patch = twin::parse_service_patch(*body);
  if (!patch) return services.error(patch.error());
  auto twin = services.registry.twin(call.target);
  if (!twin) return services.error(twin.error());
  if (!twin::etag_matches(call.request.headers.get("if-match"), twin->etag))
    return services.error(kinds::precondition_failed, "the twin has another etag by now");
  const auto next = twin::apply(std::move(*twin), *patch, replace, services.clock.now());
  if (!next) return services.error(next.error());
  const auto stored = patch->desired ? store_desired(services, call.target, *next, replace ? next->desired.values : *patch->desired)
                                     : services.registry.put_twin(call.target, *next);
  if (!stored) return services.error(stored.error());
  return twin_answer(services, call.target, *next);
}

}  // namespace

Result<json::Value> twin_document(const Registry& registry, const storage::Database& tables, const device::IdentityName& name,
                                  const twin::Twin& twin) {
  const IdentityPtr identity = registry.identities().find(name);
  if (!identity) return fail(Fault::not_found, fmt::format("'{}' is not registered", name.client_id()));
  const device::ConnectionFacts connection = registry.facts(name);
  twin::Facts facts;
  facts.device_id = name.device.str();
  facts.module_id = name.module.str();
  facts.device_etag = identity->etag;
  facts.enabled = identity->enabled;
  facts.connected = connection.connected;
  facts.last_activity = connection.last_activity;
  facts.authentication_type = authentication_text(identity->authentication);
  facts.edge = identity->edge;
  facts.scope = identity->scope;
  facts.parent_scopes = identity->parent_scopes;
  facts.status_changed_at = identity->status_changed_at;
  facts.primary_thumbprint = identity->primary_thumbprint;
  facts.secondary_thumbprint = identity->secondary_thumbprint;
  facts.model_id = identity->model;
  facts.cloud_to_device_messages = connection.cloud_to_device_messages;
  json::Value document = twin::to_json(twin, facts);
  TRY_LET(const auto targeted,
          tables.query("SELECT configuration, status FROM configuration_target WHERE device = ? AND module = ?", name.device.str(),
                       name.module.str()));
  if (targeted.empty()) return document;
  json::Object configurations;
  for (const storage::Row& row : targeted)
    configurations.set(storage::text(row[0]), json::Object{{"status", storage::text(row[1])}});
  document.as_object().set("configurations", std::move(configurations));
  return document;
}

net::HttpResponse get_twin(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  const auto twin = services.registry.twin(call.target);
  if (!twin) return services.error(twin.error());
  return twin_answer(services, call.target, *twin);
}

net::HttpResponse patch_twin(Services& services, const Call& call) { return write_twin(services, call, false); }
net::HttpResponse put_twin(Services& services, const Call& call) { return write_twin(services, call, true); }

}  // namespace nacelle::hub
