// nacelle evaluate: a model judged on engines whose remaining life is known.

#include <fmt/format.h>

#include <cmath>
#include <memory>
#include <optional>

#include "app/command.h"
#include "app/commands/workbench_options.h"
#include "foundation/clock.h"
#include "ml/evaluation/report.h"
#include "ml/evaluation/robustness.h"
#include "service/workbench/data_source.h"
#include "service/workbench/files.h"
#include "service/workbench/model_reference.h"

namespace nacelle::app {

namespace {

/// Means over so many engines say enough; deep forests take a fifth of a second for each.
constexpr std::size_t engines_explained = 100;

struct Flags {
  std::string model, against, data, rul, schema, report, workbench;
  double cap = 125;
  bool robustness = false;
  bool json = false;
};

/// A model and what it is called.
struct Loaded {
  std::shared_ptr<const model::Estimator> estimator;
  std::string called;
};

Result<Loaded> load(const std::string& reference, const std::string& folder) {
  TRY_LET(const workbench::ResolvedModel resolved, workbench::resolve_model(reference, folder));
  TRY_LET(const auto estimator, model::Estimator::load(resolved.artifact));
  return Loaded{estimator, resolved.version > 0 ? fmt::format("{}:{}", resolved.name, resolved.version) : estimator->name()};
}

/// A model judged on the very data that it learned from is no judgement (P6).
bool learned_from(const model::Estimator& estimator, const dataset::FleetTable& table) {
  const json::Value* hash = estimator.provenance().at_path({"data", "sha256"});
  return hash && hash->is_string() && hash->as_string() == table.content_hash();
}

struct Judged {
  bool learned_from_these = false;
  evaluation::Evaluation evaluation;
  std::optional<evaluation::Robustness> robustness;
  std::optional<evaluation::FleetExplanation> explanation;
  std::optional<evaluation::Comparison> comparison;  ///< of this model against the other: the other is the first
  std::string against;
};

Result<Judged> judge(const Flags& flags, const Loaded& model, const workbench::TestSet& test) {
  Judged judged;
  judged.learned_from_these = learned_from(*model.estimator, test.table);
  if (judged.learned_from_these)
    fmt::print(stderr, "warning: {} learned from these very data: this says nothing of engines that it has not seen\n",
               model.called);
  TRY_LET(judged.evaluation, evaluation::evaluate(*model.estimator, test.table, test.truth, flags.cap));
  if (flags.robustness) {
    TRY_LET(judged.robustness, evaluation::judge_robustness(*model.estimator, test.table, test.truth, flags.cap));
  }
  if (flags.json || !flags.report.empty()) {
    if (auto told = evaluation::explain_fleet(*model.estimator, test.table, engines_explained))  // not every model tells
      judged.explanation = std::move(told).value();
    else if (told.error().fault != Fault::unavailable)
      return fail(told.error());
  }
  if (!flags.against.empty()) {
    TRY_LET(const Loaded other, load(flags.against, flags.workbench));
    TRY_LET(const evaluation::Evaluation theirs, evaluation::evaluate(*other.estimator, test.table, test.truth, flags.cap));
    TRY_LET(judged.comparison, evaluation::compare(theirs, judged.evaluation));
    judged.against = other.called;
  }
  return judged;
}

void print_stresses(const std::vector<evaluation::Stress>& stresses, std::size_t shown) {
  for (std::size_t i = 0; i < std::min(shown, stresses.size()); ++i)
    fmt::print("  {:<44} RMSE {:6.2f}  ({:+.0f} %)\n", stresses[i].name, stresses[i].capped.rmse, 100 * stresses[i].loss);
}

void print(const Flags& flags, const Loaded& model, const Judged& judged) {
  const evaluation::Evaluation& e = judged.evaluation;
  fmt::print("{} on {}: {} engines\n", model.called, flags.data, e.engines.size());
  const auto line = [](const std::string& name, const evaluation::Metrics& m) {
    fmt::print("{:<14} RMSE {:6.2f}  MAE {:6.2f}  R2 {:6.3f}  bias {:+6.2f}  PHM08 {:.0f}\n", name, m.rmse, m.mae, m.r2, m.bias,
               m.phm08);
  };
  line(fmt::format("capped at {:.0f}", flags.cap), e.capped);
  line("raw", e.raw);
  fmt::print("ranges over resampled engines (5 to 95 %): RMSE {:.2f} to {:.2f}, PHM08 {:.0f} to {:.0f}\n", e.capped_ranges.rmse.low,
             e.capped_ranges.rmse.high, e.capped_ranges.phm08.low, e.capped_ranges.phm08.high);
  fmt::print("intervals {:.1f} cycles wide hold {:.0f} % of the engines; within 50 cycles of failure {:.1f} wide, {:.0f} %\n",
             e.interval_width, 100 * e.interval_coverage, e.near_failure.interval_width, 100 * e.near_failure.interval_coverage);
  fmt::print("{:.0f} % are told more than {:.0f} cycles late, {:.0f} % more than {:.0f} early\n", 100 * e.late,
             evaluation::late_cycles, 100 * e.early, evaluation::early_cycles);
  for (const evaluation::Horizon& horizon : e.horizons)
    if (horizon.metrics.count > 0)
      fmt::print(
          "  true life {:>3.0f} to {:<4} {:>4} engines  RMSE {:6.2f}  bias {:+6.2f}  late {:3.0f} %  interval {:5.1f}, {:3.0f} %\n",
          horizon.low, std::isfinite(horizon.high) ? fmt::format("{:.0f}", horizon.high) : "", horizon.metrics.count,
          horizon.metrics.rmse, horizon.metrics.bias, 100 * horizon.late, horizon.interval_width, 100 * horizon.interval_coverage);
  if (judged.robustness) {
    fmt::print("on worse data:\n");
    for (const evaluation::LateJoin& join : judged.robustness->late_joins)
      fmt::print(
          "  {:<44} RMSE {:6.2f}  ({:+.0f} %); only the {} engines that ran so long: {:.2f} ({:+.0f} %), of these {:.2f} for "
          "{:.2f}\n",
          join.all.name, join.all.capped.rmse, 100 * join.all.loss, join.engines, join.rmse_mixed, 100 * join.loss_mixed,
          join.rmse_cut, join.rmse_whole);
    print_stresses(judged.robustness->dead, 3);
    print_stresses(judged.robustness->stuck, 3);
    print_stresses(judged.robustness->noisy, 2);
  }
  if (judged.comparison)
    fmt::print("{} than {}: RMSE {:+.2f} ({:+.2f} to {:+.2f}, 95 %, the same resampled engines)\n",
               evaluation::verdict_text(judged.comparison->verdict), judged.against,
               judged.comparison->rmse_second - judged.comparison->rmse_first, judged.comparison->difference.low,
               judged.comparison->difference.high);
  if (!flags.report.empty()) fmt::print("report written to {}\n", flags.report);
}

void print_json(const Flags& flags, const Loaded& model, const Judged& judged) {
  json::Value document = evaluation::to_json(judged.evaluation);
  json::Object& object = document.as_object();
  object.set("model", model.called);
  object.set("sha256", model.estimator->content_hash());
  object.set("learnedFromTheseData", judged.learned_from_these);
  if (judged.robustness) object.set("robustness", evaluation::to_json(*judged.robustness));
  if (judged.explanation)
    object.set("importance", json::Object{{"channels", evaluation::to_json(judged.explanation->channels)},
                                          {"sensors", evaluation::to_json(judged.explanation->sensors)},
                                          {"features", evaluation::to_json(judged.explanation->features)}});
  if (judged.comparison) {
    object.set("against", judged.against);
    object.set("comparison", evaluation::to_json(*judged.comparison));
  }
  if (!flags.report.empty()) object.set("report", flags.report);
  fmt::print("{}\n", json::print(document));
}

Result<> run_evaluate(const Flags& flags) {
  TRY_LET(const Loaded model, load(flags.model, flags.workbench));
  TRY_LET(const workbench::TestSet test, workbench::load_test_set(flags.data, flags.rul, flags.schema));
  TRY_LET(const Judged judged, judge(flags, model, test));
  if (!flags.report.empty()) {
    const evaluation::ReportSource source{
        .title = fmt::format("{} on {}", model.called, std::filesystem::path(flags.data).filename().string()),
        .model = flags.model,
        .data = flags.data,
        .made_at = format_iso8601(SystemClock().now(), 0),
        .robustness = judged.robustness ? &*judged.robustness : nullptr,
        .comparison = judged.comparison ? &*judged.comparison : nullptr,
        .against = judged.against,
        .explanation = judged.explanation ? &*judged.explanation : nullptr};
    TRY(workbench::write_whole(flags.report, evaluation::render_report(source, *model.estimator, test.table, judged.evaluation)));
  }
  if (flags.json)
    print_json(flags, model, judged);
  else
    print(flags, model, judged);
  return {};
}

}  // namespace

void add_evaluate(CLI::App& root, Outcome& outcome) {
  auto* command = root.add_subcommand("evaluate", "Judge a model on engines whose remaining life is known");
  auto flags = std::make_shared<Flags>();
  add_model_option(*command, flags->model);
  command->add_option("--data", flags->data, "CSV or C-MAPSS file; a set's name (FD003) means its test half")->required();
  command->add_option("--rul", flags->rul, "List of true remaining lives, one an engine, or a set's name");
  command->add_option("--schema", flags->schema, "JSON file that names the columns of another fleet's CSV");
  command->add_option("--against", flags->against, "Another model: a paired comparison on the same engines");
  command->add_flag("--robustness", flags->robustness, "On worse data, too: dead, stuck and noisy sensors, engines that join late");
  command->add_option("--report", flags->report, "Write an HTML report with plots");
  command->add_option("--cap", flags->cap, "Cap of the true remaining life in the capped metrics")->capture_default_str();
  add_workbench_option(*command, flags->workbench);
  add_json_flag(*command, flags->json);
  command->footer(
      "Examples:\n  nacelle evaluate --model turbofan-rul@champion --data FD003 --report report.html\n"
      "  nacelle evaluate --model turbofan-rul@challenger --against turbofan-rul@champion --data FD003");
  command->callback([&outcome, flags] { outcome.take(run_evaluate(*flags)); });
}

}  // namespace nacelle::app
