#include "service/endpoint/device_endpoint.h"

#include <algorithm>
#include <limits>
#include <map>
#include <mutex>

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "foundation/task_scope.h"
#include "service/endpoint/detail/admission.h"
#include "service/endpoint/detail/batcher.h"
#include "service/endpoint/detail/client.h"
#include "service/endpoint/detail/twin_call.h"
#include "service/endpoint/published.h"

namespace nacelle::endpoint {
namespace {

using device::IdentityName;
using net::MqttConnectionPtr;
using Done = std::function<void(Result<>)>;

/// Twin calls of one client that wait for the one before; more are answered with 429.
constexpr BoundedQueue<TwinCallPtr>::Bound twin_call_bound{100, 1_MiB};
constexpr std::size_t max_topic_bytes = std::numeric_limits<std::uint16_t>::max();  // MQTT 3.1.1 section 1.5.3

Client& client_of(const MqttConnectionPtr& connection) { return *static_cast<Client*>(connection->context.get()); }

class Endpoint final : public DeviceEndpoint, private net::MqttPolicy {
 public:
  Endpoint(Executor executor, DeviceBackend& backend, const Clock& clock, Options options)
      : executor_(executor),
        backend_(backend),
        clock_(clock),
        hub_names_(std::move(options.hub_names)),
        open_(std::move(options.open_namespace)),
        fan_out_(asio::make_strand(executor)),
        registrations_(options.registrations),
        tasks_(executor) {
    if (!options.server.clock) options.server.clock = &clock_;
    if (open_) options.server.broadcasts = is_open_filter;
    server_ = net::MqttServer::make(std::move(executor), *this, std::move(options.server));
  }

  Result<std::uint16_t> listen(const net::Endpoint& at, std::shared_ptr<net::TlsServerContext> tls) override {
    return server_->listen(at, std::move(tls));
  }
  bool connected(const IdentityName& who) const override { return server_->connected(who.client_id()); }
  void disconnect(const IdentityName& who, std::string reason) override {
    for (const auto& [session, client] : live_of(who)) server_->disconnect(session, reason);
    server_->disconnect(who.client_id(), std::move(reason));
  }
  void recheck(const std::optional<IdentityName>& who, const std::string& reason) override {
    for (const auto& [session, client] : who ? live_of(*who) : all_live())
      if (!still_holds(*client)) server_->disconnect(session, reason);
  }
  void forget(const IdentityName& who) override { server_->forget(who.client_id()); }
  std::size_t connections() const override { return server_->connections(); }
  net::MqttServer& server() override { return *server_; }

