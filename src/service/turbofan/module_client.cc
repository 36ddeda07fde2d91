#include "service/turbofan/module_client.h"

#include <fmt/format.h>

#include "codec/sas/token.h"
#include "codec/text/encoding.h"
#include "domain/telemetry/topic.h"
#include "foundation/log.h"
#include "storage/file/file.h"

namespace nacelle::turbofan {

namespace {

constexpr std::chrono::seconds token_lifetime{3600};
constexpr std::chrono::seconds token_renewal{2700};
constexpr std::string_view answers = "$iothub/twin/res/";
constexpr std::string_view desired_changes = "$iothub/twin/PATCH/properties/desired/";

std::string parameter(std::string_view query, std::string_view name) {
  for (const std::string_view part : text::split(query, '&'))
    if (part.starts_with(name) && part.substr(name.size()).starts_with('=')) return std::string(part.substr(name.size() + 1));
  return {};
}

}  // namespace

ModuleClient::ModuleClient(Executor strand, ModuleEnvironment me, const Clock& clock, Handlers handlers)
    : strand_(strand), me_(std::move(me)), clock_(clock), handlers_(std::move(handlers)), workload_(me_) {}

awaitable<Result<std::shared_ptr<ModuleClient>>> ModuleClient::connect(Executor strand, ModuleEnvironment me, const Clock& clock,
                                                                       Handlers handlers) {
  auto client = std::shared_ptr<ModuleClient>(new ModuleClient(strand, std::move(me), clock, std::move(handlers)));
  std::chrono::milliseconds wait{200};
  while (true) {
    auto trusted = co_await client->trust();
    if (trusted) break;
    if (trusted.error().fault != Fault::unavailable && trusted.error().fault != Fault::timed_out)
      co_return fail(std::move(trusted).error());
    log::warn("module", "{}", trusted.error().message);
    const bool slept = co_await sleep_for(wait);
    if (!slept) co_return fail(Fault::unavailable, "stopped before the edge was reached");
    wait = std::min(wait * 2, std::chrono::milliseconds(5000));
  }
  client->make_client();
  auto started = co_await client->client_->start(std::chrono::seconds(30), true);
  if (!started) log::warn("module", "{}; trying on", started.error().message);
  std::vector<std::pair<std::string, mqtt::QoS>> filters{
      {std::string(answers) + "#", mqtt::QoS::at_most_once},
      {std::string(desired_changes) + "#", mqtt::QoS::at_most_once},
      {fmt::format("devices/{}/modules/{}/inputs/#", client->me_.device, client->me_.module), mqtt::QoS::at_least_once}};
  for (std::size_t i = 0; i < filters.size();) {
    std::string filter = filters[i].first;
    const mqtt::QoS qos = filters[i].second;
    auto subscribed = co_await client->client_->subscribe(std::move(filter), qos);
    if (subscribed) {
      ++i;
      continue;
    }
    if (subscribed.error().fault == Fault::denied) co_return fail(std::move(subscribed).error());
    const bool slept = co_await sleep_for(std::chrono::milliseconds(500));
    if (!slept) co_return fail(Fault::unavailable, "stopped before the edge was reached");
  }
  client->ask_twin();
  co_return client;
}

awaitable<Result<>> ModuleClient::trust() {
  std::string ca;
  if (!me_.workload_socket.empty()) {
    auto bundle = co_await workload_.trust_bundle();
    if (!bundle) co_return fail(std::move(bundle).error());
    ca = std::move(*bundle);
  } else if (!me_.ca_file.empty()) {
    CO_TRY_LET(ca, storage::read_file(storage::real_file_system(), me_.ca_file, 4_MiB));
  }
  CO_TRY_LET(tls_, net::TlsClientContext::make(ca));
  co_return Result<>{};
}

void ModuleClient::make_client() {
  net::MqttClientOptions options;
  options.endpoint = me_.gateway;
  options.tls = tls_;
  options.client_id = me_.client_id();
  telemetry::UserName name;
  name.hub = me_.hub_name;
  name.device_id = me_.device;
  name.module_id = me_.module;
  name.api_version = "2021-04-12";
  name.client_type = "nacelle-module";
  options.user_name = telemetry::print_user_name(name);
  options.reconnect_before_expiry = token_renewal;
  options.max_back_off = std::chrono::milliseconds(2000);
  options.max_in_flight = 1000;
  const std::weak_ptr<ModuleClient> weak = weak_from_this();
  options.password = [weak] { return token(weak); };
  auto on_message = [weak, strand = strand_](const mqtt::Publish& publish, std::function<void()> done) {
    asio::post(strand,
               [weak, topic = std::string(publish.topic), payload = Bytes(publish.payload), done = std::move(done)]() mutable {
                 if (const auto self = weak.lock()) self->received(std::move(topic), std::move(payload), std::move(done));
               });
  };
  auto on_state = [weak, strand = strand_](bool connected) {
    if (!connected) return;
    asio::post(strand, [weak] {
      const auto self = weak.lock();
      if (!self) return;
      self->report_request_.clear();  // its answer will not come on this connection
      self->ask_twin();
      self->send_report();
    });
  };
  client_ = net::MqttClient::make(strand_, std::move(options), std::move(on_message), std::move(on_state));
}

awaitable<Result<std::string>> ModuleClient::token(std::weak_ptr<ModuleClient> weak) {
  const auto self = weak.lock();
  if (!self) co_return fail(Fault::unavailable, "the connection is closing");
  const Timestamp expires = self->clock_.now() + token_lifetime;
  const std::string resource = sas::device_resource(self->me_.hub_name, self->me_.device, self->me_.module);
  if (!self->me_.key.empty()) co_return sas::make_token(resource, self->me_.key, expires);
  const std::string until = std::to_string(unix_seconds(expires));
  std::string signed_text = resource + "\n" + until;
  auto signature = co_await self->workload_.sign(std::move(signed_text));
  if (!signature) co_return fail(std::move(signature).error());
  co_return fmt::format("SharedAccessSignature sr={}&sig={}&se={}", resource, text::percent_encode_strict(*signature), until);
}

void ModuleClient::received(std::string topic, Bytes payload, std::function<void()> done) {
  const std::string_view text = topic;
  const std::string inputs = fmt::format("devices/{}/modules/{}/inputs/", me_.device, me_.module);
  if (text.starts_with(inputs)) {
    const std::string_view tail = text.substr(inputs.size());
    const std::size_t slash = std::min(tail.find('/'), tail.size());
    telemetry::Message message;
    message.source = telemetry::Source::module_messages;
    message.body = std::move(payload);
    const std::string_view bag = slash < tail.size() ? tail.substr(slash + 1) : std::string_view();
    if (auto read = telemetry::read_property_bag(bag, message, telemetry::BagFrom::server); !read)
      log::warn("module", "an input message's properties cannot be read: {}", read.error().message);
    handlers_.on_input(std::string(tail.substr(0, slash)), std::move(message), std::move(done));
    return;
  }
  done();
  if (text.starts_with(answers)) {
    twin_answer(text.substr(answers.size()), payload);
  } else if (text.starts_with(desired_changes)) {
    const auto patch = json::parse(payload);
    if (!patch) return log::warn("module", "a desired change is not JSON: {}", patch.error().message);
    json::merge_patch(desired_, *patch);
    if (handlers_.on_desired) handlers_.on_desired(desired_);
  }
}

void ModuleClient::twin_answer(std::string_view tail, const Bytes& payload) {
  const std::size_t query = tail.find("/?");
  if (query == std::string_view::npos) return;
  const auto status = text::parse_integer(tail.substr(0, query), "status");
  const std::string id = parameter(tail.substr(query + 2), "$rid");
  if (!status || id.empty()) return;
  if (id == report_request_) {
    report_request_.clear();
    report_sent_ = json::Value{};
    if (*status / 100 != 2) log::warn("module", "reported properties were refused with {}", *status);
    if (!report_waiting_.is_null()) send_report();
  } else if (id == twin_request_) {
    twin_request_.clear();
    const auto twin = json::parse(payload);
    const json::Value* desired = *status == 200 && twin ? twin->find("desired") : nullptr;
    if (!desired || !desired->is_object()) return log::warn("module", "the twin could not be read: status {}", *status);
    const bool changed = !(desired_ == *desired);
    desired_ = *desired;
    if (changed && handlers_.on_desired) handlers_.on_desired(desired_);
  }
}

void ModuleClient::ask_twin() {
  twin_request_ = fmt::format("g{}", next_id_++);
  client_->publish("$iothub/twin/GET/?$rid=" + twin_request_, {}, mqtt::QoS::at_most_once, [](Result<>) {});
}

void ModuleClient::report(const json::Value& patch) {
  if (report_waiting_.is_null()) report_waiting_ = json::Object{};
  for (const auto& [name, value] : patch.as_object()) report_waiting_.as_object().set(name, value);
  if (report_request_.empty()) send_report();
}

void ModuleClient::send_report() {
  // What was sent and never answered goes again, under what came since.
  if (!report_sent_.is_null()) {
    json::Value all = report_sent_;
    if (!report_waiting_.is_null())
      for (const auto& [name, value] : report_waiting_.as_object()) all.as_object().set(name, value);
    report_waiting_ = std::move(all);
  }
  if (report_waiting_.is_null() || !client_->connected()) return;
  report_sent_ = std::exchange(report_waiting_, json::Value{});
  report_request_ = fmt::format("p{}", next_id_++);
  client_->publish("$iothub/twin/PATCH/properties/reported/?$rid=" + report_request_, json::print(report_sent_),
                   mqtt::QoS::at_most_once, [](Result<>) {});
}

void ModuleClient::send(const std::string& output, const telemetry::Message& message, std::function<void(Result<>)> done) {
  std::string bag = "%24.on=" + text::percent_encode_strict(output);
  if (const std::string rest = telemetry::print_property_bag(message, false); !rest.empty()) bag += "&" + rest;
  std::string topic = telemetry::event_topic(me_.device, me_.module, bag);
  client_->publish(std::move(topic), message.body, mqtt::QoS::at_least_once,
                   [strand = strand_, done = std::move(done)](Result<> sent) {
                     asio::post(strand, [done, sent = std::move(sent)]() mutable { done(std::move(sent)); });
                   });
}

void ModuleClient::send_surely(const std::string& output, telemetry::Message message, std::function<void()> done) {
  const auto kept = std::make_shared<const telemetry::Message>(std::move(message));
  send(output, *kept, [weak = weak_from_this(), output, kept, done = std::move(done)](Result<> sent) {
    const auto self = weak.lock();
    if (sent) return done();
    if (!self || self->closing_) return;
    if (sent.error().fault == Fault::invalid_input) {  // never to be sent: its input would come again for ever
      log::error("module", "{}: a message is dropped: {}", output, sent.error().message);
      return done();
    }
    log::warn("module", "{}: trying again: {}", output, sent.error().message);
    auto timer = std::make_shared<asio::steady_timer>(self->strand_, std::chrono::milliseconds(200));
    timer->async_wait([weak, timer, output, kept, done](boost::system::error_code) {
      if (const auto again = weak.lock()) again->send_surely(output, *kept, done);
    });
  });
}

awaitable<void> ModuleClient::close() {
  closing_ = true;
  const auto self = shared_from_this();
  if (client_) co_await client_->close();
}

}  // namespace nacelle::turbofan
