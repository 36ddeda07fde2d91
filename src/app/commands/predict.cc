// nacelle predict: the remaining life of every engine of a table, after its last reading.

#include <fmt/format.h>

#include <memory>

#include "app/command.h"
#include "app/commands/terminal.h"
#include "ml/evaluation/predictions.h"
#include "service/workbench/data_source.h"
#include "service/workbench/model_reference.h"

namespace nacelle::app {

namespace {

struct Flags {
  std::string model, data, workbench;
  bool json = false;
};

Result<> run_predict(const Flags& flags) {
  TRY_LET(const workbench::ResolvedModel resolved, workbench::resolve_model(flags.model, flags.workbench));
  TRY_LET(const auto estimator, model::Estimator::load(resolved.artifact));
  TRY_LET(const dataset::FleetTable table, workbench::load_table(flags.data));
  TRY_LET(const auto engines, evaluation::predict_fleet(*estimator, table));
  if (flags.json) {
    json::Array all;
    for (const auto& e : engines) all.emplace_back(json::Object{{"unit", e.unit}, {"cycle", e.cycle}, {"rul", e.rul}});
    fmt::print("{}\n", json::print(json::Object{{"engines", std::move(all)}}));
    return {};
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& e : engines)
    rows.push_back({fmt::format("{}", e.unit), fmt::format("{}", e.cycle), fmt::format("{:.1f}", e.rul),
                    fmt::format("{:.0f}", e.interval.low), fmt::format("{:.0f}", e.interval.high)});
  print_table({"engine", "cycle", "RUL", "low", "high"}, rows);
  return {};
}

}  // namespace

void add_predict(CLI::App& root, Outcome& outcome) {
  auto* command = root.add_subcommand("predict", "Predict the remaining life of every engine of a table");
  auto flags = std::make_shared<Flags>();
  command->add_option("--model", flags->model, "NAME:VERSION, NAME@alias, NAME, an artifact file or its folder")->required();
  command->add_option("--data", flags->data, "CSV or C-MAPSS file, or a set's name such as test_FD003")->required();
  command->add_option("--workbench", flags->workbench, "Workbench folder (default NACELLE_WORKBENCH, else ./nacelle-workbench)");
  command->add_flag("--json", flags->json, R"(Print {"engines":[{"unit":1,"cycle":31,"rul":112.4}, ..]})");
  command->footer("Example:\n  nacelle predict --model model --data test_FD003 --json");
  command->callback([&outcome, flags] { outcome.take(run_predict(*flags)); });
}

}  // namespace nacelle::app
