#pragma once
// Devices' certificates against what the registry says of the device, and what a certificate says, as JSON: what hub, edge and the
// command line share (wire facts 1.4).

#include "codec/json/value.h"
#include "domain/device/identity.h"
#include "net/tls/chain.h"

namespace nacelle::endpoint {

struct CertificateProof {
  Timestamp until{};   ///< this ends then
  std::string anchor;  ///< SHA-256 thumbprint of the authority that let it in; empty: its own thumbprint did
};
/// Whether the certificates a client shows (leaf first) are those of `identity`: by its thumbprints, or by one of `authorities`
/// (may be null: none) and the client id as common name. Fault::denied says what failed; invalid_input for what is no certificate.
Result<CertificateProof> prove(const device::Identity& identity, BytesView certificates_der, const net::TrustAnchors* authorities,
                               Timestamp now);

/// Fault::denied outside the certificate's dates.
Result<> check_dates(const net::CertificateFacts& facts, Timestamp now);

json::Value to_json(const net::CertificateFacts& facts);

}  // namespace nacelle::endpoint
