#include "service/endpoint/device_endpoint.h"

#include <algorithm>
#include <limits>

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "service/endpoint/detail/gate.h"
#include "service/endpoint/detail/intake.h"
#include "service/endpoint/detail/live_clients.h"
#include "service/endpoint/detail/registering.h"
#include "service/endpoint/twin_calls.h"

namespace nacelle::endpoint {
namespace {

using device::IdentityName;
using net::MqttConnectionPtr;

constexpr std::size_t max_topic_bytes = std::numeric_limits<std::uint16_t>::max();  // MQTT 3.1.1 section 1.5.3

net::MqttServer::Delivered log_undelivered(const IdentityName& who, std::string_view what) {
  return [id = who.client_id(), what](const Result<>& delivered) {
    if (!delivered) log::info("endpoint", "{}: {} was not delivered: {}", id, what, delivered.error().message);
  };
}

/// Wires the parts below detail/ to the server's sessions.
class Endpoint final : public DeviceEndpoint, private net::MqttPolicy {
 public:
  Endpoint(Executor executor, DeviceBackend& backend, const Clock& clock, Options options)
      : backend_(backend),
        open_(std::move(options.open_namespace)),
        gate_(backend, options.registrations, open_, std::move(options.hub_names)),
        telemetry_(backend, clock),
        open_messages_(executor, backend, clock),
        registering_(executor, backend, options.registrations),
        twin_calls_(executor, backend, clock) {
    if (!options.server.clock) options.server.clock = &clock;
    if (open_) options.server.broadcasts = is_open_filter;
    server_ = net::MqttServer::make(std::move(executor), *this, std::move(options.server));
  }

  Result<std::uint16_t> listen(const net::Endpoint& at, std::shared_ptr<net::TlsServerContext> tls) override {
    return server_->listen(at, std::move(tls));
  }
  bool connected(const IdentityName& who) const override { return server_->connected(who.client_id()); }
  void disconnect(const IdentityName& who, std::string reason) override {
    for (const auto& [session, client] : live_.of(who)) server_->disconnect(session, reason);
    server_->disconnect(who.client_id(), std::move(reason));
  }
  void recheck(const std::optional<IdentityName>& who, const std::string& reason) override {
    for (const auto& [session, client] : who ? live_.of(*who) : live_.all())
      if (!still_holds(*client)) server_->disconnect(session, reason);
  }
  void forget(const IdentityName& who) override { server_->forget(who.client_id()); }
  std::size_t connections() const override { return server_->connections(); }
  net::MqttServer& server() override { return *server_; }

  awaitable<void> close() override {
    co_await server_->close();
    co_await registering_.close();
    co_await twin_calls_.close();
  }

  // -- To clients ----------------------------------------------------------------------------------------------------

  void deliver_input(const IdentityName& module, const std::string& input, const telemetry::Message& message,
                     Delivered done) override {
    const std::string bag = telemetry::print_property_bag(message, true);
    deliver(module, telemetry::input_topic(module.device.str(), module.module.str(), input, bag), message.body, std::move(done));
  }

  bool accepts_input(const IdentityName& module, const std::string& input) const override {
    return server_->subscribed(module.client_id(), telemetry::input_topic(module.device.str(), module.module.str(), input, {}));
  }

  void deliver_cloud_to_device(const IdentityName& device, const telemetry::Message& message, Delivered done) override {
    const std::string bag = telemetry::print_property_bag(message, false);
    deliver(device, telemetry::cloud_to_device_topic(device.device.str(), bag), message.body, std::move(done));
  }

  bool accepts_cloud_to_device(const IdentityName& device) const override {
    return server_->subscribed(device.client_id(), telemetry::cloud_to_device_topic(device.device.str(), {}));
  }

  void notify_desired(const IdentityName& who, const json::Value& notification, std::int64_t version) override {
    const std::string topic = telemetry::desired_change_topic(version);
    if (!server_->subscribed(who.client_id(), topic)) return;  // never queued: the client reads its twin when it is back
    server_->deliver(who.client_id(), topic, json::print(notification), mqtt::QoS::at_most_once,
                     log_undelivered(who, "a desired change"));
  }

  bool call_method(const IdentityName& who, const std::string& method, const std::string& request_id, Bytes payload) override {
    // Node reads the topic as a URL, and a `+` or `#` would make it no topic at all.
    const std::string topic = telemetry::method_topic(text::percent_encode(method), request_id);
    if (!server_->subscribed(who.client_id(), topic)) return false;
    server_->deliver(who.client_id(), topic, std::move(payload), mqtt::QoS::at_most_once, log_undelivered(who, "a method request"));
    return true;
  }

