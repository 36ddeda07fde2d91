#pragma once
// The edge's own certificate authority, got once from the hub, and the server certificate it signs with it, offline.

#include <string>

#include "net/tls/certificates.h"
#include "service/edge/edge_files.h"
#include "service/edge/hub_client.h"

namespace nacelle::edge {

struct EdgeAuthority {
  net::CertifiedKey authority;
  std::string root_pem;  ///< the trust bundle of modules and leaf devices
};

Result<EdgeAuthority> parse_authority(const json::Value& document);

/// The cached authority, if it lives for another day; nothing otherwise.
std::optional<EdgeAuthority> cached_authority(const EdgeFiles& files, Timestamp now);
/// From the hub, and into the cache (0600).
awaitable<Result<EdgeAuthority>> fetch_authority(const EdgeFiles& files, const HubClient& hub);

/// The certificate for `host`, localhost, 127.0.0.1 and ::1: the one on disk while it fits the authority and has more than
/// a third of its life left, else a new one.
Result<net::CertifiedKey> server_certificate(const EdgeFiles& files, const EdgeAuthority& authority, const std::string& host,
                                             Timestamp now);

}  // namespace nacelle::edge
