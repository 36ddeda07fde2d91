#include "app/commands/experiment_run.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "app/commands/terminal.h"
#include "app/trial_workers.h"
#include "foundation/random.h"
#include "service/workbench/files.h"
#include "storage/file/file.h"

namespace nacelle::app {
namespace {

namespace fs = std::filesystem;

/// A number of a run's metrics, for a table.
std::string metric(const workbench::Run& run, std::string_view name, int decimals) {
  const json::Value* value = run.metrics.find(name);
  return value && value->is_number() ? fmt::format("{:.{}f}", value->as_number(), decimals) : std::string("-");
}

/// What of a run's parameters fits on a line.
std::string short_parameters(const workbench::Run& run) {
  constexpr std::size_t most = 70;
  std::string text;
  for (const auto& [name, value] : run.parameters.as_object())
    text += fmt::format("{}{}={}", text.empty() ? "" : " ", name, json::print(value));
  return text.size() > most ? text.substr(0, most) + ".." : text;
}

/// The leaderboard so far, on standard error: rewritten in place on a terminal, else a line for each trial that came to an end.
class LiveBoard {
 public:
  void tell(const workbench::SweepProgress& progress) {
    if (!terminal_) {
      if (!progress.what.empty() && progress.what != last_) fmt::print(stderr, "{}\n", progress.what);
      last_ = progress.what;
      return;
    }
    erase();
    line(progress.rungs == 0
             ? fmt::format("fitting to all engines: {} of {}, {:.0f} s", progress.done, progress.all, progress.seconds)
             : fmt::format("rung {} of {}: {} of {} trials, {:.0f} s", progress.rung, progress.rungs, progress.done, progress.all,
                           progress.seconds));
    for (const workbench::Run& run : progress.best)
      line(fmt::format("  {:>3}  {:<14} RMSE {:>6} on {} folds   {}", run.trial, run.trainer, metric(run, "rmse", 2), run.folds,
                       short_parameters(run)));
    std::fflush(stderr);
  }
  ~LiveBoard() {
    if (terminal_) erase();
  }

 private:
  void line(const std::string& text) {
    fmt::print(stderr, "\033[K{}\n", text.substr(0, 110));
    ++lines_;
  }
  void erase() {
    if (lines_ > 0) fmt::print(stderr, "\033[{}A\r\033[J", lines_);
    lines_ = 0;
  }
  const bool terminal_ = ::isatty(2) == 1;
  std::size_t lines_ = 0;
  std::string last_;
};

json::Array leaderboard_json(const std::vector<workbench::Run>& runs) {
  json::Array all;
  for (const workbench::Run& run : runs) all.emplace_back(workbench::to_json(run));
  return all;
}

/// The leaderboard so far as a line of JSON, for programs that watch.
void tell_watchers(const workbench::SweepProgress& progress) {
  fmt::print("{}\n", json::print(json::Object{{"progress", json::Object{{"rung", progress.rung},
                                                                        {"rungs", progress.rungs},
                                                                        {"done", progress.done},
                                                                        {"all", progress.all},
                                                                        {"seconds", progress.seconds},
                                                                        {"what", progress.what},
                                                                        {"best", leaderboard_json(progress.best)}}}}));
  std::fflush(stdout);
}

Result<> tell(const workbench::WorkbenchStore& store, const workbench::SweepResult& result, const ExperimentRun& run) {
  const workbench::Run& best = result.best;
  if (!run.out.empty()) {
    TRY_LET(const Bytes bytes, storage::read_file(storage::real_file_system(), store.artifact_path(best.artifact_sha256)));
    TRY(workbench::write_whole(fs::path(run.out) / model::artifact_file_name, bytes));
  }
  if (run.json) {
    fmt::print("{}\n", json::print(json::Object{
                           {"experiment", result.sweep.experiment},
                           {"sweep", result.sweep.id},
                           {"seconds", result.sweep.seconds},
                           {"leaderboard", leaderboard_json(result.leaderboard)},
                           {"registered", result.registered ? workbench::to_json(*result.registered) : json::Value()}}));
    return {};
  }
  print_leaderboard(result.leaderboard);
  fmt::print("{} trials in {:.1f} s\n", result.leaderboard.size(), result.sweep.seconds);
  if (result.registered)
    fmt::print("registered as {}:{}, SHA-256 {}\n", result.registered->name, result.registered->version, best.artifact_sha256);
  return {};
}

struct Setting {
  SystemClock clock;
  LiveBoard board;
  workbench::SweepOptions options;

