#include "service/hub/access.h"

#include <fmt/format.h>

#include "codec/digest/digest.h"
#include "codec/text/encoding.h"

namespace nacelle::hub {
namespace {

using device::IdentityName;

// A session that showed a key itself, which may be changed, is checked again after a day.
constexpr std::chrono::hours key_session{24};

/// Both are compared, whatever the first says.
bool is_key(std::string_view password, const std::string& primary, const std::string& secondary) {
  if (password.empty()) return false;
  const bool first = !primary.empty() && digest::equal_constant_time(password, primary);
  const bool second = !secondary.empty() && digest::equal_constant_time(password, secondary);
  return first || second;
}

}  // namespace

bool allowed(Need need, const Caller& caller, const IdentityName& target) {
  if (caller.service) {
    const auto& rights = caller.rights;
    switch (need) {
      case Need::registry_read: return rights.registry_read || rights.registry_write;
      case Need::registry_write: return rights.registry_write;
      case Need::query: return rights.service_connect || rights.registry_read || rights.registry_write;
      case Need::service: return rights.service_connect;
      case Need::artifact: return rights.service_connect;
      case Need::enrollment_read: return rights.enrollment_read || rights.enrollment_write;
      case Need::enrollment_write: return rights.enrollment_write;
      case Need::registration_read: return rights.registration_read || rights.registration_write;
      case Need::registration_write: return rights.registration_write;
      case Need::owner: return rights == device::all_rights();
      case Need::identity: return rights.device_connect;
      case Need::edge_device:  // keys of others are given out to the edge itself only
      case Need::edge_scope: return false;
    }
    return false;
  }
  switch (need) {
    case Need::identity: return caller.name == target;
    case Need::edge_device: return caller.edge && caller.name == IdentityName{target.device, {}};
    case Need::edge_scope:
      return caller.edge && caller.name.device == target.device &&
             (!caller.name.is_module() || caller.name.module.str() == "$edgeHub");
    case Need::artifact: return caller.edge;
    case Need::registry_read:
    case Need::registry_write:
    case Need::query:
    case Need::service:
    case Need::enrollment_read:
    case Need::enrollment_write:
    case Need::registration_read:
    case Need::registration_write:
    case Need::owner: return false;
  }
  return false;
}

Result<IdentityPtr> Access::enabled_identity(const IdentityName& name) const {
  IdentityPtr identity = registry_.identities().find(name);
  if (!identity) return fail(Fault::denied, fmt::format("'{}' is not registered", name.client_id()));
  if (!registry_.identities().enabled(*identity)) return fail(Fault::denied, fmt::format("'{}' is disabled", name.client_id()));
  return identity;
}

/// The identity that `HUB/devices/{d}[/modules/{m}]` names: the resource of a device's own token. Some clients encode
/// ids of odd characters once more inside it (`%24edgeHub`).
Result<IdentityPtr> Access::identity_in(std::string_view resource) const {
  const auto parts = text::split(resource, '/');
  if (parts.size() < 3 || parts[1] != "devices") return fail(Fault::denied, "the token names no device, and no policy either");
  const bool module = parts.size() >= 5 && parts[3] == "modules";
  const IdentityName literal{device::DeviceId(parts[2]), device::ModuleId(module ? parts[4] : std::string_view())};
  if (registry_.identities().find(literal)) return enabled_identity(literal);
  TRY_LET(const std::string device_id, text::percent_decode(literal.device.str()));
  TRY_LET(const std::string module_id, text::percent_decode(literal.module.str()));
  return enabled_identity({device::DeviceId(device_id), device::ModuleId(module_id)});
}

Result<Caller> Access::identify(std::string_view authorization, const IdentityName& target, BytesView certificates_der) const {
  if (authorization.empty() && !certificates_der.empty() && !target.device.empty()) {
    TRY(check_device(target, {}, certificates_der));
    Caller caller = caller_of(target);
    caller.certificate = true;
    return caller;
  }
  if (authorization.empty()) return fail(Fault::denied, "the call has no Authorization header");
  const auto token = sas::parse_token(authorization);
  if (!token) return fail(Fault::denied, "the Authorization header is not a shared access signature");
  if (!token->policy.empty()) return identify_service(*token, authorization, target);

  TRY_LET(const IdentityPtr identity, identity_in(token->resource));
  TRY(device::authenticate(*identity, authorization, hub_names_, clock_.now()));
  return caller_of(identity->name);
}

/// The device or module itself, with nobody's policy.
Caller Access::caller_of(const IdentityName& name) const {
  Caller caller;
  caller.name = name;
  const IdentityPtr device = registry_.identities().find({name.device, {}});
  caller.edge = device && device->edge;
  return caller;
}

Result<Caller> Access::identify_service(const sas::Token& token, std::string_view text, const IdentityName& target) const {
  const PolicyPtr policy = registry_.policy(token.policy);
  if (!policy) return fail(Fault::denied, fmt::format("there is no shared access policy '{}'", token.policy));
  Caller caller;
  caller.service = true;
  caller.policy = policy->name;
  caller.rights = policy->rights;
  if (device::resource_covers_hub(token.resource, hub_names_)) {
    TRY(device::authenticate_service(*policy, text, hub_names_, clock_.now()));
    return caller;
  }
  // A policy's token for one device speaks for that device and for nothing else.
  TRY(device::authenticate_with_policy(*policy, target, text, hub_names_, clock_.now()));
  caller.rights = {};
  caller.rights.device_connect = policy->rights.device_connect;
  return caller;
}

Result<Timestamp> Access::check_device(const IdentityName& name, std::string_view password, BytesView certificates_der) const {
  TRY_LET(const IdentityPtr identity, enabled_identity(name));
  if (password.empty()) {
    if (certificates_der.empty())
      return fail(Fault::denied, fmt::format("'{}' showed neither a token nor a certificate", name.client_id()));
    return authorities_.prove(*identity, certificates_der);
  }
  const auto token = sas::parse_token(password);
  if (!token) return fail(Fault::denied, fmt::format("the password of '{}' is not a shared access signature", name.client_id()));
  if (token->policy.empty()) return device::authenticate(*identity, password, hub_names_, clock_.now());
  const PolicyPtr policy = registry_.policy(token->policy);
  if (!policy) return fail(Fault::denied, fmt::format("there is no shared access policy '{}'", token->policy));
  return device::authenticate_with_policy(*policy, name, password, hub_names_, clock_.now());
}

Result<endpoint::Principal> Access::check_plain(const std::string& user_name, std::string_view password,
                                                BytesView certificates_der) const {
  using endpoint::Principal;
  if (const auto name = device::parse_client_id(user_name); name && registry_.identities().find(*name)) {
    TRY_LET(const IdentityPtr identity, enabled_identity(*name));
    const bool by_key = identity->authentication == device::Authentication::sas;
    if (by_key && is_key(password, identity->primary_key, identity->secondary_key))
      return Principal{Principal::Kind::device, user_name, clock_.now() + key_session};
    TRY_LET(const Timestamp until, check_device(*name, password, certificates_der));
    return Principal{Principal::Kind::device, user_name, until};
  }
  const PolicyPtr policy = registry_.policy(user_name);
  if (!policy || !policy->rights.service_connect)
    return fail(Fault::denied, "the user name is neither a device's id nor that of a shared access policy for services");
  if (is_key(password, policy->primary_key, policy->secondary_key))
    return Principal{Principal::Kind::policy, user_name, clock_.now() + key_session};
  const auto token = sas::parse_token(password);
  if (!token || token->policy != user_name)
    return fail(Fault::denied, fmt::format("the password is neither a key of the policy '{}' nor its token", user_name));
  TRY_LET(const Timestamp until, device::authenticate_service(*policy, password, hub_names_, clock_.now()));
  return Principal{Principal::Kind::policy, user_name, until};
}

// -- What a live connection stands on --------------------------------------------------------------------------------

namespace {

/// Not the key itself: it is kept with a connection for as long as that lives.
std::string mark_of(const std::string& key) { return digest::sha256_hex(key).substr(0, 32); }

std::string mark_of_used(std::string_view password, const std::string& primary, const std::string& secondary) {
  const auto token = sas::parse_token(password);
  for (const std::string* key : {&primary, &secondary})
    if (!key->empty() && (token ? sas::signed_by(*token, *key) : is_key(password, *key, {}))) return mark_of(*key);
  return {};
}

bool is_one_of(const std::string& mark, const std::string& primary, const std::string& secondary) {
  return mark == mark_of(primary) || mark == mark_of(secondary);
}

}  // namespace

endpoint::Credential Access::credential(const std::string& name, std::string_view password) const {
  const auto token = sas::parse_token(password);
  const auto id = device::parse_client_id(name);
  const IdentityPtr identity = id ? registry_.identities().find(*id) : nullptr;
  const bool by_policy = (token && !token->policy.empty()) || !identity;
  if (!by_policy) return {{}, mark_of_used(password, identity->primary_key, identity->secondary_key)};
  const PolicyPtr policy = registry_.policy(token && !token->policy.empty() ? token->policy : name);
  if (!policy) return {name, {}};
  return {policy->name, mark_of_used(password, policy->primary_key, policy->secondary_key)};
}

endpoint::Credential Access::credential_of(const device::Policy& policy, bool primary) {
  return {policy.name, mark_of(primary ? policy.primary_key : policy.secondary_key)};
}

bool Access::holds(const std::string& name, const endpoint::Credential& credential) const {
  const auto id = device::parse_client_id(name);
  const IdentityPtr identity = id ? registry_.identities().find(*id) : nullptr;
  if (identity && !registry_.identities().enabled(*identity)) return false;
  if (credential.policy.empty())
    return identity && (credential.key.empty() || is_one_of(credential.key, identity->primary_key, identity->secondary_key));
  const PolicyPtr policy = registry_.policy(credential.policy);
  const bool right = policy && (identity ? policy->rights.device_connect : policy->rights.service_connect);
  return right && is_one_of(credential.key, policy->primary_key, policy->secondary_key);
}

}  // namespace nacelle::hub
