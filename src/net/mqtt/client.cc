#include "net/mqtt/client.h"

#include "net/mqtt/detail/client_engine.h"

namespace nacelle::net {
namespace {

class Client final : public MqttClient {
 public:
  explicit Client(std::shared_ptr<ClientEngine> engine) : engine_(std::move(engine)) {}
  ~Client() override {
    asio::post(engine_->strand(), [engine = engine_] { engine->close([](bool) {}); });
  }

  awaitable<Result<>> start(std::chrono::steady_clock::duration give_up_after, bool keep_trying) override {
    auto begin = [engine = engine_, give_up_after, keep_trying](ClientEngine::Done done) {
      asio::post(engine->strand(), [engine, give_up_after, keep_trying, done] { engine->start(give_up_after, keep_trying, done); });
    };
    co_return co_await await_callback<Result<>>(std::move(begin));
  }

  void publish(std::string topic, Bytes payload, mqtt::QoS qos, std::function<void(Result<>)> done) override {
    Outgoing message;
    message.topic = std::move(topic);
    message.payload = std::move(payload);
    message.qos = std::min(qos, mqtt::QoS::at_least_once);
    message.done = std::move(done);
    if (!mqtt::valid_topic_name(message.topic))
      return message.done(fail(Fault::invalid_input, "not a topic name: '" + message.topic + "'"));
    engine_->publish(std::move(message));
  }

  awaitable<Result<>> publish(std::string topic, Bytes payload, mqtt::QoS qos) override {
    auto begin = [this, t = std::move(topic), p = std::move(payload), qos](ClientEngine::Done done) mutable {
      publish(std::move(t), std::move(p), qos, std::move(done));
    };
    co_return co_await await_callback<Result<>>(std::move(begin));
  }

  awaitable<Result<>> subscribe(std::string filter, mqtt::QoS qos) override {
    if (!mqtt::valid_topic_filter(filter)) co_return fail(Fault::invalid_input, "not a topic filter: '" + filter + "'");
    auto begin = [engine = engine_, f = std::move(filter), qos](ClientEngine::Done done) {
      asio::post(engine->strand(), [engine, f, qos, done] { engine->subscribe(f, qos, done); });
    };
    co_return co_await await_callback<Result<>>(std::move(begin));
  }

  bool connected() const override { return engine_->connected(); }
  std::size_t waiting() const override { return engine_->waiting(); }
  std::uint64_t reconnects() const override { return engine_->reconnects(); }

  awaitable<void> close() override {
    auto begin = [engine = engine_](std::function<void(bool)> ended) {
      asio::post(engine->strand(), [engine, ended] { engine->close(ended); });
    };
    co_await await_callback<bool>(std::move(begin));
  }

 private:
  const std::shared_ptr<ClientEngine> engine_;
};

}  // namespace

std::unique_ptr<MqttClient> MqttClient::make(Executor executor, MqttClientOptions options, OnMessage on_message, OnState on_state) {
  return std::make_unique<Client>(
      std::make_shared<ClientEngine>(std::move(executor), std::move(options), std::move(on_message), std::move(on_state)));
}

}  // namespace nacelle::net
