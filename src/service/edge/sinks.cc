#include "service/edge/sinks.h"

#include "domain/telemetry/topic.h"
#include "foundation/log.h"

namespace nacelle::edge {

namespace {

constexpr int wire_decimals = 7;

class InputSink final : public Sink {
 public:
  InputSink(endpoint::DeviceEndpoint& endpoint, device::IdentityName module, std::string input)
      : endpoint_(endpoint), module_(std::move(module)), input_(std::move(input)) {}
  bool ready() override { return endpoint_.accepts_input(module_, input_); }
  void send(telemetry::Message message, std::function<void(Result<>)> done) override {
    endpoint_.deliver_input(module_, input_, for_module(std::move(message)), std::move(done));
  }

 private:
  endpoint::DeviceEndpoint& endpoint_;
  const device::IdentityName module_;
  const std::string input_;
};

class UpstreamSink final : public Sink {
 public:
  UpstreamSink(std::shared_ptr<TwinLink> link, const ScopeCache& scope, device::DeviceId edge)
      : link_(std::move(link)), scope_(scope), edge_(std::move(edge)) {}
  bool ready() override { return link_->connected(); }
  void send(telemetry::Message message, std::function<void(Result<>)> done) override {
    const device::IdentityName who{device::DeviceId(message.device_id()), device::ModuleId(message.module_id())};
    if (!scope_.find(who)) {
      log::warn("edge", "a message of {} is dropped: it is not in the scope any more", who.client_id());
      return done({});
    }
    const telemetry::Message outgoing = for_hub(std::move(message));
    std::string topic = telemetry::event_topic(who.device.str(), who.module.str(), telemetry::print_property_bag(outgoing, false));
    link_->client().publish(std::move(topic), outgoing.body, mqtt::QoS::at_least_once, std::move(done));
  }

 private:
  std::shared_ptr<TwinLink> link_;
  const ScopeCache& scope_;
  const device::DeviceId edge_;
};

}  // namespace

telemetry::Message for_module(telemetry::Message message) {
  message.application.set("iothub-enqueuedtime", format_iso8601(message.enqueued_at, wire_decimals));
  return message;
}

telemetry::Message for_hub(telemetry::Message message) {
  if (!message.system.find("iothub-creation-time-utc"))
    message.system.set("iothub-creation-time-utc", format_iso8601(message.enqueued_at, wire_decimals));
  return message;
}

std::unique_ptr<Sink> input_sink(endpoint::DeviceEndpoint& endpoint, device::IdentityName module, std::string input) {
  return std::make_unique<InputSink>(endpoint, std::move(module), std::move(input));
}

std::unique_ptr<Sink> upstream_sink(std::shared_ptr<TwinLink> link, const ScopeCache& scope, device::DeviceId edge) {
  return std::make_unique<UpstreamSink>(std::move(link), scope, std::move(edge));
}

}  // namespace nacelle::edge
