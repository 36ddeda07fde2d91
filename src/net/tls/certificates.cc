#include "net/tls/certificates.h"

#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include <fmt/format.h>
#include <algorithm>
#include <cctype>

#include "foundation/random.h"
#include "net/tls/detail/openssl.h"

namespace nacelle::net {
namespace {

using openssl::Bio;
using openssl::Certificate;
using openssl::Key;
using Names = std::unique_ptr<GENERAL_NAMES, openssl::Deleter<GENERAL_NAMES_free>>;
using Number = std::unique_ptr<BIGNUM, openssl::Deleter<BN_free>>;

/// Clocks at the edge disagree a little.
constexpr auto back_dating = std::chrono::minutes{5};
/// RFC 5280 appendix A: ub-common-name. The full name is among the subject alternative names.
constexpr std::size_t longest_common_name = 64;

Failure broken(std::string_view doing) { return fail(Fault::invalid_input, fmt::format("{}: {}", doing, openssl::last_error())); }

std::string to_pem(const Key& key) {
  const Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_PKCS8PrivateKey(bio.get(), key.get(), nullptr, nullptr, 0, nullptr, nullptr);
  return openssl::text_of(bio);
}

Result<> set_subject(X509* certificate, const std::string& common_name) {
  if (common_name.empty()) return fail(Fault::invalid_input, "a certificate needs a common name");
  const auto cut = common_name.substr(0, longest_common_name);
  X509_NAME* name = X509_get_subject_name(certificate);
  if (X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, reinterpret_cast<const unsigned char*>(cut.data()),
                                 static_cast<int>(cut.size()), -1, 0) != 1)
    return broken(fmt::format("common name '{}'", common_name));
  return {};
}

/// RFC 5280 4.1.2.2: positive, at most 20 octets, unique to the issuer: 128 random bits.
Result<> set_serial(X509* certificate) {
  auto bytes = secure_random(16);
  bytes[0] = static_cast<char>(bytes[0] | 0x40);  // never zero, always the same length
  const Number number(BN_bin2bn(reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()), nullptr));
  if (!number || !BN_to_ASN1_INTEGER(number.get(), X509_get_serialNumber(certificate))) return broken("serial number");
  return {};
}

void set_time(ASN1_TIME* field, Timestamp time) { ASN1_TIME_set(field, static_cast<time_t>(unix_seconds(time))); }

/// `value` in the words of openssl.cnf; only constants come here, never names from outside.
Result<> add_extension(X509* certificate, X509* issuer, int nid, const char* value) {
  X509V3_CTX context;
  X509V3_set_ctx_nodb(&context);
  X509V3_set_ctx(&context, issuer, certificate, nullptr, nullptr, 0);
  X509_EXTENSION* extension = X509V3_EXT_conf_nid(nullptr, &context, nid, value);
  if (extension == nullptr) return broken(fmt::format("extension {}", OBJ_nid2sn(nid)));
  X509_add_ext(certificate, extension, -1);
  X509_EXTENSION_free(extension);
  return {};
}

bool plausible_dns_name(const std::string& name) {
  const auto allowed = [](unsigned char c) { return std::isalnum(c) || c == '-' || c == '.' || c == '_' || c == '*'; };
  return !name.empty() && name.size() <= 253 && std::all_of(name.begin(), name.end(), allowed);
}

Result<> add_name(GENERAL_NAMES* names, int type, ASN1_STRING* value) {
  if (value == nullptr) return broken("subject alternative name");
  GENERAL_NAME* name = GENERAL_NAME_new();
  GENERAL_NAME_set0_value(name, type, value);
  sk_GENERAL_NAME_push(names, name);
  return {};
}

