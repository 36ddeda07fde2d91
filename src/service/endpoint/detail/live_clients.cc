#include "service/endpoint/detail/live_clients.h"

#include "service/endpoint/detail/admission.h"

namespace nacelle::endpoint {

void LiveClients::add(const std::shared_ptr<const Client>& client) {
  const std::lock_guard lock(mutex_);
  clients_[client->client_id] = client;
}

void LiveClients::remove(const Client& client) {
  const std::lock_guard lock(mutex_);
  clients_.erase(client.client_id);
}

LiveClients::BySession LiveClients::all() const {
  const std::lock_guard lock(mutex_);
  return clients_;
}

LiveClients::BySession LiveClients::of(const device::IdentityName& who) const {
  const std::string plain = plain_session({Principal::Kind::device, who.client_id(), {}}, {});
  const std::lock_guard lock(mutex_);
  BySession found;
  if (const auto own = clients_.find(who.client_id()); own != clients_.end()) found.insert(*own);
  for (auto at = clients_.lower_bound(plain); at != clients_.end() && at->first.starts_with(plain); ++at) found.insert(*at);
  return found;
}

}  // namespace nacelle::endpoint
