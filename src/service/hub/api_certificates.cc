// Certificates over REST (docs/certificates.md): authorities uploaded for devices, shaped as IoT Hub's certificate resource, and
// the hub's own.
#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "service/endpoint/certificates.h"
#include "service/hub/api.h"

namespace nacelle::hub {
namespace {

constexpr std::int64_t longest_days = 3650;
constexpr std::size_t most_names = 100;

net::HttpResponse refused(const Services& services, const Error& error) {
  switch (error.fault) {
    case Fault::not_found: return services.error(kinds::certificate_not_found, error.message);
    case Fault::conflict: return services.error(kinds::certificate_exists, error.message);
    case Fault::exhausted: return services.error(kinds::too_many_certificates, error.message);
    case Fault::denied: return services.error(kinds::argument_invalid, error.message);  // the proof, not the caller
    default: return services.error(error);
  }
}

std::string upper(std::string text) {
  for (char& c : text)
    if (c >= 'a' && c <= 'f') c = static_cast<char>(c - 'a' + 'A');
  return text;
}

/// Name, type and properties as the original gives them; the SHA-256 thumbprint and the issuer are ours.
json::Value document_of(const DeviceAuthority& authority) {
  const std::string& pem = authority.certificate_pem;
  json::Object properties{{"subject", authority.facts.common_name},
                          {"issuer", authority.facts.issuer},
                          {"expiry", format_iso8601(authority.facts.not_after, 0)},
                          {"thumbprint", upper(authority.facts.sha1_thumbprint)},
                          {"sha256Thumbprint", authority.facts.sha256_thumbprint},
                          {"isVerified", authority.verified},
                          {"created", authority.created_at},
                          {"updated", authority.updated_at},
                          {"certificate", text::base64_encode(pem)}};
  if (!authority.code.empty()) properties.set("verificationCode", upper(authority.code));
  return json::Object{{"name", authority.name},
                      {"type", "Microsoft.Devices/IotHubs/Certificates"},
                      {"etag", twin::etag_text(authority.etag)},
                      {"properties", std::move(properties)}};
}

net::HttpResponse answer(int status, const DeviceAuthority& authority) {
  net::HttpResponse response = json_answer(status, document_of(authority));
  response.headers.set("etag", fmt::format("\"{}\"", twin::etag_text(authority.etag)));
  return response;
}

net::HttpResponse answer_or_refuse(const Services& services, const Result<DeviceAuthority>& authority) {
  return authority ? answer(200, *authority) : refused(services, authority.error());
}

/// The authority of the path, if If-Match (when given) still fits it.
std::optional<net::HttpResponse> stale(const Services& services, const Call& call) {
  const auto found = services.device_authorities.find(call.captures[0]);
  if (!found) return refused(services, found.error());
  if (twin::etag_matches(call.request.headers.get("if-match"), found->etag)) return std::nullopt;
  return services.error(kinds::precondition_failed, "the certificate has another etag by now");
}

/// `certificate`, on its own or in `properties`.
Result<std::string> certificate_of(const Call& call) {
  TRY_LET(const json::Value body, call.json());
  if (!body.is_object())
    return fail(Fault::invalid_input, fmt::format("request body: expected an object, found {}", json::type_name(body)));
  const json::Value* properties = body.find("properties");
  const json::Value& holder = properties && properties->is_object() ? *properties : body;
  if (const json::Value* verified = holder.find("isVerified"); verified && verified->is_bool() && verified->as_bool())
    return fail(Fault::invalid_input, "request body: isVerified: possession is proved with a verification code, not claimed");
  return json::get_string(holder, "certificate", "request body");
}

Result<std::vector<std::string>> names_in(const json::Value& body, std::string_view key) {
  std::vector<std::string> names;
  const json::Value* found = body.find(key);
  if (!found || found->is_null()) return names;
  if (!found->is_array() || found->as_array().size() > most_names)
    return fail(Fault::invalid_input, fmt::format("request body: {}: expected an array of at most {} names", key, most_names));
  for (const auto& one : found->as_array()) {
    if (!one.is_string()) return fail(Fault::invalid_input, fmt::format("request body: {}: expected texts", key));
    names.push_back(one.as_string());
  }
  return names;
}

Result<Authority::Purpose> purpose_in(const json::Value& body) {
  TRY_LET(const std::string purpose, json::get_string(body, "purpose", "request body"));
  if (purpose == "device") return Authority::Purpose::device;
  if (purpose == "edge") return Authority::Purpose::edge;
  if (purpose == "server") return Authority::Purpose::server;
  return fail(Fault::invalid_input, fmt::format("request body: purpose: expected device, edge or server, found '{}'", purpose));
}

/// The answer's `certificate` (with its chain) and, unless the caller keeps its key to itself (`csr`), `privateKey`.
Result<net::CertifiedKey> issue(const Services& services, const Call& call) {
  TRY_LET(const json::Value body, call.json());
  TRY_LET(const auto purpose, purpose_in(body));
  net::CertificateRequest request;
  TRY_LET(request.common_name, json::get_string(body, "commonName", "request body"));
  // RFC 5280 appendix A: ub-common-name; cut short it would be another device's.
  if (request.common_name.empty() || request.common_name.size() > 64)
    return fail(Fault::invalid_input,
                fmt::format("request body: commonName: expected 1 to 64 characters, found {}; a longer device "
                            "id cannot stand in a certificate",
                            request.common_name.size()));
  TRY_LET(request.dns_names, names_in(body, "dnsNames"));
  TRY_LET(request.ip_addresses, names_in(body, "ipAddresses"));
  const std::int64_t usual = Authority::usual_lifetime(purpose).count() / 24;
  TRY_LET(const std::int64_t days, json::get_integer_or(body, "days", usual, "request body"));
  if (days < 1 || days > longest_days)
    return fail(Fault::invalid_input, fmt::format("request body: days: expected 1 to {}, found {}", longest_days, days));
  request.lifetime = std::chrono::hours{24 * days};
  TRY_LET(const std::string csr, json::get_string_or(body, "csr", "", "request body"));
  TRY_LET(auto issued, csr.empty() ? services.authority.issue(purpose, request) : services.authority.sign(purpose, request, csr));
  log::info("hub", "issued a certificate of purpose '{}' to '{}' for {} days", body.find("purpose")->as_string(),
            request.common_name, days);
  return issued;
}

}  // namespace

// -- Authorities for devices -------------------------------------------------------------------------------------------------

net::HttpResponse list_certificates(Services& services, const Call&) {
  const auto authorities = services.device_authorities.list();
  if (!authorities) return services.error(authorities.error());
  json::Array list;
  for (const auto& one : *authorities) list.push_back(document_of(one));
  return json_answer(200, json::Object{{"value", std::move(list)}});
}

net::HttpResponse get_certificate(Services& services, const Call& call) {
  return answer_or_refuse(services, services.device_authorities.find(call.captures[0]));
}

net::HttpResponse put_certificate(Services& services, const Call& call) {
  const std::string& name = call.captures[0];
  const bool there = services.device_authorities.find(name).has_value();
  if (there && !call.request.headers.contains("if-match"))
    return services.error(kinds::certificate_exists, fmt::format("certificate '{}' exists; replace it with If-Match", name));
  if (call.request.headers.contains("if-match"))
    if (auto answer = stale(services, call)) return *std::move(answer);
  const auto text = certificate_of(call);
  if (!text) return services.error(text.error());
  const auto stored = services.device_authorities.put(name, *text);
  return stored ? answer(there ? 200 : 201, *stored) : refused(services, stored.error());
}

net::HttpResponse delete_certificate(Services& services, const Call& call) {
  if (auto answer = stale(services, call)) return *std::move(answer);
  if (const auto removed = services.device_authorities.remove(call.captures[0]); !removed)
    return refused(services, removed.error());
  return {204, {}, {}};
}

net::HttpResponse generate_verification_code(Services& services, const Call& call) {
  if (auto answer = stale(services, call)) return *std::move(answer);
  return answer_or_refuse(services, services.device_authorities.generate_code(call.captures[0]));
}

net::HttpResponse verify_certificate(Services& services, const Call& call) {
  if (auto answer = stale(services, call)) return *std::move(answer);
  const auto proof = certificate_of(call);
  if (!proof) return services.error(proof.error());
  return answer_or_refuse(services, services.device_authorities.verify(call.captures[0], *proof));
}

// -- The hub's own -----------------------------------------------------------------------------------------------------------

net::HttpResponse get_authority(Services& services, const Call&) {
  const auto facts = services.authority.facts();
  if (!facts) return services.error(facts.error());
  json::Object all;
  for (const auto& [name, one] : *facts) all.set(name, endpoint::to_json(one));
  return json_answer(200, all);
}

net::HttpResponse issue_certificate(Services& services, const Call& call) {
  const auto issued = issue(services, call);
  if (!issued) return services.error(issued.error());
  json::Object answer{{"certificate", issued->certificate_pem}};
  if (!issued->key_pem.empty()) answer.set("privateKey", issued->key_pem);
  answer.set("root", services.authority.root_pem());
  return json_answer(200, std::move(answer));
}

net::HttpResponse rotate_certificate(Services& services, const Call& call) {
  if (const auto renewed = services.authority.renew(true); !renewed) return services.error(renewed.error());
  return get_authority(services, call);
}

}  // namespace nacelle::hub
