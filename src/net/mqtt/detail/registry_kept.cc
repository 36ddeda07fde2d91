// What outlives the server: sessions, what waits for them, retained messages, wills.

#include <algorithm>

#include "foundation/log.h"
#include "net/mqtt/detail/registry.h"

namespace nacelle::net {

// While it runs.

bool Registry::began_after(const std::string& client_id, Timestamp time) const {
  const std::lock_guard lock(mutex_);
  const auto at = clients_.find(client_id);
  return at != clients_.end() && at->second.session && at->second.session->began_at() > time;
}

void Registry::keep_as(std::uint64_t kept_id, Delivery& delivery) {
  delivery.kept_id = kept_id;
  // Two plain words: std::function keeps them inside itself. The store outlives every delivery, as we do.
  delivery.done = [store = options_.messages.get(), kept_id](const Result<>&) { store->settled(kept_id); };
}

void Registry::keep(const MqttMessagePtr& message, MqttMessageStore::Retained retained, std::vector<Addressed>& deliveries) {
  std::vector<MqttMessageStore::Waiting> waiting;
  std::vector<Delivery*> kept;
  {
    const std::lock_guard lock(mutex_);
    for (auto& [client, delivery] : deliveries) {
      if (delivery.qos == mqtt::QoS::at_most_once) continue;
      const auto at = clients_.find(client);
      if (at == clients_.end() || !at->second.session || !at->second.session->persistent()) continue;
      waiting.push_back({client, delivery.qos, delivery.retain, delivery.subscription_ids});
      kept.push_back(&delivery);
    }
  }
  const std::uint64_t first = options_.messages->published(message, retained, waiting);
  for (std::size_t i = 0; i < kept.size(); ++i) keep_as(first + i, *kept[i]);
}

/// On the strand of the client's connection.
void Registry::keep(const std::string& client_id, Delivery& delivery) {
  if (!options_.messages || !delivery.message->kept_at || delivery.qos == mqtt::QoS::at_most_once) return;
  {
    const std::lock_guard lock(mutex_);
    const auto at = clients_.find(client_id);
    if (at == clients_.end() || !at->second.session || !at->second.session->persistent()) return;
  }
  const MqttMessageStore::Waiting waiting{client_id, delivery.qos, delivery.retain, delivery.subscription_ids};
  keep_as(options_.messages->wait(delivery.message, waiting), delivery);
}

std::vector<MqttMessagePtr> Registry::retained(const std::string& filter) {
  std::vector<std::string> forgotten;
  auto found = broker_.retained(filter, clock_.now(), forgotten);
  if (options_.messages)
    for (const auto& topic : forgotten) options_.messages->forget_retained(topic);
  return found;
}

// At the start.

void Registry::load_kept() {
  if (!options_.sessions) return;
  if (options_.broadcasts) load_kept_sessions();
  if (options_.messages) load_kept_messages();
}

void Registry::load_kept_sessions() {
  const auto ids = options_.sessions->clients();
  if (!ids) return log::error("mqtt", "the kept sessions cannot be read: {}", ids.error().message);
  for (const std::string& id : *ids) {
    const auto session = load(id);
    if (!session) {
      forget_stored(id);
      continue;
    }
    for (const auto& subscription : session->subscriptions())
      if (broadcasts(subscription.filter)) broker_.subscribe(id, subscription);
    const std::lock_guard lock(mutex_);
    auto& client = clients_[id];
    client.session = session;
    if (session->expiry_seconds() == mqtt::never_expires) continue;
    client.ends_at = clock_.now() + std::chrono::seconds{session->expiry_seconds()};
    due_.emplace(*client.ends_at, id);
  }
}

void Registry::load_kept_messages() {
  auto kept = options_.messages->load();
  if (!kept) return log::error("mqtt", "what waits for clients and what is retained cannot be read: {}", kept.error().message);
  for (const auto& message : kept->retained) {
    const bool over = message->expires_at && *message->expires_at <= clock_.now();
    if (over || !broker_.retain(message)) options_.messages->forget_retained(message->topic);
  }
  for (auto& delivery : kept->deliveries) restore(std::move(delivery));
  for (const auto& identifier : kept->identifiers) restore(identifier);
  for (auto& will : kept->wills) restore(std::move(will));
  const auto replayed = options_.messages->replay([this](const MqttReplayed& each) { take_replayed(each); });
  if (!replayed) log::error("mqtt", "what was published last cannot be read again: {}", replayed.error().message);
}

void Registry::restore(MqttKeptDelivery kept) {
  const std::lock_guard lock(mutex_);
  const auto at = clients_.find(kept.session);
  if (at == clients_.end() || !at->second.session) return options_.messages->settled(kept.id);
  Delivery delivery;
  delivery.message = std::move(kept.message);
  delivery.qos = kept.qos;
  delivery.for_subscription = true;
  delivery.retain = kept.retain;
  delivery.subscription_ids = std::move(kept.subscription_ids);
  keep_as(kept.id, delivery);
  if (kept.packet_id != 0) {
    at->second.session->restore({kept.packet_id, kept.received, std::move(delivery), true, kept.received});
  } else {
    offline_bytes_ += delivery.bytes();
    at->second.offline.push_back(std::move(delivery));
  }
}

void Registry::restore(const MqttKeptIdentifier& kept) {
  const std::lock_guard lock(mutex_);
  const auto at = clients_.find(kept.session);
  const bool known = at != clients_.end() && at->second.session && at->second.session->began_at() == kept.since;
  if (known)
    at->second.session->restore_incoming(kept.packet_id);
  else
    options_.messages->released(kept.session, kept.packet_id, [](const Result<>&) {});  // of a session that has ended
}

void Registry::restore(MqttKeptWill kept) {
  auto context = policy_.recall(kept.from);
  if (!context) {
    log::error("mqtt", "{}: its will cannot be published: it is not known any more who left it", kept.session);
    return options_.messages->drop_will(kept.id);
  }
  const std::lock_guard lock(mutex_);
  Client& client = clients_[kept.session];
  client.will =
      HeldWill{std::move(kept.will), former_connection(kept.session, {}, "(before the start)", std::move(context)), kept.id};
  client.will_due = kept.due;
  due_.emplace(kept.due, kept.session);
}

void Registry::take_replayed(const MqttReplayed& replayed) {
  if (replayed.unsettled.packet_id != 0) {
    const std::lock_guard lock(mutex_);
    const auto at = clients_.find(replayed.from);
    if (at != clients_.end() && at->second.session && at->second.session->began_at() == replayed.unsettled.since) {
      at->second.session->restore_incoming(replayed.unsettled.packet_id);
      options_.messages->unreleased(replayed.unsettled, *replayed.message->kept_at);
    }
  }
  publish(replayed.message, replayed.from, replayed.at);
}

}  // namespace nacelle::net