 private:
  bool still_holds(const Client& client) { return backend_.holds(client.credential_name, client.credential); }

  void deliver(const IdentityName& who, std::string topic, Bytes body, Delivered done) {
    if (topic.size() > max_topic_bytes)
      return done(fail(Fault::invalid_input, fmt::format("the message's properties make a topic of {} bytes, MQTT allows {}",
                                                         topic.size(), max_topic_bytes)));
    server_->deliver(who.client_id(), std::move(topic), std::move(body), mqtt::QoS::at_least_once, std::move(done));
  }

  // -- The policy: connections ---------------------------------------------------------------------------------------

  awaitable<net::MqttAccept> accept(const mqtt::Connect& connect, const Bytes& certificates_der, std::string) override {
    net::MqttAccept verdict = co_await gate_.admit(connect, certificates_der);
    co_return verdict;
  }

  void connected(const MqttConnectionPtr& connection) override {
    const ClientPtr client = client_of(connection);
    if (client->registrant) return;
    if (!client->credential_name.empty()) {
      live_.add(client);
      // What changed between the check of its credentials and now was told to nobody of this connection.
      if (!still_holds(*client)) connection->close("its credentials do not hold any more");
    }
    if (client->plain) return;
    backend_.connected(client->who);
    backend_.subscriptions_changed(client->who);  // those of a kept session
  }

  void disconnected(const MqttConnectionPtr& connection, bool) override {
    const ClientPtr client = client_of(connection);
    if (client->registrant) return;
    live_.remove(*client);
    if (client->plain) return;
    if (client->twin_calls) TwinCalls::end(*client->twin_calls);
    backend_.disconnected(client->who);
  }

  std::string describe(const MqttConnectionPtr& connection) override { return print_client(*client_of(connection)); }

  std::shared_ptr<void> recall(const std::string& description) override {
    auto client = read_client(description);
    if (!client) return nullptr;
    return *std::move(client);
  }

  // -- The policy: subscriptions -------------------------------------------------------------------------------------

  std::optional<mqtt::QoS> subscribe(const MqttConnectionPtr& connection, const mqtt::Subscription& wanted) override {
    const Client& client = client_in(connection);
    if (client.registrant && wanted.filter != registration_filter)
      return refuse_subscription(connection, {Fault::denied, "a registrant may subscribe to the answers to it only"});
    if (client.registrant) return std::min(wanted.qos, mqtt::QoS::at_least_once);
    if (open_ && is_open_filter(wanted.filter)) return subscribe_open(connection, wanted);
    if (client.plain) return refuse_subscription(connection, {Fault::denied, "the filter is not of the open namespace"});
    const IdentityName& who = client.who;
    const auto topic = telemetry::parse_subscribe_topic(wanted.filter);
    if (!topic) return refuse_subscription(connection, topic.error());
    const bool addressed =
        topic->kind == telemetry::SubscribeKind::cloud_to_device || topic->kind == telemetry::SubscribeKind::module_inputs;
    if (addressed && (topic->device_id != who.device.str() || topic->module_id != who.module.str()))
      return refuse_subscription(connection, {Fault::denied, "the filter is another identity's"});
    return std::min(wanted.qos, mqtt::QoS::at_least_once);
  }

  std::optional<mqtt::QoS> subscribe_open(const MqttConnectionPtr& connection, const mqtt::Subscription& wanted) {
    const auto shared = mqtt::parse_shared_filter(wanted.filter);
    if (shared && open_->rules.may_subscribe(client_in(connection).principal, shared->filter)) return wanted.qos;
    return refuse_subscription(connection, {Fault::denied, "no rule allows it"});
  }

  /// net/mqtt answers the client, and logs refused connects and publishes; this is ours to log.
  std::nullopt_t refuse_subscription(const MqttConnectionPtr& connection, const Error& why) {
    log::info("endpoint", "{} {}: subscription refused: {}", connection->peer_address(), client_in(connection).client_id,
              why.message);
    backend_.refused(DeviceBackend::Attempt::subscribe, why);
    return std::nullopt;
  }
  void subscribed(const MqttConnectionPtr& connection, const std::string&) override {
    if (client_in(connection).registrant) return;
    if (client_in(connection).plain) return;
    backend_.subscriptions_changed(client_in(connection).who);
  }

