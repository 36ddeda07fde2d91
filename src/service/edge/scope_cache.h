#pragma once
// ScopeCache: who belongs to this edge, with keys, as the hub last told; on disk, so that everybody can be authenticated
// offline (P4). Refreshed at start, hourly, when the manifest changes, and for a stranger.
// find() from any thread; the rest on the edge's strand.

#include <map>
#include <memory>
#include <optional>

#include "domain/device/identity.h"
#include "foundation/async.h"
#include "foundation/snapshot.h"
#include "net/tls/chain.h"
#include "service/edge/edge_files.h"
#include "service/edge/hub_client.h"

namespace nacelle::edge {

class ScopeCache {
 public:
  using Identities = std::map<device::IdentityName, device::Identity>;

  /// Starts from what is on disk. All borrowed for life.
  ScopeCache(const EdgeFiles& files, const HubClient& hub, const Clock& clock);

  std::optional<device::Identity> find(const device::IdentityName& who) const;
  /// Whose signature the hub takes under a device's certificate; null: it told of none.
  std::shared_ptr<const net::TrustAnchors> authorities() const { return *authorities_.get(); }
  std::shared_ptr<const Identities> all() const { return identities_.get(); }
  bool known() const { return !all()->empty(); }

  /// Asks the hub; keeps the old scope if it cannot.
  awaitable<Result<>> refresh(std::chrono::seconds timeout = std::chrono::seconds(30));
  /// Back after a refresh that began later than this call. All who wait share one, and one begins at most every
  /// `between_refreshes`: strangers wait for each other, and cannot make us flood the hub.
  awaitable<Result<>> refresh_for_stranger();

  static constexpr std::chrono::milliseconds between_refreshes{500};

 private:
  Result<> take(const json::Value& document);
  Result<> publish(const json::Value& document);

  const EdgeFiles& files_;
  const HubClient& hub_;
  const Clock& clock_;
  Snapshot<Identities> identities_;
  Snapshot<std::shared_ptr<const net::TrustAnchors>> authorities_;
  std::uint64_t begun_ = 0;  // refreshes begun and ended
  std::uint64_t ended_ = 0;
  Result<> last_outcome_;
  std::chrono::steady_clock::time_point last_begun_{};
};

/// Reads the hub's scope document. Fault::invalid_input names the identity that does not fit.
Result<ScopeCache::Identities> parse_scope(const json::Value& document);
/// Its `authorities`, PEM texts; null if it has none, as that of an older hub.
Result<std::shared_ptr<const net::TrustAnchors>> parse_authorities(const json::Value& document);

}  // namespace nacelle::edge
