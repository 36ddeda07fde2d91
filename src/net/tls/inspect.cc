// What a certificate says, read out of PEM and DER.
#include <arpa/inet.h>
#include <openssl/x509v3.h>

#include <fmt/format.h>

#include "codec/digest/digest.h"
#include "codec/text/encoding.h"
#include "net/tls/certificates.h"
#include "net/tls/detail/openssl.h"

namespace nacelle::net {
namespace {

using openssl::Bio;
using Names = std::unique_ptr<GENERAL_NAMES, openssl::Deleter<GENERAL_NAMES_free>>;
using Number = std::unique_ptr<BIGNUM, openssl::Deleter<BN_free>>;

/// The base64 of one certificate; a long list of names makes it some KiB.
constexpr std::size_t largest_text = 16 * 1024;

std::string one_line(const X509_NAME* name) {
  const Bio bio(BIO_new(BIO_s_mem()));
  X509_NAME_print_ex(bio.get(), name, 0, XN_FLAG_RFC2253);
  return openssl::text_of(bio);
}

/// The most specific, which stands last; empty if there is none, or if it holds a NUL or is no text.
std::string common_name_of(const X509* certificate) {
  const X509_NAME* subject = X509_get_subject_name(certificate);
  int last = -1;
  for (int at = -1; (at = X509_NAME_get_index_by_NID(subject, NID_commonName, at)) >= 0;) last = at;
  if (last < 0) return {};
  unsigned char* utf8 = nullptr;
  const int size = ASN1_STRING_to_UTF8(&utf8, X509_NAME_ENTRY_get_data(X509_NAME_get_entry(subject, last)));
  if (size < 0) {
    openssl::last_error();  // emptied: this is no failure
    return {};
  }
  std::string text(reinterpret_cast<char*>(utf8), static_cast<std::size_t>(size));
  OPENSSL_free(utf8);
  if (text.find('\0') != std::string::npos) return {};
  return text;
}

std::string address_text(const ASN1_OCTET_STRING* ip) {
  char text[INET6_ADDRSTRLEN] = {};
  const int family = ASN1_STRING_length(ip) == 4 ? AF_INET : AF_INET6;
  if (family == AF_INET6 && ASN1_STRING_length(ip) != 16) return {};
  inet_ntop(family, ASN1_STRING_get0_data(ip), text, sizeof(text));
  return text;
}

void read_alternative_names(const X509* certificate, CertificateFacts& facts) {
  const Names names(static_cast<GENERAL_NAMES*>(X509_get_ext_d2i(certificate, NID_subject_alt_name, nullptr, nullptr)));
  for (int i = 0; names && i < sk_GENERAL_NAME_num(names.get()); ++i) {
    int type = 0;
    const auto* value = static_cast<ASN1_STRING*>(GENERAL_NAME_get0_value(sk_GENERAL_NAME_value(names.get(), i), &type));
    if (type == GEN_DNS)
      facts.dns_names.emplace_back(reinterpret_cast<const char*>(ASN1_STRING_get0_data(value)), ASN1_STRING_length(value));
    if (type == GEN_IPADD) facts.ip_addresses.push_back(address_text(value));
  }
}

std::string serial_of(const X509* certificate) {
  const Number number(ASN1_INTEGER_to_BN(X509_get0_serialNumber(certificate), nullptr));
  char* hex = number ? BN_bn2hex(number.get()) : nullptr;
  std::string text = hex != nullptr ? hex : "";
  OPENSSL_free(hex);
  return text;
}

std::string sha1_hex(BytesView der) {
  unsigned char digest[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(der.data(), der.size(), digest, &size, EVP_sha1(), nullptr);
  return text::hex_encode(BytesView(reinterpret_cast<char*>(digest), size));
}

CertificateFacts facts_of(X509* certificate) {
  CertificateFacts facts;
  facts.common_name = common_name_of(certificate);
  facts.subject = one_line(X509_get_subject_name(certificate));
  facts.issuer = one_line(X509_get_issuer_name(certificate));
  facts.serial = serial_of(certificate);
  facts.not_before = openssl::read_time(X509_get0_notBefore(certificate));
  facts.not_after = openssl::read_time(X509_get0_notAfter(certificate));
  read_alternative_names(certificate, facts);
  facts.authority = X509_check_ca(certificate) == 1;
  const Bytes der = openssl::to_der(certificate);
  facts.sha1_thumbprint = sha1_hex(der);
  facts.sha256_thumbprint = digest::sha256_hex(der);
  openssl::last_error();  // extensions that could not be read left something behind
  return facts;
}

}  // namespace

Result<std::vector<CertificateFacts>> inspect_all(const std::string& pem) {
  TRY_LET(const auto certificates, openssl::read_certificates(pem));
  std::vector<CertificateFacts> all;
  for (const auto& one : certificates) all.push_back(facts_of(one.get()));
  return all;
}

Result<CertificateFacts> inspect(const std::string& pem) {
  TRY_LET(const auto certificates, openssl::read_certificates(pem));
  return facts_of(certificates.front().get());
}

Result<CertificateFacts> inspect_der(BytesView der) {
  TRY_LET(const auto certificates, openssl::read_ders(der, openssl::longest_chain));
  return facts_of(certificates.front().get());
}

Result<std::string> read_one(std::string_view text) {
  constexpr std::string_view begin = "-----BEGIN";
  if (text.size() > largest_text)
    return fail(Fault::invalid_input,
                fmt::format("expected a certificate of at most {} bytes, found {}", largest_text, text.size()));
  std::string pem(text::trim(text));
  std::vector<openssl::Certificate> found;
  if (pem.find(begin) == std::string::npos) {
    std::erase_if(pem, [](unsigned char c) { return c == '\n' || c == '\r'; });
    const auto bytes = text::base64_decode(pem);
    if (!bytes) return fail(Fault::invalid_input, "expected a certificate in PEM, or its base64");
    if (bytes->find(begin) == std::string::npos) {
      TRY_LET(found, openssl::read_ders(*bytes, openssl::longest_chain));
    } else {
      pem = *bytes;
    }
  }
  if (found.empty()) {
    TRY_LET(found, openssl::read_certificates(pem));
  }
  if (found.size() != 1)
    return fail(Fault::invalid_input,
                fmt::format("expected one certificate, found {}; of a chain give the one that is meant", found.size()));
  return openssl::to_pem(found.front().get());
}

}  // namespace nacelle::net
