#pragma once
// What tests of certificates share.

#include <string>

#include "codec/text/encoding.h"
#include "net/tls/chain.h"

namespace nacelle::hub::testing {

inline net::CertificateRequest client_request(const std::string& common_name,
                                              std::chrono::hours lifetime = std::chrono::hours{24}) {
  net::CertificateRequest request;
  request.common_name = common_name;
  request.client = true;
  request.server = false;
  request.lifetime = lifetime;
  return request;
}

inline net::CertificateRequest authority_request(const std::string& common_name) {
  net::CertificateRequest request;
  request.common_name = common_name;
  request.authority = true;
  return request;
}

/// The certificates of a PEM text one behind the other, as a TLS client shows them.
inline Bytes der_of(const std::string& pem) {
  constexpr std::string_view begin = "-----BEGIN CERTIFICATE-----";
  Bytes all;
  for (auto at = pem.find(begin); at != std::string::npos; at = pem.find(begin, at + 1)) {
    std::string body = pem.substr(at + begin.size(), pem.find("-----END", at) - at - begin.size());
    std::erase(body, '\n');
    all += text::base64_decode(body).value();
  }
  return all;
}

}  // namespace nacelle::hub::testing
