// nacelle hub: runs the hub until SIGINT or SIGTERM.
#include "service/hub/hub.h"

#include <fmt/format.h>

#include "app/command.h"
#include "foundation/log.h"
#include "net/socket/runtime.h"

namespace nacelle::app {
namespace {

constexpr std::uint16_t default_amqps = 5671;

struct HubSettings {
  std::string data = "nacelle-data";
  std::string host = "localhost";
  std::vector<std::string> aliases;
  std::string bind = "0.0.0.0";
  std::uint16_t mqtts = 8883;
  int amqps = -1;  // 5671, or any free one if MQTT takes any
  std::uint16_t https = 8443;
  std::uint16_t metrics = 9600;
  int mqtt = -1;
  unsigned partitions = 0;
  hub::UploadLimits uploads{};
  ByteCount retained_bytes = hub::Retention{}.bytes;
  unsigned retained_hours = static_cast<unsigned>(hub::Retention{}.age.count());
  bool open_namespace = false;
  bool allow_anonymous = false;
};

void print_ready(const endpoint::HubFile& file) {
  json::Object ready{{"ready", true}};
  const json::Value document = endpoint::ready_line_document(file);
  for (const auto& [name, value] : document.as_object()) ready.set(name, value);
  const std::string line = json::print(ready) + "\n";
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fflush(stdout);
}

awaitable<Result<>> serve(hub::HubOptions options, const Clock& clock) {
  const Executor executor = co_await asio::this_coro::executor;
  CO_TRY_LET(const auto hub, hub::Hub::open(executor, std::move(options), clock, storage::real_file_system()));
  print_ready(hub->found_at());
  co_await net::until_cancelled();
  co_await hub->close();
  log::info("hub", "stopped");
  co_return Result<>{};
}

Result<> run_hub(const HubSettings& settings) {
  hub::HubOptions options;
  options.directory = settings.data;
  options.host = settings.host;
  options.aliases = settings.aliases;
  options.bind = settings.bind;
  options.mqtts = settings.mqtts;
  options.https = settings.https;
  if (settings.amqps > 65535) return fail(Fault::invalid_input, fmt::format("--amqps: expected a port, found {}", settings.amqps));
  options.amqps = settings.amqps >= 0 ? static_cast<std::uint16_t>(settings.amqps) : settings.mqtts == 0 ? 0 : default_amqps;
  options.metrics = settings.metrics;
  options.uploads = settings.uploads;
  if (settings.retained_bytes < hub::least_retained)
    return fail(Fault::invalid_input, fmt::format("--retention-size: at least {} bytes are kept, found {}", hub::least_retained,
                                                  settings.retained_bytes));
  options.retention = {settings.retained_bytes, std::chrono::hours{settings.retained_hours}};
  if (settings.partitions > 0) options.partitions = settings.partitions;
  options.open_namespace = settings.open_namespace;
  options.allow_anonymous = settings.allow_anonymous;
  if (settings.allow_anonymous && !settings.open_namespace)
    return fail(Fault::invalid_input, "--allow-anonymous: it needs --open-namespace");
  if (settings.mqtt > 65535) return fail(Fault::invalid_input, fmt::format("--mqtt: expected a port, found {}", settings.mqtt));
  if (settings.mqtt >= 0) options.mqtt = static_cast<std::uint16_t>(settings.mqtt);
  const auto is_name = [](const std::string& name) { return !name.empty() && name.find_first_of(" /:;") == std::string::npos; };
  if (!is_name(settings.host))
    return fail(Fault::invalid_input, fmt::format("--host: expected a host name or an IPv4 address, found '{}'", settings.host));
  for (const auto& alias : settings.aliases)
    if (!is_name(alias))
      return fail(Fault::invalid_input, fmt::format("--alias: expected a host name or an IPv4 address, found '{}'", alias));
  const SystemClock clock;
  net::Runtime runtime;
  return runtime.run(serve(std::move(options), clock));
}

}  // namespace

void add_hub(CLI::App& root, Outcome& outcome) {
  const auto settings = std::make_shared<HubSettings>();
  CLI::App* command = root.add_subcommand("hub", "Run the hub: devices, telemetry, twins, capture, deployments");
  command->add_option("--data", settings->data, "folder of everything the hub keeps")->capture_default_str();
  command->add_option("--host", settings->host, "the hub's name, as clients spell it")->capture_default_str();
  command->add_option("--alias", settings->aliases, "a further name or IPv4 address that clients may spell it by; may be repeated")
      ->type_name("NAME");
  command->add_option("--bind", settings->bind, "address of the three TLS ports")->capture_default_str();
  command->add_option("--mqtts", settings->mqtts, "MQTT over TLS; 0: any free port, as for all")->capture_default_str();
  command->add_option("--amqps", settings->amqps, "AMQP over TLS (default: 5671; with --mqtts 0 any free one)")->type_name("PORT");
  command->add_option("--https", settings->https, "REST and file uploads")->capture_default_str();
  command
      ->add_option("--partitions", settings->partitions,
                   "partitions of the event log: of a new one (4 if nothing is said), or more than an old one has")
      ->check(CLI::Range(1, 32));  // as IoT Hub offers
  command->add_option("--metrics", settings->metrics, "Prometheus, on loopback")->capture_default_str();
  command->add_option("--mqtt", settings->mqtt, "MQTT without TLS, on loopback only (default: off)")->type_name("PORT");
  command
      ->add_option("--upload-quota", settings->uploads.quota_in_all,
                   "bytes of all files that devices have uploaded, as 500GB; 0: none (default: 256 GiB)")
      ->transform(CLI::AsSizeValue(false));
  command->add_option("--device-upload-quota", settings->uploads.quota_of_device, "the same of one device (default: 16 GiB)")
      ->transform(CLI::AsSizeValue(false));
  command
      ->add_option("--retention-size", settings->retained_bytes,
                   "bytes of telemetry the event log keeps, the oldest goes first (default: 64 GiB)")
      ->transform(CLI::AsSizeValue(false));
  command->add_option("--retention-hours", settings->retained_hours, "hours for which the event log keeps telemetry (default: 168)")
      ->check(CLI::Range(1U, 24U * 3660U));
  command->add_flag("--open-namespace", settings->open_namespace,
                    "be a broker for any MQTT client, under the rules of DATA/namespace.json (docs/mqtt.md)");
  command->add_flag("--allow-anonymous", settings->allow_anonymous, "in the open namespace, clients without a user name too");
  command->footer(
      "Prints one line of JSON when ready, and writes DATA/hub.json with the service connection string.\n\n"
      "Example:\n  nacelle hub --data ./nacelle-data --host localhost --mqtts 0 --https 0 --metrics 0");
  command->callback([&outcome, settings] { outcome.take(run_hub(*settings)); });
}

}  // namespace nacelle::app
