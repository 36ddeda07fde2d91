#pragma once
// Owners of OpenSSL objects, and its errors as ours. Private to net/tls.

#include <openssl/bio.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>

#include <memory>
#include <string>
#include <vector>

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

/// Every certificate of a PEM text, in order; at least one, or Fault::invalid_input.
Result<std::vector<Certificate>> read_certificates(const std::string& pem);
Result<Key> read_key(const std::string& pem);

}  // namespace nacelle::net::openssl
