#include "net/mqtt/detail/registry.h"

#include <algorithm>

#include "foundation/log.h"

namespace nacelle::net {

using mqtt::Reason;

namespace {

/// Clients of an open namespace choose their ids, and a session may be kept for good: this many are.
constexpr std::size_t max_clients = 200'000;

}  // namespace

Registry::Registry(MqttPolicy& policy, MqttServer::Options options)
    : policy_(policy),
      options_(std::move(options)),
      clock_(options_.clock != nullptr ? *options_.clock : system_clock_),
      broker_({options_.limits.max_retained, options_.limits.max_retained_bytes}) {}

// A connection's way through.

awaitable<void> Registry::serve(std::shared_ptr<Registry> self, StreamPtr stream) {
  co_await asio::this_coro::throw_if_cancelled(false);
  auto connection = std::make_shared<Connection>(*self, std::move(stream));
  connection->start();
  if (!self->enter(connection)) {
    connection->abort();
    co_return;
  }
  const bool accepted = co_await connection->accept();
  if (accepted) {
    const bool admitted = self->has_room_for(connection->client_id());
    const ConnectionPtr previous = admitted ? self->claim(connection) : nullptr;
    if (previous) co_await self->take_over(previous);
    if (!admitted) {
      co_await connection->refuse_for_room();
    } else if (connection->closing() || self->is_closed()) {
      connection->abort();
    } else {
      auto [session, present] = self->open_session(connection);
      co_await connection->serve(session, present);
    }
    if (admitted) self->release(connection);
  }
  self->leave(connection);
}

bool Registry::is_closed() const {
  const std::lock_guard lock(mutex_);
  return closed_;
}

bool Registry::has_room_for(const std::string& client_id) const {
  const std::lock_guard lock(mutex_);
  return clients_.size() < max_clients || clients_.contains(client_id);
}

bool Registry::enter(const ConnectionPtr& connection) {
  const std::lock_guard lock(mutex_);
  if (closed_ || all_.size() >= options_.limits.max_connections) return false;
  all_.insert(connection);
  return true;
}

void Registry::leave(const ConnectionPtr& connection) {
  std::vector<std::function<void(bool)>> wake;
  {
    const std::lock_guard lock(mutex_);
    all_.erase(connection);
    if (all_.empty()) wake.swap(on_empty_);
    const auto at = on_left_.find(connection.get());
    if (at != on_left_.end()) {
      for (auto& done : at->second) wake.push_back(std::move(done));
      on_left_.erase(at);
    }
  }
  for (const auto& done : wake) done(true);
}

/// Makes `connection` the one of its client id; the one before it, if that still lives.
ConnectionPtr Registry::claim(const ConnectionPtr& connection) {
  const std::lock_guard lock(mutex_);
  auto& client = clients_[connection->client_id()];
  return std::exchange(client.connection, connection);
}

/// The newer connection wins [MQTT-3.1.4-2], and begins when the older one has ended.
awaitable<void> Registry::take_over(ConnectionPtr previous) {
  previous->close_for("another connection came with the same client id", Reason::session_taken_over);
  auto wait = [self = shared_from_this(), previous](std::function<void(bool)> done) {
    {
      const std::lock_guard lock(self->mutex_);
      if (self->all_.contains(previous)) return self->on_left_[previous.get()].push_back(std::move(done));
    }
    done(true);
  };
  co_await await_callback<bool>(std::move(wait));
}

// Sessions.

Registry::OpenSession Registry::open_session(const ConnectionPtr& connection) {
  const auto& id = connection->client_id();
  std::shared_ptr<Session> kept;
  std::deque<Delivery> offline;
  std::optional<HeldWill> will;
  bool over = connection->clean_start();
  {
    const std::lock_guard lock(mutex_);
    auto& client = clients_[id];
    kept = std::move(client.session);
    offline = take_offline(client);
    will = std::exchange(client.will, std::nullopt);
    over = over || (client.ends_at && *client.ends_at <= clock_.now());
    client.ends_at.reset();
    client.forgotten = false;
  }
  if (over && kept) end_session(id, *std::exchange(kept, nullptr), "the client's session has ended");
  if (over && will) publish_will(*std::move(will));  // else its delay was not over: section 3.1.3.2.2
  const bool persistent = connection->session_expiry() != 0;
  OpenSession open;
  if (!over && !kept) kept = load(id);
  open.present = !over && kept;
  open.session = open.present ? kept : std::make_shared<Session>(connection->session_expiry(), Session::Subscriptions{});
  for (auto& delivery : open.present ? offline : std::deque<Delivery>{}) {
    open.session->bytes += delivery.bytes();
    open.session->waiting().push_back(std::move(delivery));
  }
  if (options_.sessions && persistent) {
    connection->save_subscriptions = [store = options_.sessions, id, expiry = connection->session_expiry()](const auto& all) {
      return store->save(id, {all, expiry, std::nullopt});
    };
    const auto saved = connection->save_subscriptions(open.session->subscriptions());
    if (!saved) log::error("mqtt", "{}: its session will not be kept: {}", id, saved.error().message);
  } else {
    forget_stored(id);
  }
  const std::lock_guard lock(mutex_);
  auto& client = clients_[id];
  client.session = open.session;
  client.serving = connection;
  return open;
}

/// Null if there is none, or if it is over.
std::shared_ptr<Session> Registry::load(const std::string& id) {
  if (!options_.sessions) return nullptr;
  auto kept = options_.sessions->load(id);
  if (!kept) {
    log::error("mqtt", "{}: its session is lost: {}", id, kept.error().message);
    return nullptr;
  }
  if (!*kept) return nullptr;
  MqttKeptSession& session = **kept;
  if (session.left_at && *session.left_at + std::chrono::seconds{session.expiry_seconds} <= clock_.now()) return nullptr;
  return std::make_shared<Session>(session.expiry_seconds, std::move(session.subscriptions));
}

void Registry::load_kept_sessions() {
  if (!options_.sessions || !options_.broadcasts) return;
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

void Registry::forget_stored(const std::string& id) {
  if (!options_.sessions) return;
  const auto forgotten = options_.sessions->forget(id);
  if (!forgotten) log::error("mqtt", "{}: forgetting its session: {}", id, forgotten.error().message);
}

/// Not with the mutex held.
void Registry::end_session(const std::string& id, Session& session, const char* why) {
  for (const auto& subscription : session.subscriptions())
    if (broadcasts(subscription.filter)) broker_.unsubscribe(id, subscription.filter);
  session.abandon(why);
}

/// After the end of an accepted connection: its session is kept, handed to the successor, or dropped.
void Registry::release(const ConnectionPtr& connection) {
  const std::string& id = connection->client_id();
  std::shared_ptr<Session> dropped;
  std::shared_ptr<Session> kept;
  {
    const std::lock_guard lock(mutex_);
    const auto at = clients_.find(id);
    if (at == clients_.end()) return;
    Client& client = at->second;
    const bool last = client.connection == connection;
    if (last) client.connection.reset();
    if (client.serving == connection) client.serving.reset();
    if (client.session && (!client.session->persistent() || client.forgotten)) {
      dropped = std::move(client.session);
      take_offline(client);
      client.will.reset();
    } else if (client.session && client.session->expiry_seconds() != mqtt::never_expires) {
      kept = client.session;
      client.ends_at = clock_.now() + std::chrono::seconds{kept->expiry_seconds()};
      due_.emplace(*client.ends_at, id);
    }
    if (last && may_be_put_away(client)) clients_.erase(at);
  }
  if (kept) note_left(id, *kept);
  if (!dropped) return;
  end_session(id, *dropped, "the client has left");
  if (connection->session_expiry() != 0) forget_stored(id);  // DISCONNECT ended it
}

/// For a server that is started again before the session is over.
void Registry::note_left(const std::string& id, const Session& session) {
  if (!options_.sessions) return;
  const auto saved = options_.sessions->save(id, {session.subscriptions(), session.expiry_seconds(), clock_.now()});
  if (!saved) log::error("mqtt", "{}: its session will not be kept: {}", id, saved.error().message);
}

/// A stored session without messages needs no memory until the client is back, unless messages may be published to it.
bool Registry::may_be_put_away(const Client& client) const {
  if (!client.session) return !client.will;
  return options_.sessions && !options_.broadcasts && client.session->holds_nothing() && !client.will && !client.ends_at;
}

void Registry::forget(const std::string& client_id) {
  std::shared_ptr<Session> idle;
  {
    const std::lock_guard lock(mutex_);
    const auto at = clients_.find(client_id);
    if (at != clients_.end()) {
      at->second.forgotten = true;
      at->second.will.reset();
      if (at->second.connection) {
        at->second.connection->close("its session was forgotten");
      } else {
        idle = std::move(at->second.session);
        take_offline(at->second);
        clients_.erase(at);
      }
    }
  }
  if (idle) end_session(client_id, *idle, "the client's session was forgotten");
  forget_stored(client_id);
}

// Messages.

ConnectionPtr Registry::live(const std::string& client_id) const {
  const std::lock_guard lock(mutex_);
  const auto at = clients_.find(client_id);
  if (at == clients_.end() || !at->second.connection || !at->second.connection->live()) return {};
  return at->second.connection;
}

std::shared_ptr<const Session::Subscriptions> Registry::subscriptions(const std::string& client_id) const {
  const std::lock_guard lock(mutex_);
  const auto at = clients_.find(client_id);
  if (at == clients_.end() || !at->second.session) return {};
  return at->second.session->published();
}

bool Registry::online(const std::string& client_id) const {
  const std::lock_guard lock(mutex_);
  const auto at = clients_.find(client_id);
  return at != clients_.end() && at->second.serving;
}

void Registry::publish(const MqttMessagePtr& message, const std::string& from) {
  if (message->retain && !broker_.retain(message))
    log::warn("mqtt", "no room to retain a message for '{}': it is only passed on", message->topic);
  const auto is_online = [this](const std::string& client) { return online(client); };
  for (auto& match : broker_.match(message->topic, from, is_online)) {
    Delivery delivery;
    delivery.message = message;
    delivery.qos = std::min(message->qos, match.qos);
    delivery.for_subscription = true;
    delivery.retain = message->retain && match.retain_as_published;
    delivery.subscription_ids = std::move(match.subscription_ids);
    offer(match.client, std::move(delivery));
  }
}

/// To the client's connection, or to its session until it is back.
void Registry::offer(const std::string& client_id, Delivery delivery) {
  const std::lock_guard lock(mutex_);
  const auto at = clients_.find(client_id);
  if (at == clients_.end()) return;
  Client& client = at->second;
  if (client.serving) {
    const auto taken = client.serving->mailbox().deliver(delivery);
    if (taken) return;
    if (taken.error().fault == Fault::exhausted) {
      ++dropped_;
      return;
    }
  }
  if (delivery.qos == mqtt::QoS::at_most_once || !client.session || !client.session->persistent()) return;
  const ByteCount size = delivery.bytes();
  if (client.offline.size() >= options_.limits.max_waiting || offline_bytes_ + size > options_.limits.max_offline_bytes) {
    ++dropped_;
    return;
  }
  offline_bytes_ += size;
  client.offline.push_back(std::move(delivery));
}

std::deque<Registry::Delivery> Registry::take_offline(Client& client) {
  std::deque<Delivery> taken;
  taken.swap(client.offline);
  for (const auto& delivery : taken) offline_bytes_ -= delivery.bytes();
  return taken;
}

// What is due later.

void Registry::hold_will(const std::string& client_id, HeldWill will, std::chrono::seconds delay) {
  const std::lock_guard lock(mutex_);
  Client& client = clients_[client_id];
  client.will = std::move(will);
  client.will_due = clock_.now() + delay;
  due_.emplace(client.will_due, client_id);
}

void Registry::publish_will(HeldWill held) { publish_will_of(policy_, held.will, held.from); }

void Registry::sweep() {
  const Timestamp now = clock_.now();
  std::vector<HeldWill> wills;
  std::vector<std::pair<std::string, std::shared_ptr<Session>>> ended;
  {
    const std::lock_guard lock(mutex_);
    if (closed_) return;
    while (!due_.empty() && due_.begin()->first <= now) {
      const std::string id = std::move(due_.begin()->second);
      due_.erase(due_.begin());
      const auto at = clients_.find(id);
      if (at == clients_.end()) continue;
      Client& client = at->second;
      const bool over = !client.serving && client.ends_at && *client.ends_at <= now;
      if (client.will && (over || client.will_due <= now)) wills.push_back(*std::exchange(client.will, std::nullopt));
      if (!over) continue;
      if (client.session) ended.emplace_back(id, std::move(client.session));
      take_offline(client);
      client.ends_at.reset();
      if (!client.connection) clients_.erase(at);
    }
  }
  for (auto& will : wills) publish_will(std::move(will));
  for (const auto& [id, session] : ended) {
    end_session(id, *session, "the client's session has expired");
    if (!online(id)) forget_stored(id);
  }
}

// The end.

std::size_t Registry::connections() const {
  const std::lock_guard lock(mutex_);
  return all_.size();
}

void Registry::close_all() {
  const std::lock_guard lock(mutex_);
  closed_ = true;
  for (const auto& connection : all_) {
    connection->discard_will();
    connection->close_for("the server ends", Reason::server_shutting_down);
  }
}

awaitable<void> Registry::all_ended() {
  auto wait = [self = shared_from_this()](std::function<void(bool)> done) {
    {
      const std::lock_guard lock(self->mutex_);
      if (!self->all_.empty()) return self->on_empty_.push_back(std::move(done));
    }
    done(true);
  };
  co_await await_callback<bool>(std::move(wait));
}

void Registry::abandon_sessions() {
  std::unordered_map<std::string, Client> clients;
  {
    const std::lock_guard lock(mutex_);
    clients.swap(clients_);
    due_.clear();
  }
  for (auto& [id, client] : clients)
    if (client.session) client.session->abandon("the server ends");
}

}  // namespace nacelle::net
