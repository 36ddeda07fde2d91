#pragma once
// HubClient: the edge's HTTPS calls to its hub: who is in its scope, its own CA, model artifacts (brief: hub REST
// extensions). Every call makes its own connection: they are rare. Any strand.

#include <functional>
#include <memory>
#include <string>

#include "codec/json/value.h"
#include "domain/device/identity.h"
#include "foundation/async.h"
#include "foundation/clock.h"
#include "net/http/message.h"
#include "net/tls/context.h"

namespace nacelle::edge {

/// The hub as the connection string and the command line name it.
struct HubAddress {
  std::string name;  ///< as in the connection string, `host` or `host:port`: in user names and tokens
  std::string host;  ///< without port
  std::uint16_t https = 443;
  std::uint16_t mqtts = 8883;

  /// What a token or a user name may call it: with and without port.
  std::vector<std::string> names() const;
};
/// `host_name` from the connection string; `mqtts` 0: 8883.
Result<HubAddress> parse_hub_address(const std::string& host_name, std::uint16_t mqtts);

/// Token lifetime, and how long after connecting a connection is renewed.
inline constexpr std::chrono::seconds token_lifetime{3600};
inline constexpr std::chrono::seconds token_renewal{2700};

class HubClient {
 public:
  /// `device_key`: of the edge device itself.
  HubClient(HubAddress hub, std::shared_ptr<net::TlsClientContext> tls, device::DeviceId edge, std::string device_key,
            const Clock& clock)
      : hub_(std::move(hub)), tls_(std::move(tls)), edge_(std::move(edge)), device_key_(std::move(device_key)), clock_(clock) {}

  /// `{"devices":[..],"modules":[..]}`, keys included.
  awaitable<Result<json::Value>> scope(std::chrono::seconds timeout = std::chrono::seconds(30)) const;
  /// `{"certificate","privateKey","root"}`: the edge's own CA.
  awaitable<Result<json::Value>> edge_authority() const;
  /// The bytes whose SHA-256 is `sha256_hex`; checked. Fault::corrupt if they are others.
  awaitable<Result<Bytes>> artifact(std::string sha256_hex) const;

  /// File upload, steps 1 and 3 (wire facts 3), as the edge device: the hub knows uploads of devices only.
  awaitable<Result<json::Value>> begin_upload(std::string blob_name) const;
  awaitable<Result<>> end_upload(json::Value notification) const;

  const HubAddress& hub() const { return hub_; }
  const std::shared_ptr<net::TlsClientContext>& tls() const { return tls_; }
  const Clock& clock() const { return clock_; }

 private:
  awaitable<Result<Bytes>> call(std::string_view method, std::string target, Bytes body, ByteCount max_body,
                                std::chrono::seconds timeout) const;

  HubAddress hub_;
  std::shared_ptr<net::TlsClientContext> tls_;
  device::DeviceId edge_;
  std::string device_key_;
  const Clock& clock_;
};

}  // namespace nacelle::edge
