#include "service/edge/certificates.h"

#include <arpa/inet.h>

#include <algorithm>

#include "codec/digest/digest.h"
#include "foundation/log.h"

namespace nacelle::edge {

namespace {

constexpr std::chrono::hours server_lifetime{24 * 90};

bool is_address(const std::string& host) {
  unsigned char buffer[sizeof(in6_addr)];
  return ::inet_pton(AF_INET, host.c_str(), buffer) == 1 || ::inet_pton(AF_INET6, host.c_str(), buffer) == 1;
}

bool has_a_third_left(const net::CertificateFacts& facts, Timestamp now) {
  return now >= facts.not_before && facts.not_after - now > (facts.not_after - facts.not_before) / 3;
}

json::Value to_json(const net::CertifiedKey& key, const std::string& authority, const std::string& host) {
  return json::Object{{"certificate", key.certificate_pem}, {"privateKey", key.key_pem}, {"issuedBy", authority}, {"host", host}};
}

}  // namespace

Result<EdgeAuthority> parse_authority(const json::Value& document) {
  TRY_LET(std::string certificate, json::get_string(document, "certificate", "edge CA document"));
  TRY_LET(std::string key, json::get_string(document, "privateKey", "edge CA document"));
  TRY_LET(std::string root, json::get_string(document, "root", "edge CA document"));
  TRY(net::inspect(certificate));
  return EdgeAuthority{{std::move(certificate), std::move(key)}, std::move(root)};
}

std::optional<EdgeAuthority> cached_authority(const EdgeFiles& files, Timestamp now) {
  const auto document = files.load(files.authority());
  if (!document) return std::nullopt;
  auto authority = parse_authority(*document);
  if (!authority) {
    log::warn("edge", "the cached edge CA is not used: {}", authority.error().message);
    return std::nullopt;
  }
  const auto facts = net::inspect(authority->authority.certificate_pem);
  if (!facts || facts->not_after < now + std::chrono::hours(24)) return std::nullopt;
  return std::move(authority).value();
}

awaitable<Result<EdgeAuthority>> fetch_authority(const EdgeFiles& files, const HubClient& hub) {
  auto document = co_await hub.edge_authority();
  if (!document) co_return fail(std::move(document).error());
  CO_TRY_LET(EdgeAuthority authority, parse_authority(*document));
  CO_TRY(files.save(files.authority(), *document));
  co_return authority;
}

Result<net::CertifiedKey> server_certificate(const EdgeFiles& files, const EdgeAuthority& authority, const std::string& host,
                                             Timestamp now) {
  const std::string issuer = digest::sha256_hex(authority.authority.certificate_pem);
  if (const auto kept = files.load(files.server_certificate())) {
    const auto certificate = json::get_string(*kept, "certificate", "server certificate");
    const auto key = json::get_string(*kept, "privateKey", "server certificate");
    const auto by = json::get_string_or(*kept, "issuedBy", "", "server certificate");
    const auto whose = json::get_string_or(*kept, "host", "", "server certificate");
    if (certificate && key && by && whose && *by == issuer && *whose == host) {
      const auto facts = net::inspect(*certificate);
      if (facts && has_a_third_left(*facts, now)) return net::CertifiedKey{*certificate, *key};
    }
  }
  net::CertificateRequest request;
  request.common_name = host;
  request.dns_names = {"localhost"};
  request.ip_addresses = {"127.0.0.1", "::1"};
  if (is_address(host))
    request.ip_addresses.push_back(host);
  else if (host != "localhost")
    request.dns_names.insert(request.dns_names.begin(), host);
  const auto facts = net::inspect(authority.authority.certificate_pem);
  request.lifetime = server_lifetime;
  if (facts) request.lifetime = std::min(server_lifetime, std::chrono::duration_cast<std::chrono::hours>(facts->not_after - now));
  TRY_LET(net::CertifiedKey made, net::issue(authority.authority, request, now));
  TRY(files.save(files.server_certificate(), to_json(made, issuer, host)));
  log::info("edge", "new server certificate for {}", host);
  return made;
}

}  // namespace nacelle::edge
