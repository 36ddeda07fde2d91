#include "service/endpoint/certificates.h"

#include <fmt/format.h>

#include <algorithm>

#include "codec/text/encoding.h"

namespace nacelle::endpoint {
namespace {

using device::Authentication;

// A timer of nanoseconds cannot count to the year 9999, which certificates without an end carry.
constexpr std::chrono::hours longest_session{24 * 365};

/// A thumbprint is of either length; an empty slot fits nothing.
bool is_thumbprint(const std::string& slot, const net::CertificateFacts& facts) {
  return !slot.empty() &&
         (text::equal_ignoring_case(slot, facts.sha256_thumbprint) || text::equal_ignoring_case(slot, facts.sha1_thumbprint));
}

Result<CertificateProof> prove_by_authority(const device::Identity& identity, BytesView certificates_der,
                                            const net::TrustAnchors* authorities, Timestamp now) {
  const std::string wanted = identity.name.client_id();
  if (!authorities)
    return fail(Fault::denied, fmt::format("no authority is known that could have signed the certificate of '{}'", wanted));
  TRY_LET(const auto proof, authorities->check(certificates_der, now));
  if (proof.leaf.common_name != wanted)
    return fail(Fault::denied, fmt::format("the certificate's common name is not '{}'", wanted));
  return CertificateProof{std::min<Timestamp>(proof.until, now + longest_session), proof.anchor};
}

}  // namespace

Result<> check_dates(const net::CertificateFacts& facts, Timestamp now) {
  if (now >= facts.not_before && now <= facts.not_after) return {};
  return fail(Fault::denied, fmt::format("the certificate is valid from {} to {}, and not now", format_iso8601(facts.not_before, 0),
                                         format_iso8601(facts.not_after, 0)));
}

Result<CertificateProof> prove(const device::Identity& identity, BytesView certificates_der, const net::TrustAnchors* authorities,
                               Timestamp now) {
  if (identity.authentication == Authentication::certificate_authority)
    return prove_by_authority(identity, certificates_der, authorities, now);
  if (identity.authentication != Authentication::self_signed)
    return fail(Fault::denied, fmt::format("'{}' is not registered to come with a certificate", identity.name.client_id()));
  TRY_LET(const auto facts, net::inspect_der(certificates_der));
  if (!is_thumbprint(identity.primary_thumbprint, facts) && !is_thumbprint(identity.secondary_thumbprint, facts))
    return fail(Fault::denied, fmt::format("the certificate of '{}' is not the registered one", identity.name.client_id()));
  TRY(check_dates(facts, now));
  return CertificateProof{std::min<Timestamp>(facts.not_after, now + longest_session), {}};
}

json::Value to_json(const net::CertificateFacts& facts) {
  json::Array dns;
  for (const auto& name : facts.dns_names) dns.emplace_back(name);
  json::Array addresses;
  for (const auto& address : facts.ip_addresses) addresses.emplace_back(address);
  return json::Object{{"subject", facts.subject},
                      {"issuer", facts.issuer},
                      {"serial", facts.serial},
                      {"notBefore", format_iso8601(facts.not_before, 0)},
                      {"notAfter", format_iso8601(facts.not_after, 0)},
                      {"authority", facts.authority},
                      {"sha1Thumbprint", facts.sha1_thumbprint},
                      {"sha256Thumbprint", facts.sha256_thumbprint},
                      {"dnsNames", std::move(dns)},
                      {"ipAddresses", std::move(addresses)}};
}

}  // namespace nacelle::endpoint
