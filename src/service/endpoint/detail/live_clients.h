#pragma once
// Which clients are connected, so that those whose credentials do not hold any more can be found. Private to service/endpoint.

#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "service/endpoint/detail/client.h"

namespace nacelle::endpoint {

/// Any thread.
class LiveClients {
 public:
  using BySession = std::map<std::string, std::shared_ptr<const Client>>;

  void add(const std::shared_ptr<const Client>& client);
  void remove(const Client& client);
  BySession all() const;
  /// The identity's own connection, and those of plain clients that are it.
  BySession of(const device::IdentityName& who) const;

 private:
  mutable std::mutex mutex_;
  BySession clients_;  // guarded by mutex_
};

}  // namespace nacelle::endpoint
