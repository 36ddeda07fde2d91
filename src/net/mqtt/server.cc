#include "net/mqtt/server.h"

#include <mutex>
#include <unordered_map>
#include <unordered_set>

#include "foundation/log.h"
#include "net/mqtt/detail/connection.h"

namespace nacelle::net {
namespace {

using ConnectionPtr = std::shared_ptr<Connection>;

/// All clients and connections. Any thread; connections keep it alive.
class Registry final : public ConnectionHost, public std::enable_shared_from_this<Registry> {
 public:
  Registry(MqttPolicy& policy, MqttServer::Options options)
      : policy_(policy), options_(std::move(options)), clock_(options_.clock != nullptr ? *options_.clock : system_clock_) {}

  MqttPolicy& policy() override { return policy_; }
  const MqttLimits& limits() const override { return options_.limits; }
  const Clock& clock() const override { return clock_; }
  Budget& budget() override { return budget_; }

  static awaitable<void> serve(std::shared_ptr<Registry> self, StreamPtr stream) {
    co_await asio::this_coro::throw_if_cancelled(false);
    auto connection = std::make_shared<Connection>(*self, std::move(stream));
    connection->start();
    if (!self->enter(connection)) {
      connection->abort();
      co_return;
    }
    const bool accepted = co_await connection->accept();
    if (accepted) {
      const ConnectionPtr previous = self->claim(connection);
      if (previous) co_await self->take_over(previous);
      if (connection->closing() || self->is_closed()) {
        connection->abort();
      } else {
        auto [session, present] = self->open_session(connection);
        co_await connection->serve(session, present);
      }
      self->release(connection);
    }
    self->leave(connection);
  }

  ConnectionPtr live(const std::string& client_id) const {
    const std::lock_guard lock(mutex_);
    const auto at = clients_.find(client_id);
    if (at == clients_.end() || !at->second.connection || !at->second.connection->live()) return {};
    return at->second.connection;
  }

  std::shared_ptr<const std::vector<mqtt::Subscription>> subscriptions(const std::string& client_id) const {
    const std::lock_guard lock(mutex_);
    const auto at = clients_.find(client_id);
    if (at == clients_.end() || !at->second.session) return {};
    return at->second.session->published();
  }

  void forget(const std::string& client_id) {
    std::shared_ptr<Session> idle;
    {
      const std::lock_guard lock(mutex_);
      const auto at = clients_.find(client_id);
      if (at != clients_.end()) {
        at->second.forgotten = true;
        if (at->second.connection) {
          at->second.connection->close("its session was forgotten");
        } else {
          idle = std::move(at->second.session);
          clients_.erase(at);
        }
      }
    }
    if (idle) idle->abandon("the client's session was forgotten");
    forget_stored(client_id);
  }

  std::size_t connections() const {
    const std::lock_guard lock(mutex_);
    return all_.size();
  }

  /// Tells every connection to end.
  void close_all() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    for (const auto& connection : all_) {
      connection->discard_will();
      connection->close("the server ends");
    }
  }

  awaitable<void> all_ended() {
    auto wait = [self = shared_from_this()](std::function<void(bool)> done) {
      {
        const std::lock_guard lock(self->mutex_);
        if (!self->all_.empty()) return self->on_empty_.push_back(std::move(done));
      }
      done(true);
    };
    co_await await_callback<bool>(std::move(wait));
  }

  /// What kept sessions still hold is answered: nobody will come back for it.
  void abandon_sessions() {
    std::unordered_map<std::string, Client> clients;
    {
      const std::lock_guard lock(mutex_);
      clients.swap(clients_);
    }
    for (auto& [id, client] : clients)
      if (client.session) client.session->abandon("the server ends");
  }

 private:
  struct Client {
    std::shared_ptr<Session> session;
    ConnectionPtr connection;  // the newest accepted one; it may still wait for the one before it to end
    bool forgotten = false;
  };
  struct OpenSession {
    std::shared_ptr<Session> session;
    bool present;
  };

  bool is_closed() const {
    const std::lock_guard lock(mutex_);
    return closed_;
  }

  bool enter(const ConnectionPtr& connection) {
    const std::lock_guard lock(mutex_);
    if (closed_ || all_.size() >= options_.limits.max_connections) return false;
    all_.insert(connection);
    return true;
  }

