// Shared access policies over REST of our own (docs/hub.md): for callers that hold all rights. Keys are told by two calls only.
#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "service/hub/api.h"

namespace nacelle::hub {
namespace {

json::Object document_of(const device::Policy& policy) {
  return json::Object{{"name", policy.name}, {"rights", device::rights_json(policy.rights)}};
}

json::Object with_keys(const device::Policy& policy) {
  json::Object document = document_of(policy);
  document.set("primaryKey", policy.primary_key);
  document.set("secondaryKey", policy.secondary_key);
  return document;
}

net::HttpResponse unknown(const Services& services, const std::string& name) {
  return services.error(kinds::policy_not_found, fmt::format("there is no shared access policy '{}'", name));
}

/// A key as clients decode it: base64 of 16 to 64 bytes. Empty: to be made.
Result<std::string> read_key(const json::Value& document, std::string_view member) {
  TRY_LET(const std::string key, json::get_string_or(document, member, "", "request body"));
  if (key.empty()) return key;
  const auto bytes = text::base64_decode(key);
  if (!bytes || bytes->size() < 16 || bytes->size() > 64)
    return fail(Fault::invalid_input, fmt::format("request body: {}: expected the base64 of 16 to 64 bytes", member));
  return key;
}

Result<device::Policy> read_policy(const Call& call) {
  TRY_LET(const json::Value document, call.json());
  if (!document.is_object())
    return fail(Fault::invalid_input, fmt::format("request body: expected an object, found {}", json::type_name(document)));
  device::Policy policy;
  policy.name = call.captures[0];
  TRY_LET(const std::string named, json::get_string_or(document, "name", policy.name, "request body"));
  if (named != policy.name) return fail(Fault::invalid_input, "request body: name: expected the one in the path, found another");
  const json::Value* rights = document.find("rights");
  if (!rights) return fail(Fault::invalid_input, "request body: expected rights, an array of their names");
  TRY_LET(policy.rights, device::parse_rights(*rights, "request body: rights"));
  TRY_LET(policy.primary_key, read_key(document, "primaryKey"));
  TRY_LET(policy.secondary_key, read_key(document, "secondaryKey"));
  return policy;
}

/// Connections that stood on what the policy was.
void end_stale(Services& services, const std::string& name) {
  recheck(services, std::nullopt, fmt::format("the policy '{}' was changed", name));
}

}  // namespace

Result<device::KeyChange> key_change_of(const Call& call) {
  TRY_LET(const json::Value document, call.json());
  TRY_LET(const std::string key, json::get_string(document, "key", "request body"));
  return in(device::parse_key_change(key), "request body");
}

net::HttpResponse list_policies(Services& services, const Call&) {
  json::Array list;
  for (const PolicyPtr& policy : services.registry.policies().list()) list.emplace_back(document_of(*policy));
  return json_answer(200, list);
}

net::HttpResponse get_policy(Services& services, const Call& call) {
  const PolicyPtr policy = services.registry.policy(call.captures[0]);
  if (!policy) return unknown(services, call.captures[0]);
  return json_answer(200, document_of(*policy));
}

net::HttpResponse get_policy_keys(Services& services, const Call& call) {
  const PolicyPtr policy = services.registry.policy(call.captures[0]);
  if (!policy) return unknown(services, call.captures[0]);
  return json_answer(200, with_keys(*policy));
}

/// As with devices: without If-Match a new one, with it other rights for one that is there, which keeps its keys.
net::HttpResponse put_policy(Services& services, const Call& call) {
  auto policy = read_policy(call);
  if (!policy) return services.error(policy.error());
  Policies& policies = services.registry.policies();
  const std::string name = policy->name;
  const bool update = call.request.headers.contains("if-match");
  if (update && (!policy->primary_key.empty() || !policy->secondary_key.empty()))
    return services.error(kinds::argument_invalid, "an update sets rights only; keys are regenerated");
  const device::Rights rights = policy->rights;
  const auto made = update ? policies.set_rights(name, rights) : policies.create(*std::move(policy));
  if (!made) {
    if (made.error().fault == Fault::not_found) return unknown(services, name);
    if (made.error().fault == Fault::conflict) return services.error(kinds::policy_exists, made.error().message);
    return services.error(made.error());
  }
  log::info("hub", "policy '{}' was {} by policy {}", name, update ? "changed" : "made", call.caller.policy);
  if (update) end_stale(services, name);
  return json_answer(200, document_of(**made));
}

net::HttpResponse delete_policy(Services& services, const Call& call) {
  const std::string& name = call.captures[0];
  const auto removed = services.registry.policies().remove(name);
  if (!removed && removed.error().fault == Fault::not_found) return unknown(services, name);
  if (!removed) return services.error(removed.error());
  log::info("hub", "policy '{}' was deleted by policy {}", name, call.caller.policy);
  end_stale(services, name);
  return {204, {}, {}};
}

net::HttpResponse regenerate_policy_key(Services& services, const Call& call) {
  const auto change = key_change_of(call);
  if (!change) return services.error(change.error());
  const std::string& name = call.captures[0];
  const auto made = services.registry.policies().regenerate(name, *change);
  if (!made && made.error().fault == Fault::not_found) return unknown(services, name);
  if (!made) return services.error(made.error());
  log::info("hub", "a key of policy '{}' was changed by policy {}", name, call.caller.policy);
  end_stale(services, name);
  if (name == Policies::owner)
    if (const auto written = services.write_hub_file(); !written)
      return services.error(Error{Fault::unavailable, "the key is changed, but hub.json still has the old one: restart the hub"});
  return json_answer(200, with_keys(**made));
}

}  // namespace nacelle::hub
