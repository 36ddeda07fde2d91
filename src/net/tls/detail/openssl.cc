#include "net/tls/detail/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

#include <fmt/format.h>

namespace nacelle::net::openssl {
namespace {

Bio reader(const std::string& text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

/// Without it OpenSSL asks on the terminal, for a certificate too if its PEM says that it is encrypted.
int no_password(char*, int, int, void*) { return 0; }

}  // namespace

std::string last_error() {
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return reason != nullptr ? reason : "no reason given";
}

Bytes to_der(const X509* certificate) {
  unsigned char* der = nullptr;
  const int size = i2d_X509(certificate, &der);
  if (size <= 0) return {};
  Bytes bytes(reinterpret_cast<char*>(der), static_cast<std::size_t>(size));
  OPENSSL_free(der);
  return bytes;
}

std::string text_of(const Bio& bio) {
  char* data = nullptr;
  const long size = BIO_get_mem_data(bio.get(), &data);
  return std::string(data, static_cast<std::size_t>(size));
}

std::string to_pem(const X509* certificate) {
  const Bio bio(BIO_new(BIO_s_mem()));
  PEM_write_bio_X509(bio.get(), certificate);
  return text_of(bio);
}

Timestamp read_time(const ASN1_TIME* field) {
  std::tm parts{};
  if (ASN1_TIME_to_tm(field, &parts) != 1) return Timestamp{};
  return from_unix_seconds(timegm(&parts));
}

Result<std::vector<Certificate>> read_ders(BytesView ders, std::size_t most) {
  std::vector<Certificate> certificates;
  const auto* at = reinterpret_cast<const unsigned char*>(ders.data());
  const auto* const end = at + ders.size();
  while (at != end) {
    if (certificates.size() == most)
      return fail(Fault::invalid_input, fmt::format("expected at most {} certificates, found more", most));
    Certificate next(d2i_X509(nullptr, &at, static_cast<long>(end - at)));
    if (!next) return fail(Fault::invalid_input, "expected a certificate in DER: " + last_error());
    certificates.push_back(std::move(next));
  }
  if (certificates.empty()) return fail(Fault::invalid_input, "expected a certificate in DER, found nothing");
  return certificates;
}

Result<std::vector<Certificate>> read_certificates(const std::string& pem) {
  std::vector<Certificate> certificates;
  const auto bio = reader(pem);
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, no_password, nullptr)) certificates.emplace_back(next);
  // The queue now holds "no start line", which ends every PEM text, or what was wrong inside a block.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const auto reason = last_error();
  if (certificates.empty() || !at_end)
    return fail(Fault::invalid_input, "expected certificates in PEM: " + (at_end ? "found none" : reason));
  return certificates;
}

Result<Key> read_key(const std::string& pem) {
  const auto bio = reader(pem);
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (!key) return fail(Fault::invalid_input, "expected an unencrypted private key in PEM: " + last_error());
  return key;
}

}  // namespace nacelle::net::openssl