  // -- The policy: publishes -----------------------------------------------------------------------------------------

  bool gather(const MqttConnectionPtr& connection, const mqtt::Publish& packet) override {
    return telemetry_.gather(client_in(connection), packet);
  }
  void settle(const MqttConnectionPtr& connection, Done done) override {
    telemetry_.settle(client_in(connection), std::move(done));
  }

  void publish(const MqttConnectionPtr& connection, const mqtt::Publish& packet, Done done) override {
    const Client& client = client_in(connection);
    if (client.registrant) return registering_.accept(client, *server_, packet, done);
    if (open_ && (client.plain || is_open_topic(packet.topic)))
      return open_messages_.accept(connection, open_->rules, server_, packet, false, std::move(done));
    auto topic = telemetry::parse_publish_topic(packet.topic);
    if (!topic) return refuse_publish(backend_, std::move(topic).error(), done);
    if (const auto* events = std::get_if<telemetry::EventTopic>(&*topic))
      return telemetry_.accept(client, *events, packet, false, std::move(done));
    if (auto* get = std::get_if<telemetry::TwinGetTopic>(&*topic))
      return call_twin(connection, std::move(get->request_id), std::nullopt, {}, std::move(done));
    if (auto* patch = std::get_if<telemetry::TwinPatchTopic>(&*topic))
      return call_twin(connection, std::move(patch->request_id), Bytes(packet.payload), std::move(patch->base_version),
                       std::move(done));
    const auto& response = std::get<telemetry::MethodResponseTopic>(*topic);
    backend_.method_response(client.who, response.request_id, response.status, Bytes(packet.payload));
    done({});
  }

  void will(const MqttConnectionPtr& connection, const mqtt::Publish& packet, Done done) override {
    const Client& client = client_in(connection);
    if (client.registrant) return done({});  // a registrant has nothing to leave behind
    if (client.plain) return open_messages_.accept(connection, open_->rules, server_, packet, true, std::move(done));
    const auto topic = telemetry::parse_publish_topic(packet.topic);
    INVARIANT(topic && std::holds_alternative<telemetry::EventTopic>(*topic),
              "a will's topic was checked when its client connected");
    telemetry_.accept(client, std::get<telemetry::EventTopic>(*topic), packet, true, std::move(done));
  }

  void call_twin(const MqttConnectionPtr& connection, std::string request_id, std::optional<Bytes> patch, std::string base_version,
                 Done done) {
    const ClientPtr client = client_of(connection);
    auto call = std::make_shared<TwinCall>();
    call->patch = std::move(patch);
    call->base_version = std::move(base_version);
    call->answer = [this, who = client->who, request_id = std::move(request_id)](const TwinAnswer& answer) {
      const std::string version = answer.version ? fmt::to_string(*answer.version) : std::string();
      std::string topic = telemetry::twin_response_topic(answer.status, request_id, version);
      if (topic.size() > max_topic_bytes)
        return log::warn("endpoint", "{}: a twin call's request id is too long to be answered", who.client_id());
      server_->deliver(who.client_id(), std::move(topic), answer.body, mqtt::QoS::at_most_once,
                       log_undelivered(who, "a twin reply"));
    };
    call->done = std::move(done);
    if (!client->twin_calls) client->twin_calls = std::make_shared<TwinCaller>(client->who);
    twin_calls_.begin(client->twin_calls, std::move(call));
  }

  static Client& client_in(const MqttConnectionPtr& connection) { return *static_cast<Client*>(connection->context.get()); }

  DeviceBackend& backend_;
  const std::optional<OpenNamespace> open_;
  LiveClients live_;
  Gate gate_;
  TelemetryIntake telemetry_;
  OpenIntake open_messages_;
  Registering registering_;
  TwinCalls twin_calls_;
  std::shared_ptr<net::MqttServer> server_;
};

}  // namespace

awaitable<Result<Principal>> DeviceBackend::authenticate_plain(std::string, std::string, Bytes) {
  co_return fail(Fault::denied, "plain clients are not served here");
}

std::unique_ptr<DeviceEndpoint> DeviceEndpoint::make(Executor executor, DeviceBackend& backend, const Clock& clock,
                                                     Options options) {
  return std::make_unique<Endpoint>(std::move(executor), backend, clock, std::move(options));
}

}  // namespace nacelle::endpoint
