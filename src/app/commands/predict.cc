// nacelle predict: the remaining life of every engine of a table, after its last reading; nacelle advise: and what to do about it.

#include <fmt/format.h>

#include <memory>
#include <optional>

#include "app/command.h"
#include "app/commands/terminal.h"
#include "app/commands/workbench_options.h"
#include "ml/decision/advice.h"
#include "ml/evaluation/explanations.h"
#include "ml/evaluation/predictions.h"
#include "service/workbench/data_source.h"
#include "service/workbench/model_reference.h"
#include "storage/file/file.h"

namespace nacelle::app {

namespace {

struct Flags {
  std::string model, data, schema, workbench, costs;
  bool intervals = false;
  bool advise = false;
  bool explain = false;
  bool json = false;
};

/// Of the intervals that trainers make; the model file keeps what was asked for in its intervals, which estimators do not tell.
constexpr double interval_coverage = 0.9;

Result<decision::Costs> load_costs(const std::string& path) {
  if (path.empty()) return decision::Costs{};
  TRY_LET(const Bytes text, storage::read_file(storage::real_file_system(), path, 1_MiB));
  TRY_LET(const json::Value document, in(json::parse(text), path));
  return in(decision::Costs::from_json(document), path);
}

struct Predicted {
  dataset::FleetTable table;
  std::vector<evaluation::EnginePrediction> engines;
  std::vector<decision::Advice> advice;  ///< empty: not asked
  decision::Costs costs;
  std::optional<evaluation::FleetExplanation> explanation;
  std::shared_ptr<const model::Estimator> estimator;
};

Result<Predicted> predict(const Flags& flags) {
  Predicted result;
  TRY_LET(result.costs, load_costs(flags.costs));
  TRY_LET(const workbench::ResolvedModel resolved, workbench::resolve_model(flags.model, flags.workbench));
  TRY_LET(const auto estimator, model::Estimator::load(resolved.artifact));
  TRY_LET(result.table, workbench::load_table(flags.data, flags.schema));
  TRY_LET(result.engines, evaluation::predict_fleet(*estimator, result.table));
  if (flags.explain) {
    TRY_LET(result.explanation, evaluation::explain_fleet(*estimator, result.table));
  }
  result.estimator = estimator;
  if (flags.advise && !estimator->has_intervals())
    return fail(Fault::invalid_input,
                fmt::format("advice: model '{}' has no intervals, from which advice follows: it was not judged here", flags.model));
  if (!flags.advise) return result;
  // The highest that the model ever answers.
  const double cap = estimator->interval(1e12).high;
  for (const auto& engine : result.engines)
    result.advice.push_back(
        decision::advise(decision::distribution_of(engine.rul, engine.interval.low, engine.interval.high, interval_coverage, cap),
                         result.costs, cap));
  return result;
}

json::Value engine_json(const Flags& flags, const Predicted& result, std::size_t e) {
  const evaluation::EnginePrediction& engine = result.engines[e];
  json::Object object{{"unit", engine.unit}, {"cycle", engine.cycle}, {"rul", engine.rul}};
  if (!result.table.unit_names.empty()) object.set("name", result.table.name_of(e));
  if (flags.intervals) {
    object.set("low", engine.interval.low);
    object.set("high", engine.interval.high);
  }
  if (flags.advise) object.set("advice", decision::to_json(result.advice[e]));
  if (result.explanation)
    object.set("explanation", evaluation::to_json(result.explanation->engines[e], result.estimator->pipeline()));
  return object;
}

/// The largest parts of a prediction: "health -31.2, drift1 +4.0, ..".
std::string reasons(const evaluation::EngineExplanation& explanation) {
  constexpr std::size_t shown = 3;
  std::string text;
  for (std::size_t i = 0; i < std::min(shown, explanation.channels.size()); ++i)
    text += fmt::format("{}{} {:+.1f}", text.empty() ? "" : ", ", explanation.channels[i].name, explanation.channels[i].cycles);
  return text;
}

void print_importance(const evaluation::FleetExplanation& explanation) {
  const auto line = [](const char* what, const evaluation::Importance& importance) {
    constexpr std::size_t shown = 6;
    fmt::print("{}:", what);
    for (std::size_t i = 0; i < std::min(shown, importance.size()); ++i)
      fmt::print("{} {} {:.1f}", i == 0 ? "" : ",", importance[i].name, importance[i].cycles);
    fmt::print("\n");
  };
  fmt::print("mean size of what each part adds, in cycles\n");
  line("  channels", explanation.channels);
  line("  sensors, by weight", explanation.sensors);
  line("  features", explanation.features);
}

void print_engines(const Flags& flags, const Predicted& result) {
  std::vector<std::string> header = {result.table.schema->machine, "cycle", "RUL", "low", "high"};
  if (flags.advise) header.insert(header.end(), {"advice", "overhaul in", "expected cost", "P(failure before)"});
  const bool told = result.estimator->has_intervals();
  if (result.explanation) header.insert(header.end(), {"base", "because of"});
  std::vector<std::vector<std::string>> rows;
  for (std::size_t e = 0; e < result.engines.size(); ++e) {
    const evaluation::EnginePrediction& engine = result.engines[e];
    rows.push_back({result.table.name_of(e), fmt::format("{}", engine.cycle), fmt::format("{:.1f}", engine.rul),
                    told ? fmt::format("{:.0f}", engine.interval.low) : "-",
                    told ? fmt::format("{:.0f}", engine.interval.high) : "-"});
    if (flags.advise) {
      const decision::Advice& advice = result.advice[e];
      const bool some = advice.urgency != decision::Urgency::none;
      rows.back().insert(
          rows.back().end(),
          {std::string(decision::urgency_name(advice.urgency)), some ? fmt::format("{:.0f}", advice.overhaul_in) : "-",
           fmt::format("{:.2f}", advice.expected_cost), fmt::format("{:.2f}", advice.failure_probability)});
    }
    if (!result.explanation) continue;
    const evaluation::EngineExplanation& explanation = result.explanation->engines[e];
    rows.back().insert(rows.back().end(), {fmt::format("{:.1f}", explanation.base), reasons(explanation)});
  }
  print_table(header, rows);
  if (result.explanation) print_importance(*result.explanation);
}

Result<> run_predict(const Flags& flags) {
  TRY_LET(const Predicted result, predict(flags));
  if (!flags.json) {
    print_engines(flags, result);
    return {};
  }
  json::Array all;
  for (std::size_t e = 0; e < result.engines.size(); ++e) all.emplace_back(engine_json(flags, result, e));
  json::Object document{{"engines", std::move(all)}};
  if (flags.advise) document.set("costs", result.costs.to_json());
  if (result.explanation)
    document.set("importance", json::Object{{"channels", evaluation::to_json(result.explanation->channels)},
                                            {"sensors", evaluation::to_json(result.explanation->sensors)},
                                            {"features", evaluation::to_json(result.explanation->features)}});
  fmt::print("{}\n", json::print(document));
  return {};
}

/// The advice in words: who needs what, the most urgent first.
Result<> run_advise(const Flags& flags) {
  if (flags.json) return run_predict(flags);
  TRY_LET(const Predicted result, predict(flags));
  double cost = 0, waiting = 0;
  for (const auto urgency :
       {decision::Urgency::now, decision::Urgency::soon, decision::Urgency::planned, decision::Urgency::none}) {
    std::size_t count = 0;
    for (std::size_t e = 0; e < result.engines.size(); ++e) {
      const decision::Advice& advice = result.advice[e];
      if (advice.urgency != urgency) continue;
      ++count;
      cost += advice.expected_cost;
      waiting += advice.cost_of_waiting;
      if (urgency == decision::Urgency::none) continue;
      fmt::print("{:<8} {} {}: overhaul in {:.0f} cycles (life {:.0f}, {:.0f} to {:.0f}); expected cost {:.2f}, now {:.2f}\n",
                 decision::urgency_name(urgency), result.table.schema->machine, result.table.name_of(e), advice.overhaul_in,
                 result.engines[e].rul, result.engines[e].interval.low, result.engines[e].interval.high, advice.expected_cost,
                 advice.cost_now);
    }
    if (urgency == decision::Urgency::none) fmt::print("none     {} need no overhaul within what the model can tell\n", count);
  }
  fmt::print("expected cost {:.1f} {}, {:.1f} if all run to failure{}\n", cost, result.costs.unit, waiting,
             flags.costs.empty() ? "; costs are examples, give yours with --costs" : "");
  return {};
}

std::shared_ptr<Flags> add_common(CLI::App& command) {
  auto flags = std::make_shared<Flags>();
  add_model_option(command, flags->model);
  command.add_option("--data", flags->data, "CSV or C-MAPSS file, or a set's name such as test_FD003")->required();
  command.add_option("--schema", flags->schema, "JSON file that names the columns of another fleet's CSV");
  command.add_option("--costs", flags->costs, "JSON file of costs: overhaul, failure, unusedCycle, notice, soon, unit");
  add_workbench_option(command, flags->workbench);
  return flags;
}

}  // namespace

void add_predict(CLI::App& root, Outcome& outcome) {
  auto* command = root.add_subcommand("predict", "Predict the remaining life of every engine of a table");
  auto flags = add_common(*command);
  command->add_flag("--intervals", flags->intervals, "With --json: low and high of each engine's interval, too");
  command->add_flag("--advise", flags->advise, "Advice beside each prediction: when to overhaul, and what it costs");
  command->add_flag("--explain", flags->explain, "What each prediction is made of, in cycles, and what moves predictions overall");
  command->add_flag("--json", flags->json, R"(Print {"engines":[{"unit":1,"cycle":31,"rul":112.4}, ..]})");
  command->footer("Example:\n  nacelle predict --model model --data test_FD003 --intervals --advise --json");
  command->callback([&outcome, flags] { outcome.take(run_predict(*flags)); });
}

void add_advise(CLI::App& root, Outcome& outcome) {
  auto* command = root.add_subcommand("advise", "Say which engines to overhaul, and when, from what early and late cost");
  auto flags = add_common(*command);
  flags->advise = flags->intervals = true;
  command->add_flag("--json", flags->json, "Print as nacelle predict --intervals --advise --json does");
  command->footer("Example:\n  nacelle advise --model turbofan-rul@champion --data test_FD003 --costs examples/costs.json");
  command->callback([&outcome, flags] { outcome.take(run_advise(*flags)); });
}

}  // namespace nacelle::app
