#include "domain/provisioning/enrollment.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/sas/token.h"
#include "codec/text/encoding.h"
#include "domain/device/identity.h"

namespace nacelle::provisioning {
namespace {

constexpr std::size_t max_certificate_bytes = 16 << 10;
constexpr std::pair<std::string_view, Allocation> allocations[] = {
    {"hashed", Allocation::hashed}, {"static", Allocation::static_hub}, {"geoLatency", Allocation::geo_latency}};

bool is_alphanumeric(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9'); }

const json::Value& member(const json::Value& object, std::string_view key) {
  static const json::Value nothing;
  const json::Value* found = object.find(key);
  return found ? *found : nothing;
}

Result<std::string> text_member(const json::Value& object, std::string_view key, std::string_view where) {
  if (member(object, key).is_null()) return std::string();
  return json::get_string(object, key, where);
}

Result<std::string> key_member(const json::Value& keys, std::string_view key) {
  TRY_LET(std::string text, text_member(keys, key, "enrollment: attestation.symmetricKey"));
  if (text.empty()) return sas::random_key();
  const auto bytes = text::base64_decode(text);
  if (!bytes || bytes->size() < 16 || bytes->size() > 64)
    return fail(Fault::invalid_input,
                fmt::format("enrollment: attestation.symmetricKey.{}: expected base64 of 16 to 64 bytes", key));
  return text;
}

/// A certificate as PEM; services also send the base64 of the DER without its two lines.
Result<std::string> certificate_member(const json::Value& certificates, std::string_view slot) {
  const json::Value& found = member(certificates, slot);
  if (found.is_null()) return std::string();
  const std::string where = fmt::format("enrollment: attestation.x509: {}", slot);
  TRY_LET(std::string text, text_member(found, "certificate", where));
  if (text.size() > max_certificate_bytes) return fail(Fault::invalid_input, where + ": the certificate is too large");
  const std::string_view trimmed = text::trim(text);
  if (trimmed.empty() || trimmed.starts_with("-----BEGIN")) return std::string(trimmed);
  if (!text::base64_decode(trimmed))
    return fail(Fault::invalid_input, where + ": expected a certificate in PEM, or the base64 of its DER");
  std::string pem = "-----BEGIN CERTIFICATE-----\n";
  for (std::size_t at = 0; at < trimmed.size(); at += 64) pem += std::string(trimmed.substr(at, 64)) + "\n";
  return pem + "-----END CERTIFICATE-----\n";
}

Result<> read_references(const json::Value& references, Enrollment& enrollment) {
  constexpr std::string_view where = "enrollment: attestation.x509.caReferences";
  TRY_LET(enrollment.primary_reference, text_member(references, "primary", where));
  TRY_LET(enrollment.secondary_reference, text_member(references, "secondary", where));
  if (!enrollment.primary_reference.empty()) return {};
  return fail(Fault::invalid_input, fmt::format("{}.primary: expected the name of a certificate at the hub, found none", where));
}

/// Exactly one of the three ways; a group has no certificate of its own.
Result<> read_x509(const json::Value& x509, Enrollment& enrollment) {
  constexpr std::string_view ways[] = {"clientCertificates", "signingCertificates", "caReferences"};
  std::string_view found;
  for (const std::string_view way : ways) {
    if (member(x509, way).is_null()) continue;
    if (!found.empty())
      return fail(Fault::invalid_input, fmt::format("enrollment: attestation.x509: expected {} or {}, found both", found, way));
    found = way;
  }
  const bool group = enrollment.kind == EnrollmentKind::group;
  const std::string_view usual = group ? "signingCertificates" : "clientCertificates";
  if (found.empty() || (group && found == "clientCertificates"))
    return fail(Fault::invalid_input,
                fmt::format("enrollment: attestation.x509.{}.primary.certificate: expected one, found none", usual));
  if (found == "caReferences") return read_references(member(x509, found), enrollment);
  enrollment.own_certificate = found == "clientCertificates";
  TRY_LET(enrollment.primary_certificate, certificate_member(member(x509, found), "primary"));
  TRY_LET(enrollment.secondary_certificate, certificate_member(member(x509, found), "secondary"));
  if (enrollment.primary_certificate.empty())
    return fail(Fault::invalid_input,
                fmt::format("enrollment: attestation.x509.{}.primary.certificate: expected one, found none", found));
  return {};
}

Result<> read_attestation(const json::Value& document, Enrollment& enrollment) {
  const json::Value& attestation = member(document, "attestation");
  TRY_LET(const std::string type, text_member(attestation, "type", "enrollment: attestation"));
  if (text::equal_ignoring_case(type, "symmetricKey")) {
    const json::Value& keys = member(attestation, "symmetricKey");
    TRY_LET(enrollment.primary_key, key_member(keys, "primaryKey"));
    TRY_LET(enrollment.secondary_key, key_member(keys, "secondaryKey"));
    return {};
  }
  if (!text::equal_ignoring_case(type, "x509"))
    return fail(Fault::invalid_input, fmt::format("enrollment: attestation.type: expected symmetricKey or x509, found '{}'", type));
  enrollment.attestation = Attestation::x509;
  return read_x509(member(attestation, "x509"), enrollment);
}

Result<> read_policies(const json::Value& document, Enrollment& enrollment) {
  TRY_LET(const std::string allocation, text_member(document, "allocationPolicy", "enrollment"));
  const auto known = std::find_if(std::begin(allocations), std::end(allocations),
                                  [&](const auto& one) { return text::equal_ignoring_case(one.first, allocation); });
  if (!allocation.empty() && known == std::end(allocations))
    return fail(Fault::invalid_input,
                fmt::format("enrollment: allocationPolicy: expected hashed, static or geoLatency, found '{}'", allocation));
  if (!allocation.empty()) enrollment.allocation = known->second;
  const json::Value& reprovision = member(document, "reprovisionPolicy");
  if (reprovision.is_null()) return {};
  TRY_LET(enrollment.update_assignment,
          json::get_bool_or(reprovision, "updateHubAssignment", true, "enrollment: reprovisionPolicy"));
  TRY_LET(enrollment.migrate_data, json::get_bool_or(reprovision, "migrateDeviceData", true, "enrollment: reprovisionPolicy"));
  return {};
}

json::Value certificate_json(const std::string& pem) {
  return pem.empty() ? json::Value() : json::Value(json::Object{{"certificate", pem}});
}

}  // namespace

Result<> check_registration_id(std::string_view id) {
  const bool good = !id.empty() && id.size() <= 128 && (is_alphanumeric(id.back()) || id.back() == '-') &&
                    std::all_of(id.begin(), id.end(), [](char c) {
                      return is_alphanumeric(c) || std::string_view("-._:").find(c) != std::string_view::npos;
                    });
  if (good) return {};
  return fail(Fault::invalid_input,
              "registration id: expected 1 to 128 letters, digits and -._: , ending in a letter, digit or dash");
}

Result<Enrollment> parse_enrollment(const json::Value& document, EnrollmentKind kind, const std::string& id) {
  if (!document.is_object())
    return fail(Fault::invalid_input, fmt::format("enrollment: expected an object, found {}", json::type_name(document)));
  TRY(check_registration_id(id));
  Enrollment enrollment;
  enrollment.kind = kind;
  enrollment.id = id;
  const char* id_member = kind == EnrollmentKind::individual ? "registrationId" : "enrollmentGroupId";
  TRY_LET(const std::string named, text_member(document, id_member, "enrollment"));
  if (!named.empty() && named != id)
    return fail(Fault::invalid_input, fmt::format("enrollment: {}: expected the one in the path, found another", id_member));
  if (kind == EnrollmentKind::individual) {  // the devices of a group are named by their registrations
    TRY_LET(enrollment.device_id, text_member(document, "deviceId", "enrollment"));
  }
  if (!enrollment.device_id.empty()) TRY(in(device::parse_device_id(enrollment.device_id), "enrollment: deviceId"));
  TRY(read_attestation(document, enrollment));
  TRY_LET(const std::string status, text_member(document, "provisioningStatus", "enrollment"));
  if (!status.empty() && !text::equal_ignoring_case(status, "enabled") && !text::equal_ignoring_case(status, "disabled"))
    return fail(Fault::invalid_input,
                fmt::format("enrollment: provisioningStatus: expected enabled or disabled, found '{}'", status));
  enrollment.enabled = !text::equal_ignoring_case(status, "disabled");
  if (const json::Value& capabilities = member(document, "capabilities"); !capabilities.is_null()) {
    TRY_LET(enrollment.edge, json::get_bool_or(capabilities, "iotEdge", false, "enrollment: capabilities"));
  }
  TRY_LET(enrollment.hub, text_member(document, "iotHubHostName", "enrollment"));
  TRY(read_policies(document, enrollment));
  if (const json::Value& initial = member(document, "initialTwin"); !initial.is_null()) {
    TRY_LET(enrollment.initial_twin, in(twin::parse_service_patch(initial), "enrollment: initialTwin"));
    if (enrollment.initial_twin.tags) TRY(in(twin::check_limits(*enrollment.initial_twin.tags, "tags"), "enrollment: initialTwin"));
    if (enrollment.initial_twin.desired)
      TRY(in(twin::check_limits(*enrollment.initial_twin.desired, "desired"), "enrollment: initialTwin"));
  }
  return enrollment;
}

json::Value attestation_json(const Enrollment& enrollment, bool with_keys) {
  if (enrollment.attestation == Attestation::symmetric_key)
    return json::Object{{"type", "symmetricKey"},
                        {"symmetricKey", json::Object{{"primaryKey", with_keys ? enrollment.primary_key : std::string()},
                                                      {"secondaryKey", with_keys ? enrollment.secondary_key : std::string()}}}};
  if (!enrollment.primary_reference.empty()) {
    json::Object references{{"primary", enrollment.primary_reference}};
    if (!enrollment.secondary_reference.empty()) references.set("secondary", enrollment.secondary_reference);
    return json::Object{{"type", "x509"}, {"x509", json::Object{{"caReferences", std::move(references)}}}};
  }
  const char* slot = enrollment.own_certificate ? "clientCertificates" : "signingCertificates";
  return json::Object{
      {"type", "x509"},
      {"x509", json::Object{{slot, json::Object{{"primary", certificate_json(enrollment.primary_certificate)},
                                                {"secondary", certificate_json(enrollment.secondary_certificate)}}}}}};
}

json::Value to_json(const Enrollment& enrollment, bool with_keys) {
  const bool group = enrollment.kind == EnrollmentKind::group;
  json::Object out;
  out.set(group ? "enrollmentGroupId" : "registrationId", enrollment.id);
  if (!group) out.set("deviceId", enrollment.device_id);
  out.set("attestation", attestation_json(enrollment, with_keys));
  out.set("capabilities", json::Object{{"iotEdge", enrollment.edge}});
  out.set("iotHubHostName", enrollment.hub);
  json::Object initial{{"tags", enrollment.initial_twin.tags.value_or(json::Object{})}};
  initial.set("properties", json::Object{{"desired", enrollment.initial_twin.desired.value_or(json::Object{})}});
  out.set("initialTwin", std::move(initial));
  out.set("provisioningStatus", enrollment.enabled ? "enabled" : "disabled");
  out.set("reprovisionPolicy",
          json::Object{{"updateHubAssignment", enrollment.update_assignment}, {"migrateDeviceData", enrollment.migrate_data}});
  const auto named = std::find_if(std::begin(allocations), std::end(allocations),
                                  [&](const auto& one) { return one.second == enrollment.allocation; });
  out.set("allocationPolicy", named->first);
  out.set("createdDateTimeUtc", enrollment.created_at);
  out.set("lastUpdatedDateTimeUtc", enrollment.updated_at);
  out.set("etag", twin::etag_text(enrollment.etag));
  return out;
}

Result<Keys> keys_of(const Enrollment& enrollment, std::string_view registration_id) {
  if (enrollment.attestation != Attestation::symmetric_key) return fail(Fault::denied, "the enrolment does not attest by keys");
  if (enrollment.kind == EnrollmentKind::individual) return Keys{enrollment.primary_key, enrollment.secondary_key};
  Keys keys;
  TRY_LET(keys.primary, sas::derive_key(enrollment.primary_key, registration_id));
  TRY_LET(keys.secondary, sas::derive_key(enrollment.secondary_key, registration_id));
  return keys;
}

Result<Timestamp> check_token(const Keys& keys, std::string_view id_scope, std::string_view registration_id, std::string_view text,
                              Timestamp now) {
  const auto token = sas::parse_token(text);
  if (!token) return fail(Fault::denied, "the credentials are not a shared access signature");
  if (!token->policy.empty() && token->policy != "registration")
    return fail(Fault::denied, "the token is not one of a registration");
  if (!sas::signed_by(*token, keys.primary) && !sas::signed_by(*token, keys.secondary))
    return fail(Fault::denied, "the token is not signed with either key");
  if (token->expires_at <= now - device::allowed_skew)
    return fail(Fault::denied, fmt::format("the token expired at {}", format_iso8601(token->expires_at, 0)));
  if (token->resource != fmt::format("{}/registrations/{}", id_scope, registration_id))
    return fail(Fault::denied, "the token is for another registration");
  return Timestamp{std::min(token->expires_at, Timestamp::max() - device::allowed_skew) + device::allowed_skew};
}

Assignment decide(const Enrollment& enrollment, bool registered) {
  if (!registered) return Assignment::first;
  return enrollment.migrate_data || !enrollment.update_assignment ? Assignment::keep : Assignment::start_over;
}

std::string_view substatus(Assignment assignment) {
  switch (assignment) {
    case Assignment::first: return "initialAssignment";
    case Assignment::keep: return "deviceDataMigrated";
    case Assignment::start_over: return "deviceDataReset";
  }
  return "initialAssignment";
}

}  // namespace nacelle::provisioning
