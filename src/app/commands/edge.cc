// nacelle edge: module agent, local hub and gateway.

#include <filesystem>
#include <memory>

#include "app/command.h"
#include "codec/json/value.h"
#include "foundation/log.h"
#include "net/socket/runtime.h"
#include "service/edge/edge.h"

namespace nacelle::app {

namespace {

awaitable<void> until_cancelled() {
  while (true)
    if (const bool slept = co_await sleep_for(std::chrono::hours(24)); !slept) co_return;
}

awaitable<Result<>> serve(Executor executor, edge::EdgeOptions options) {
  co_await asio::this_coro::throw_if_cancelled(false);  // so that the end below can still wait
  const SystemClock clock;
  auto started =
      co_await edge::Edge::start(executor, std::move(options), clock, storage::real_file_system(), edge::real_processes());
  if (!started) co_return fail(std::move(started).error());
  const std::unique_ptr<edge::Edge> edge = std::move(*started);
  const json::Object ready{
      {"ready", true}, {"mqtts", int{edge->mqtts()}}, {"device", edge->device()}, {"offline", edge->offline()}};
  std::printf("%s\n", json::print(ready).c_str());
  std::fflush(stdout);
  co_await until_cancelled();
  co_await edge->close();
  co_return Result<>{};
}

Result<> run_edge(edge::EdgeOptions options) {
  std::error_code error;
  options.programs = std::filesystem::read_symlink("/proc/self/exe", error).parent_path();
  net::Runtime runtime;
  return runtime.run(serve(runtime.executor(), std::move(options)));
}

}  // namespace

void add_edge(CLI::App& root, Outcome& outcome) {
  auto* command = root.add_subcommand("edge", "Run an edge: module agent, local hub and gateway beside the machines");
  auto options = std::make_shared<edge::EdgeOptions>();
  command->add_option("--data", options->data, "Folder of everything the edge keeps")->required();
  command
      ->add_option("--connection", options->connection,
                   "Connection string of an edge device; its HostName may be HOST:PORT (HTTPS)")
      ->envname("NACELLE_EDGE_CONNECTION")  // a command line is for everybody to see
      ->required();
  command->add_option("--ca", options->hub_ca, "The hub's root certificate (PEM); needed at the first start");
  command->add_option("--hub-mqtts", options->hub_mqtts, "The hub's MQTT/TLS port")->capture_default_str();
  command->add_option("--mqtts", options->mqtts, "Port for modules and leaf devices, MQTT/TLS; 0: any free one")
      ->capture_default_str();
  command->add_option("--host", options->host, "Name by which modules and leaf devices reach this edge")->capture_default_str();
  command->add_option("--listen", options->listen_on, "Address to listen on; 0.0.0.0 for leaf devices on other machines")
      ->capture_default_str();
  command->footer(
      "Example:\n  nacelle edge --data ./edge --ca hub/certs/ca.pem --hub-mqtts 8883 --mqtts 18883 \\\n"
      "    --connection 'HostName=localhost:8443;DeviceId=edge1;SharedAccessKey=...'");
  command->callback([&outcome, options] { outcome.take(run_edge(*options)); });
}

}  // namespace nacelle::app
