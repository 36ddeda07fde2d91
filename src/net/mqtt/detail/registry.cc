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
  std::list<Delivery> offline;
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
  if (over && will)
    publish_will(*std::move(will));
  else
    drop_will(will);  // its delay was not over: section 3.1.3.2.2
  const bool persistent = connection->session_expiry() != 0;
  OpenSession open;
  if (!over && !kept) kept = load(id);
  open.present = !over && kept;
  open.session = open.present ? kept : make_session(connection->session_expiry());
  for (auto& delivery : open.present ? offline : std::list<Delivery>{}) {
    open.session->bytes += delivery.bytes();
    open.session->waiting().push_back(std::move(delivery));
  }
  if (options_.sessions && persistent) {
    connection->save_subscriptions = [store = options_.sessions, id, expiry = connection->session_expiry(),
                                      began_at = open.session->began_at()](const auto& all) {
      return store->save(id, {all, expiry, std::nullopt, began_at});
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

std::shared_ptr<Session> Registry::make_session(std::uint32_t expiry_seconds) {
  const std::lock_guard lock(mutex_);
  last_begun_ = std::max(clock_.now(), last_begun_ + std::chrono::microseconds{1});
  return std::make_shared<Session>(expiry_seconds, Session::Subscriptions{}, last_begun_);
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
  return std::make_shared<Session>(session.expiry_seconds, std::move(session.subscriptions), session.began_at);
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
  if (options_.messages && session.was_persistent()) options_.messages->forget_session(id);
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
      drop_will(client.will);
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
  const auto saved =
      options_.sessions->save(id, {session.subscriptions(), session.expiry_seconds(), clock_.now(), session.began_at()});
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
      drop_will(at->second.will);
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

void Registry::publish(const MqttMessagePtr& message, const std::string& from, std::optional<Timestamp> replayed_from) {
  auto retained = MqttMessageStore::Retained::unchanged;
  if (message->retain) {
    const bool room = broker_.retain(message);
    if (!room) log::warn("mqtt", "no room to retain a message for '{}': it is only passed on", message->topic);
    retained = room && !message->payload.empty() ? MqttMessageStore::Retained::set : MqttMessageStore::Retained::cleared;
  }
  auto deliveries = address(message, from, replayed_from);
  if (options_.messages && message->kept_at) keep(message, retained, deliveries);
  for (auto& [client, delivery] : deliveries) offer(client, std::move(delivery));
}

/// A message's deliveries to all whose subscriptions match.
std::vector<Registry::Addressed> Registry::address(const MqttMessagePtr& message, const std::string& from,
                                                   std::optional<Timestamp> replayed_from) {
  const auto is_online = [this](const std::string& client) { return online(client); };
  std::vector<Addressed> deliveries;
  for (auto& match : broker_.match(message->topic, from, is_online)) {
    if (replayed_from && began_after(match.client, *replayed_from)) continue;
    Delivery delivery;
    delivery.message = message;
    delivery.qos = std::min(message->qos, match.qos);
    delivery.for_subscription = true;
    delivery.retain = message->retain && match.retain_as_published;
    delivery.subscription_ids = std::move(match.subscription_ids);
    deliveries.push_back({std::move(match.client), std::move(delivery)});
  }
  return deliveries;
}

/// To the client's connection, or to its session until it is back.
void Registry::offer(const std::string& client_id, Delivery delivery) {
  if (const auto taken = place(client_id, delivery); !taken) delivery.answer(taken);
}

Result<> Registry::place(const std::string& client_id, Delivery& delivery) {
  const std::lock_guard lock(mutex_);
  const auto at = clients_.find(client_id);
  if (at == clients_.end()) return fail(Fault::unavailable, "the client has left");
  Client& client = at->second;
  if (client.serving) {
    auto taken = client.serving->mailbox().deliver(delivery);
    if (taken) return {};
    if (taken.error().fault == Fault::exhausted) {
      ++dropped_;
      return taken;
    }
  }
  if (delivery.qos == mqtt::QoS::at_most_once || !client.session || !client.session->persistent())
    return fail(Fault::unavailable, "the client is away");
  const ByteCount size = delivery.bytes();
  if (client.offline.size() >= options_.limits.max_waiting || offline_bytes_ + size > options_.limits.max_offline_bytes) {
    ++dropped_;
    return fail(Fault::exhausted, "too much waits for the client");
  }
  offline_bytes_ += size;
  client.offline.push_back(std::move(delivery));
  return {};
}

std::list<Registry::Delivery> Registry::take_offline(Client& client) {
  std::list<Delivery> taken;
  taken.swap(client.offline);
  for (const auto& delivery : taken) offline_bytes_ -= delivery.bytes();
  return taken;
}

// What is due later.

void Registry::hold_will(const std::string& client_id, HeldWill will, std::chrono::seconds delay) {
  const Timestamp due = clock_.now() + delay;
  if (options_.messages) will.kept_id = options_.messages->hold_will({0, client_id, due, will.will, policy_.describe(will.from)});
  const std::lock_guard lock(mutex_);
  Client& client = clients_[client_id];
  client.will = std::move(will);
  client.will_due = due;
  due_.emplace(due, client_id);
}

/// It is kept until it is published for good: a crash in between publishes it twice rather than never.
void Registry::publish_will(HeldWill held) {
  std::function<void(const Result<>&)> published;
  if (held.kept_id != 0) published = [store = options_.messages, id = held.kept_id](const Result<>&) { store->drop_will(id); };
  publish_will_of(policy_, held.will, held.from, std::move(published));
}

void Registry::drop_will(std::optional<HeldWill>& will) {
  if (will && will->kept_id != 0) options_.messages->drop_will(will->kept_id);
  will.reset();
}

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
  if (options_.messages) options_.messages->close();  // what is given up now is there at the next start
  for (auto& [id, client] : clients)
    if (client.session) client.session->abandon("the server ends");
}

}  // namespace nacelle::net
