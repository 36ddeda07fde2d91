// nacelle train: from a table of engines to a model artifact, or to an experiment with a leaderboard.

#include <fmt/format.h>

#include <chrono>
#include <memory>
#include <optional>

#include "app/command.h"
#include "app/commands/experiment_run.h"
#include "app/commands/terminal.h"
#include "app/commands/workbench_options.h"
#include "codec/digest/digest.h"
#include "ml/dataset/labels.h"
#include "service/workbench/data_source.h"
#include "service/workbench/files.h"
#include "storage/file/file.h"

namespace nacelle::app {

namespace {

struct Flags {
  std::vector<std::string> data;
  std::string config, rul, schema, out, trainers, recipe, parameters, name, experiment, register_as, workbench;
  std::optional<std::uint64_t> seed;
  std::optional<std::size_t> trials;
  std::optional<double> seconds;
  int threads = 2;
  std::size_t folds = 0;
  bool json = false;
  bool progress = false;
};

/// An experiment's folds; a model trained alone is judged more cheaply.
constexpr std::size_t experiment_folds = 5;
constexpr std::size_t single_folds = 3;
/// Its folds are asked about engines whose first so many cycles were not seen, too.
constexpr std::size_t late_cycles = 100;

json::Value late_json(const trainer::LateCuts& late) {
  return json::Object{{"cycles", late_cycles},
                      {"cuts", late.truth.size()},
                      {"rmseWhole", evaluation::measure(late.truth, late.whole).rmse},
                      {"rmseCounted", evaluation::measure(late.truth, late.counted).rmse},
                      {"rmseCountUnknown", evaluation::measure(late.truth, late.unknown).rmse}};
}

Result<json::Value> read_document(const std::string& path) {
  TRY_LET(const Bytes text, storage::read_file(storage::real_file_system(), path, 1_MiB));
  return in(json::parse(text), path);
}

Result<trainer::Plan> make_plan(const Flags& flags, const dataset::FleetSchema& schema) {
  trainer::Plan plan;
  plan.model_name = !flags.name.empty() ? flags.name : !flags.register_as.empty() ? flags.register_as : plan.model_name;
  TRY(registry::check_name(plan.model_name, "model"));
  plan.seed = flags.seed.value_or(1);
  plan.threads = flags.threads;
  plan.judge_late = late_cycles;
  plan.folds = flags.folds != 0 ? flags.folds : single_folds;
  plan.recipe = workbench::default_recipe(schema);
  plan.code_version = NACELLE_VERSION;
  plan.progress = make_progress();
  if (!flags.parameters.empty()) {
    TRY_LET(plan.parameters, in(json::parse(flags.parameters), "--parameters"));
  }
  if (!flags.recipe.empty()) {
    TRY_LET(const json::Value document, read_document(flags.recipe));
    TRY_LET(plan.recipe, in(feature::Recipe::from_json(document), flags.recipe));
    plan.cap = plan.recipe.rul_cap;
  }
  return plan;
}

std::vector<std::string> split_names(const std::string& list) {
  std::vector<std::string> names;
  for (std::size_t begin = 0; begin <= list.size();) {
    const std::size_t end = std::min(list.find(',', begin), list.size());
    if (end > begin) names.push_back(list.substr(begin, end - begin));
    begin = end + 1;
  }
  return names;
}

/// What was trained, told.
void tell(const Flags& flags, const trainer::Plan& plan, const dataset::FleetTable& table, const trainer::CrossValidation& judged,
          const std::string& path, const std::string& sha256, double seconds) {
  if (flags.json) {
    fmt::print("{}\n", json::print(json::Object{{"artifact", path},
                                                {"sha256", sha256},
                                                {"name", plan.model_name},
                                                {"trainer", plan.trainer},
                                                {"engines", table.engines.size()},
                                                {"rows", table.row_count()},
                                                {"folds", plan.folds},
                                                {"metrics", workbench::metrics_json(judged)},
                                                {"lateJoins", late_json(judged.late)},
                                                {"seconds", seconds}}));
    return;
  }
  fmt::print("{} on {} engines ({} readings), {:.1f} s\n", plan.trainer, table.engines.size(), table.row_count(), seconds);
  fmt::print(
      "cross-validation over {} folds of engines: RMSE {:.2f} (capped at {:.0f}), {:.2f} raw; intervals {:.0f} cycles wide hold "
      "{:.0f} %\n",
      plan.folds, judged.capped.rmse, plan.cap, judged.raw.rmse, judged.interval_width, 100 * judged.interval_coverage);
  if (!judged.late.truth.empty())
    fmt::print("engines whose first {} cycles were not seen: RMSE {:.2f}, cycle count unknown {:.2f}; with them {:.2f} ({} cuts)\n",
               late_cycles, evaluation::measure(judged.late.truth, judged.late.counted).rmse,
               evaluation::measure(judged.late.truth, judged.late.unknown).rmse,
               evaluation::measure(judged.late.truth, judged.late.whole).rmse, judged.late.truth.size());
  fmt::print("written to {}, SHA-256 {}\n", path, sha256);
}

Result<> train_one(const Flags& flags, const std::string& trainer) {
  if (flags.out.empty()) return fail(Fault::invalid_input, "train: expected --out DIR, or --experiment NAME, or --config FILE");
  TRY(trainer::find_trainer(trainer));
  const auto started = std::chrono::steady_clock::now();
  TRY_LET(const dataset::FleetTable table, workbench::load_fleet({flags.data, flags.rul, flags.schema}));
  TRY_LET(trainer::Plan plan, make_plan(flags, *table.schema));
  plan.trainer = trainer;
  TRY_LET(const trainer::Trained trained, trainer::judge_and_train(table, plan));
  const Bytes bytes = model::encode_artifact(trained.artifact);
  const auto path = std::filesystem::path(flags.out) / model::artifact_file_name;
  TRY(workbench::write_whole(path, bytes));
  plan.progress = nullptr;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  tell(flags, plan, table, trained.judged, path.string(), digest::sha256_hex(bytes), seconds);
  return {};
}

/// Without a file, an experiment judges each trainer once, with its defaults (or --parameters) on all folds, and keeps every model.
Result<search::Experiment> experiment_of_flags(const Flags& flags, const std::vector<std::string>& trainers) {
  search::Experiment experiment;
  json::Array spaces;
  for (const std::string& name : trainers) {
    json::Object space{{"trainer", name}};
    if (!flags.parameters.empty()) {
      TRY_LET(json::Value parameters, in(json::parse(flags.parameters), "--parameters"));
      space.set("parameters", std::move(parameters));
    }
    spaces.emplace_back(std::move(space));
  }
  if (trainers.size() > 1 && !flags.parameters.empty())
    return fail(Fault::invalid_input, "train: --parameters goes with one trainer");
  TRY_LET(experiment, search::Experiment::from_json(json::Object{{"spaces", std::move(spaces)}}));
  experiment.folds = experiment_folds;
  if (!flags.trials) {
    experiment.trials = experiment.keep = experiment.finalists = trainers.size();
    experiment.keep_one_in = 1;
  }
  return experiment;
}

Result<> train_experiment(const Flags& flags, const std::vector<std::string>& trainers) {
  search::Experiment experiment;
  if (flags.config.empty()) {
    TRY_LET(experiment, experiment_of_flags(flags, trainers));
  } else {
    if (!trainers.empty() || !flags.parameters.empty())
      return fail(Fault::invalid_input, "train: --trainers and --parameters are in the file given as --config");
    TRY_LET(const json::Value document, read_document(flags.config));
    TRY_LET(experiment, in(search::Experiment::from_json(document), flags.config));
  }
  if (!flags.data.empty()) experiment.data = flags.data;
  if (!flags.rul.empty()) experiment.rul = flags.rul;
  if (!flags.schema.empty()) experiment.schema = flags.schema;
  if (!flags.experiment.empty()) experiment.name = flags.experiment;
  if (!flags.register_as.empty()) experiment.register_as = flags.register_as;
  if (flags.folds != 0) experiment.folds = flags.folds;
  if (flags.seed) experiment.seed = *flags.seed;
  if (flags.trials) experiment.trials = *flags.trials;
  if (flags.seconds) experiment.seconds = flags.seconds;
  if (!flags.recipe.empty()) {
    TRY_LET(experiment.recipe, read_document(flags.recipe));
  }
  if (experiment.name.empty())
    return fail(Fault::invalid_input, "train: expected the experiment's name in its file, or --experiment NAME");
  if (experiment.data.empty()) return fail(Fault::invalid_input, "train: expected data in the file, or --data");
  return run_experiment(std::move(experiment), {.workbench = flags.workbench,
                                                .model_name = flags.name,
                                                .out = flags.out,
                                                .threads = flags.threads,
                                                .json = flags.json,
                                                .progress = flags.progress});
}

Result<> run_train(const Flags& flags) {
  const std::vector<std::string> trainers = split_names(flags.trainers);
  if (flags.threads < 1 || flags.threads > 1024)
    return fail(Fault::invalid_input, fmt::format("train: --threads: expected 1 to 1024, found {}", flags.threads));
  const std::vector<std::string> asked = trainers.empty() ? std::vector<std::string>{"xgboost"} : trainers;
  if (!flags.config.empty()) return train_experiment(flags, trainers);
  if (!flags.experiment.empty()) return train_experiment(flags, asked);
  if (!flags.register_as.empty())
    return fail(Fault::invalid_input, "train: --register goes with --experiment or --config; or use 'nacelle models register'");
  if (asked.size() > 1) return fail(Fault::invalid_input, "train: several trainers go with --experiment or --config");
  if (flags.trials || flags.seconds)
    return fail(Fault::invalid_input, "train: --trials and --seconds go with --experiment or --config");
  return train_one(flags, asked.front());
}

}  // namespace

void add_train(CLI::App& root, Outcome& outcome) {
  auto* command = root.add_subcommand("train", "Train a model, or compare trainers in an experiment and register the best");
  auto flags = std::make_shared<Flags>();
  command->add_option("--data", flags->data,
                      "CSV or C-MAPSS file, or a data set's name; several are joined, their engines renumbered");
  command->add_option("--config", flags->config, "Run the experiment declared in this JSON file (docs/experiments.md)");
  command->add_option("--schema", flags->schema, "JSON file that names the columns of another fleet's CSV");
  command->add_option("--trials", flags->trials, "Of an experiment: so many configurations");
  command->add_option("--seconds", flags->seconds, "Of an experiment: no new trial after so long");
  command->add_option("--rul", flags->rul, "True remaining lives, if the engines were cut off before failure");
  command->add_option("--out", flags->out, "Folder for model.nacelle");
  command->add_option("--trainer,--trainers", flags->trainers, "A trainer's name, or a comma-separated list (default xgboost)");
  command->add_option("--experiment", flags->experiment, "Record runs under this experiment of the workbench");
  command->add_option("--register", flags->register_as, "Register the best run's model under this name");
  command->add_option("--folds", flags->folds, "Folds of the cross-validation, by engine (default 5 in an experiment, else 3)");
  command->add_option("--recipe", flags->recipe, "JSON file that declares the features (default: recipe A)");
  command->add_option("--parameters", flags->parameters, "JSON object of the trainer's parameters");
  command->add_option("--name", flags->name, "The model's name, kept in the artifact");
  command->add_option("--seed", flags->seed, "Seed of folds, search and trainer (default 1); the same seed gives the same bytes");
  command->add_option("--threads", flags->threads, "Threads of the trainer; of an experiment: trials at once")
      ->capture_default_str();
  add_workbench_option(*command, flags->workbench);
  add_json_flag(*command, flags->json);
  command->add_flag("--progress", flags->progress,
                    "Of an experiment, with --json: first a line for whatever happens, with the leaderboard so far");
  command->footer(
      "Examples:\n  nacelle train --data FD001 --out model\n"
      "  nacelle train --data train.csv --experiment turbofan --trainers xgboost,ridge --folds 5 --register turbofan-rul\n"
      "  nacelle train --config examples/experiments/default.json --data FD001");
  command->callback([&outcome, flags] { outcome.take(run_train(*flags)); });
}

}  // namespace nacelle::app
