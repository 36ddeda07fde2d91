#include "service/edge/edge.h"

#include <fmt/format.h>

#include "codec/sas/connection_string.h"
#include "foundation/log.h"
#include "foundation/task_scope.h"
#include "service/edge/agent.h"
#include "service/edge/certificates.h"
#include "service/edge/module_environment.h"
#include "service/edge/workload.h"

namespace nacelle::edge {

namespace {

using std::chrono::seconds;

constexpr seconds scope_refresh{3600};
constexpr seconds clients_report_every{5};
constexpr seconds first_retry{1};
constexpr seconds max_retry{30};

struct Identity {
  HubAddress hub;
  device::DeviceId device;
  std::string key;
};

Result<Identity> read_connection(const EdgeOptions& options) {
  TRY_LET(const sas::ConnectionString parts, sas::parse_connection_string(options.connection));
  if (parts.is_service() || parts.device_id.empty() || !parts.module_id.empty() || parts.shared_access_key.empty())
    return fail(Fault::invalid_input,
                "--connection: expected a device's connection string, HostName=..;DeviceId=..;SharedAccessKey=..");
  TRY_LET(HubAddress hub, parse_hub_address(parts.host_name, options.hub_mqtts));
  TRY_LET(device::DeviceId id, in(device::parse_device_id(parts.device_id), "--connection, DeviceId"));
  return Identity{std::move(hub), std::move(id), parts.shared_access_key};
}

class EdgeBody final : public Edge {
 public:
  EdgeBody(Executor runtime, EdgeOptions options, Identity me, EdgeFiles files, const Clock& clock, ProcessRunner& processes,
           std::shared_ptr<net::TlsClientContext> tls)
      : runtime_(runtime),
        core_(asio::make_strand(runtime)),
        options_(std::move(options)),
        me_(std::move(me)),
        files_(std::move(files)),
        clock_(clock),
        processes_(processes),
        hub_client_(me_.hub, std::move(tls), me_.device, me_.key, clock),
        scope_(files_, hub_client_, clock),
        tasks_(core_),
        config_wake_(core_) {}

  std::uint16_t mqtts() const override { return port_; }
  const std::string& device() const override { return me_.device.str(); }
  bool offline() const override { return offline_; }
  Executor core() const { return core_; }

  awaitable<Result<>> begin();
  awaitable<void> close() override;

 private:
  awaitable<Result<EdgeAuthority>> learn_who_we_are();
  awaitable<Result<EdgeAuthority>> first_contact();
  Result<> open_store();
  Result<> listen();
  Result<> make_agent();
  std::shared_ptr<TwinLink> system_link(const char* module, std::size_t window);
  Result<std::map<std::string, std::string>> module_environment(const deployment::ModuleSpec& spec);
  void take_routes(const json::Value& desired);
  awaitable<void> follow_manifest();
  awaitable<void> keep_scope_fresh();
  awaitable<void> keep_certificate_fresh();
  awaitable<void> report_clients();
  awaitable<void> close_here();

