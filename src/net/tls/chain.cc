#include "net/tls/chain.h"

#include <openssl/x509v3.h>

#include <fmt/format.h>
#include <algorithm>

#include "codec/digest/digest.h"
#include "net/tls/detail/openssl.h"

namespace nacelle::net {
namespace {

using openssl::Certificate;
using Store = std::unique_ptr<X509_STORE, openssl::Deleter<X509_STORE_free>>;
using StoreContext = std::unique_ptr<X509_STORE_CTX, openssl::Deleter<X509_STORE_CTX_free>>;

struct FreeStack {
  void operator()(STACK_OF(X509) * stack) const { sk_X509_free(stack); }  // not what is in it
};
using Borrowed = std::unique_ptr<STACK_OF(X509), FreeStack>;

/// OpenSSL's level for 112 bits of security, which is what TLS itself asks of keys here: RSA of 2048 bits, no SHA-1.
constexpr int security_level = 2;

/// What OpenSSL lets pass for the sake of old authorities: one that does not say that it is one.
Result<> check_authorities(const STACK_OF(X509) * chain) {
  for (int i = 1; i < sk_X509_num(chain); ++i)
    if (X509_check_ca(sk_X509_value(chain, i)) != 1)
      return fail(Fault::denied, "the chain holds an issuer that is not an authority");
  return {};
}

class Anchors final : public TrustAnchors {
 public:
  explicit Anchors(Store store) : store_(std::move(store)) {}

  Result<Proof> check(BytesView certificates_der, Timestamp now) const override {
    TRY_LET(const auto shown, openssl::read_ders(certificates_der, openssl::longest_chain));
    const Borrowed between(sk_X509_new_null());
    for (std::size_t i = 1; i < shown.size(); ++i) sk_X509_push(between.get(), shown[i].get());
    const StoreContext context(X509_STORE_CTX_new());
    if (!context || X509_STORE_CTX_init(context.get(), store_.get(), shown.front().get(), between.get()) != 1)
      return fail(Fault::exhausted, "checking a certificate: " + openssl::last_error());
    X509_VERIFY_PARAM* rules = X509_STORE_CTX_get0_param(context.get());
    X509_VERIFY_PARAM_set_time(rules, static_cast<time_t>(unix_seconds(now)));
    X509_VERIFY_PARAM_set_depth(rules, static_cast<int>(openssl::longest_chain));
    X509_VERIFY_PARAM_set_auth_level(rules, security_level);
    X509_VERIFY_PARAM_set_purpose(rules, X509_PURPOSE_SSL_CLIENT);
    X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);  // an intermediate may be an anchor
    const bool good = X509_verify_cert(context.get()) == 1;
    const int verdict = X509_STORE_CTX_get_error(context.get());
    openssl::last_error();  // emptied: the verdict says it
    if (!good)
      return fail(Fault::denied,
                  fmt::format("the certificate leads to no trusted authority: {}", X509_verify_cert_error_string(verdict)));
    return read(X509_STORE_CTX_get0_chain(context.get()), certificates_der);
  }

 private:
  static Result<Proof> read(const STACK_OF(X509) * chain, BytesView certificates_der) {
    TRY(check_authorities(chain));
    const int length = sk_X509_num(chain);
    if (length < 2) return fail(Fault::denied, "the certificate is the authority's own");
    Proof proof;
    TRY_LET(proof.leaf, inspect_der(certificates_der));
    proof.until = proof.leaf.not_after;
    for (int i = 1; i < length; ++i)
      proof.until = std::min(proof.until, openssl::read_time(X509_get0_notAfter(sk_X509_value(chain, i))));
    proof.anchor = digest::sha256_hex(openssl::to_der(sk_X509_value(chain, length - 1)));
    proof.length = static_cast<std::size_t>(length);
    return proof;
  }

  const Store store_;  // OpenSSL locks it
};

Result<Certificate> read_single(const std::string& pem) {
  TRY_LET(auto found, openssl::read_certificates(pem));
  return std::move(found.front());
}

}  // namespace

Result<std::shared_ptr<const TrustAnchors>> TrustAnchors::make(const std::vector<std::string>& authorities_pem) {
  Store store(X509_STORE_new());
  if (!store) return fail(Fault::exhausted, "making a store of certificates: " + openssl::last_error());
  for (const auto& pem : authorities_pem) {
    TRY_LET(const Certificate authority, read_single(pem));
    if (X509_STORE_add_cert(store.get(), authority.get()) != 1)
      return fail(Fault::invalid_input, "an authority's certificate: " + openssl::last_error());
  }
  return std::shared_ptr<const TrustAnchors>(std::make_shared<const Anchors>(std::move(store)));
}

Result<CertificateFacts> check_signed_by(const std::string& authority_pem, const std::string& pem, Timestamp now) {
  TRY_LET(const Certificate authority, read_single(authority_pem));
  TRY_LET(const Certificate leaf, read_single(pem));
  const EVP_PKEY* key = X509_get0_pubkey(authority.get());
  const bool issued = X509_check_issued(authority.get(), leaf.get()) == X509_V_OK;
  const bool good = issued && key != nullptr && X509_verify(leaf.get(), const_cast<EVP_PKEY*>(key)) == 1;
  openssl::last_error();
  if (!good) return fail(Fault::denied, "the certificate is not signed by this authority");
  TRY_LET(CertificateFacts facts, inspect(pem));
  if (now < facts.not_before || now > facts.not_after)
    return fail(Fault::denied, fmt::format("the certificate is valid from {} to {}, and not now",
                                           format_iso8601(facts.not_before, 0), format_iso8601(facts.not_after, 0)));
  return facts;
}

}  // namespace nacelle::net