Result<> add_alternative_names(X509* certificate, const CertificateRequest& request) {
  const Names names(GENERAL_NAMES_new());
  for (const auto& dns : request.dns_names) {
    if (!plausible_dns_name(dns)) return fail(Fault::invalid_input, fmt::format("'{}' is not a DNS name", dns));
    ASN1_STRING* value = ASN1_IA5STRING_new();
    ASN1_STRING_set(value, dns.data(), static_cast<int>(dns.size()));
    TRY(add_name(names.get(), GEN_DNS, value));
  }
  for (const auto& ip : request.ip_addresses) {
    ASN1_STRING* value = a2i_IPADDRESS(ip.c_str());
    if (value == nullptr) return fail(Fault::invalid_input, fmt::format("'{}' is not an IP address", ip));
    TRY(add_name(names.get(), GEN_IPADD, value));
  }
  if (sk_GENERAL_NAME_num(names.get()) == 0) return {};
  if (X509_add1_ext_i2d(certificate, NID_subject_alt_name, names.get(), 0, X509V3_ADD_DEFAULT) != 1)
    return broken("subject alternative names");
  return {};
}

Result<> add_purpose(X509* certificate, X509* issuer, const CertificateRequest& request) {
  if (request.authority) {
    const std::string below = request.path_length ? fmt::format(",pathlen:{}", *request.path_length) : std::string();
    TRY(add_extension(certificate, issuer, NID_basic_constraints, ("critical,CA:TRUE" + below).c_str()));
    return add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature,keyCertSign,cRLSign");
  }
  TRY(add_extension(certificate, issuer, NID_basic_constraints, "critical,CA:FALSE"));
  TRY(add_extension(certificate, issuer, NID_key_usage, "critical,digitalSignature"));
  const char* uses = request.client ? (request.server ? "serverAuth,clientAuth" : "clientAuth") : "serverAuth";
  return add_extension(certificate, issuer, NID_ext_key_usage, uses);
}

struct Signer {
  X509* certificate;  // null: self-signed
  EVP_PKEY* key;
};

/// A certificate for `key`; without a signer, signed with it too.
Result<std::string> certify(const CertificateRequest& request, EVP_PKEY* key, const Signer* signer, Timestamp now) {
  const Certificate certificate(X509_new());
  X509* raw = certificate.get();
  X509* issuer = signer != nullptr ? signer->certificate : raw;
  X509_set_version(raw, X509_VERSION_3);
  TRY(set_serial(raw));
  TRY(set_subject(raw, request.common_name));
  X509_set_issuer_name(raw, X509_get_subject_name(issuer));
  X509_set_pubkey(raw, key);
  set_time(X509_getm_notBefore(raw), now - back_dating);
  Timestamp until = now + request.lifetime;
  if (signer != nullptr) until = std::min(until, openssl::read_time(X509_get0_notAfter(issuer)));
  set_time(X509_getm_notAfter(raw), until);
  TRY(add_extension(raw, issuer, NID_subject_key_identifier, "hash"));
  // An operator's old authority may have none to point at.
  if (X509_get_ext_by_NID(issuer, NID_subject_key_identifier, -1) >= 0)
    TRY(add_extension(raw, issuer, NID_authority_key_identifier, "keyid:always"));
  TRY(add_purpose(raw, issuer, request));
  TRY(add_alternative_names(raw, request));
  if (X509_sign(raw, signer != nullptr ? signer->key : key, EVP_sha256()) == 0) return broken("signing a certificate");
  return openssl::to_pem(raw);
}

Result<CertifiedKey> certify_new_key(const CertificateRequest& request, const Signer* signer, Timestamp now) {
  const Key key(EVP_EC_gen("P-256"));
  if (!key) return broken("making a P-256 key");
  TRY_LET(std::string certificate, certify(request, key.get(), signer, now));
  return CertifiedKey{std::move(certificate), to_pem(key)};
}

bool self_issued(const Certificate& certificate) {
  return X509_NAME_cmp(X509_get_subject_name(certificate.get()), X509_get_issuer_name(certificate.get())) == 0;
}

/// An authority with its key.
struct Issuer {
  std::vector<Certificate> chain;
  Key key;
  Signer signer() const { return {chain.front().get(), key.get()}; }
  /// `leaf` with what links it to a root.
  std::string chain_below(std::string leaf) const {
    for (const auto& above : chain)
      if (!self_issued(above)) leaf += openssl::to_pem(above.get());
    return leaf;
  }
};

