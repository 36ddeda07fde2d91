#pragma once
// Authority: the hub's own certificates (root -> intermediate -> server, root -> devices), kept in DIR/certs and renewed in
// time, and those it gives to edges, devices and other servers.

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "foundation/clock.h"
#include "foundation/snapshot.h"
#include "net/tls/certificates.h"
#include "storage/file/file.h"

namespace nacelle::hub {

/// Files: ca.pem (the root: what clients trust), ca.key, intermediate.pem/.key, devices.pem/.key, server.pem (chain)/.key. Keys
/// are 0600. A new pair is written key first, so that a kill between the two leaves a key without a certificate, which is made
/// anew; a kill in a renewal leaves a server's or intermediate's certificate with another's key, and both are made anew.
///
/// Edges hold authorities of the intermediate's, devices' certificates come from an authority of their own: what an edge signs
/// never lets anyone in as a device (docs/decisions/0210-device-authorities.md).
class Authority {
 public:
  /// Names and addresses the server certificate must carry.
  struct Names {
    std::string host;  ///< the common name
    std::vector<std::string> dns;
    std::vector<std::string> addresses;
  };

  /// Makes what is missing and renews what is due. Fault::corrupt for a certificate file that cannot be read: the root is
  /// never replaced silently.
  static Result<std::unique_ptr<Authority>> open(const storage::fs::path& directory, const Names& names, const Clock& clock,
                                                 storage::FileSystem& files);

  // -- Any thread
  std::shared_ptr<const net::CertifiedKey> server() const { return server_.get(); }
  const std::string& root_pem() const { return root_.certificate_pem; }
  const std::string& devices_pem() const { return devices_.certificate_pem; }
  const storage::fs::path& root_path() const { return root_path_; }
  /// `root`, `intermediate`, `devices`, `server`, in this order.
  Result<std::vector<std::pair<std::string, net::CertificateFacts>>> facts() const;
  /// Logs a warning for each that is not renewed by itself and ends within warn_before; how many there are.
  std::size_t warn_of_ends() const;

  enum class Purpose { device, edge, server };
  /// A certificate with its key, the chain up to the root's own children. Of an edge: an authority, with which it signs its
  /// server certificate itself, offline; of a device: for the hub's device `request.common_name`.
  Result<net::CertifiedKey> issue(Purpose purpose, net::CertificateRequest request) const;
  /// The same for a key that stays where it is: of the PEM `signing_request` (PKCS #10) only its public key counts, and its
  /// common name, which must be the request's if it has one. Without a key_pem.
  Result<net::CertifiedKey> sign(Purpose purpose, net::CertificateRequest request, const std::string& signing_request) const;
  Result<net::CertifiedKey> issue_edge_authority(const std::string& device) const;
  /// How long one lives if nobody says.
  static std::chrono::hours usual_lifetime(Purpose purpose);

  // -- One at a time
  /// Issues the server certificate again if its names are others or it ends within `renew_before`, and the intermediate before
  /// it could shorten that; the new one is on disk, then told. True if it was. With `now` it is issued in any case.
  Result<bool> renew(bool now = false);
  /// Who serves it. Until it succeeds, renew() is due again.
  void on_renewed(std::function<Result<>(const net::CertifiedKey& server)> told) { told_ = std::move(told); }

  static constexpr std::chrono::hours renew_before{24 * 30};
  /// Of those that nobody renews, because others hold them: people want to know early.
  static constexpr std::chrono::hours warn_before{24 * 365};

 private:
  Authority(storage::fs::path directory, Names names, const Clock& clock, storage::FileSystem& files);
  Result<> read_or_make_all();
  Result<> renew_intermediate();

  const storage::fs::path directory_;
  const Names names_;
  const Clock& clock_;
  storage::FileSystem& files_;
  const storage::fs::path root_path_;
  net::CertifiedKey root_;     // fixed once open
  net::CertifiedKey devices_;  // fixed once open
  Snapshot<net::CertifiedKey> intermediate_;
  Snapshot<net::CertifiedKey> server_;
  bool untold_ = false;  // what is on disk is not what is served
  std::function<Result<>(const net::CertifiedKey&)> told_;
};

/// The host's name, its `localhost` spellings, this machine's own name, and further names and addresses.
Authority::Names server_names(const std::string& host, const std::vector<std::string>& aliases = {});

}  // namespace nacelle::hub
