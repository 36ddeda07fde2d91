#pragma once
// An own certificate authority: root, intermediate, server and edge CA certificates (ECDSA P-256, X.509 v3).

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/clock.h"
#include "foundation/result.h"

namespace nacelle::net {

struct CertifiedKey {
  std::string certificate_pem;  ///< the chain, leaf first (of a root: itself)
  std::string key_pem;          ///< PKCS#8, unencrypted: keep it 0600
};

struct CertificateRequest {
  std::string common_name;
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  bool authority = false;          ///< may sign others
  std::optional<int> path_length;  ///< of an authority: how many more may stand between it and a leaf
  bool client = false;             ///< for client authentication too
  bool server = true;              ///< `client` alone if not
  std::chrono::hours lifetime{24 * 365};
};

/// A self-signed root.
Result<CertifiedKey> make_root(const std::string& common_name, std::chrono::hours lifetime, Timestamp now);
/// A certificate signed by `issuer`; the chain holds it and the issuer's chain (without the root).
Result<CertifiedKey> issue(const CertifiedKey& issuer, const CertificateRequest& request, Timestamp now);

/// A certificate for a key that its owner keeps: of the PEM `signing_request` (PKCS #10, signed with that key) only the key counts,
/// and its common name, which must be that of `request` if it has one; the rest is as `request` says. The chain, leaf first.
/// Fault::invalid_input for what is no request, is signed with another key, or has a key below 112 bits of strength.
Result<std::string> sign(const CertifiedKey& issuer, const std::string& signing_request, const CertificateRequest& request,
                         Timestamp now);

struct CertificateFacts {
  std::string common_name;
  std::string subject;  ///< RFC 2253, as is the issuer
  std::string issuer;
  std::string serial;  ///< hexadecimal
  Timestamp not_before{};
  Timestamp not_after{};  ///< still valid then
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  bool authority = false;         ///< its basic constraints say CA:TRUE
  std::string sha1_thumbprint;    ///< 40 hex digits of the DER
  std::string sha256_thumbprint;  ///< 64 hex digits of the DER
};

/// Of the first certificate in the PEM text. Fault::invalid_input, as for all that reads certificates.
Result<CertificateFacts> inspect(const std::string& pem);
/// Of each of them, in order.
Result<std::vector<CertificateFacts>> inspect_all(const std::string& pem);
/// Of the first of a peer's certificates (Stream::peer_certificates_der).
Result<CertificateFacts> inspect_der(BytesView der);
/// One certificate as clients send it, as PEM: it may be PEM, the base64 of that, or the base64 of the DER. At most 16 KiB.
Result<std::string> read_one(std::string_view text);

}  // namespace nacelle::net