  Executor runtime_;
  Executor core_;
  EdgeOptions options_;
  Identity me_;
  EdgeFiles files_;
  const Clock& clock_;
  ProcessRunner& processes_;
  HubClient hub_client_;
  ScopeCache scope_;
  EdgeAuthority authority_;
  std::unique_ptr<MessageStore> store_;
  std::unique_ptr<ArtifactCache> artifacts_;
  std::shared_ptr<net::TlsServerContext> server_tls_;
  std::shared_ptr<TwinLink> hub_link_;    // {edge}/$edgeHub
  std::shared_ptr<TwinLink> agent_link_;  // {edge}/$edgeAgent
  std::shared_ptr<LocalHub> local_hub_;
  std::unique_ptr<endpoint::DeviceEndpoint> endpoint_;
  std::unique_ptr<Workload> workload_;
  std::shared_ptr<Agent> agent_;
  TaskScope tasks_;
  asio::steady_timer config_wake_;
  bool manifest_changed_ = false;
  json::Value hub_reported_ = json::Object{};
  json::Object hub_status_{{"code", 406}, {"description", "no configuration has been seen"}};
  std::int64_t hub_version_ = 0;
  std::uint16_t port_ = 0;
  bool offline_ = false;
};

// -- Start ---------------------------------------------------------------------------------------------------------

awaitable<Result<>> EdgeBody::begin() {
  co_await asio::this_coro::throw_if_cancelled(false);
  auto authority = co_await learn_who_we_are();
  if (!authority) co_return fail(std::move(authority).error());
  authority_ = std::move(*authority);
  CO_TRY(storage::write_file_atomic(files_.file_system(), files_.root() / "root.pem", authority_.root_pem));
  CO_TRY(open_store());
  CO_TRY(listen());
  CO_TRY(make_agent());
  hub_link_->start();
  agent_link_->start();
  agent_->start();
  tasks_.spawn(follow_manifest());
  tasks_.spawn(keep_scope_fresh());
  tasks_.spawn(keep_certificate_fresh());
  tasks_.spawn(report_clients());
  co_return Result<>{};
}

/// The scope and our own CA: from the hub, or as cached.
awaitable<Result<EdgeAuthority>> EdgeBody::learn_who_we_are() {
  auto cached = cached_authority(files_, clock_.now());
  if (!cached || !scope_.known()) co_return co_await first_contact();
  auto refreshed = co_await scope_.refresh(seconds(3));
  offline_ = !refreshed;
  if (!refreshed) log::warn("edge", "starting from the cache: {}", refreshed.error().message);
  co_return std::move(*cached);
}

awaitable<Result<EdgeAuthority>> EdgeBody::first_contact() {
  seconds wait = first_retry;
  while (true) {
    auto refreshed = co_await scope_.refresh();
    Error why;
    if (refreshed) {
      auto authority = co_await fetch_authority(files_, hub_client_);
      if (authority) co_return authority;
      why = authority.error();
    } else {
      why = refreshed.error();
    }
    if (why.fault != Fault::unavailable && why.fault != Fault::timed_out) co_return fail(std::move(why));
    log::warn("edge", "the first start needs the hub; trying again in {} s: {}", wait.count(), why.message);
    const bool slept = co_await sleep_for(wait);
    if (!slept) co_return fail(Fault::unavailable, "stopped before the hub was reached");
    wait = std::min(wait * 2, max_retry);
  }
}

Result<> EdgeBody::open_store() {
  MessageStore::Options options;
  options.directory = files_.spools();
  if (const auto good = files_.load(files_.good_config("$edgeHub")))
    if (const auto config = deployment::parse_hub_config(*good)) options.max_bytes = config->max_store_bytes;
  TRY_LET(store_, MessageStore::open(std::move(options), clock_, files_.file_system()));
  TRY_LET(auto objects, storage::open_folder_store(files_.artifacts(), files_.file_system()));
  artifacts_ = std::make_unique<ArtifactCache>(std::move(objects), hub_client_);
  return {};
}

std::shared_ptr<TwinLink> EdgeBody::system_link(const char* module, std::size_t window) {
  TwinLink::Settings settings;
  settings.who = {me_.device, device::ModuleId(module)};
  settings.hub = me_.hub;
  settings.tls = hub_client_.tls();
  settings.max_in_flight = window;
  settings.max_back_off = std::chrono::seconds(1);  // DESIGN.md P4: what waits drains within 2 s of the network's return
  settings.key = [this, who = settings.who] {
    const auto identity = scope_.find(who);
    return identity ? identity->primary_key : std::string();
  };
  return TwinLink::make(core_, std::move(settings), files_, clock_);
}

Result<> EdgeBody::listen() {
  hub_link_ = system_link("$edgeHub", 1000);
  hub_link_->on_desired = [this](const json::Value&) { take_routes(hub_link_->twin().desired()); };
  LocalHub::Parts parts;
  parts.core = core_;
  parts.clock = &clock_;
  parts.files = &files_;
  parts.scope = &scope_;
  parts.store = store_.get();
  parts.edge = me_.device;
  parts.hub = me_.hub;
  parts.hub_tls = hub_client_.tls();
  parts.upstream = hub_link_;
  local_hub_ = LocalHub::make(std::move(parts));
  if (const auto good = files_.load(files_.good_config("$edgeHub"))) take_routes(*good);

  TRY_LET(const net::CertifiedKey certificate, server_certificate(files_, authority_, options_.host, clock_.now()));
  TRY_LET(server_tls_, net::TlsServerContext::make(certificate.certificate_pem, certificate.key_pem));
  endpoint::DeviceEndpoint::Options endpoint_options;
  endpoint_options.hub_names = me_.hub.names();
  // Pumps bound what is on its way to an input; a refusal by the server in between would break the order.
  endpoint_options.server.limits.max_deliveries = 60'000;
  endpoint_options.server.limits.max_outbound_bytes = 256_MiB;
  endpoint_ = endpoint::DeviceEndpoint::make(runtime_, *local_hub_, clock_, std::move(endpoint_options));
  local_hub_->serve_on(*endpoint_);
  net::Endpoint at;
  at.host = options_.listen_on;
  at.port = options_.mqtts;
  TRY_LET(port_, endpoint_->listen(at, server_tls_));
  return {};
}

Result<> EdgeBody::make_agent() {
  TRY_LET(fs::path sockets, files_.socket_folder());
  Workload::Parts workload;
  workload.core = core_;
  workload.clock = &clock_;
  workload.scope = &scope_;
  workload.hub = &hub_client_;
  workload.artifacts = artifacts_.get();
  workload.edge = me_.device;
  workload.authority = authority_;
  workload.modules = [this] { return agent_->supervisor().report(); };
  workload_ = std::make_unique<Workload>(std::move(workload), std::move(sockets));

  agent_link_ = system_link("$edgeAgent", 10);
  agent_link_->on_desired = [this](const json::Value&) {
    manifest_changed_ = true;
    config_wake_.cancel();
  };
  Agent::Parts agent;
  agent.core = core_;
  agent.clock = &clock_;
  agent.files = &files_;
  agent.processes = &processes_;
  agent.programs = options_.programs;
  agent.rules = options_.rules;
  agent.environment = [this](const deployment::ModuleSpec& spec) { return module_environment(spec); };
  agent.report = [this](const json::Value& patch) {
    if (auto reported = agent_link_->report(patch); !reported) log::error("edge", "reporting: {}", reported.error().message);
  };
  agent_ = Agent::make(std::move(agent));
  return {};
}

// -- Modules -------------------------------------------------------------------------------------------------------

Result<std::map<std::string, std::string>> EdgeBody::module_environment(const deployment::ModuleSpec& spec) {
  const auto identity = scope_.find({me_.device, device::ModuleId(spec.name)});
  if (!identity) return fail(Fault::unavailable, fmt::format("module {} has no identity at the hub yet", spec.name));
  ModuleSurroundings around;
  TRY_LET(around.workload_uri, workload_->uri_for(spec.name));
  around.edge = me_.device.str();
  around.hub = me_.hub.name;
  around.gateway = port_ == 8883 ? options_.host : fmt::format("{}:{}", options_.host, port_);
  around.generation_id = identity->generation_id;
  around.folder = files_.module_data(spec.name);
  return environment_of(spec, around);
}

/// $edgeHub's desired properties: routes and the store's bounds. A bad one is reported, and the old routes stay.
void EdgeBody::take_routes(const json::Value& desired) {
  const json::Value* version = desired.find("$version");
  hub_version_ = version && version->is_integer() ? version->as_integer() : 0;
  if (!desired.find("routes") && !desired.find("schemaVersion")) {
    hub_status_ = json::Object{{"code", 400}, {"description", "the desired properties are empty"}};
    return;
  }
  auto config = deployment::parse_hub_config(desired);
  if (!config) {
    hub_status_ = json::Object{{"code", 400}, {"description", config.error().message}};
    log::warn("edge", "routes of version {} are not taken: {}", hub_version_, config.error().message);
    return;
  }
  hub_status_ = json::Object{{"code", 200}, {"description", ""}};
  log::info("edge", "routes of version {}: {}", hub_version_, config->routes.size());
  if (auto saved = files_.save(files_.good_config("$edgeHub"), desired); !saved) log::error("edge", "{}", saved.error().message);
  local_hub_->set_routes(RouteTable(std::move(*config)));
}

// -- What goes on --------------------------------------------------------------------------------------------------

awaitable<void> EdgeBody::follow_manifest() {
  co_await asio::this_coro::throw_if_cancelled(false);
  const auto cancelled = co_await asio::this_coro::cancellation_state;
  while (cancelled.cancelled() == asio::cancellation_type::none) {
    if (std::exchange(manifest_changed_, false)) {
      auto refreshed = co_await scope_.refresh();  // new modules have new identities
      if (!refreshed) log::warn("edge", "{}", refreshed.error().message);
      if (cancelled.cancelled() == asio::cancellation_type::none) agent_->apply(agent_link_->twin().desired());
      continue;
    }
    config_wake_.expires_after(std::chrono::hours(1));
    const auto [error] = co_await config_wake_.async_wait(as_result);
    (void)error;
  }
}

awaitable<void> EdgeBody::keep_scope_fresh() {
  co_await asio::this_coro::throw_if_cancelled(false);
  while (true) {
    const seconds wait = offline_ ? seconds(30) : scope_refresh;
    const bool slept = co_await sleep_for(wait);
    if (!slept) co_return;
    auto refreshed = co_await scope_.refresh();
    offline_ = !refreshed;
    const auto cancelled = co_await asio::this_coro::cancellation_state;
    if (cancelled.cancelled() != asio::cancellation_type::none) co_return;
  }
}

awaitable<void> EdgeBody::keep_certificate_fresh() {
  co_await asio::this_coro::throw_if_cancelled(false);
  while (true) {
    const bool slept = co_await sleep_for(std::chrono::hours(12));
    if (!slept) co_return;
    const auto certificate = server_certificate(files_, authority_, options_.host, clock_.now());
    auto renewed = certificate ? server_tls_->replace(certificate->certificate_pem, certificate->key_pem)
                               : Result<>(fail(certificate.error()));
    if (!renewed) log::error("edge", "renewing the server certificate: {}", renewed.error().message);
  }
}

awaitable<void> EdgeBody::report_clients() {
  co_await asio::this_coro::throw_if_cancelled(false);
  while (true) {
    const bool slept = co_await sleep_for(clients_report_every);
    if (!slept) co_return;
    const json::Value now = json::Object{{"schemaVersion", "1.2"},
                                         {"version", json::Object{{"version", "1.5.0"}, {"build", "nacelle"}, {"commit", ""}}},
                                         {"lastDesiredVersion", hub_version_},
                                         {"lastDesiredStatus", hub_status_},
                                         {"clients", local_hub_->clients_report()}};
    const json::Value patch = merge_difference(hub_reported_, now);
    if (patch.as_object().empty()) continue;
    if (auto reported = hub_link_->report(patch))
      hub_reported_ = now;
    else
      log::error("edge", "reporting: {}", reported.error().message);
  }
}

awaitable<void> EdgeBody::close() {
  awaitable<void> here = close_here();
  co_await asio::co_spawn(core_, std::move(here), asio::use_awaitable);
}

awaitable<void> EdgeBody::close_here() {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await tasks_.close();
  if (agent_) co_await agent_->close();
  if (workload_) co_await workload_->close();
  if (endpoint_) co_await endpoint_->close();
  if (local_hub_) {
    co_await local_hub_->close();
    const LocalHubCounts counts = local_hub_->counts();
    log::info("edge", "stopped: {} messages received, {} not routed, {} waiting, {} dropped", counts.received, counts.unrouted,
              store_->waiting(), store_->dropped());
  }
  if (agent_link_) co_await agent_link_->close();
  if (hub_link_) co_await hub_link_->close();
}

Result<std::unique_ptr<EdgeBody>> make_body(Executor runtime, EdgeOptions options, const Clock& clock, storage::FileSystem& files,
                                            ProcessRunner& processes) {
  TRY_LET(Identity me, read_connection(options));
  TRY_LET(EdgeFiles folder, EdgeFiles::open(options.data, files));
  // The hub's CA: as given, else the root that came with our own CA at the first start.
  std::string ca;
  if (!options.hub_ca.empty()) {
    TRY_LET(ca, in(storage::read_file(files, options.hub_ca, 4_MiB), "--ca"));
  } else if (auto kept = storage::read_file(files, folder.root() / "root.pem", 4_MiB)) {
    ca = std::move(*kept);
  }
  TRY_LET(auto tls, in(net::TlsClientContext::make(ca), "--ca"));
  return std::make_unique<EdgeBody>(runtime, std::move(options), std::move(me), std::move(folder), clock, processes,
                                    std::move(tls));
}

}  // namespace

awaitable<Result<std::unique_ptr<Edge>>> Edge::start(Executor runtime, EdgeOptions options, const Clock& clock,
                                                     storage::FileSystem& files, ProcessRunner& processes) {
  auto made = make_body(runtime, std::move(options), clock, files, processes);
  if (!made) co_return fail(std::move(made).error());
  std::unique_ptr<EdgeBody> body = std::move(*made);
  awaitable<Result<>> begin = body->begin();
  auto begun = co_await asio::co_spawn(body->core(), std::move(begin), asio::use_awaitable);
  if (!begun) {
    co_await body->close();
    co_return fail(std::move(begun).error());
  }
  std::unique_ptr<Edge> edge = std::move(body);
  co_return std::move(edge);
}

}  // namespace nacelle::edge
