#pragma once
// DeviceAuthorities: the certificate authorities that operators uploaded, proof that they hold their keys, and the devices'
// certificates that are let in by them (wire facts 1.4).

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "domain/device/identity.h"
#include "foundation/async.h"
#include "foundation/clock.h"
#include "foundation/snapshot.h"
#include "net/tls/chain.h"
#include "storage/tables/database.h"

namespace nacelle::hub {

/// One row of the table `authority`.
struct DeviceAuthority {
  std::string name;
  std::string certificate_pem;
  net::CertificateFacts facts;
  bool verified = false;
  std::string code;  ///< the common name that a proof must have; empty: none was asked for
  std::string created_at;
  std::string updated_at;
  std::int64_t etag = 1;
};

/// Belongs to the tables strand, but for prove(), anchors() and trusted_pems(), which any thread may call.
class DeviceAuthorities {
 public:
  /// `own_pem`: the hub's own authority for devices, trusted without being in the table. `tables_strand`: see above.
  static Result<std::unique_ptr<DeviceAuthorities>> open(storage::Database& tables, Executor tables_strand, const Clock& clock,
                                                         std::string own_pem);

  /// Whether the certificates a client shows (leaf first) are those of `identity`: by its thumbprints, or by a verified
  /// authority and the client id as common name. Answers with the time this ends. Fault::denied says what failed.
  Result<Timestamp> prove(const device::Identity& identity, BytesView certificates_der) const;
  /// The verified authority of that name alone; null if there is none.
  std::shared_ptr<const net::TrustAnchors> anchors(const std::string& name) const;
  /// Those that are trusted, the hub's own first: for edges, which check certificates offline.
  std::vector<std::string> trusted_pems() const;

  Result<std::vector<DeviceAuthority>> list() const;            ///< by name
  Result<DeviceAuthority> find(const std::string& name) const;  ///< Fault::not_found
  /// Uploads it, or another in its place; either is not verified. `text`: net::read_one. Fault::invalid_input for what is not a
  /// valid authority; conflict if it is there under another name; exhausted beyond most.
  Result<DeviceAuthority> put(const std::string& name, std::string_view text);
  Result<> remove(const std::string& name);
  /// A new code, in place of the one before.
  Result<DeviceAuthority> generate_code(const std::string& name);
  /// Verified if `text` is a certificate signed by it with the code as common name. Fault::denied, invalid_input.
  Result<DeviceAuthority> verify(const std::string& name, std::string_view text);

  /// Whom to cut off when the authority that let it in is trusted no more.
  void on_withdrawn(std::function<void(const device::IdentityName&)> told) { withdrawn_ = std::move(told); }
  /// A connection of it is open: if what let it in was withdrawn in between, it is cut off.
  void connected(const device::IdentityName& name);
  void forget(const device::IdentityName& name) { admitted_.erase(name); }

  static constexpr std::size_t most = 25;  ///< as the original has

 private:
  struct Trust {
    std::shared_ptr<const net::TrustAnchors> all;
    std::vector<std::string> pems;  ///< of all
    std::map<std::string, std::shared_ptr<const net::TrustAnchors>> by_name;
    std::map<std::string, std::string> names;  ///< by SHA-256 thumbprint
  };

  DeviceAuthorities(storage::Database& tables, Executor tables_strand, const Clock& clock, std::string own_pem)
      : tables_(tables), strand_(std::move(tables_strand)), clock_(clock), own_pem_(std::move(own_pem)) {}
  Result<> publish();
  Result<DeviceAuthority> store(DeviceAuthority authority);

  storage::Database& tables_;
  const Executor strand_;
  const Clock& clock_;
  const std::string own_pem_;
  Snapshot<Trust> trust_;
  /// By which authority (SHA-256 thumbprint) each was let in last. At most one entry a registered identity.
  mutable std::map<device::IdentityName, std::string> admitted_;
  std::function<void(const device::IdentityName&)> withdrawn_;
};

/// 1 to 64 letters, digits and `-._`. Fault::invalid_input.
Result<> check_authority_name(std::string_view name);

}  // namespace nacelle::hub