  explicit Setting(const ExperimentRun& run) {
    options.code_version = NACELLE_VERSION;
    options.model_name = run.model_name;
    options.progress = [this, watched = run.json && run.progress](const workbench::SweepProgress& progress) {
      if (watched) return tell_watchers(progress);
      board.tell(progress);
    };
    options.seconds_now = [] { return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count(); };
  }
};

std::size_t parallel_trials(const search::Experiment& experiment, int threads) {
  return static_cast<std::size_t>(std::max(1, threads / experiment.trial_threads));
}

fs::path exchange_folder() { return fs::temp_directory_path() / ("nacelle-trials-" + random_uuid()); }

/// Trials run in processes of their own and may be resumed from elsewhere: files are named in full.
std::string in_full(const std::string& reference) {
  std::error_code code;
  return !reference.empty() && fs::exists(reference, code) ? fs::absolute(reference, code).string() : reference;
}

}  // namespace

void print_leaderboard(const std::vector<workbench::Run>& runs) {
  std::vector<std::vector<std::string>> rows;
  for (const workbench::Run& run : runs)
    rows.push_back({run.id, fmt::format("{}", run.trial), run.trainer, run.status, fmt::format("{}", run.folds),
                    metric(run, "rmse", 2), metric(run, "mae", 2), metric(run, "r2", 3), metric(run, "phm08PerEngine", 2),
                    metric(run, "rmseRaw", 2), run.message.empty() ? short_parameters(run) : run.message.substr(0, 80)});
  print_table({"run", "trial", "trainer", "status", "folds", "RMSE", "MAE", "R2", "PHM08/engine", "RMSE raw", "parameters"}, rows);
}

Result<> run_experiment(search::Experiment experiment, const ExperimentRun& run) {
  TRY(registry::check_name(experiment.name, "experiment"));
  for (std::string& reference : experiment.data) reference = in_full(reference);
  experiment.rul = in_full(experiment.rul);
  experiment.schema = in_full(experiment.schema);
  TRY_LET(const dataset::FleetTable table, workbench::load_fleet({experiment.data, experiment.rul, experiment.schema}));
  Setting setting(run);
  TRY_LET(auto store, workbench::WorkbenchStore::open(workbench::workbench_folder(run.workbench), setting.clock));
  const auto workers = make_process_workers(exchange_folder(), parallel_trials(experiment, run.threads));
  TRY_LET(const workbench::SweepResult result, workbench::run_sweep(store, experiment, table, *workers, setting.options));
  return tell(store, result, run);
}

Result<> resume_experiment(const std::string& name, const ExperimentRun& run) {
  Setting setting(run);
  TRY_LET(auto store, workbench::WorkbenchStore::open(workbench::workbench_folder(run.workbench), setting.clock));
  TRY_LET(const auto sweeps, store.sweeps(name));
  if (sweeps.empty()) return fail(Fault::conflict, fmt::format("experiment '{}' has nothing to resume", name));
  TRY_LET(const search::Experiment experiment, search::Experiment::from_json(sweeps.front().spec));
  TRY_LET(const dataset::FleetTable table, workbench::load_fleet({experiment.data, experiment.rul, experiment.schema}));
  const auto workers = make_process_workers(exchange_folder(), parallel_trials(experiment, run.threads));
  TRY_LET(const workbench::SweepResult result, workbench::resume_sweep(store, name, table, *workers, setting.options));
  return tell(store, result, run);
}

}  // namespace nacelle::app