  void leave(const ConnectionPtr& connection) {
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
  ConnectionPtr claim(const ConnectionPtr& connection) {
    const std::lock_guard lock(mutex_);
    auto& client = clients_[connection->client_id()];
    return std::exchange(client.connection, connection);
  }

  /// The newer connection wins [MQTT-3.1.4-2], and begins when the older one has ended.
  awaitable<void> take_over(ConnectionPtr previous) {
    previous->close("another connection came with the same client id");
    auto wait = [self = shared_from_this(), previous](std::function<void(bool)> done) {
      {
        const std::lock_guard lock(self->mutex_);
        if (self->all_.contains(previous)) return self->on_left_[previous.get()].push_back(std::move(done));
      }
      done(true);
    };
    co_await await_callback<bool>(std::move(wait));
  }

  OpenSession open_session(const ConnectionPtr& connection) {
    const auto& id = connection->client_id();
    std::shared_ptr<Session> kept;
    {
      const std::lock_guard lock(mutex_);
      auto& client = clients_[id];
      kept = std::move(client.session);
      client.forgotten = false;
    }
    OpenSession open;
    if (connection->clean_session()) {
      if (kept) kept->abandon("the client began a clean session");
      forget_stored(id);
      open = {std::make_shared<Session>(false, std::vector<mqtt::Subscription>{}), false};
    } else {
      open = kept ? OpenSession{kept, true} : load(id);
      if (options_.sessions) {
        connection->save_subscriptions = [store = options_.sessions, id](const auto& subscriptions) {
          return store->save(id, subscriptions);
        };
      }
    }
    const std::lock_guard lock(mutex_);
    clients_[id].session = open.session;
    return open;
  }

  OpenSession load(const std::string& id) {
    const auto fresh = [](std::vector<mqtt::Subscription> subscriptions) {
      return std::make_shared<Session>(true, std::move(subscriptions));
    };
    if (!options_.sessions) return {fresh({}), false};
    const auto exists = options_.sessions->exists(id);
    if (exists && *exists) {
      auto subscriptions = options_.sessions->load(id);
      if (subscriptions) return {fresh(std::move(*subscriptions)), true};
      log::error("mqtt", "{}: its session is lost: {}", id, subscriptions.error().message);
    }
    const auto saved = options_.sessions->save(id, {});
    if (!saved) log::error("mqtt", "{}: its session will not be kept: {}", id, saved.error().message);
    return {fresh({}), false};
  }

  void forget_stored(const std::string& id) {
    if (!options_.sessions) return;
    const auto forgotten = options_.sessions->forget(id);
    if (!forgotten) log::error("mqtt", "{}: forgetting its session: {}", id, forgotten.error().message);
  }

  /// After the end of an accepted connection: its session is kept, handed to the successor, or dropped.
  void release(const ConnectionPtr& connection) {
    std::shared_ptr<Session> dropped;
    {
      const std::lock_guard lock(mutex_);
      const auto at = clients_.find(connection->client_id());
      if (at == clients_.end()) return;
      Client& client = at->second;
      const bool last = client.connection == connection;
      if (last) client.connection.reset();
      if (client.session && (!client.session->persistent() || client.forgotten)) dropped = std::move(client.session);
      // A stored session without deliveries needs no memory until the client is back.
      const bool stored = options_.sessions && client.session && client.session->unacknowledged().empty();
      if (last && (!client.session || stored)) clients_.erase(at);
    }
    if (dropped) dropped->abandon("the client has left");
  }

  MqttPolicy& policy_;
  const MqttServer::Options options_;
  Budget budget_{options_.limits.max_in_flight_bytes_in_all};
  const SystemClock system_clock_;
  const Clock& clock_;
  mutable std::mutex mutex_;
  std::unordered_map<std::string, Client> clients_;                                  // guarded by mutex_
  std::unordered_set<ConnectionPtr> all_;                                            // guarded by mutex_
  std::unordered_map<Connection*, std::vector<std::function<void(bool)>>> on_left_;  // guarded by mutex_
  std::vector<std::function<void(bool)>> on_empty_;                                  // guarded by mutex_
  bool closed_ = false;                                                              // guarded by mutex_
};

class Server final : public MqttServer {
 public:
  Server(Executor executor, MqttPolicy& policy, Options options)
      : executor_(std::move(executor)),
        max_connections_(options.limits.max_connections),
        registry_(std::make_shared<Registry>(policy, std::move(options))) {}

  Result<std::uint16_t> listen(const Endpoint& endpoint, std::shared_ptr<TlsServerContext> tls) override {
    auto serve = [registry = registry_](StreamPtr stream) { return Registry::serve(registry, std::move(stream)); };
    TRY_LET(auto listener, Listener::listen(executor_, endpoint, std::move(tls), std::move(serve), max_connections_));
    listeners_.push_back(std::move(listener));
    return listeners_.back()->port();
  }

  awaitable<void> serve(StreamPtr stream) override { return Registry::serve(registry_, std::move(stream)); }

  void deliver(const std::string& client_id, std::string topic, Bytes payload, mqtt::QoS qos, Delivered done) override {
    // Topics are made of what others sent; one that no packet can hold must not get as far as the encoder.
    if (!mqtt::valid_topic_name(topic)) return done(fail(Fault::invalid_input, "the topic of a delivery is not a topic name"));
    Mailbox::Delivery delivery{std::move(topic), std::move(payload), qos, std::move(done)};
    const auto connection = registry_->live(client_id);
    const Result<> taken =
        connection ? connection->mailbox().deliver(delivery) : fail(Fault::unavailable, "the client is not connected");
    if (!taken) delivery.done(taken);
  }

  bool connected(const std::string& client_id) const override { return registry_->live(client_id) != nullptr; }

  bool subscribed(const std::string& client_id, std::string_view topic) const override {
    const auto subscriptions = registry_->subscriptions(client_id);
    return subscriptions && registry_->live(client_id) && Session::granted(*subscriptions, topic).has_value();
  }

  void disconnect(const std::string& client_id, std::string reason) override {
    if (const auto connection = registry_->live(client_id)) connection->close(std::move(reason));
  }
  void forget(const std::string& client_id) override { registry_->forget(client_id); }
  std::size_t connections() const override { return registry_->connections(); }

  awaitable<void> close() override {
    registry_->close_all();
    for (const auto& listener : listeners_) co_await listener->close();
    co_await registry_->all_ended();
    registry_->abandon_sessions();
  }

 private:
  const Executor executor_;
  const std::size_t max_connections_;
  const std::shared_ptr<Registry> registry_;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

}  // namespace

std::unique_ptr<MqttServer> MqttServer::make(Executor executor, MqttPolicy& policy, Options options) {
  return std::make_unique<Server>(std::move(executor), policy, std::move(options));
}

}  // namespace nacelle::net