Result<Issuer> read_issuer(const CertifiedKey& pair) {
  Issuer issuer;
  TRY_LET(issuer.chain, openssl::read_certificates(pair.certificate_pem));
  TRY_LET(issuer.key, openssl::read_key(pair.key_pem));
  if (X509_check_private_key(issuer.chain.front().get(), issuer.key.get()) != 1)
    return broken("the issuer's key does not belong to its certificate");
  if (X509_check_ca(issuer.chain.front().get()) == 0) return fail(Fault::denied, "the issuer's certificate is not an authority");
  return issuer;
}

using SigningRequest = std::unique_ptr<X509_REQ, openssl::Deleter<X509_REQ_free>>;

constexpr std::size_t largest_signing_request = 16 * 1024;
constexpr int least_security_bits = 112;  // as for the certificates that let devices in (chain.h)

Failure bad_signing_request(std::string_view why) {
  ERR_clear_error();
  return fail(Fault::invalid_input, fmt::format("certificate signing request: {}", why));
}

/// Its subject's common name; empty if there is none. More than one is nobody's.
Result<std::string> common_name_of(X509_REQ* request) {
  X509_NAME* subject = X509_REQ_get_subject_name(request);
  const int at = X509_NAME_get_index_by_NID(subject, NID_commonName, -1);
  if (at < 0) return std::string();
  if (X509_NAME_get_index_by_NID(subject, NID_commonName, at) >= 0) return bad_signing_request("it has two common names");
  unsigned char* text = nullptr;
  const int size = ASN1_STRING_to_UTF8(&text, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, at)));
  if (size < 0) return bad_signing_request("its common name cannot be read");
  std::string name(reinterpret_cast<const char*>(text), static_cast<std::size_t>(size));
  OPENSSL_free(text);
  return name;
}

Result<SigningRequest> read_signing_request(const std::string& pem) {
  if (pem.size() > largest_signing_request) return bad_signing_request("it is larger than 16 KiB");
  const Bio bio(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  SigningRequest read(PEM_read_bio_X509_REQ(bio.get(), nullptr, nullptr, nullptr));
  if (!read) return bad_signing_request("expected one in PEM (BEGIN CERTIFICATE REQUEST)");
  EVP_PKEY* key = X509_REQ_get0_pubkey(read.get());
  if (key == nullptr) return bad_signing_request("its key cannot be read");
  if (EVP_PKEY_get_security_bits(key) < least_security_bits)
    return bad_signing_request("its key is too weak: RSA needs 2048 bits, elliptic curves 224");
  if (X509_REQ_verify(read.get(), key) != 1) return bad_signing_request("it is not signed with its own key");
  return read;
}

}  // namespace

Result<CertifiedKey> make_root(const std::string& common_name, std::chrono::hours lifetime, Timestamp now) {
  CertificateRequest request;
  request.common_name = common_name;
  request.authority = true;
  request.lifetime = lifetime;
  return certify_new_key(request, nullptr, now);
}

Result<CertifiedKey> issue(const CertifiedKey& issuer_pair, const CertificateRequest& request, Timestamp now) {
  TRY_LET(const Issuer issuer, read_issuer(issuer_pair));
  const Signer signer = issuer.signer();
  TRY_LET(CertifiedKey issued, certify_new_key(request, &signer, now));
  issued.certificate_pem = issuer.chain_below(std::move(issued.certificate_pem));
  return issued;
}

Result<std::string> sign(const CertifiedKey& issuer_pair, const std::string& signing_request, const CertificateRequest& request,
                         Timestamp now) {
  TRY_LET(const Issuer issuer, read_issuer(issuer_pair));
  TRY_LET(const SigningRequest asked, read_signing_request(signing_request));
  TRY_LET(const std::string name, common_name_of(asked.get()));
  if (!name.empty() && name != request.common_name)
    return bad_signing_request(fmt::format("its common name is not '{}'", request.common_name));
  const Signer signer = issuer.signer();
  TRY_LET(std::string leaf, certify(request, X509_REQ_get0_pubkey(asked.get()), &signer, now));
  return issuer.chain_below(std::move(leaf));
}

}  // namespace nacelle::net
