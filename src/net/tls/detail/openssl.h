#pragma once
// Owners of OpenSSL objects, and its errors as ours. Private to net/tls.

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/clock.h"
#include "foundation/result.h"

namespace nacelle::net::openssl {

template <auto Free>
struct Deleter {
  template <class T>
  void operator()(T* object) const {
    Free(object);
  }
};
using Bio = std::unique_ptr<BIO, Deleter<BIO_free_all>>;
using Key = std::unique_ptr<EVP_PKEY, Deleter<EVP_PKEY_free>>;
using Certificate = std::unique_ptr<X509, Deleter<X509_free>>;
using Context = std::unique_ptr<SSL_CTX, Deleter<SSL_CTX_free>>;
using Session = std::unique_ptr<SSL, Deleter<SSL_free>>;

/// The newest entry of this thread's OpenSSL error queue, which is emptied.
std::string last_error();

/// The DER of a certificate; empty if it cannot be written.
Bytes to_der(const X509* certificate);
std::string text_of(const Bio& bio);  ///< what was written to it (BIO_s_mem)
std::string to_pem(const X509* certificate);

/// Up to the year 9999. What cannot be read is 1970: over.
Timestamp read_time(const ASN1_TIME* field);

/// A leaf, and more intermediates than anyone has.
inline constexpr std::size_t longest_chain = 10;

/// The certificates of a run of DERs, in order, at most `most`; at least one, or Fault::invalid_input.
Result<std::vector<Certificate>> read_ders(BytesView ders, std::size_t most);
/// Every certificate of a PEM text, in order; at least one, or Fault::invalid_input.
Result<std::vector<Certificate>> read_certificates(const std::string& pem);
Result<Key> read_key(const std::string& pem);

}  // namespace nacelle::net::openssl
