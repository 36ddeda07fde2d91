#pragma once
// TLS settings: 1.2 at least; servers ask for a client certificate and do not require one (wire facts 1.1).

#include <memory>
#include <string>

#include "foundation/result.h"

namespace nacelle::net {

class TlsServerContext {
 public:
  /// PEM texts: the chain leaf first, and its key.
  static Result<std::shared_ptr<TlsServerContext>> make(const std::string& chain_pem, const std::string& key_pem);
  virtual ~TlsServerContext() = default;
  /// New connections get the new certificate; old ones go on. Any thread.
  virtual Result<> replace(const std::string& chain_pem, const std::string& key_pem) = 0;
  virtual void* new_session() = 0;  ///< a fresh SSL*, owned by the caller; any thread; for net/tls only
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
