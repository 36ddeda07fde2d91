#include "service/hub/hub.h"

#include <fmt/format.h>

#include <algorithm>
#include <future>

#include "codec/sas/connection_string.h"
#include "foundation/log.h"
#include "service/hub/metrics.h"
#include "service/hub/provisioning.h"
#include "service/hub/schema.h"
#include "service/hub/sessions.h"

namespace nacelle::hub {
namespace {

constexpr std::chrono::seconds retention_interval{60};
// How late a message may expire, and a delivery that failed may be tried again.
constexpr std::chrono::seconds sweep_interval{5};
// Of the 30 days in which a certificate is due, and of those a clock may be put forward.
constexpr std::chrono::hours renewal_interval{1};
constexpr int rounds_between_warnings = 24;  // once a day
// 1 TiB of log.
constexpr std::size_t most_open_segments = 16'384;
// A model artifact comes in one body; blob blocks are at most 4 MiB from the SDKs we know.
constexpr ByteCount largest_body = 64_MiB;
// Bodies are held in memory: of all connections together so many bytes (docs/decisions/0221-bodies-in-memory.md).
constexpr ByteCount most_body_bytes = 256_MiB;
constexpr std::size_t most_https_connections = 1000;

std::vector<std::string> every_host_name(const Authority::Names& names) {
  std::vector<std::string> hosts = names.dns;
  hosts.insert(hosts.end(), names.addresses.begin(), names.addresses.end());
  return hosts;
}

/// The folder of registry, keys and everyone's telemetry is for its owner, unless someone made it otherwise before us.
Result<> make_private_folder(storage::FileSystem& files, const storage::fs::path& folder) {
  TRY_LET(const bool there, files.exists(folder));
  if (there) return {};
  TRY(files.make_directories(folder));
  std::error_code error;
  storage::fs::permissions(folder, storage::fs::perms::owner_all, error);
  if (error) return fail(Fault::unavailable, fmt::format("{}: {}", folder.string(), error.message()));
  return {};
}

/// As many as were asked for; if nobody asked, those there are, and of a new log the usual number.
Result<storage::Partition> partitions_of(const storage::fs::path& log, std::optional<storage::Partition> asked,
                                         const storage::FileSystem& files) {
  if (asked) return *asked;
  TRY_LET(const bool there, files.exists(log));
  if (!there) return usual_partitions;
  TRY_LET(const auto names, files.list(log));
  const auto is_partition = [](const std::string& name) {
    return name.size() == 4 && name.find_first_not_of("0123456789") == std::string::npos;
  };
  const auto count = std::count_if(names.begin(), names.end(), is_partition);
  return count > 0 ? static_cast<storage::Partition>(count) : usual_partitions;
}

Result<storage::LogOptions> log_options(const HubOptions& options, const storage::FileSystem& files) {
  storage::LogOptions log;
  log.directory = options.directory / "events";
  TRY_LET(log.partitions, partitions_of(log.directory, options.partitions, files));
  log.max_partition_bytes = options.retention.bytes / log.partitions;
  log.max_age = options.retention.age;
  // While appends wait for a capture, all that MQTT takes in before it reads no further (48 MiB of packets) is here, as records, of
  // which the shortest are four times as long.
  log.max_waiting_bytes = 192_MiB;
  // Of the rest connections have need.
  log.max_open_files = std::min(storage::open_file_limit() / 4, most_open_segments);
  // Whole segments are dropped: a quarter of what is kept at most.
  log.segment_bytes = std::min(log.segment_bytes, log.max_partition_bytes / 4);
  return log;
}

}  // namespace

Hub::Hub(Executor executor, HubOptions options, const Clock& clock, storage::FileSystem& files)
    : executor_(std::move(executor)), options_(std::move(options)), clock_(clock), files_(files), tasks_(executor_) {}

Hub::~Hub() = default;

Result<std::unique_ptr<Hub>> Hub::open(Executor executor, HubOptions options, const Clock& clock, storage::FileSystem& files) {
  std::unique_ptr<Hub> hub(new Hub(std::move(executor), std::move(options), clock, files));
  TRY(hub->open_stores());
  TRY(hub->open_parts());
  TRY(hub->listen());
  TRY(hub->write_hub_file());
  hub->tasks_.spawn(hub->capture_->run());
  hub->tasks_.spawn(hub->fleet_->run());
  hub->tasks_.spawn(hub->keep_within_bounds());
  hub->tasks_.spawn(hub->start_webhooks());
  hub->tasks_.spawn(hub->sweep_messages());
  hub->tasks_.spawn(hub->keep_certificate_fresh());
  return hub;
}

Result<> Hub::open_stores() {
  const auto& dir = options_.directory;
  TRY(make_private_folder(files_, dir));
  auto lock = files_.lock(dir / "hub.lock");
  if (!lock) {
    if (lock.error().fault == Fault::conflict) return fail(Fault::conflict, fmt::format("another hub runs on {}", dir.string()));
    return fail(std::move(lock).error());
  }
  lock_ = std::move(*lock);
  TRY_LET(authority_, Authority::open(dir / "certs", server_names(options_.host, options_.aliases), clock_, files_));
  TRY_LET(registry_tables_, open_registry_tables(dir));
  TRY_LET(capture_tables_, open_capture_tables(dir));
  TRY_LET(registry_, Registry::open(*registry_tables_, clock_));
  TRY_LET(device_authorities_, DeviceAuthorities::open(*registry_tables_, disk_.tables(), clock_, authority_->devices_pem()));
  TRY_LET(objects_, storage::open_folder_store(dir / "objects", files_));
  TRY_LET(uploads_, Uploads::open(*registry_tables_, *objects_, clock_, registry_->secret(), options_.uploads));
  TRY_LET(storage::LogOptions log, log_options(options_, files_));
  TRY_LET(log_, storage::EventLog::open(std::move(log), clock_, files_));
  return {};
}

Result<> Hub::open_parts() {
  TRY_LET(Routes routes, load_routes(options_.directory / "routes.json", files_));
  access_.emplace(*registry_, *device_authorities_, every_host_name(server_names(options_.host, options_.aliases)), clock_);
  service_queue_.emplace(*registry_tables_, clock_);
  CloudToDevice::Outlet outlet;  // used once there is an endpoint
  outlet.listening = [this](const device::IdentityName& who) { return reach_.accepts_cloud_to_device(who); };
  outlet.wake = [this](const device::IdentityName& who) { return reach_.wake(who); };
  outlet.deliver = [this](const device::IdentityName& who, const telemetry::Message& message,
                          endpoint::DeviceEndpoint::Delivered done) {
    reach_.deliver_cloud_to_device(who, message, std::move(done));
  };
  TRY_LET(cloud_to_device_, CloudToDevice::open(*registry_tables_, *registry_, *service_queue_, disk_.tables(), counters_, clock_,
                                                std::move(outlet)));
  TRY_LET(fleet_, Fleet::make(*registry_tables_, *registry_, disk_, clock_, options_.host));
  commits_.emplace(executor_, *log_);
  twins_ = std::make_unique<Twins>(*registry_, disk_.tables());
  registry_->on_change([this](const device::IdentityName& name) { twins_->changed(name); });
  hub_messages_ = std::make_unique<HubMessages>(routes_, *log_, counters_, clock_, options_.host);
  registry_->watch(*hub_messages_);
  const CaptureStream::Parts capture{*log_, *objects_, *capture_tables_, clock_, options_.host, twins_.get()};
  capture_ = std::make_unique<Capture>(capture, disk_, *commits_);
  TRY(capture_->open(routes));
  const Webhooks::Parts webhooks{*log_, *capture_tables_, disk_, *commits_, clock_, *twins_, options_.host};
  webhooks_ = std::make_unique<Webhooks>(executor_, webhooks);
  routes_.publish(std::move(routes));
  events_ = std::make_unique<Events>(*log_, *commits_, *registry_tables_, disk_, Events::Routing{routes_, *twins_, options_.host});
  const auto send_method = [this](const device::IdentityName& who, const std::string& method, const std::string& id,
                                  Bytes payload) { return reach_.call_method(who, method, id, std::move(payload)); };
  methods_ = std::make_unique<Methods>(executor_, send_method);  // called once there is an endpoint, and calls with it
  ingest_ = std::make_unique<Ingest>(*registry_, *access_, *log_, disk_, *methods_, *cloud_to_device_, reach_, counters_, clock_);
  return {};
}

Result<> Hub::listen() {
  const auto server = authority_->server();
  TRY_LET(tls_, net::TlsServerContext::make(server->certificate_pem, server->key_pem));
  authority_->on_renewed(
      [tls = tls_](const net::CertifiedKey& renewed) { return tls->replace(renewed.certificate_pem, renewed.key_pem); });
  TRY(listen_for_devices(tls_));
  return listen_for_calls(tls_);
}

Result<> Hub::listen_for_devices(const std::shared_ptr<net::TlsServerContext>& tls) {
  endpoint::DeviceEndpoint::Options options;
  options.hub_names = every_host_name(server_names(options_.host, options_.aliases));
  options.registrations = fleet_->provisioning.get();
  TRY_LET(storage::Database session_tables, open_session_tables(options_.directory));
  options.server.sessions = std::make_shared<Sessions>(std::move(session_tables));
  if (options_.open_namespace) {
    TRY_LET(options.open_namespace, read_open_namespace());
  }
  TRY(open_kept_messages());
  options.server.messages = kept_;
  endpoint_ = endpoint::DeviceEndpoint::make(executor_, *ingest_, clock_, std::move(options));
  reach_.serve(*endpoint_);
  device_authorities_->on_withdrawn(
      [this](const device::IdentityName& who) { reach_.disconnect(who, "the authority of its certificate is trusted no more"); });
  TRY_LET(file_.mqtts, endpoint_->listen({options_.bind, options_.mqtts, {}}, tls));
  if (options_.mqtt) {
    TRY_LET(file_.mqtt, endpoint_->listen({"127.0.0.1", *options_.mqtt, {}}, nullptr));
  }
  return {};
}

/// Also for a hub that was once a broker and is none now: what waits there keeps its place in the log.
Result<> Hub::open_kept_messages() {
  TRY_LET(const bool was_broker, files_.exists(options_.directory / "broker.db"));
  if (!options_.open_namespace && !was_broker) return {};
  TRY_LET(storage::Database tables, open_broker_tables(options_.directory));
  TRY_LET(kept_, KeptMessages::open(std::move(tables), *log_));
  ingest_->keep_in(kept_);
  return {};
}

Result<endpoint::OpenNamespace> Hub::read_open_namespace() const {
  endpoint::OpenNamespace open;
  open.allow_anonymous = options_.allow_anonymous;
  const auto path = options_.directory / "namespace.json";
  TRY_LET(const bool there, files_.exists(path));
  if (!there) return open;
  TRY_LET(const Bytes text, storage::read_file(files_, path));
  TRY_LET(const json::Value document, in(json::parse(text), path.string()));
  TRY_LET(open.rules, in(endpoint::AccessRules::parse(document), path.string()));
  return open;
}

Result<> Hub::listen_for_calls(const std::shared_ptr<net::TlsServerContext>& tls) {
  services_.reset(new Services{clock_,
                               options_.host,
                               0,
                               options_.directory,
                               files_,
                               disk_,
                               *registry_tables_,
                               *registry_,
                               *access_,
                               *authority_,
                               *device_authorities_,
                               *log_,
                               *objects_,
                               *ingest_,
                               *methods_,
                               *cloud_to_device_,
                               *service_queue_,
                               *endpoint_,
                               reach_,
                               *capture_,
                               *webhooks_,
                               *events_,
                               *uploads_,
                               routes_,
                               *fleet_,
                               executor_,
                               counters_,
                               [this]() -> Result<> {
                                 TRY_LET(const endpoint::HubFile file, describe());
                                 return publish(file);
                               }});
  amqp_ = std::make_unique<Amqp>(executor_, *services_, *commits_, Events::Routing{routes_, *twins_, options_.host});
  services_->amqp = amqp_.get();
  TRY(open_fleet());
  TRY_LET(file_.amqps, amqp_->listen({options_.bind, options_.amqps, {}}, tls));
  api_ = std::make_unique<Api>(*services_);
  net::HttpLimits limits;
  limits.max_body_bytes = largest_body;
  limits.max_connections = most_https_connections;
  limits.max_bodies_bytes = most_body_bytes;
  const auto may_send = [api = api_.get()](const net::HttpRequest& head) { return api->refuse_by_head(head); };
  const auto answer = [api = api_.get()](net::HttpRequest request) { return api->answer(std::move(request)); };
  TRY_LET(https_,
          net::HttpServer::listen(executor_, {options_.bind, options_.https, {}}, tls, answer, limits, websockets(), may_send));
  services_->https_port = file_.https = https_->port();

  const auto metrics = [this](net::HttpRequest request) { return scrape(std::move(request)); };
  TRY_LET(metrics_, net::HttpServer::listen(executor_, {"127.0.0.1", options_.metrics, {}}, nullptr, metrics));
  file_.metrics = metrics_->port();
  return {};
}

/// On the strand it belongs to: devices may be there already.
Result<> Hub::open_fleet() {
  std::promise<Result<>> opened;
  asio::post(disk_.tables(), [&] { opened.set_value(fleet_->open(*services_)); });
  return opened.get_future().get();
}

/// MQTT and AMQP over WebSocket, on the port of the calls (wire facts 1.1, 7.1): the sub-protocol decides.
std::vector<net::WebSocketRoute> Hub::websockets() {
  const auto serve = [&server = endpoint_->server()](net::StreamPtr stream) { return server.serve(std::move(stream)); };
  const auto serve_amqp = [amqp = amqp_.get()](net::StreamPtr stream) { return amqp->serve(std::move(stream)); };
  std::vector<net::WebSocketRoute> routes{{"/$iothub/websocket", {"mqtt"}, serve},
                                          {"/$iothub/websocket", {"AMQPWSB10"}, serve_amqp},
                                          {"/$servicebus/websocket", {"AMQPWSB10"}, serve_amqp}};
  if (options_.open_namespace) routes.push_back({"/mqtt", {"mqtt", "mqttv3.1"}, serve});  // where most brokers have it
  return routes;
}

Result<> Hub::write_hub_file() {
  TRY_LET(file_, describe());
  return publish(file_);
}

Result<endpoint::HubFile> Hub::describe() const {
  endpoint::HubFile file = file_;
  file.host = options_.host;
  file.ca_path = storage::fs::absolute(authority_->root_path());
  sas::ConnectionString owner;
  owner.host_name = options_.host;
  owner.policy_name = "iothubowner";
  const PolicyPtr policy = registry_->policy(owner.policy_name);
  if (!policy) return fail(Fault::corrupt, "the registry has no policy 'iothubowner'");
  owner.shared_access_key = policy->primary_key;
  file.connection_string = sas::print_connection_string(owner);
  return file;
}

Result<> Hub::publish(const endpoint::HubFile& file) const {
  return storage::write_file_atomic(files_, options_.directory / "hub.json", json::print_pretty(hub_file_document(file)) + "\n",
                                    0600);
}

awaitable<net::HttpResponse> Hub::scrape(net::HttpRequest request) {
  if (request.path() != "/metrics") co_return net::text_response(404, "metrics are at /metrics\n");
  auto read_groups = [this] { return events_->consumer_groups(); };
  auto groups = co_await run_on(disk_.tables(), read_groups);
  auto certificates = authority_->facts();
  MetricSources sources{counters_, *capture_, *webhooks_, *log_, endpoint_->connections(), amqp_->counts(), {}, *tls_, {}};
  if (groups) sources.consumer_groups = *std::move(groups);
  if (certificates) sources.certificates = *std::move(certificates);
  co_return net::text_response(200, print_metrics(sources), "text/plain; version=0.0.4; charset=utf-8");
}

awaitable<void> Hub::start_webhooks() {
  const auto routes = routes_.get();
  const auto started = co_await webhooks_->follow(*routes);
  if (!started) log::error("hub", "webhooks: {}", started.error().message);
}

/// Age and size of the event log.
awaitable<void> Hub::keep_within_bounds() {
  while (true) {
    const bool rested = co_await sleep_for(retention_interval);
    if (!rested) co_return;
    auto work = [this] { return log_->apply_retention(); };
    const auto applied = co_await run_on(disk_.files(), work);
    if (!applied) log::error("hub", "event log: {}", applied.error().message);
  }
}

awaitable<void> Hub::sweep_messages() {
  while (true) {
    const bool rested = co_await sleep_for(sweep_interval);
    if (!rested) co_return;
    auto work = [this] { return cloud_to_device_->sweep(); };
    const auto swept = co_await run_on(disk_.tables(), work);
    if (!swept) log::error("hub", "messages to devices: {}", swept.error().message);
    auto look = [this] { return uploads_->sweep(); };
    const auto stale = co_await run_on(disk_.tables(), look);
    if (!stale) log::error("hub", "uploads: {}", stale.error().message);
    if (!stale || stale->empty()) continue;
    auto discard = [this, blocks = *stale] { return uploads_->discard(blocks), true; };
    co_await run_on(disk_.files(), discard);
  }
}

/// Connections go on with the certificate they began with; new ones get the new one.
awaitable<void> Hub::keep_certificate_fresh() {
  for (int round = 0;; ++round) {
    if (round % rounds_between_warnings == 0) authority_->warn_of_ends();
    const bool rested = co_await sleep_for(renewal_interval);
    if (!rested) co_return;
    auto work = [this] { return authority_->renew(); };
    const auto renewed = co_await run_on(disk_.tables(), work);
    if (!renewed) log::error("hub", "renewing the server certificate: {}", renewed.error().message);
  }
}

awaitable<void> Hub::close(bool flush_capture) {
  commits_->close();
  co_await methods_->close();
  co_await amqp_->close();
  co_await https_->close();
  co_await metrics_->close();
  auto end_deliveries = [this] {
    cloud_to_device_->close();
    return true;
  };
  co_await run_on(disk_.tables(), end_deliveries);
  co_await endpoint_->close();
  co_await tasks_.close();
  co_await fleet_->close();
  co_await webhooks_->close();
  if (!flush_capture) co_return;
  const auto flushed = co_await capture_->flush();
  if (!flushed) log::error("hub", "capture: {}; what is in the log is captured after the next start", flushed.error().message);
}

}  // namespace nacelle::hub
