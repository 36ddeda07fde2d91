// nacelle experiments: what was tried, and how it did; a killed one goes on; runs side by side.

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "app/command.h"
#include "app/commands/experiment_run.h"
#include "app/commands/terminal.h"
#include "app/commands/workbench_options.h"
#include "service/workbench/comparison.h"

namespace nacelle::app {

namespace {

struct Flags {
  std::string name, workbench, out;
  std::vector<std::string> runs;
  int threads = 2;
  bool json = false;
  bool progress = false;
};

Result<workbench::WorkbenchStore> open_store(const Flags& flags, const Clock& clock) {
  return workbench::WorkbenchStore::open(workbench::workbench_folder(flags.workbench), clock);
}

Result<> run_list(const Flags& flags) {
  const SystemClock clock;
  TRY_LET(const auto store, open_store(flags, clock));
  TRY_LET(const auto experiments, store.experiments());
  json::Array all;
  std::vector<std::vector<std::string>> rows;
  for (const auto& e : experiments) {
    TRY_LET(const auto sweeps, store.sweeps(e.name));
    const std::string status = sweeps.empty() ? "-" : sweeps.front().status;
    all.emplace_back(json::Object{{"name", e.name},
                                  {"created", e.created_at},
                                  {"status", status},
                                  {"runs", e.runs},
                                  {"bestRmse", e.best_rmse ? json::Value(*e.best_rmse) : json::Value()}});
    rows.push_back(
        {e.name, e.created_at, status, fmt::format("{}", e.runs), e.best_rmse ? fmt::format("{:.2f}", *e.best_rmse) : "-"});
  }
  if (flags.json)
    fmt::print("{}\n", json::print(json::Object{{"experiments", std::move(all)}}));
  else
    print_table({"experiment", "created", "status", "runs", "best RMSE"}, rows);
  return {};
}

Result<> run_show(const Flags& flags) {
  const SystemClock clock;
  TRY_LET(const auto store, open_store(flags, clock));
  TRY_LET(const auto runs, store.runs(flags.name));
  TRY_LET(const auto sweeps, store.sweeps(flags.name));
  if (flags.json) {
    json::Array all, all_sweeps;
    for (const auto& run : runs) all.emplace_back(workbench::to_json(run));
    for (const auto& sweep : sweeps) all_sweeps.emplace_back(workbench::to_json(sweep));
    fmt::print("{}\n", json::print(json::Object{
                           {"experiment", flags.name}, {"leaderboard", std::move(all)}, {"sweeps", std::move(all_sweeps)}}));
    return {};
  }
  for (const auto& sweep : sweeps)
    fmt::print("sweep {}: {}, began {}, {:.1f} s of work, data {}{}{}\n", sweep.id, sweep.status, sweep.started_at, sweep.seconds,
               sweep.data_sha256.substr(0, 12), sweep.registered.empty() ? "" : ", registered as " + sweep.registered,
               sweep.message.empty() ? "" : ": " + sweep.message);
  print_leaderboard(runs);
  return {};
}

Result<> run_resume(const Flags& flags) {
  return resume_experiment(flags.name, {.workbench = flags.workbench,
                                        .model_name = {},
                                        .out = flags.out,
                                        .threads = std::clamp(flags.threads, 1, 1024),
                                        .json = flags.json,
                                        .progress = flags.progress});
}

Result<> run_compare(const Flags& flags) {
  const SystemClock clock;
  TRY_LET(const auto store, open_store(flags, clock));
  TRY_LET(const workbench::RunComparison comparison, workbench::compare_runs(store, flags.runs));
  if (flags.json) {
    fmt::print("{}\n", json::print(workbench::to_json(comparison)));
    return {};
  }
  print_leaderboard(comparison.runs);
  if (!comparison.differences.empty()) {
    fmt::print("\nparameters that differ:\n");
    std::vector<std::string> header = {"parameter"};
    for (const workbench::Run& run : comparison.runs) header.push_back(run.id);
    std::vector<std::vector<std::string>> rows;
    for (const auto& [name, values] : comparison.differences) {
      rows.push_back({name});
      rows.back().insert(rows.back().end(), values.begin(), values.end());
    }
    print_table(header, rows);
  }
  fmt::print("\n");
  for (const auto& [id, against_first] : comparison.against_first)
    fmt::print("{} is {} than {} on the same {} held-out engines: RMSE {:+.2f} ({:+.2f} to {:+.2f}, 95 %)\n", id,
               evaluation::verdict_text(against_first.verdict), comparison.runs.front().id, against_first.engines,
               against_first.rmse_second - against_first.rmse_first, against_first.difference.low, against_first.difference.high);
  for (const std::string& note : comparison.notes) fmt::print("{}\n", note);
  return {};
}

}  // namespace

void add_experiments(CLI::App& root, Outcome& outcome) {
  auto* experiments = root.add_subcommand("experiments", "List, show, resume and compare experiments and their runs");
  experiments->footer("Example:\n  nacelle experiments show rul");
  experiments->require_subcommand(1);
  auto flags = std::make_shared<Flags>();
  const auto add = [&, flags](const char* name, const char* text, const char* example, Result<> (*run)(const Flags&)) {
    auto* command = experiments->add_subcommand(name, text);
    add_workbench_option(*command, flags->workbench);
    add_json_flag(*command, flags->json);
    command->footer(std::string("Example:\n  nacelle experiments ") + example);
    command->callback([&outcome, flags, run] { outcome.take(run(*flags)); });
    return command;
  };
  add("list", "All experiments, newest first", "list", run_list);
  add("show", "An experiment's sweeps and runs, best first", "show turbofan", run_show)
      ->add_option("name", flags->name, "The experiment")
      ->required();
  auto* resume = add("resume", "Go on with an experiment that was killed or interrupted", "resume turbofan", run_resume);
  resume->add_option("name", flags->name, "The experiment")->required();
  resume->add_option("--out", flags->out, "Folder for the best model's model.nacelle");
  resume->add_flag("--progress", flags->progress, "With --json: first a line for whatever happens, with the leaderboard so far");
  resume->add_option("--threads", flags->threads, "Trials at once")->capture_default_str();
  add("compare", "Runs side by side: metrics, parameters, and whether they differ on the same held-out engines",
      "compare 1f3a9c02 77d0be41", run_compare)
      ->add_option("runs", flags->runs, "Runs, or experiments (their best runs); two at least")
      ->required()
      ->expected(2, 20);
}

}  // namespace nacelle::app
