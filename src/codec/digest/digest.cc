#include "codec/digest/digest.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/sha.h>

#include "codec/text/encoding.h"
#include "foundation/invariant.h"

namespace nacelle::digest {
namespace {

constexpr const char* never_fails = "OpenSSL's SHA-256 fails only without memory";

const unsigned char* raw(BytesView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(Bytes& bytes) { return reinterpret_cast<unsigned char*>(bytes.data()); }

}  // namespace

Bytes sha256(BytesView bytes) {
  Bytes out(SHA256_DIGEST_LENGTH, '\0');
  INVARIANT(EVP_Digest(bytes.data(), bytes.size(), raw(out), nullptr, EVP_sha256(), nullptr) == 1, never_fails);
  return out;
}

std::string sha256_hex(BytesView bytes) { return text::hex_encode(sha256(bytes)); }

Bytes hmac_sha256(BytesView key, BytesView message) {
  Bytes out(SHA256_DIGEST_LENGTH, '\0');
  // A null key would mean "the last one" to OpenSSL; an empty view may hold a null pointer.
  const char* const key_bytes = key.empty() ? "" : key.data();
  const auto* done = HMAC(EVP_sha256(), key_bytes, static_cast<int>(key.size()), raw(message), message.size(), raw(out), nullptr);
  INVARIANT(done != nullptr, never_fails);
  return out;
}

bool equal_constant_time(BytesView a, BytesView b) {
  return a.size() == b.size() && (a.empty() || CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0);
}

struct Sha256::State {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~State() { EVP_MD_CTX_free(context); }
};

Sha256::Sha256() : state_(std::make_unique<State>()) {
  INVARIANT(state_->context && EVP_DigestInit_ex(state_->context, EVP_sha256(), nullptr) == 1, never_fails);
}
Sha256::~Sha256() = default;
Sha256::Sha256(Sha256&&) noexcept = default;
Sha256& Sha256::operator=(Sha256&&) noexcept = default;

void Sha256::update(BytesView bytes) { INVARIANT(EVP_DigestUpdate(state_->context, bytes.data(), bytes.size()) == 1, never_fails); }

std::string Sha256::hex() {
  Bytes out(SHA256_DIGEST_LENGTH, '\0');
  INVARIANT(EVP_DigestFinal_ex(state_->context, raw(out), nullptr) == 1, "hex() is called once");
  return text::hex_encode(out);
}

}  // namespace nacelle::digest
