#pragma once
// AmqpClaims: what one AMQP connection has proved by tokens (CBS, wire facts 7.2), and for how long.

#include <map>
#include <string>
#include <vector>

#include "service/hub/access.h"

namespace nacelle::hub {

/// On the connection's strand. Borrows what it is made with.
class AmqpClaims {
 public:
  AmqpClaims(const Access& access, const Clock& clock) : access_(access), clock_(clock) {}

  /// Takes a token for an audience: `HUB`, `HUB/devices/d[/modules/m]..`, or `sb://HUB/..` (Event Hubs: another rule of signing).
  /// It replaces what was proved for the audience before. Fault::denied without secrets; exhausted beyond most_claims.
  Result<> put(std::string_view audience, std::string_view token);
  /// Whether one of the claims, as things are now, allows `need` for `target`. Fault::denied says why not.
  Result<> check(Need need, const device::IdentityName& target) const;
  /// The certificates of the connection, leaf first, as the proof of `who`. Fault::denied: they prove nothing (any more).
  Result<> show(const device::IdentityName& who, BytesView certificates_der);
  /// How an identity that check() lets in has proved itself.
  struct Standing {
    bool certificate = false;
    bool by_policy = false;  ///< a shared access policy's token, not its own
  };
  Standing standing(const device::IdentityName& who) const;
  bool empty() const { return claims_.empty(); }

  static constexpr std::size_t most_claims = 256;

 private:
  struct Claim {
    Caller caller;
    Timestamp until{};
    std::string holder;  ///< whose key it is: a client id, or empty
    endpoint::Credential credential;
  };
  Result<Claim> examine(std::string_view audience, std::string_view token) const;
  Result<> keep(const std::string& key, Claim claim);
  Result<> alive(const Claim& claim) const;

  const Access& access_;
  const Clock& clock_;
  std::map<std::string, Claim> claims_;  // by audience, in lower case
};

/// An address or audience without scheme, host and slashes at its ends: `hub` says whether there was a host.
struct AmqpPath {
  std::string host;  ///< empty: none was named
  std::string path;
};
AmqpPath split_audience(std::string_view audience);

}  // namespace nacelle::hub
