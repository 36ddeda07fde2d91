// nacelle simulate: replays engines to a hub or a gateway; nacelle simulate generate: makes engines.

#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <memory>

#include "app/command.h"
#include "codec/json/value.h"
#include "ml/dataset/cmapss.h"
#include "net/socket/runtime.h"
#include "service/endpoint/hub_client.h"
#include "service/simulator/physics.h"
#include "service/simulator/registration.h"
#include "service/simulator/replay.h"
#include "service/workbench/data_source.h"
#include "storage/file/file.h"

namespace nacelle::app {

namespace {

namespace fs = std::filesystem;
using simulator::ReplaySummary;

struct ReplayFlags {
  std::string data_set = "FD003";
  std::string split = "train";
  fs::path data;
  fs::path hub;
  std::string connection;
  std::uint16_t https = 443;
  std::uint16_t mqtts = 8883;
  fs::path ca;
  std::size_t max_devices = 0;
  double rate = 0;
  std::string gateway;
  std::string parent;
  std::string prefix = "Client_";
  std::int64_t first_unit = 1;
  std::int64_t give_up_after = 300;
  bool progress = false;
  bool json = false;
};

/// Where the hub is: for REST, for its name in tokens, and for MQTT if no gateway is given.
struct HubAccess {
  simulator::MakeHubClient make_client;
  std::string name;
  net::Endpoint mqtts;
  std::string ca_pem;
};

Result<std::string> read_text(const fs::path& path) { return storage::read_file(storage::real_file_system(), path, 1_MiB); }

Result<HubAccess> hub_access(const ReplayFlags& flags, const Clock& clock) {
  HubAccess access;
  if (!flags.ca.empty()) {
    TRY_LET(access.ca_pem, in(read_text(flags.ca), "--ca"));
  }
  if (!flags.connection.empty()) {
    const std::string connection = flags.connection, ca = access.ca_pem;
    const std::uint16_t https = flags.https;
    access.make_client = [connection, https, ca, &clock] { return endpoint::HubClient::make(connection, https, ca, clock); };
    TRY_LET(const endpoint::HubClient hub, access.make_client());
    access.name = hub.host_name();
    TRY_LET(access.mqtts, net::parse_endpoint(hub.host_name(), flags.mqtts));
    access.mqtts.port = flags.mqtts;
    return access;
  }
  TRY_LET(const endpoint::HubFile file, endpoint::read_hub_file(flags.hub.empty() ? endpoint::default_hub_path() : flags.hub));
  access.make_client = [file, &clock] { return endpoint::HubClient::make(file, clock); };
  TRY_LET(const endpoint::HubClient hub, access.make_client());
  access.name = hub.host_name();
  access.mqtts = {.host = file.host, .port = file.mqtts, .unix_path = {}};
  if (access.ca_pem.empty()) {
    TRY_LET(access.ca_pem, read_text(file.ca_path));
  }
  return access;
}

Result<simulator::Target> target_of(const ReplayFlags& flags, const HubAccess& hub) {
  simulator::Target target;
  target.endpoint = hub.mqtts;
  target.hub_name = hub.name;
  if (!flags.gateway.empty()) {
    TRY_LET(target.endpoint, in(net::parse_endpoint(flags.gateway, 8883), "--gateway"));
  }
  TRY_LET(target.tls, net::TlsClientContext::make(hub.ca_pem));
  return target;
}

Result<std::shared_ptr<const dataset::FleetTable>> read_table(const ReplayFlags& flags) {
  fs::path file = flags.data;
  if (file.empty()) {
    TRY_LET(file, workbench::find_data_file(flags.split + "_" + flags.data_set));
  }
  std::ifstream in(file, std::ios::binary);
  if (!in) return fail(Fault::not_found, file.string() + ": cannot be read");
  TRY_LET(dataset::FleetTable table, dataset::read_cmapss(in, file.filename().string()));
  return std::shared_ptr<const dataset::FleetTable>(std::make_shared<dataset::FleetTable>(std::move(table)));
}

/// One line, written over itself.
void show_progress(const simulator::Progress& progress) {
  const double share = progress.total == 0 ? 1.0 : static_cast<double>(progress.acked) / static_cast<double>(progress.total);
  constexpr int width = 40;
  const int full = static_cast<int>(share * width);
  std::fprintf(stderr, "\r[%s%s] %3.0f %%  %llu of %llu acknowledged%s", std::string(full, '#').c_str(),
               std::string(width - full, '.').c_str(), share * 100, static_cast<unsigned long long>(progress.acked),
               static_cast<unsigned long long>(progress.total), progress.acked == progress.total ? "\n" : "");
  std::fflush(stderr);
}

void print_summary(const ReplaySummary& summary, bool as_json) {
  const auto& counts = summary.counts;
  const double rate = summary.seconds > 0 ? static_cast<double>(counts.acked) / summary.seconds : 0;
  if (as_json) {
    json::Object line{{"engines", std::uint64_t{summary.engines}},
                      {"sent", counts.sent},
                      {"acked", counts.acked},
                      {"reconnects", counts.reconnects}};
    line.set("seconds", summary.seconds);
    line.set("messagesPerSecond", rate);
    std::printf("%s\n", json::print(line).c_str());
    return;
  }
  std::printf("%zu engines: %llu messages sent, %llu acknowledged in %.1f s (%.0f messages/s, %llu reconnects)\n", summary.engines,
              static_cast<unsigned long long>(counts.sent), static_cast<unsigned long long>(counts.acked), summary.seconds, rate,
              static_cast<unsigned long long>(counts.reconnects));
}

awaitable<Result<>> replay_fleet(Executor executor, const ReplayFlags* flags, const Clock* clock) {
  const auto hub = hub_access(*flags, *clock);
  CO_TRY(hub);
  auto target = target_of(*flags, *hub);
  CO_TRY(target);
  const auto table = read_table(*flags);
  CO_TRY(table);

  std::vector<std::string> ids;
  std::size_t engines = (*table)->engines.size();
  if (flags->max_devices > 0) engines = std::min(engines, flags->max_devices);
  for (std::size_t i = 0; i < engines; ++i)
    ids.push_back(simulator::device_name(flags->prefix, flags->first_unit - 1 + (*table)->engines[i].unit));
  const auto identities = co_await simulator::register_devices(executor, hub->make_client, ids, flags->parent);
  CO_TRY(identities);

  std::vector<simulator::Feed> feeds;
  for (std::size_t i = 0; i < engines; ++i) feeds.push_back({ids[i], (*identities)[i].primary_key, (*table)->engines[i]});
  simulator::ReplayOptions options;
  options.messages_per_second = flags->rate;
  options.give_up_after = std::chrono::seconds{flags->give_up_after};
  if (flags->progress || ::isatty(STDERR_FILENO)) options.on_progress = show_progress;
  const auto summary =
      co_await simulator::replay(executor, *clock, std::move(*target), std::move(feeds), *table, std::move(options));
  CO_TRY(summary);
  print_summary(*summary, flags->json);
  co_return Result<>{};
}

Result<> run_replay(const ReplayFlags& flags) {
  if (flags.split != "train" && flags.split != "test")
    return fail(Fault::invalid_input, "--split: expected train or test, found '" + flags.split + "'");
  if (flags.rate < 0) return fail(Fault::invalid_input, "--rate: expected a number above 0");
  const SystemClock clock;
  net::Runtime runtime;
  return runtime.run(replay_fleet(runtime.executor(), &flags, &clock));
}

struct GenerateFlags {
  simulator::FleetSpec fleet;
  fs::path out, test_out, rul_out;
};

Result<> run_generate(const GenerateFlags& flags) {
  if (flags.test_out.empty() != flags.rul_out.empty())
    return fail(Fault::invalid_input, "--test-out and --rul-out belong together");
  TRY_LET(const simulator::Fleet fleet, simulator::simulate_fleet(flags.fleet));
  storage::FileSystem& disk = storage::real_file_system();
  TRY(storage::write_file_atomic(disk, flags.out, simulator::print_histories(fleet.train)));
  if (flags.test_out.empty()) return {};
  TRY(storage::write_file_atomic(disk, flags.test_out, simulator::print_histories(fleet.test)));
  return storage::write_file_atomic(disk, flags.rul_out, simulator::print_remaining(fleet.remaining));
}

void add_generate(CLI::App& simulate, Outcome& outcome) {
  auto flags = std::make_shared<GenerateFlags>();
  auto* command = simulate.add_subcommand("generate", "Make run-to-failure histories of simulated engines, in NASA's text form");
  command->add_option("--engines", flags->fleet.engines, "Engines in each set")->capture_default_str();
  command->add_option("--conditions", flags->fleet.conditions, "Operating conditions: 1 or 6")->capture_default_str();
  command->add_option("--fault-modes", flags->fleet.fault_modes, "1: compressor; 2: compressor or fan")->capture_default_str();
  command->add_option("--seed", flags->fleet.seed, "The same seed gives the same files")->capture_default_str();
  command->add_option("--out", flags->out, "Training file to write")->required();
  command->add_option("--test-out", flags->test_out, "Test file to write: histories cut off before failure");
  command->add_option("--rul-out", flags->rul_out, "True remaining life of the test engines");
  command->footer(
      "Example:\n  nacelle simulate generate --engines 100 --fault-modes 2 --seed 7 --out train.txt --test-out test.txt --rul-out "
      "rul.txt");
  command->callback([&outcome, flags] { outcome.take(run_generate(*flags)); });
}

}  // namespace

void add_simulate(CLI::App& root, Outcome& outcome) {
  auto flags = std::make_shared<ReplayFlags>();
  auto* command = root.add_subcommand("simulate", "Replay engines as devices that send telemetry; or make engines");
  command->require_subcommand(0, 1);
  command->add_option("--data-set", flags->data_set, "FD001 to FD004")->capture_default_str();
  command->add_option("--split", flags->split, "train or test")->capture_default_str();
  command->add_option("--data", flags->data, "A file of the 26-column form instead, plain or .gz");
  command->add_option("--hub", flags->hub, "A running hub's hub.json or its folder (default: $NACELLE_HUB, else ./nacelle-data)");
  command->add_option("--connection", flags->connection, "A service connection string instead of --hub");
  command->add_option("--https-port", flags->https, "The hub's HTTPS port, with --connection")->capture_default_str();
  command->add_option("--mqtts-port", flags->mqtts, "The hub's MQTT port, with --connection")->capture_default_str();
  command->add_option("--ca", flags->ca, "Root certificate to trust, PEM (default: the hub's)");
  command->add_option("--max-devices", flags->max_devices, "The first N engines only");
  command->add_option("--rate", flags->rate, "Messages a second of each engine (default: as fast as they are acknowledged)");
  command->add_option("--gateway", flags->gateway, "HOST:PORT of an edge to connect to; user name and token still name the hub");
  command->add_option("--parent", flags->parent, "Make the devices children of this edge device");
  command->add_option("--prefix", flags->prefix, "Device names' beginning")->capture_default_str();
  command->add_option("--first-unit", flags->first_unit, "Number of the first engine's device")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}));
  command->add_option("--give-up-after", flags->give_up_after, "Seconds without any acknowledgement")
      ->capture_default_str()
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1'000'000}));
  command->add_flag("--progress", flags->progress, "Show the progress bar even if standard error is no terminal");
  command->add_flag("--json", flags->json, "The summary as one line of JSON");
  command->footer(
      "Example:\n  nacelle simulate --data-set FD003 --hub ./hub\n"
      "  nacelle simulate --data-set FD003 --split test --hub ./hub --gateway localhost:18883 --parent edge1 --max-devices 1");
  command->callback([command, &outcome, flags] {
    if (command->get_subcommands().empty()) outcome.take(run_replay(*flags));
  });
  add_generate(*command, outcome);
}

}  // namespace nacelle::app
