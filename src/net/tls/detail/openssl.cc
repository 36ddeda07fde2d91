#include "net/tls/detail/openssl.h"

#include <openssl/err.h>
#include <openssl/pem.h>

namespace nacelle::net::openssl {
namespace {

Bio reader(const std::string& text) { return Bio(BIO_new_mem_buf(text.data(), static_cast<int>(text.size()))); }

}  // namespace

std::string last_error() {
  const auto code = ERR_peek_last_error();
  ERR_clear_error();
  const char* reason = code != 0 ? ERR_reason_error_string(code) : nullptr;
  return reason != nullptr ? reason : "no reason given";
}

Result<std::vector<Certificate>> read_certificates(const std::string& pem) {
  std::vector<Certificate> certificates;
  const auto bio = reader(pem);
  while (X509* next = PEM_read_bio_X509(bio.get(), nullptr, nullptr, nullptr)) certificates.emplace_back(next);
  // The queue now holds "no start line", which ends every PEM text, or what was wrong inside a block.
  const bool at_end = ERR_GET_REASON(ERR_peek_last_error()) == PEM_R_NO_START_LINE;
  const auto reason = last_error();
  if (certificates.empty() || !at_end)
    return fail(Fault::invalid_input, "expected certificates in PEM: " + (at_end ? "found none" : reason));
  return certificates;
}

Result<Key> read_key(const std::string& pem) {
  const auto bio = reader(pem);
  const auto no_password = [](char*, int, int, void*) { return 0; };
  Key key(PEM_read_bio_PrivateKey(bio.get(), nullptr, no_password, nullptr));
  if (!key) return fail(Fault::invalid_input, "expected an unencrypted private key in PEM: " + last_error());
  return key;
}

}  // namespace nacelle::net::openssl
