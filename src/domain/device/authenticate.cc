// Tokens against identities and policies (wire facts 1.3, 2.12, 8).
#include <algorithm>
#include <optional>

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "domain/device/identity.h"

namespace nacelle::device {
namespace {

std::string_view without_port(std::string_view host) {
  const std::size_t colon = host.rfind(':');
  if (colon == std::string_view::npos || colon + 1 == host.size()) return host;
  const std::string_view port = host.substr(colon + 1);
  return std::all_of(port.begin(), port.end(), [](char c) { return c >= '0' && c <= '9'; }) ? host.substr(0, colon) : host;
}

/// The path behind the hub's name, without slashes at its ends; nothing if the resource names another hub.
std::optional<std::string_view> path_in_hub(std::string_view resource, const std::vector<std::string>& hub_names) {
  const std::size_t slash = std::min(resource.find('/'), resource.size());
  if (!is_hub_name(resource.substr(0, slash), hub_names)) return std::nullopt;
  std::string_view path = resource.substr(slash);
  if (const std::size_t version = path.find("/api-version="); version != std::string_view::npos) path = path.substr(0, version);
  if (path.starts_with('/')) path.remove_prefix(1);
  if (path.ends_with('/')) path.remove_suffix(1);
  return path;
}

/// Clients encode ids of odd characters once more inside the resource (`%24edgeHub`).
bool names_id(std::string_view segment, const std::string& id) {
  if (segment == id) return true;
  const auto decoded = text::percent_decode(segment);
  return decoded && *decoded == id;
}

bool is_own_path(std::string_view path, const IdentityName& name) {
  const auto parts = text::split(path, '/');
  if (parts.size() != (name.is_module() ? 4u : 2u) || parts[0] != "devices" || !names_id(parts[1], name.device.str())) return false;
  return !name.is_module() || (parts[2] == "modules" && names_id(parts[3], name.module.str()));
}

Result<sas::Token> read_token(std::string_view text) {
  auto token = sas::parse_token(text);
  if (!token) return fail(Fault::denied, fmt::format("the token cannot be read: {}", token.error().message));
  return token;
}

Result<Timestamp> check_signed(const sas::Token& token, const std::string& primary, const std::string& secondary, Timestamp now) {
  const auto signed_with = [&token](const std::string& key) { return !key.empty() && sas::signed_by(token, key); };
  if (!signed_with(primary) && !signed_with(secondary)) return fail(Fault::denied, "the token is not signed with either key");
  if (token.expires_at <= now - allowed_skew)
    return fail(Fault::denied, fmt::format("the token expired at {}", format_iso8601(token.expires_at, 0)));
  return taken_until(token);
}

Result<Timestamp> check_policy(const Policy& policy, const sas::Token& token, Timestamp now) {
  if (token.policy.empty()) return fail(Fault::denied, "the token names no shared access policy (skn)");
  if (token.policy != policy.name) return fail(Fault::denied, fmt::format("the token names another policy than '{}'", policy.name));
  return check_signed(token, policy.primary_key, policy.secondary_key, now);
}

}  // namespace

Timestamp taken_until(const sas::Token& token) {
  return Timestamp{std::min(token.expires_at, Timestamp::max() - allowed_skew) + allowed_skew};
}

bool is_hub_name(std::string_view host, const std::vector<std::string>& hub_names) {
  const std::string_view bare = without_port(host);
  return std::any_of(hub_names.begin(), hub_names.end(),
                     [bare](const std::string& name) { return text::equal_ignoring_case(without_port(name), bare); });
}

bool resource_covers(std::string_view resource, const std::vector<std::string>& hub_names, const IdentityName& name) {
  const auto path = path_in_hub(resource, hub_names);
  return path && (path->empty() || *path == "devices" || is_own_path(*path, name));
}

bool resource_covers_hub(std::string_view resource, const std::vector<std::string>& hub_names) {
  const auto path = path_in_hub(resource, hub_names);
  return path && path->empty();
}

Result<Timestamp> authenticate(const Identity& identity, std::string_view token_text, const std::vector<std::string>& hub_names,
                               Timestamp now) {
  if (!identity.enabled) return fail(Fault::denied, "the identity is disabled");
  if (identity.authentication != Authentication::sas) return fail(Fault::denied, "the identity does not authenticate with tokens");
  TRY_LET(const sas::Token token, read_token(token_text));
  if (!token.policy.empty())
    return fail(Fault::denied, "the token names a shared access policy, the identity's own key was expected");
  TRY_LET(const Timestamp until, check_signed(token, identity.primary_key, identity.secondary_key, now));
  const auto path = path_in_hub(token.resource, hub_names);
  if (!path) return fail(Fault::denied, "the token is for another hub");
  if (!is_own_path(*path, identity.name)) return fail(Fault::denied, "the token is for another identity");
  return until;
}

Result<Timestamp> authenticate_with_policy(const Policy& policy, const IdentityName& name, std::string_view token_text,
                                           const std::vector<std::string>& hub_names, Timestamp now) {
  TRY_LET(const sas::Token token, read_token(token_text));
  TRY_LET(const Timestamp until, check_policy(policy, token, now));
  if (!policy.rights.device_connect) return fail(Fault::denied, fmt::format("policy '{}' has no DeviceConnect right", policy.name));
  if (!resource_covers(token.resource, hub_names, name)) return fail(Fault::denied, "the token does not cover this identity");
  return until;
}

Result<Timestamp> authenticate_service(const Policy& policy, std::string_view token_text, const std::vector<std::string>& hub_names,
                                       Timestamp now) {
  TRY_LET(const sas::Token token, read_token(token_text));
  TRY_LET(const Timestamp until, check_policy(policy, token, now));
  if (!resource_covers_hub(token.resource, hub_names)) return fail(Fault::denied, "the token does not cover this hub");
  return until;
}

}  // namespace nacelle::device
