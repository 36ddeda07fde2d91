// The REST document of an identity, written and read (wire facts 2.3).
#include <algorithm>

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "domain/device/identity.h"

namespace nacelle::device {
namespace {

constexpr std::string_view never = "0001-01-01T00:00:00";  // the protocol's time that never happened

json::Value time_or_never(Timestamp time) { return time == Timestamp{} ? std::string(never) : format_iso8601(time); }

json::Value text_or_null(const std::string& text) { return text.empty() ? json::Value() : json::Value(text); }

std::string_view authentication_name(Authentication authentication) {
  switch (authentication) {
    case Authentication::sas: return "sas";
    case Authentication::self_signed: return "selfSigned";
    case Authentication::certificate_authority: return "certificateAuthority";
    case Authentication::none: return "none";
  }
  return "none";
}

std::string etag_of(std::int64_t etag) {
  Bytes bytes;
  for (int shift = 56; shift >= 0; shift -= 8) bytes += static_cast<char>(static_cast<std::uint64_t>(etag) >> shift);
  return text::base64_encode(bytes);
}

json::Value authentication_json(const Identity& identity) {
  return json::Object{{"type", authentication_name(identity.authentication)},
                      {"symmetricKey", json::Object{{"primaryKey", text_or_null(identity.primary_key)},
                                                    {"secondaryKey", text_or_null(identity.secondary_key)}}},
                      {"x509Thumbprint", json::Object{{"primaryThumbprint", text_or_null(identity.primary_thumbprint)},
                                                      {"secondaryThumbprint", text_or_null(identity.secondary_thumbprint)}}}};
}

// -- Reading: a member that is null counts as absent ---------------------------------------------------------------

bool absent(const json::Value* value) { return !value || value->is_null(); }

Result<std::string> text_member(const json::Value& object, std::string_view key, std::string_view where) {
  if (absent(object.find(key))) return std::string();
  return json::get_string(object, key, where);
}

Result<> check_agrees(const json::Value& document, std::string_view key, const std::string& expected) {
  TRY_LET(const std::string found, text_member(document, key, "device document"));
  if (found.empty() || found == expected) return {};
  return fail(Fault::invalid_input, fmt::format("device document: {}: expected '{}' as in the path, found another", key, expected));
}

Result<std::string> key_member(const json::Value& keys, std::string_view key) {
  TRY_LET(std::string text, text_member(keys, key, "device document: authentication.symmetricKey"));
  if (text.empty()) return sas::random_key();
  const auto bytes = text::base64_decode(text);
  if (!bytes || bytes->size() < 16 || bytes->size() > 64)
    return fail(Fault::invalid_input,
                fmt::format("device document: authentication.symmetricKey.{}: expected base64 of 16 to 64 bytes", key));
  return text;
}

Result<std::string> thumbprint_member(const json::Value& thumbprints, std::string_view key) {
  TRY_LET(std::string text, text_member(thumbprints, key, "device document: authentication.x509Thumbprint"));
  const bool hex = text::hex_decode(text).has_value();
  if (text.empty() || (hex && (text.size() == 40 || text.size() == 64))) return text::to_lower(text);
  return fail(
      Fault::invalid_input,
      fmt::format("device document: authentication.x509Thumbprint.{}: expected 40 (SHA-1) or 64 (SHA-256) hexadecimal digits",
                  key));
}

Result<Authentication> authentication_member(const json::Value& authentication, const Identity& identity) {
  TRY_LET(const std::string type, text_member(authentication, "type", "device document: authentication"));
  const bool thumbprints = !identity.primary_thumbprint.empty() || !identity.secondary_thumbprint.empty();
  if (type.empty()) return thumbprints ? Authentication::self_signed : Authentication::sas;
  for (const auto candidate :
       {Authentication::sas, Authentication::self_signed, Authentication::certificate_authority, Authentication::none}) {
    if (!text::equal_ignoring_case(type, authentication_name(candidate))) continue;
    if (candidate == Authentication::self_signed && !thumbprints)
      return fail(Fault::invalid_input, "device document: authentication: selfSigned needs a thumbprint in x509Thumbprint");
    return candidate;
  }
  return fail(
      Fault::invalid_input,
      fmt::format("device document: authentication.type: expected sas, selfSigned, certificateAuthority or none, found '{}'",
                  type));
}

Result<> read_authentication(const json::Value& document, Identity& identity) {
  static const json::Value nothing = json::Object{};
  TRY(json::get_object_or_null(document, "authentication", "device document"));
  const json::Value* found = document.find("authentication");
  const json::Value& authentication = absent(found) ? nothing : *found;
  TRY(json::get_object_or_null(authentication, "symmetricKey", "device document: authentication"));
  TRY(json::get_object_or_null(authentication, "x509Thumbprint", "device document: authentication"));
  const json::Value* keys = authentication.find("symmetricKey");
  const json::Value* thumbprints = authentication.find("x509Thumbprint");
  if (!absent(thumbprints)) {
    TRY_LET(identity.primary_thumbprint, thumbprint_member(*thumbprints, "primaryThumbprint"));
    TRY_LET(identity.secondary_thumbprint, thumbprint_member(*thumbprints, "secondaryThumbprint"));
  }
  TRY_LET(identity.authentication, authentication_member(authentication, identity));
  if (identity.authentication != Authentication::sas) return {};
  TRY_LET(identity.primary_key, key_member(absent(keys) ? nothing : *keys, "primaryKey"));
  TRY_LET(identity.secondary_key, key_member(absent(keys) ? nothing : *keys, "secondaryKey"));
  return {};
}

Result<bool> status_member(const json::Value& document) {
  TRY_LET(const std::string status, text_member(document, "status", "device document"));
  if (status.empty() || text::equal_ignoring_case(status, "enabled")) return true;
  if (text::equal_ignoring_case(status, "disabled")) return false;
  return fail(Fault::invalid_input, fmt::format("device document: status: expected enabled or disabled, found '{}'", status));
}

Result<std::vector<std::string>> scopes_member(const json::Value& document) {
  std::vector<std::string> scopes;
  const json::Value* found = document.find("parentScopes");
  if (absent(found)) return scopes;
  if (!found->is_array())
    return fail(Fault::invalid_input,
                fmt::format("device document: parentScopes: expected an array, found {}", json::type_name(*found)));
  for (const json::Value& scope : found->as_array()) {
    if (!scope.is_string())
      return fail(Fault::invalid_input,
                  fmt::format("device document: parentScopes: expected strings, found {}", json::type_name(scope)));
    scopes.push_back(scope.as_string());
  }
  return scopes;
}

Result<> read_device_members(const json::Value& document, Identity& identity) {
  TRY(json::get_object_or_null(document, "capabilities", "device document"));
  const json::Value* capabilities = document.find("capabilities");
  if (!absent(capabilities)) {
    TRY_LET(identity.edge, json::get_bool_or(*capabilities, "iotEdge", false, "device document: capabilities"));
  }
  TRY_LET(identity.scope, text_member(document, "deviceScope", "device document"));
  TRY_LET(identity.parent_scopes, scopes_member(document));
  return {};
}

}  // namespace

json::Value to_json(const Identity& identity, const ConnectionFacts& facts) {
  json::Object out;
  out.set("deviceId", identity.name.device.str());
  if (identity.name.is_module()) {
    out.set("moduleId", identity.name.module.str());
    out.set("managedBy", text_or_null(identity.managed_by));
  }
  out.set("generationId", identity.generation_id);
  out.set("etag", etag_of(identity.etag));
  out.set("connectionState", facts.connected ? "Connected" : "Disconnected");
  if (!identity.name.is_module()) {
    out.set("status", identity.enabled ? "enabled" : "disabled");
    out.set("statusReason", text_or_null(identity.status_reason));
    out.set("statusUpdatedTime", identity.status_changed_at.empty() ? std::string(never) : identity.status_changed_at);
  }
  out.set("connectionStateUpdatedTime", time_or_never(facts.changed_at));
  out.set("lastActivityTime", time_or_never(facts.last_activity));
  out.set("cloudToDeviceMessageCount", facts.cloud_to_device_messages);
  out.set("authentication", authentication_json(identity));
  if (identity.name.is_module()) return out;
  out.set("capabilities", json::Object{{"iotEdge", identity.edge}});
  const bool own_scope = identity.edge && identity.scope.empty();
  out.set("deviceScope", own_scope ? json::Value(edge_scope(identity)) : text_or_null(identity.scope));
  json::Array parents;
  for (const std::string& scope : identity.parent_scopes) parents.emplace_back(scope);
  // A leaf's deviceScope is its parent's: the protocol repeats it here.
  if (parents.empty() && !identity.edge && !identity.scope.empty()) parents.emplace_back(identity.scope);
  out.set("parentScopes", std::move(parents));
  return out;
}

Result<Identity> from_json(const json::Value& document, const IdentityName& name) {
  if (!document.is_object())
    return fail(Fault::invalid_input, fmt::format("device document: expected an object, found {}", json::type_name(document)));
  Identity identity;
  identity.name = name;
  TRY(check_agrees(document, "deviceId", name.device.str()));
  if (name.is_module()) {
    TRY(check_agrees(document, "moduleId", name.module.str()));
    TRY_LET(identity.managed_by, text_member(document, "managedBy", "device document"));
  } else {
    TRY(read_device_members(document, identity));
  }
  TRY_LET(identity.enabled, status_member(document));
  TRY_LET(identity.status_reason, text_member(document, "statusReason", "device document"));
  TRY(read_authentication(document, identity));
  return identity;
}

}  // namespace nacelle::device
