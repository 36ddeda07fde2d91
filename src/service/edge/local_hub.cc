#include "service/edge/local_hub.h"

#include <fmt/format.h>

#include "domain/telemetry/topic.h"
#include "foundation/log.h"
#include "service/edge/on_strand.h"
#include "service/edge/sinks.h"
#include "service/endpoint/certificates.h"

namespace nacelle::edge {

using device::IdentityName;

namespace {
// Reported properties hold 32 KiB, a client takes some 250 bytes (ids may be 128 long); the original serves 100 clients.
constexpr std::size_t most_reported_clients = 80;
}  // namespace

std::shared_ptr<LocalHub> LocalHub::make(Parts parts) {
  auto hub = std::shared_ptr<LocalHub>(new LocalHub(std::move(parts)));
  return hub;
}

void LocalHub::serve_on(endpoint::DeviceEndpoint& endpoint) {
  endpoint_ = &endpoint;
  parts_.store->on_new_queue = [this](const QueueName& name) { add_pump(name.endpoint); };
  for (const EndpointName& waiting : parts_.store->endpoints()) add_pump(waiting);
  if (!parts_.upstream) return;
  parts_.upstream->on_connected = [weak = weak_from_this()](bool) {
    const auto self = weak.lock();
    if (!self) return;
    if (const auto pump = self->pumps_.find(EndpointName{}); pump != self->pumps_.end()) pump->second->wake();
  };
}

void LocalHub::set_routes(RouteTable routes) { routes_ = std::move(routes); }

/// Makes the endpoint's pump if there is none, and gives it the queues it does not have yet.
void LocalHub::add_pump(const EndpointName& name) {
  if (closed_ || (name.upstream() && !parts_.upstream)) return;
  auto& pump = pumps_[name];
  if (!pump) {
    Pump::Options options;
    std::unique_ptr<Sink> sink;
    if (name.upstream()) {
      options.window = 1000;
      options.window_bytes = 8_MiB;
      sink = upstream_sink(parts_.upstream, *parts_.scope, parts_.edge);
    } else {
      const IdentityName module{parts_.edge, device::ModuleId(name.module)};
      sink = input_sink(*endpoint_, module, name.input);
    }
    pump = Pump::make(parts_.core, name, std::move(sink), *parts_.clock, options);
  }
  for (const auto& [queue, spool] : parts_.store->queues(name)) pump->add_queue(queue, *spool);
}

awaitable<void> LocalHub::close() {
  const auto self = shared_from_this();
  closed_ = true;
  parts_.store->on_new_queue = nullptr;
  for (const auto& [name, pump] : pumps_) pump->stop();
  auto twins = std::exchange(twins_, {});
  for (const auto& [who, link] : twins) co_await link->close();
}

// -- Who may connect -----------------------------------------------------------------------------------------------

awaitable<Result<Timestamp>> LocalHub::authenticate(IdentityName who, telemetry::UserName, std::string password,
                                                    Bytes certificates_der) {
  awaitable<Result<Timestamp>> here = authenticate_here(std::move(who), std::move(password), std::move(certificates_der));
  co_return co_await on_strand(parts_.core, std::move(here));
}

awaitable<Result<Timestamp>> LocalHub::authenticate_here(IdentityName who, std::string password, Bytes certificates_der) {
  const auto self = shared_from_this();
  const std::vector<std::string> names = parts_.hub.names();
  const auto check = [&]() -> Result<Timestamp> {
    const auto identity = parts_.scope->find(who);
    if (!identity) return fail(Fault::denied, fmt::format("{} is not in this edge's scope", who.client_id()));
    if (who.is_module() && who.device != parts_.edge)
      return fail(Fault::denied, fmt::format("{} is a module of another device", who.client_id()));
    const Timestamp now = parts_.clock->now();
    if (!password.empty()) return device::authenticate(*identity, password, names, now);
    if (!identity->enabled) return fail(Fault::denied, fmt::format("'{}' is disabled", who.client_id()));
    TRY_LET(const auto proof, endpoint::prove(*identity, certificates_der, parts_.scope->authorities().get(), now));
    return proof.until;
  };
  auto first = check();
  if (first) co_return first;
  // A stranger, or a key changed at the hub: worth one question, if it was not just asked.
  auto refreshed = co_await parts_.scope->refresh_for_stranger();
  if (!refreshed) co_return first;
  co_return check();
}

void LocalHub::connected(const IdentityName& who) {
  asio::post(parts_.core, [weak = weak_from_this(), who] {
    const auto self = weak.lock();
    if (!self) return;
    Client& client = self->clients_[who];
    client.connected = true;
    client.connected_at = self->parts_.clock->now();
    self->wake_pumps(who);
  });
}

void LocalHub::disconnected(const IdentityName& who) {
  asio::post(parts_.core, [weak = weak_from_this(), who] {
    const auto self = weak.lock();
    if (!self) return;
    Client& client = self->clients_[who];
    client.connected = self->endpoint_ && self->endpoint_->connected(who);
    client.disconnected_at = self->parts_.clock->now();
  });
}

void LocalHub::subscriptions_changed(const IdentityName& who) {
  asio::post(parts_.core, [weak = weak_from_this(), who] {
    if (const auto self = weak.lock()) self->wake_pumps(who);
  });
}

void LocalHub::wake_pumps(const IdentityName& who) {
  if (!who.is_module()) return;
  for (const auto& [name, pump] : pumps_)
    if (name.module == who.module.str()) pump->wake();
}

std::string_view LocalHub::authentication_of(const IdentityName& who) {
  const auto identity = parts_.scope->find(who);
  return identity && identity->by_certificate() ? "x509" : "sas";
}

std::string LocalHub::generation_id(const IdentityName& who) {
  const auto identity = parts_.scope->find(who);
  return identity ? identity->generation_id : std::string();
}

// -- What they say -------------------------------------------------------------------------------------------------

void LocalHub::telemetry(telemetry::Message message, std::function<void(Result<>)> done) {
  asio::post(parts_.core, [weak = weak_from_this(), message = std::move(message), done = std::move(done)]() mutable {
    if (const auto self = weak.lock())
      self->store(std::move(message), std::move(done));
    else
      done(fail(Fault::unavailable, "the edge is closing"));
  });
}

void LocalHub::store(telemetry::Message message, std::function<void(Result<>)> done) {
  if (closed_) return done(fail(Fault::unavailable, "the edge is closing"));
  ++counts_.received;
  const std::vector<Target> targets = routes_.targets(message);
  if (targets.empty()) {
    ++counts_.unrouted;  // acknowledged and dropped: wire facts 5.6
    return done({});
  }
  parts_.store->append(message, targets, std::move(done));
}

void LocalHub::method_response(const IdentityName&, const std::string&, int, Bytes) {}  // methods: not offered yet

// -- Twins ---------------------------------------------------------------------------------------------------------

std::shared_ptr<TwinLink> LocalHub::twin_of(const IdentityName& who) {
  auto& link = twins_[who];
  if (link) return link;
  TwinLink::Settings settings;
  settings.who = who;
  settings.hub = parts_.hub;
  settings.tls = parts_.hub_tls;
  settings.key = [scope = parts_.scope, who] {
    const auto identity = scope->find(who);
    return identity ? identity->primary_key : std::string();
  };
  link = TwinLink::make(parts_.core, std::move(settings), *parts_.files, *parts_.clock);
  link->on_desired = [weak = weak_from_this(), who](const json::Value& patch) {
    const auto self = weak.lock();
    const json::Value* version = patch.find("$version");
    if (self && !self->closed_ && self->endpoint_)
      self->endpoint_->notify_desired(who, patch, version && version->is_integer() ? version->as_integer() : 0);
  };
  link->start();
  return link;
}

awaitable<Result<json::Value>> LocalHub::get_twin(IdentityName who) {
  awaitable<Result<json::Value>> here = get_twin_here(std::move(who));
  co_return co_await on_strand(parts_.core, std::move(here));
}

/// The edge speaks to the hub as the client, which takes its key (docs/decisions/0214-certificates-at-the-edge.md).
Result<> LocalHub::check_twin_of(const IdentityName& who) const {
  if (closed_) return fail(Fault::unavailable, "the edge is closing");
  const auto identity = parts_.scope->find(who);
  if (!identity || !identity->by_certificate()) return {};
  return fail(Fault::unavailable, "the twin of a device with a certificate is not served through a gateway");
}

awaitable<Result<json::Value>> LocalHub::get_twin_here(IdentityName who) {
  const auto self = shared_from_this();
  CO_TRY(check_twin_of(who));
  const auto link = twin_of(who);
  const bool known = co_await link->wait_until_known(std::chrono::seconds(10));
  if (!known)
    co_return fail(Fault::unavailable,
                   fmt::format("the twin of {} has not been seen yet and the hub cannot be reached", who.client_id()));
  co_return link->twin().view();
}

awaitable<Result<endpoint::ReportedAnswer>> LocalHub::patch_reported(IdentityName who, json::Value patch,
                                                                     std::optional<std::int64_t> base) {
  awaitable<Result<endpoint::ReportedAnswer>> here = report_here(std::move(who), std::move(patch), base);
  co_return co_await on_strand(parts_.core, std::move(here));
}

awaitable<Result<endpoint::ReportedAnswer>> LocalHub::report_here(IdentityName who, json::Value patch,
                                                                  std::optional<std::int64_t> base) {
  const auto self = shared_from_this();
  CO_TRY(check_twin_of(who));
  CO_TRY(twin::check_limits(patch, "reported"));
  CO_TRY_LET(const std::int64_t version, twin_of(who)->report(patch, base));
  endpoint::ReportedAnswer answer;
  answer.version = version;
  co_return answer;
}

json::Object LocalHub::clients_report() const {
  const auto time = [](Timestamp t) -> json::Value {
    if (t == Timestamp{}) return nullptr;
    return format_iso8601(t);
  };
  json::Object clients;
  for (const bool modules : {true, false})
    for (const auto& [who, client] : clients_) {
      if (who.is_module() != modules || clients.size() >= most_reported_clients) continue;
      clients.set(who.client_id(), json::Object{{"status", client.connected ? "Connected" : "Disconnected"},
                                                {"lastConnectedTimeUtc", time(client.connected_at)},
                                                {"lastDisconnectedTimeUtc", time(client.disconnected_at)}});
    }
  return clients;
}

}  // namespace nacelle::edge
