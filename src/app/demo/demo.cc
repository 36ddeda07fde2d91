#include "app/demo/demo.h"

#include <fmt/format.h>

#include <unistd.h>

#include <cstdlib>
#include <thread>

#include "app/demo/stage.h"
#include "service/workbench/data_source.h"

namespace nacelle::app::demo {
namespace {

namespace fs = std::filesystem;

/// A new folder. Short, since unix sockets lie below it and their paths may have 107 bytes.
Result<fs::path> make_work_folder(const fs::path& told) {
  std::error_code error;
  if (!told.empty()) {
    fs::create_directories(told, error);
    if (error) return fail(Fault::unavailable, fmt::format("--work: {}: {}", told.string(), error.message()));
    if (!fs::is_empty(told, error))
      return fail(Fault::conflict, fmt::format("--work: {}: expected an empty folder", told.string()));
    return fs::canonical(told);
  }
  std::string pattern = (fs::temp_directory_path() / "nacelle-XXXXXX").string();
  if (!::mkdtemp(pattern.data())) return fail(Fault::unavailable, fmt::format("{}: no temporary folder could be made", pattern));
  return fs::path(pattern);
}

void say_where(const Stage& stage) {
  say(fmt::format("kept in {}:", stage.work.string()));
  say("  report.html        the evaluation, with plots");
  say("  hub/               the hub's folder: start it again with 'nacelle hub --data'");
  say("  hub/objects/       captured Avro (capture/), uploads of the edge (uploads/), models (artifacts/)");
  say("  workbench/         experiments, runs, registered models");
  say("  image.tar          the scoring service as an OCI image; image/ is it unpacked");
  say("  manifest.json      the edge's deployment; edge/ is its folder");
  say("  logs/              what every program wrote to standard error");
}

/// Hub, edge and modules stay up for whoever wants to look, until Ctrl-C.
Result<> stay_open(const Stage& stage) {
  TRY_LET(const std::uint64_t https, count_in(stage.hub->ready, {"https"}));
  TRY_LET(const std::uint64_t gateway, count_in(stage.edge->ready, {"mqtts"}));
  say(fmt::format("the hub (https://localhost:{}) and the edge (MQTT/TLS {}) stay up until Ctrl-C; in another terminal:", https,
                  gateway));
  say(fmt::format("  export NACELLE_HUB={}", stage.text("hub")));
  say("  nacelle devices list");
  say("  nacelle events watch");
  say("  nacelle console         # the link to its page in the browser");
  while (!InterruptGuard::interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds{200});
  return {};
}

Result<> run_steps(Stage& stage) {
  for (const auto step : {start_hub, replay_training, prepare_data, run_experiment, evaluate_model, pack_and_serve, start_edge,
                          send_through_gateway, check_uploads, retrain_and_roll_out})
    TRY(step(stage));
  if (stage.options.keep && ::isatty(STDOUT_FILENO)) TRY(stay_open(stage));
  return stop_everything(stage);
}

/// NASA's archive, once, if this machine has no copy and its user named no folder. Without a network the demo goes on.
void fetch_if_missing(const Stage& stage) {
  const bool told = std::getenv("NACELLE_DATA") != nullptr;
  if (stage.options.offline || told || workbench::find_data_file("train_" + stage.options.data_set)) return;
  say("data: not on this machine; fetching NASA's archive (12 MB) once");
  const auto fetched = stage.cli.json({"data", "fetch"}, std::chrono::seconds{120});
  if (!fetched) say("data: " + fetched.error().message);
}

Result<> run_in(const DemoOptions& options, const fs::path& work) {
  std::error_code ignored;
  fs::create_directories(work / "logs", ignored);
  const InterruptGuard guard;
  Stage stage(options, work);
  fetch_if_missing(stage);
  TRY_LET(stage.data, find_data(options.data_set, options.quick ? 10 : 0, work));
  say(fmt::format("data: {}: {} training engines, {} readings; {} test engines, {} readings", stage.data.description,
                  stage.train_engines(), stage.train_rows(), stage.test_engines(), stage.test_rows()));
  const auto began = std::chrono::steady_clock::now();
  const Result<> done = run_steps(stage);
  if (options.keep) say_where(stage);
  // Whatever a step's command answered, the demo ran and failed: exit code 1.
  if (!done) return fail(Fault::conflict, done.error().message);
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
  say(fmt::format("the whole loop in {:.0f} s, every count as expected", seconds));
  return {};
}

}  // namespace

Result<> run_demo(const DemoOptions& options) {
  TRY_LET(const fs::path work, make_work_folder(options.work));
  const Result<> done = run_in(options, work);
  std::error_code ignored;
  if (!options.keep) fs::remove_all(work, ignored);
  return done;
}

}  // namespace nacelle::app::demo
