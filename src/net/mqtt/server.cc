#include "net/mqtt/server.h"

#include "foundation/task_scope.h"
#include "net/mqtt/detail/registry.h"

namespace nacelle::net {
namespace {

constexpr std::chrono::seconds sweep_interval{1};

awaitable<void> sweep_for_ever(std::shared_ptr<Registry> registry) {
  while (true) {
    const bool rested = co_await sleep_for(sweep_interval);
    if (!rested) co_return;
    registry->sweep();
  }
}

class Server final : public MqttServer {
 public:
  Server(Executor executor, MqttPolicy& policy, Options options)
      : executor_(std::move(executor)),
        max_connections_(options.limits.max_connections),
        registry_(std::make_shared<Registry>(policy, std::move(options))),
        tasks_(executor_) {
    registry_->load_kept();
    tasks_.spawn(sweep_for_ever(registry_));
  }

  Result<std::uint16_t> listen(const Endpoint& endpoint, std::shared_ptr<TlsServerContext> tls) override {
    auto serve = [registry = registry_](StreamPtr stream) { return Registry::serve(registry, std::move(stream)); };
    TRY_LET(auto listener,
            Listener::listen(executor_, endpoint, std::move(tls), std::move(serve), max_connections_, Serving::own_thread));
    listeners_.push_back(std::move(listener));
    return listeners_.back()->port();
  }

  awaitable<void> serve(StreamPtr stream) override { return Registry::serve(registry_, std::move(stream)); }

  void deliver(const std::string& client_id, std::string topic, Bytes payload, mqtt::QoS qos, Delivered done) override {
    // Topics are made of what others sent; one that no packet can hold must not get as far as the encoder.
    if (!mqtt::valid_topic_name(topic)) return done(fail(Fault::invalid_input, "the topic of a delivery is not a topic name"));
    auto message = std::make_shared<MqttMessage>();
    message->topic = std::move(topic);
    message->payload = std::move(payload);
    message->qos = qos;
    Mailbox::Delivery delivery;
    delivery.message = std::move(message);
    delivery.qos = qos;
    delivery.done = std::move(done);
    const auto connection = registry_->live(client_id);
    const Result<> taken =
        connection ? connection->mailbox().deliver(delivery) : fail(Fault::unavailable, "the client is not connected");
    if (!taken) delivery.done(taken);
  }

  void publish(const MqttMessagePtr& message, const std::string& from) override { registry_->publish(message, from); }

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
  std::size_t retained() const override { return registry_->retained_count(); }
  std::uint64_t dropped() const override { return registry_->dropped(); }
  void sweep() override { registry_->sweep(); }

  awaitable<void> close() override {
    registry_->close_all();
    for (const auto& listener : listeners_) co_await listener->close();
    co_await registry_->all_ended();
    co_await tasks_.close();
    registry_->abandon_sessions();
  }

 private:
  const Executor executor_;
  const std::size_t max_connections_;
  const std::shared_ptr<Registry> registry_;
  TaskScope tasks_;
  std::vector<std::unique_ptr<Listener>> listeners_;
};

}  // namespace

std::unique_ptr<MqttServer> MqttServer::make(Executor executor, MqttPolicy& policy, Options options) {
  return std::make_unique<Server>(std::move(executor), policy, std::move(options));
}

}  // namespace nacelle::net
