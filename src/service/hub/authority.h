#pragma once
// Authority: the hub's own certificates (root -> intermediate -> server), kept in DIR/certs, and those it gives to edges.

#include <string>
#include <vector>

#include "foundation/clock.h"
#include "net/tls/certificates.h"
#include "storage/file/file.h"

namespace nacelle::hub {

/// Files: ca.pem (the root: what clients trust), ca.key, intermediate.pem/.key, server.pem (chain)/.key. Keys are 0600.
/// A pair is written key first, so that a kill between the two leaves a key without a certificate, which is made anew.
class Authority {
 public:
  /// Names and addresses the server certificate must carry.
  struct Names {
    std::string host;  ///< the common name
    std::vector<std::string> dns;
    std::vector<std::string> addresses;
  };

  /// Makes what is missing; issues the server certificate again if its names are others or it ends within
  /// `renew_before`. Fault::corrupt for a certificate file that cannot be read: the root is never replaced silently.
  static Result<Authority> open(const storage::fs::path& directory, const Names& names, const Clock& clock,
                                storage::FileSystem& files);

  const net::CertifiedKey& server() const { return server_; }
  const std::string& root_pem() const { return root_.certificate_pem; }
  const storage::fs::path& root_path() const { return root_path_; }

  /// An edge device's own authority: it signs its server certificate itself, offline. Any thread.
  Result<net::CertifiedKey> issue_edge_authority(const std::string& device) const;

  static constexpr std::chrono::hours renew_before{24 * 30};

 private:
  explicit Authority(const Clock& clock) : clock_(&clock) {}

  const Clock* clock_;
  net::CertifiedKey root_;
  net::CertifiedKey intermediate_;
  net::CertifiedKey server_;
  storage::fs::path root_path_;
};

/// The host's name, its `localhost` spellings and this machine's own name.
Authority::Names server_names(const std::string& host);

}  // namespace nacelle::hub
