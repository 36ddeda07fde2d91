#pragma once
// An own certificate authority: root, intermediate, server and edge CA certificates (ECDSA P-256, X.509 v3).

#include <chrono>
#include <string>
#include <vector>

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
  bool authority = false;  ///< may sign others
  bool client = false;     ///< for client authentication too
  std::chrono::hours lifetime{24 * 365};
};

/// A self-signed root.
Result<CertifiedKey> make_root(const std::string& common_name, std::chrono::hours lifetime, Timestamp now);
/// A certificate signed by `issuer`; the chain holds it and the issuer's chain (without the root).
Result<CertifiedKey> issue(const CertifiedKey& issuer, const CertificateRequest& request, Timestamp now);

struct CertificateFacts {
  std::string common_name;
  std::string issuer;
  Timestamp not_before{};
  Timestamp not_after{};
  std::vector<std::string> dns_names;
  std::vector<std::string> ip_addresses;
  std::string sha256_thumbprint;  ///< 64 hex digits of the DER
};
/// Of the first certificate in the PEM text.
Result<CertificateFacts> inspect(const std::string& pem);

}  // namespace nacelle::net
