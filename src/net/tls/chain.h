#pragma once
// Whether a certificate leads up to an authority that is trusted.
//
//   TRY_LET(const auto anchors, TrustAnchors::make({authority_pem}));
//   TRY_LET(const auto proof, anchors->check(stream.peer_certificates_der(), clock.now()));

#include <memory>
#include <string>
#include <vector>

#include "net/tls/certificates.h"

namespace nacelle::net {

/// Immutable; any thread.
class TrustAnchors {
 public:
  /// Each PEM text is one authority, a root or an intermediate. Fault::invalid_input. None at all trusts nobody.
  static Result<std::shared_ptr<const TrustAnchors>> make(const std::vector<std::string>& authorities_pem);
  virtual ~TrustAnchors() = default;

  struct Proof {
    CertificateFacts leaf;
    Timestamp until{};       ///< the first end in the chain
    std::string anchor;      ///< SHA-256 thumbprint of the authority the chain ended at
    std::size_t length = 0;  ///< certificates in the chain, leaf and anchor included
  };
  /// Of a TLS client's certificates, leaf first, as Stream::peer_certificates_der gives them. RFC 5280 section 6: signatures,
  /// dates at `now`, basic constraints and path lengths, key usage, name constraints; and beyond it each authority must say
  /// CA:TRUE, keys and hashes must be worth 112 bits, the leaf must be for client authentication if it says what it is for.
  /// Fault::denied says which check failed; invalid_input for what is no certificate.
  virtual Result<Proof> check(BytesView certificates_der, Timestamp now) const = 0;
};

/// The facts of the certificate in `pem`, which must be signed by `authority_pem` itself and be valid now, whatever it is for.
/// Fault::denied, invalid_input.
Result<CertificateFacts> check_signed_by(const std::string& authority_pem, const std::string& pem, Timestamp now);

}  // namespace nacelle::net
