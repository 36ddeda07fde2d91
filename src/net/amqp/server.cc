#include "net/amqp/server.h"

#include <mutex>
#include <unordered_set>

#include "foundation/task_scope.h"
#include "net/amqp/detail/connection.h"

namespace nacelle::net {
namespace {

using ConnectionPtr = std::shared_ptr<ServedConnection>;

/// All connections of a server. Any thread; connections keep it alive.
class Connections final : public ServedConnectionHost, public std::enable_shared_from_this<Connections> {
 public:
  Connections(AmqpPeerFactory make_peer, AmqpLimits limits) : make_peer_(std::move(make_peer)), limits_(limits) {}

  const AmqpLimits& limits() const override { return limits_; }
  std::shared_ptr<AmqpPeer> make_peer(const AmqpConnectionPtr& connection) override { return make_peer_(connection); }
  bool has_room() const override { return held_ < static_cast<std::int64_t>(limits_.max_in_flight_bytes_in_all); }
  void hold(std::int64_t bytes) override { held_ += bytes; }
  void count_link(int change) override { links_ += change; }
  void count_received() override { ++received_; }
  void count_sent() override { ++sent_; }

  static awaitable<void> serve(std::shared_ptr<Connections> self, StreamPtr stream) {
    co_await asio::this_coro::throw_if_cancelled(false);
    const auto connection = std::make_shared<ServedConnection>(*self, std::move(stream));
    if (!self->enter(connection)) co_return;
    co_await connection->serve();
    self->leave(connection);
  }

  std::vector<ConnectionPtr> all() const {
    const std::lock_guard lock(mutex_);
    return {all_.begin(), all_.end()};
  }
  AmqpCounts counts() const {
    const std::lock_guard lock(mutex_);
    return {all_.size(), static_cast<std::uint64_t>(std::max<std::int64_t>(links_, 0)), received_, sent_};
  }

  void close_all() {
    {
      const std::lock_guard lock(mutex_);
      closed_ = true;
    }
    for (const auto& each : all()) each->close({"amqp:connection:forced", "the server ends"});
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

 private:
  bool enter(const ConnectionPtr& connection) {
    const std::lock_guard lock(mutex_);
    if (closed_ || all_.size() >= limits_.max_connections) return false;
    return all_.insert(connection).second;
  }
  void leave(const ConnectionPtr& connection) {
    std::vector<std::function<void(bool)>> wake;
    {
      const std::lock_guard lock(mutex_);
      all_.erase(connection);
      if (all_.empty()) wake.swap(on_empty_);
    }
    for (const auto& done : wake) done(true);
  }

  const AmqpPeerFactory make_peer_;
  const AmqpLimits limits_;
  std::atomic<std::int64_t> held_ = 0;
  std::atomic<std::int64_t> links_ = 0;
  std::atomic<std::uint64_t> received_ = 0;
  std::atomic<std::uint64_t> sent_ = 0;
  mutable std::mutex mutex_;
  std::unordered_set<ConnectionPtr> all_;            // guarded by mutex_
  std::vector<std::function<void(bool)>> on_empty_;  // guarded by mutex_
  bool closed_ = false;                              // guarded by mutex_
};

class Server final : public AmqpServer {
 public:
  Server(Executor executor, AmqpPeerFactory make_peer, AmqpLimits limits)
      : executor_(std::move(executor)),
        connections_(std::make_shared<Connections>(std::move(make_peer), limits)),
        tasks_(executor_) {
    tasks_.spawn(keep_sweeping());
  }

  Result<std::uint16_t> listen(const Endpoint& endpoint, std::shared_ptr<TlsServerContext> tls) override {
    const auto serve_one = [self = connections_](StreamPtr stream) { return Connections::serve(self, std::move(stream)); };
    TRY_LET(auto listener,
            Listener::listen(executor_, endpoint, std::move(tls), serve_one, connections_->limits().max_connections));
    listeners_.push_back(std::move(listener));
    return listeners_.back()->port();
  }
  awaitable<void> serve(StreamPtr stream) override { return Connections::serve(connections_, std::move(stream)); }
  void for_each(std::function<void(AmqpPeer&)> visit) override {
    for (const auto& each : connections_->all()) each->visit(visit);
  }
  AmqpCounts counts() const override { return connections_->counts(); }
  void sweep(std::chrono::steady_clock::time_point now) override {
    for (const auto& each : connections_->all()) each->tick(now);
  }
  awaitable<void> close() override {
    connections_->close_all();
    for (const auto& listener : listeners_) co_await listener->close();
    co_await connections_->all_ended();
    co_await tasks_.close();
  }

 private:
  awaitable<void> keep_sweeping() {
    while (true) {
      const bool rested = co_await sleep_for(std::chrono::seconds{1});
      if (!rested) co_return;
      sweep(std::chrono::steady_clock::now());
    }
  }

  const Executor executor_;
  const std::shared_ptr<Connections> connections_;
  std::vector<std::unique_ptr<Listener>> listeners_;
  TaskScope tasks_;
};

}  // namespace

std::unique_ptr<AmqpServer> AmqpServer::make(Executor executor, AmqpPeerFactory make_peer, AmqpLimits limits) {
  return std::make_unique<Server>(std::move(executor), std::move(make_peer), limits);
}

}  // namespace nacelle::net
