// nacelle experiments: what was tried, and how it did.

#include <fmt/format.h>

#include <memory>

#include "app/command.h"
#include "app/commands/terminal.h"
#include "service/workbench/store.h"

namespace nacelle::app {

namespace {

struct Flags {
  std::string name, workbench;
  bool json = false;
};

Result<> run_list(const Flags& flags) {
  const SystemClock clock;
  TRY_LET(const auto store, workbench::WorkbenchStore::open(workbench::workbench_folder(flags.workbench), clock));
  TRY_LET(const auto experiments, store.experiments());
  if (flags.json) {
    json::Array all;
    for (const auto& e : experiments)
      all.emplace_back(json::Object{{"name", e.name},
                                    {"created", e.created_at},
                                    {"runs", e.runs},
                                    {"bestRmse", e.best_rmse ? json::Value(*e.best_rmse) : json::Value()}});
    fmt::print("{}\n", json::print(json::Object{{"experiments", std::move(all)}}));
    return {};
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& e : experiments)
    rows.push_back({e.name, e.created_at, fmt::format("{}", e.runs), e.best_rmse ? fmt::format("{:.2f}", *e.best_rmse) : "-"});
  print_table({"experiment", "created", "runs", "best RMSE"}, rows);
  return {};
}

Result<> run_show(const Flags& flags) {
  const SystemClock clock;
  TRY_LET(const auto store, workbench::WorkbenchStore::open(workbench::workbench_folder(flags.workbench), clock));
  TRY_LET(const auto runs, store.runs(flags.name));
  if (flags.json) {
    json::Array all;
    for (const auto& run : runs) all.emplace_back(workbench::to_json(run));
    fmt::print("{}\n", json::print(json::Object{{"experiment", flags.name}, {"leaderboard", std::move(all)}}));
    return {};
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& run : runs) {
    const json::Value* rmse = run.metrics.find("rmse");
    rows.push_back({run.id, run.trainer, run.status, rmse ? fmt::format("{:.2f}", rmse->as_number()) : "-",
                    fmt::format("{}", run.seed), run.started_at, run.data_sha256.substr(0, 12),
                    run.status == "failed" ? run.message : run.artifact_sha256.substr(0, 12)});
  }
  print_table({"run", "trainer", "status", "RMSE", "seed", "started", "data", "artifact"}, rows);
  return {};
}

}  // namespace

void add_experiments(CLI::App& root, Outcome& outcome) {
  auto* experiments = root.add_subcommand("experiments", "List experiments and their runs");
  experiments->footer("Example:\n  nacelle experiments show rul");
  experiments->require_subcommand(1);
  auto flags = std::make_shared<Flags>();
  const auto add_common = [flags](CLI::App* command) {
    command->add_option("--workbench", flags->workbench, "Workbench folder (default NACELLE_WORKBENCH, else ./nacelle-workbench)");
    command->add_flag("--json", flags->json, "Print as JSON");
  };
  auto* list = experiments->add_subcommand("list", "All experiments, newest first");
  add_common(list);
  list->footer("Example:\n  nacelle experiments list");
  list->callback([&outcome, flags] { outcome.take(run_list(*flags)); });
  auto* show = experiments->add_subcommand("show", "An experiment's runs, best first");
  show->add_option("name", flags->name, "The experiment")->required();
  add_common(show);
  show->footer("Example:\n  nacelle experiments show turbofan");
  show->callback([&outcome, flags] { outcome.take(run_show(*flags)); });
}

}  // namespace nacelle::app
