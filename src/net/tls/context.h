#pragma once
// TLS settings: 1.2 at least; servers ask for a client certificate and do not require one (wire facts 1.1).

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "foundation/result.h"

namespace nacelle::net {

/// Why a connection ended before it was secure; few words, for counting.
enum class HandshakeFailure : std::uint8_t {
  not_tls,      ///< what came is no TLS: plain HTTP or MQTT, a port scan
  version,      ///< no version or cipher in common
  certificate,  ///< the client's certificate, or its proof that it has the key
  rejected,     ///< the client's alert: mostly, it does not trust our certificate
  closed,       ///< the client went away
  late,         ///< it took too long
  other,
};
inline constexpr std::size_t handshake_failures = 7;
std::string_view name_of(HandshakeFailure failure);

class TlsServerContext {
 public:
  /// PEM texts: the chain leaf first, and its key.
  static Result<std::shared_ptr<TlsServerContext>> make(const std::string& chain_pem, const std::string& key_pem);
  virtual ~TlsServerContext() = default;
  /// New connections get the new certificate; old ones go on. Any thread.
  virtual Result<> replace(const std::string& chain_pem, const std::string& key_pem) = 0;
  virtual void* new_session() = 0;  ///< a fresh SSL*, owned by the caller; any thread; for net/tls only

  /// Since the context was made. Any thread.
  std::uint64_t failed(HandshakeFailure why) const { return failed_[static_cast<std::size_t>(why)]; }
  void count(HandshakeFailure why) { ++failed_[static_cast<std::size_t>(why)]; }

 private:
  std::array<std::atomic<std::uint64_t>, handshake_failures> failed_{};
};

class TlsClientContext {
 public:
  /// `ca_pem`: the trusted roots; empty: the system's store. `chain_pem` and `key_pem`: the client's own certificate, shown
  /// when the server asks; empty: none.
  static Result<std::shared_ptr<TlsClientContext>> make(const std::string& ca_pem, const std::string& chain_pem = {},
                                                        const std::string& key_pem = {});
  virtual ~TlsClientContext() = default;
  virtual void* new_session() = 0;
};

}  // namespace nacelle::net
