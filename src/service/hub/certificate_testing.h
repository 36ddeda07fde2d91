#pragma once
// What tests of certificates share.

#include <string>

#include "codec/text/encoding.h"
#include "net/tls/chain.h"
#include "service/hub/hub_fixture.h"

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

/// A hub that authorities are uploaded to and devices with certificates are registered at.
class CertifiedHubTest : public HubTest {
 protected:
  Json upload(const std::string& name, const std::string& pem) {
    const auto made =
        call("PUT", "/certificates/" + name, json::print(json::Object{{"properties", json::Object{{"certificate", pem}}}}));
    EXPECT_EQ(made.status, 201) << made.body;
    return parse(made.body);
  }
  void verify(const std::string& name, const net::CertifiedKey& root) {
    const Json asked = parse(call("POST", "/certificates/" + name + "/generateVerificationCode").body);
    const std::string code = asked.at_path({"properties", "verificationCode"})->as_string();
    const auto proof = net::issue(root, client_request(code), clock.now()).value();
    const auto done =
        call("POST", "/certificates/" + name + "/verify", json::print(json::Object{{"certificate", proof.certificate_pem}}));
    EXPECT_EQ(done.status, 200) << done.body;
    EXPECT_TRUE(parse(done.body).at_path({"properties", "isVerified"})->as_bool());
  }
  void register_by_authority(const std::string& path) {
    EXPECT_EQ(call("PUT", "/devices/" + path, R"({"authentication":{"type":"certificateAuthority"}})").status, 200);
  }
  std::string ca_pem() { return storage::read_file(storage::real_file_system(), hub->found_at().ca_path).value(); }
  std::shared_ptr<net::TlsClientContext> showing(const net::CertifiedKey& own) {
    return net::TlsClientContext::make(ca_pem(), own.certificate_pem, own.key_pem).value();
  }
};

}  // namespace nacelle::hub::testing
