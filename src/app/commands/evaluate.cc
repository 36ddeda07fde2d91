// nacelle evaluate: a model judged on engines whose remaining life is known.

#include <fmt/format.h>

#include <memory>

#include "app/command.h"
#include "foundation/clock.h"
#include "ml/evaluation/report.h"
#include "service/workbench/data_source.h"
#include "service/workbench/files.h"
#include "service/workbench/model_reference.h"

namespace nacelle::app {

namespace {

struct Flags {
  std::string model, data, rul, report, workbench;
  double cap = 125;
  bool json = false;
};

Result<> run_evaluate(const Flags& flags) {
  TRY_LET(const workbench::ResolvedModel resolved, workbench::resolve_model(flags.model, flags.workbench));
  TRY_LET(const auto estimator, model::Estimator::load(resolved.artifact));
  TRY_LET(const workbench::TestSet test, workbench::load_test_set(flags.data, flags.rul));
  TRY_LET(const evaluation::Evaluation judged, evaluation::evaluate(*estimator, test.table, test.truth, flags.cap));
  const std::string called = resolved.version > 0 ? fmt::format("{}:{}", resolved.name, resolved.version) : estimator->name();
  if (!flags.report.empty()) {
    const evaluation::ReportSource source{
        .title = fmt::format("{} on {}", called, std::filesystem::path(flags.data).filename().string()),
        .model = flags.model,
        .data = flags.data,
        .made_at = format_iso8601(SystemClock().now(), 0)};
    TRY(workbench::write_whole(flags.report, evaluation::render_report(source, *estimator, test.table, judged)));
  }
  if (flags.json) {
    json::Value document = evaluation::to_json(judged);
    document.as_object().set("model", called);
    document.as_object().set("sha256", estimator->content_hash());
    if (!flags.report.empty()) document.as_object().set("report", flags.report);
    fmt::print("{}\n", json::print(document));
    return {};
  }
  fmt::print("{} on {}: {} engines\n", called, flags.data, judged.engines.size());
  const auto line = [](const std::string& name, const evaluation::Metrics& m) {
    fmt::print("{:<14} RMSE {:6.2f}  MAE {:6.2f}  R2 {:6.3f}  bias {:+6.2f}  PHM08 {:.0f}\n", name, m.rmse, m.mae, m.r2, m.bias,
               m.phm08);
  };
  line(fmt::format("capped at {:.0f}", flags.cap), judged.capped);
  line("raw", judged.raw);
  fmt::print("intervals {:.1f} cycles wide hold {:.0f} % of the engines\n", judged.interval_width, 100 * judged.interval_coverage);
  if (!flags.report.empty()) fmt::print("report written to {}\n", flags.report);
  return {};
}

}  // namespace

void add_evaluate(CLI::App& root, Outcome& outcome) {
  auto* command = root.add_subcommand("evaluate", "Judge a model on engines whose remaining life is known");
  auto flags = std::make_shared<Flags>();
  command->add_option("--model", flags->model, "NAME:VERSION, NAME@alias, NAME, an artifact file or its folder")->required();
  command->add_option("--data", flags->data, "CSV or C-MAPSS file; a set's name (FD003) means its test half")->required();
  command->add_option("--rul", flags->rul, "List of true remaining lives, one an engine, or a set's name");
  command->add_option("--report", flags->report, "Write an HTML report with plots");
  command->add_option("--cap", flags->cap, "Cap of the true remaining life in the capped metrics")->capture_default_str();
  command->add_option("--workbench", flags->workbench, "Workbench folder (default NACELLE_WORKBENCH, else ./nacelle-workbench)");
  command->add_flag("--json", flags->json, "Print as JSON");
  command->footer("Example:\n  nacelle evaluate --model turbofan-rul@champion --data FD003 --report report.html");
  command->callback([&outcome, flags] { outcome.take(run_evaluate(*flags)); });
}

}  // namespace nacelle::app
