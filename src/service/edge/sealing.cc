#include "service/edge/sealing.h"

#include <openssl/evp.h>

#include <memory>

#include "codec/digest/digest.h"
#include "foundation/random.h"

namespace nacelle::edge {

namespace {

constexpr std::size_t nonce_bytes = 12;
constexpr std::size_t tag_bytes = 16;

using Cipher = std::unique_ptr<EVP_CIPHER_CTX, decltype(&EVP_CIPHER_CTX_free)>;
const unsigned char* raw(BytesView bytes) { return reinterpret_cast<const unsigned char*>(bytes.data()); }
unsigned char* raw(Bytes& bytes, std::size_t at) { return reinterpret_cast<unsigned char*>(bytes.data()) + at; }

Failure refused() { return fail(Fault::denied, "the ciphertext was not made by this module with this initialization vector"); }

}  // namespace

Result<Bytes> seal(BytesView module_key, BytesView context, BytesView plaintext) {
  const Bytes key = digest::hmac_sha256(module_key, "nacelle workload encryption");
  const Bytes nonce = secure_random(nonce_bytes);
  Bytes out = nonce;
  out.resize(nonce_bytes + plaintext.size() + tag_bytes);
  const Cipher cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int n = 0;
  const bool well =
      cipher && EVP_EncryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(key), raw(nonce)) == 1 &&
      EVP_EncryptUpdate(cipher.get(), nullptr, &n, raw(context), static_cast<int>(context.size())) == 1 &&
      EVP_EncryptUpdate(cipher.get(), raw(out, nonce_bytes), &n, raw(plaintext), static_cast<int>(plaintext.size())) == 1 &&
      EVP_EncryptFinal_ex(cipher.get(), raw(out, nonce_bytes + static_cast<std::size_t>(n)), &n) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_GET_TAG, tag_bytes, raw(out, nonce_bytes + plaintext.size())) == 1;
  if (!well) return fail(Fault::unavailable, "encryption failed");
  return out;
}

Result<Bytes> unseal(BytesView module_key, BytesView context, BytesView sealed) {
  if (sealed.size() < nonce_bytes + tag_bytes) return refused();
  const Bytes key = digest::hmac_sha256(module_key, "nacelle workload encryption");
  const BytesView ciphertext = sealed.substr(nonce_bytes, sealed.size() - nonce_bytes - tag_bytes);
  Bytes tag(sealed.substr(sealed.size() - tag_bytes));
  Bytes out(ciphertext.size() + tag_bytes, '\0');
  const Cipher cipher(EVP_CIPHER_CTX_new(), EVP_CIPHER_CTX_free);
  int n = 0;
  const bool well =
      cipher && EVP_DecryptInit_ex(cipher.get(), EVP_aes_256_gcm(), nullptr, raw(key), raw(sealed.substr(0, nonce_bytes))) == 1 &&
      EVP_DecryptUpdate(cipher.get(), nullptr, &n, raw(context), static_cast<int>(context.size())) == 1 &&
      EVP_DecryptUpdate(cipher.get(), raw(out, 0), &n, raw(ciphertext), static_cast<int>(ciphertext.size())) == 1 &&
      EVP_CIPHER_CTX_ctrl(cipher.get(), EVP_CTRL_GCM_SET_TAG, tag_bytes, tag.data()) == 1 &&
      EVP_DecryptFinal_ex(cipher.get(), raw(out, ciphertext.size()), &n) == 1;
  if (!well) return refused();
  out.resize(ciphertext.size());
  return out;
}

}  // namespace nacelle::edge