  awaitable<void> close() override {
    co_await server_->close();
    co_await tasks_.close();
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
  // -- Who is connected, and on what credentials -----------------------------------------------------------------------

  using Live = std::map<std::string, std::shared_ptr<const Client>>;

  void note_live(const MqttConnectionPtr& connection) {
    const auto client = std::static_pointer_cast<Client>(connection->context);
    if (client->credential_name.empty()) return;
    {
      const std::lock_guard lock(live_mutex_);
      live_[client->client_id] = client;
    }
    // What changed between the check of its credentials and now was told to nobody of this connection.
    if (!still_holds(*client)) connection->close("its credentials do not hold any more");
  }
  void note_gone(const Client& client) {
    const std::lock_guard lock(live_mutex_);
    live_.erase(client.client_id);
  }
  bool still_holds(const Client& client) { return backend_.holds(client.credential_name, client.credential); }
  Live all_live() const {
    const std::lock_guard lock(live_mutex_);
    return live_;
  }
  Live live_of(const IdentityName& who) const {
    const std::string plain = plain_session({Principal::Kind::device, who.client_id(), {}}, {});
    const std::lock_guard lock(live_mutex_);
    Live found;
    if (const auto own = live_.find(who.client_id()); own != live_.end()) found.insert(*own);
    for (auto at = live_.lower_bound(plain); at != live_.end() && at->first.starts_with(plain); ++at) found.insert(*at);
    return found;
  }

  void deliver(const IdentityName& who, std::string topic, Bytes body, Delivered done) {
    if (topic.size() > max_topic_bytes)
      return done(fail(Fault::invalid_input, fmt::format("the message's properties make a topic of {} bytes, MQTT allows {}",
                                                         topic.size(), max_topic_bytes)));
    server_->deliver(who.client_id(), std::move(topic), std::move(body), mqtt::QoS::at_least_once, std::move(done));
  }

  static Delivered log_undelivered(const IdentityName& who, std::string_view what) {
    return [id = who.client_id(), what](const Result<>& delivered) {
      if (!delivered) log::info("endpoint", "{}: {} was not delivered: {}", id, what, delivered.error().message);
    };
  }

  // -- The policy: connections ---------------------------------------------------------------------------------------

  awaitable<net::MqttAccept> accept(const mqtt::Connect& connect, const Bytes& certificate_der, std::string) override {
    const bool registers = parse_registration_name(connect.user_name.value_or(std::string())).has_value();
    net::MqttAccept verdict = co_await admit(connect, certificate_der);
    if (verdict.code != mqtt::ConnectCode::accepted) {
      const Fault fault = verdict.code == mqtt::ConnectCode::server_unavailable ? Fault::unavailable
                          : verdict.code == mqtt::ConnectCode::not_authorized   ? Fault::denied
                                                                                : Fault::invalid_input;
      const auto attempt = registers ? DeviceBackend::Attempt::registration : DeviceBackend::Attempt::connect;
      backend_.refused(attempt, Error{fault, verdict.reason});
    }
    co_return verdict;
  }

  awaitable<net::MqttAccept> admit(const mqtt::Connect& connect, const Bytes& certificate_der) {
    net::MqttAccept verdict;
    const auto registers = parse_registration_name(connect.user_name.value_or(std::string()));
    if (registers && registrations_) {
      const std::string token = connect.password.value_or(std::string());
      const Bytes shown = certificate_der;
      const bool agrees = connect.client_id == registers->registration_id;
      verdict = co_await accept_registrant(*registers, token, shown, agrees);
      co_return verdict;
    }
    if (open_ && !speaks_iot_hub(connect)) {
      const Bytes shown = certificate_der;
      verdict = co_await accept_plain(connect, shown);
      co_return verdict;
    }
    Admission admission = examine(connect, hub_names_);
    if (admission.refusal) {
      verdict.code = admission.refusal->code;
      verdict.reason = std::move(admission.refusal->reason);
      co_return verdict;
    }
    const IdentityName who = admission.claim.who;
    const std::string password = connect.password.value_or(std::string());
    const Bytes certificate = certificate_der;
    if (password.empty() && certificate.empty()) {
      verdict.reason = "it shows neither a token nor a certificate";
      co_return verdict;
    }
    const Result<Timestamp> until = co_await backend_.authenticate(who, admission.claim.user_name, password, certificate);
    if (!until) {
      verdict.code = refusal_code(until.error().fault);
      verdict.reason = until.error().message;
      co_return verdict;
    }
    auto client = std::make_shared<Client>();
    client->who = who;
    client->client_id = who.client_id();
    client->generation_id = backend_.generation_id(who);
    client->authentication = password.empty() ? "x509" : "sas";
    client->principal = {Principal::Kind::device, client->client_id, *until};
    client->credential_name = client->client_id;
    client->credential = backend_.credential(client->client_id, password);
    if (backend_.stores_batches()) client->batcher = std::make_unique<Batcher>(*client);
    verdict.code = mqtt::ConnectCode::accepted;
    verdict.expires_at = *until;
    verdict.context = std::move(client);
    co_return verdict;
  }

  awaitable<net::MqttAccept> accept_registrant(RegistrationName name, std::string token, Bytes certificates, bool agrees) {
    net::MqttAccept verdict;
    if (!agrees) {
      verdict.reason = "user name and client id name different registrations";
      co_return verdict;
    }
    Result<Registrant> who = co_await registrations_->authenticate(name.id_scope, name.registration_id, token, certificates);
    if (!who) {
      verdict.code = refusal_code(who.error().fault);
      verdict.reason = who.error().message;
      co_return verdict;
    }
    auto client = std::make_shared<Client>();
    // No device id holds a blank: the connection of a device of that name is left alone.
    client->client_id = "registration " + who->id;
    verdict.code = mqtt::ConnectCode::accepted;
    verdict.expires_at = who->until;
    verdict.session = client->client_id;
    client->registrant = *std::move(who);
    verdict.context = std::move(client);
    co_return verdict;
  }

  /// A client of the open namespace only (docs/mqtt.md).
  awaitable<net::MqttAccept> accept_plain(mqtt::Connect connect, Bytes certificate_der) {
    net::MqttAccept verdict;
    auto client = std::make_shared<Client>();
    client->plain = true;
    client->plain_id = connect.client_id;
    client->authentication = connect.password ? "sas" : "x509";
    if (connect.user_name) {
      const std::string user_name = *connect.user_name;
      const std::string password = connect.password.value_or(std::string());
      const Result<Principal> who = co_await backend_.authenticate_plain(user_name, password, certificate_der);
      if (!who) {
        verdict.code = refusal_code(who.error().fault);
        verdict.reason = who.error().message;
        co_return verdict;
      }
      client->principal = *who;
      client->credential_name = user_name;
      client->credential = backend_.credential(user_name, password);
      verdict.expires_at = who->until;
    } else if (!open_->allow_anonymous) {
      verdict.reason = "it shows no user name, and anonymous clients are not allowed";
      co_return verdict;
    }
    if (connect.will && !open_->rules.may_publish(client->principal, connect.will->topic)) {
      verdict.reason = "its will is for a topic it may not publish to";
      co_return verdict;
    }
    if (client->principal.kind == Principal::Kind::device) name_device(*client);
    verdict.code = mqtt::ConnectCode::accepted;
    verdict.max_qos = mqtt::QoS::exactly_once;
    verdict.session = plain_session(client->principal, connect.client_id);
    client->client_id = verdict.session;
    verdict.context = std::move(client);
    co_return verdict;
  }

  void name_device(Client& client) {
    auto who = device::parse_client_id(client.principal.name);
    if (!who) return;  // the backend knows it under another name: its messages carry the client id only
    client.who = *std::move(who);
    client.generation_id = backend_.generation_id(client.who);
  }

  void connected(const MqttConnectionPtr& connection) override {
    if (client_of(connection).registrant) return;
    note_live(connection);
    if (client_of(connection).plain) return;
    const IdentityName& who = client_of(connection).who;
    backend_.connected(who);
    backend_.subscriptions_changed(who);  // those of a kept session
  }

  void disconnected(const MqttConnectionPtr& connection, bool) override {
    Client& client = client_of(connection);
    if (client.registrant) return;
    note_gone(client);
    if (client.plain) return;
    if (client.twin_calls) client.twin_calls->close();
    backend_.disconnected(client.who);
  }

  // -- The policy: subscriptions -------------------------------------------------------------------------------------

  std::optional<mqtt::QoS> subscribe(const MqttConnectionPtr& connection, const mqtt::Subscription& wanted) override {
    const Client& client = client_of(connection);
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
    if (shared && open_->rules.may_subscribe(client_of(connection).principal, shared->filter)) return wanted.qos;
    return refuse_subscription(connection, {Fault::denied, "no rule allows it"});
  }

  /// net/mqtt answers the client, and logs refused connects and publishes; this is ours to log.
  std::nullopt_t refuse_subscription(const MqttConnectionPtr& connection, const Error& why) {
    log::info("endpoint", "{} {}: subscription refused: {}", connection->peer_address(), client_of(connection).client_id,
              why.message);
    backend_.refused(DeviceBackend::Attempt::subscribe, why);
    return std::nullopt;
  }
  void refuse_publish(Error why, const Done& done) {
    backend_.refused(DeviceBackend::Attempt::publish, why);
    done(fail(std::move(why)));
  }

  void subscribed(const MqttConnectionPtr& connection, const std::string&) override {
    if (client_of(connection).registrant) return;
    if (client_of(connection).plain) return;
    backend_.subscriptions_changed(client_of(connection).who);
  }

  // -- The policy: publishes -----------------------------------------------------------------------------------------

  bool gather(const MqttConnectionPtr& connection, const mqtt::Publish& packet) override {
    Batcher* const batcher = client_of(connection).batcher.get();
    return batcher && batcher->add(packet, clock_, *pool_);
  }

  void settle(const MqttConnectionPtr& connection, Done done) override {
    const Client& client = client_of(connection);
    auto answer = [pool = pool_, done = std::move(done)](Result<storage::Offset> at, storage::RecordBatch batch) {
      pool->give(std::move(batch));
      if (at)
        done({});
      else
        done(fail(std::move(at).error()));
    };
    backend_.store(client.who.device.str(), client.batcher->take(), std::move(answer));
  }

  void publish(const MqttConnectionPtr& connection, const mqtt::Publish& packet, Done done) override {
    if (client_of(connection).registrant) return accept_registration(client_of(connection), packet, std::move(done));
    if (open_ && (client_of(connection).plain || is_open_topic(packet.topic)))
      return publish_open(connection, packet, false, std::move(done));
    auto topic = telemetry::parse_publish_topic(packet.topic);
    if (!topic) return refuse_publish(std::move(topic).error(), done);
    if (const auto* events = std::get_if<telemetry::EventTopic>(&*topic))
      return accept_telemetry(client_of(connection), *events, packet, false, std::move(done));
    if (auto* get = std::get_if<telemetry::TwinGetTopic>(&*topic))
      return enqueue_twin_call(connection, std::move(get->request_id), std::nullopt, {}, std::move(done));
    if (auto* patch = std::get_if<telemetry::TwinPatchTopic>(&*topic))
      return enqueue_twin_call(connection, std::move(patch->request_id), Bytes(packet.payload), std::move(patch->base_version),
                               std::move(done));
    const auto& response = std::get<telemetry::MethodResponseTopic>(*topic);
    backend_.method_response(client_of(connection).who, response.request_id, response.status, Bytes(packet.payload));
    done({});
  }

  void will(const MqttConnectionPtr& connection, const mqtt::Publish& packet, Done done) override {
    if (client_of(connection).registrant) return done({});  // a registrant has nothing to leave behind
    if (client_of(connection).plain) return publish_open(connection, packet, true, std::move(done));
    const auto topic = telemetry::parse_publish_topic(packet.topic);
    INVARIANT(topic && std::holds_alternative<telemetry::EventTopic>(*topic),
              "a will's topic was checked when its client connected");
    accept_telemetry(client_of(connection), std::get<telemetry::EventTopic>(*topic), packet, true, std::move(done));
  }

  void accept_registration(const Client& client, const mqtt::Publish& packet, Done done) {
    auto request = parse_registration_topic(packet.topic);
    if (!request) return refuse_publish({Fault::denied, "a registrant may publish registrations only"}, done);
    tasks_.spawn(answer_registration(*client.registrant, client.client_id, *std::move(request), Bytes(packet.payload)));
    done({});
  }

  awaitable<void> answer_registration(Registrant who, std::string session, RegistrationRequest request, Bytes body) {
    RegistrationAnswer answer;
    if (request.operation_id) {
      const std::string operation = *request.operation_id;
      answer = co_await registrations_->status(who, operation);
    } else {
      answer = co_await registrations_->begin(who, body);
    }
    const std::string topic = registration_response_topic(answer, request.request_id);
    server_->deliver(session, topic, answer.body, mqtt::QoS::at_least_once, [session](const Result<>& delivered) {
      if (!delivered) log::info("endpoint", "{}: an answer was not delivered: {}", session, delivered.error().message);
    });
  }

  /// To the backend first; once it is durable, it is acknowledged and goes to the subscribers, in the order it was stored.
  void publish_open(const MqttConnectionPtr& connection, const mqtt::Publish& packet, bool is_will, Done done) {
    const Client& client = client_of(connection);
    if (!open_->rules.may_publish(client.principal, packet.topic))
      return refuse_publish({Fault::denied, "no rule allows publishing to this topic"}, done);
    const Timestamp now = clock_.now();
    auto message = read_open_message(client, packet, now);
    if (!message) return refuse_publish(std::move(message).error(), done);
    if (is_will) message->application.set("iothub-MessageType", "Will");
    const auto since = is_will ? std::nullopt : connection->kept_since();
    message->published = print_published(packet, client.client_id, since);
    net::MqttKeptIdentifier identifier{client.client_id, since.value_or(Timestamp{}), 0};
    if (since && packet.qos == mqtt::QoS::exactly_once) identifier.packet_id = packet.packet_id;
    // Not on the log's thread, which everyone's messages wait for; and the log may answer after the endpoint has gone.
    backend_.open_message(*std::move(message), identifier,
                          [weak = std::weak_ptr(server_), strand = fan_out_, shared = net::make_message(packet, now),
                           from = client.client_id, done = std::move(done)](Result<std::optional<net::MqttPlace>> kept) {
                            if (!kept) return done(fail(std::move(kept).error()));
                            shared->kept_at = *kept;
                            asio::post(strand, [weak, shared, from] {
                              if (const auto server = weak.lock()) server->publish(shared, from);
                            });
                            done({});
                          });
  }

  std::string describe(const MqttConnectionPtr& connection) override { return print_client(client_of(connection)); }

  std::shared_ptr<void> recall(const std::string& description) override {
    auto client = read_client(description);
    if (!client) return nullptr;
    return *std::move(client);
  }

  /// No coroutine and no queue: the backend is called on the connection's strand with the message.
  void accept_telemetry(const Client& client, const telemetry::EventTopic& topic, const mqtt::Publish& packet, bool is_will,
                        Done done) {
    const bool own = topic.device_id == client.who.device.str() && topic.module_id == client.who.module.str();
    auto message = own ? read_message(topic, packet, Sender{client.who, client.generation_id, client.authentication}, clock_.now())
                       : read_on_behalf(client, topic, packet);
    if (!message) return refuse_publish(std::move(message).error(), done);
    if (is_will) message->application.set("iothub-MessageType", "Will");
    backend_.telemetry(*std::move(message), std::move(done));
  }

  /// An edge's $edgeHub passing on what a leaf or module of its scope has said (docs/decisions/0041-on-behalf-publishing.md).
  Result<telemetry::Message> read_on_behalf(const Client& client, const telemetry::EventTopic& topic, const mqtt::Publish& packet) {
    IdentityName who;
    TRY_LET(who.device, device::parse_device_id(topic.device_id));
    if (!topic.module_id.empty()) {
      TRY_LET(who.module, device::parse_module_id(topic.module_id));
    }
    if (!backend_.may_send_for(client.who, who)) return fail(Fault::denied, "telemetry for another identity");
    const std::string generation = backend_.generation_id(who);
    return read_message(topic, packet, Sender{who, generation, "sas"}, clock_.now());
  }

  // -- Twin calls: one after the other for each client, so that patches keep their order -----------------------------

  void enqueue_twin_call(const MqttConnectionPtr& connection, std::string request_id, std::optional<Bytes> patch,
                         std::string base_version, Done done) {
    auto client = std::static_pointer_cast<Client>(connection->context);
    auto call = std::make_shared<TwinCall>();
    call->request_id = std::move(request_id);
    call->patch = std::move(patch);
    call->base_version = std::move(base_version);
    call->done = std::move(done);
    if (!client->twin_calls) {
      const Executor strand = asio::make_strand(executor_);
      client->twin_calls.emplace(strand, twin_call_bound);
      tasks_.spawn(strand, serve_twin_calls(client));
    }
    const ByteCount size = call->patch ? call->patch->size() : 0;
    if (client->twin_calls->push(call, size)) return;
    const Error busy{Fault::exhausted, "too many twin calls are waiting"};
    reply(client->who, error_reply(call->request_id, busy, clock_.now()));
  }

  awaitable<void> serve_twin_calls(ClientPtr client) {
    while (true) {
      std::optional<TwinCallPtr> call = co_await client->twin_calls->pop();
      if (!call) co_return;
      if ((*call)->patch)
        co_await patch_twin(client, *call);
      else
        co_await read_twin(client, *call);
    }
  }

  awaitable<void> read_twin(ClientPtr client, TwinCallPtr call) {
    const Result<json::Value> view = co_await backend_.get_twin(client->who);
    reply(client->who, view ? view_reply(call->request_id, *view) : refuse(*client, *call, view.error()));
  }

  awaitable<void> patch_twin(ClientPtr client, TwinCallPtr call) {
    Result<ReportedPatch> patch = read_patch(*call);
    if (!patch) {
      reply(client->who, refuse(*client, *call, patch.error()));
      co_return;
    }
    const Result<ReportedAnswer> answer =
        co_await backend_.patch_reported(client->who, std::move(patch->changes), patch->base_version);
    reply(client->who, answer ? accepted_reply(call->request_id, answer->version) : refuse(*client, *call, answer.error()));
  }

  TwinReply refuse(const Client& client, const TwinCall& call, const Error& error) {
    log::info("endpoint", "{}: twin {} refused: {}", client.client_id, call.patch ? "patch" : "read", error.message);
    return error_reply(call.request_id, error, clock_.now());
  }

  void reply(const IdentityName& who, TwinReply reply) {
    if (reply.topic.size() > max_topic_bytes)
      return log::warn("endpoint", "{}: a twin call's request id is too long to be answered", who.client_id());
    server_->deliver(who.client_id(), std::move(reply.topic), std::move(reply.body), mqtt::QoS::at_most_once,
                     log_undelivered(who, "a twin reply"));
  }

  const Executor executor_;
  DeviceBackend& backend_;
  const Clock& clock_;
  const std::vector<std::string> hub_names_;
  const std::optional<OpenNamespace> open_;
  const Executor fan_out_;
  const std::shared_ptr<BatchPool> pool_ = std::make_shared<BatchPool>();  // batches come back after our end
  RegistrationBackend* const registrations_;
  mutable std::mutex live_mutex_;
  Live live_;  // by session; guarded by live_mutex_
  TaskScope tasks_;
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
