// nacelle train: from a table of engines to a model artifact, or to an experiment with a leaderboard.

#include <fmt/format.h>

#include <chrono>
#include <memory>

#include "app/command.h"
#include "app/commands/terminal.h"
#include "codec/digest/digest.h"
#include "ml/dataset/labels.h"
#include "service/workbench/data_source.h"
#include "service/workbench/files.h"
#include "service/workbench/training.h"
#include "storage/file/file.h"

namespace nacelle::app {

namespace {

struct Flags {
  std::vector<std::string> data;
  std::string rul, out, trainers = "xgboost", recipe, parameters, name, experiment, register_as, workbench;
  std::uint64_t seed = 1;
  int threads = 2;
  std::size_t folds = 0;
  bool json = false;
};

/// An experiment's folds; a model trained alone is judged more cheaply.
constexpr std::size_t experiment_folds = 5;
constexpr std::size_t single_folds = 3;

Result<dataset::FleetTable> load(const Flags& flags) {
  std::vector<dataset::FleetTable> tables;
  for (const std::string& reference : flags.data) {
    TRY_LET(dataset::FleetTable table, workbench::load_table(reference));
    tables.push_back(std::move(table));
  }
  dataset::FleetTable table = workbench::join_tables(std::move(tables));
  if (flags.rul.empty()) return table;
  TRY_LET(std::vector<double> rul, workbench::load_rul(flags.rul));
  return dataset::with_end_rul(std::move(table), std::move(rul), flags.rul);
}

Result<trainer::Plan> make_plan(const Flags& flags) {
  trainer::Plan plan;
  plan.model_name = !flags.name.empty() ? flags.name : !flags.register_as.empty() ? flags.register_as : plan.model_name;
  TRY(registry::check_name(plan.model_name, "model"));
  plan.seed = flags.seed;
  plan.threads = flags.threads;
  plan.folds = flags.folds != 0 ? flags.folds : flags.experiment.empty() ? single_folds : experiment_folds;
  plan.code_version = NACELLE_VERSION;
  plan.progress = make_progress();
  if (!flags.parameters.empty()) {
    TRY_LET(plan.parameters, in(json::parse(flags.parameters), "--parameters"));
  }
  if (!flags.recipe.empty()) {
    TRY_LET(const Bytes text, storage::read_file(storage::real_file_system(), flags.recipe, 1_MiB));
    TRY_LET(const json::Value document, in(json::parse(text), flags.recipe));
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

Result<> train_one(const Flags& flags, trainer::Plan plan, const std::string& trainer) {
  if (flags.out.empty()) return fail(Fault::invalid_input, "train: expected --out DIR, or --experiment NAME");
  plan.trainer = trainer;
  TRY(trainer::find_trainer(trainer));
  const auto started = std::chrono::steady_clock::now();
  TRY_LET(const dataset::FleetTable table, load(flags));
  TRY_LET(const trainer::CrossValidation judged, trainer::cross_validate(table, plan));
  TRY_LET(const model::Artifact artifact, trainer::train(table, plan, judged));
  const Bytes bytes = model::encode_artifact(artifact);
  const auto path = std::filesystem::path(flags.out) / model::artifact_file_name;
  TRY(workbench::write_whole(path, bytes));
  plan.progress = nullptr;
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
  const std::string sha256 = digest::sha256_hex(bytes);
  if (flags.json) {
    fmt::print("{}\n", json::print(json::Object{{"artifact", path.string()},
                                                {"sha256", sha256},
                                                {"name", plan.model_name},
                                                {"trainer", trainer},
                                                {"engines", table.engines.size()},
                                                {"rows", table.row_count()},
                                                {"folds", plan.folds},
                                                {"metrics", workbench::metrics_json(judged)},
                                                {"seconds", seconds}}));
    return {};
  }
  fmt::print("{} on {} engines ({} readings), {:.1f} s\n", trainer, table.engines.size(), table.row_count(), seconds);
  fmt::print(
      "cross-validation over {} folds of engines: RMSE {:.2f} (capped at {:.0f}), {:.2f} raw; intervals {:.0f} cycles wide hold "
      "{:.0f} %\n",
      plan.folds, judged.capped.rmse, plan.cap, judged.raw.rmse, judged.interval_width, 100 * judged.interval_coverage);
  fmt::print("written to {}, SHA-256 {}\n", path.string(), sha256);
  return {};
}

void print_leaderboard(const std::vector<workbench::Run>& runs) {
  std::vector<std::vector<std::string>> rows;
  for (const workbench::Run& run : runs) {
    const auto metric = [&run](std::string_view name, int decimals) {
      const json::Value* value = run.metrics.find(name);
      return value ? fmt::format("{:.{}f}", value->as_number(), decimals) : std::string("-");
    };
    rows.push_back({run.id, run.trainer, run.status, metric("rmse", 2), metric("mae", 2), metric("r2", 3),
                    metric("phm08PerEngine", 2), metric("rmseRaw", 2)});
  }
  print_table({"run", "trainer", "status", "RMSE", "MAE", "R2", "PHM08/engine", "RMSE raw"}, rows);
}

Result<> train_experiment(const Flags& flags, const trainer::Plan& plan, const std::vector<std::string>& trainers) {
  if (trainers.size() > 1 && !flags.parameters.empty())
    return fail(Fault::invalid_input, "train: --parameters goes with one trainer");
  TRY_LET(const dataset::FleetTable table, load(flags));
  const SystemClock clock;
  TRY_LET(workbench::WorkbenchStore store, workbench::WorkbenchStore::open(workbench::workbench_folder(flags.workbench), clock));
  const workbench::ExperimentRequest request{
      .name = flags.experiment, .trainers = trainers, .plan = plan, .register_as = flags.register_as};
  TRY_LET(const workbench::ExperimentResult result, workbench::run_experiment(store, table, request));
  const std::string best = result.leaderboard.front().artifact_sha256;
  if (!flags.out.empty()) {
    TRY_LET(const Bytes bytes, storage::read_file(storage::real_file_system(), store.artifact_path(best)));
    TRY(workbench::write_whole(std::filesystem::path(flags.out) / model::artifact_file_name, bytes));
  }
  if (flags.json) {
    json::Array leaderboard;
    for (const workbench::Run& run : result.leaderboard) leaderboard.emplace_back(workbench::to_json(run));
    fmt::print("{}\n", json::print(json::Object{
                           {"experiment", flags.experiment},
                           {"leaderboard", std::move(leaderboard)},
                           {"registered", result.registered ? workbench::to_json(*result.registered) : json::Value()}}));
    return {};
  }
  print_leaderboard(result.leaderboard);
  if (result.registered) fmt::print("registered as {}:{}, SHA-256 {}\n", result.registered->name, result.registered->version, best);
  return {};
}

Result<> run_train(const Flags& flags) {
  const std::vector<std::string> trainers = split_names(flags.trainers);
  if (trainers.empty()) return fail(Fault::invalid_input, "train: expected a trainer's name");
  if (flags.threads < 1 || flags.threads > 1024)
    return fail(Fault::invalid_input, fmt::format("train: --threads: expected 1 to 1024, found {}", flags.threads));
  TRY_LET(const trainer::Plan plan, make_plan(flags));
  if (!flags.experiment.empty()) return train_experiment(flags, plan, trainers);
  if (!flags.register_as.empty())
    return fail(Fault::invalid_input, "train: --register goes with --experiment; or use 'nacelle models register'");
  if (trainers.size() > 1) return fail(Fault::invalid_input, "train: several trainers go with --experiment");
  return train_one(flags, plan, trainers.front());
}

}  // namespace

void add_train(CLI::App& root, Outcome& outcome) {
  auto* command = root.add_subcommand("train", "Train a model, or compare trainers in an experiment and register the best");
  auto flags = std::make_shared<Flags>();
  command
      ->add_option("--data", flags->data, "CSV or C-MAPSS file, or a data set's name; several are joined, their engines renumbered")
      ->required();
  command->add_option("--rul", flags->rul, "True remaining lives, if the engines were cut off before failure");
  command->add_option("--out", flags->out, "Folder for model.nacelle");
  command->add_option("--trainer,--trainers", flags->trainers, "xgboost, ridge, or a comma-separated list")->capture_default_str();
  command->add_option("--experiment", flags->experiment, "Record runs under this experiment of the workbench");
  command->add_option("--register", flags->register_as, "Register the best run's model under this name");
  command->add_option("--folds", flags->folds, "Folds of the cross-validation, by engine (default 5 in an experiment, else 3)");
  command->add_option("--recipe", flags->recipe, "JSON file that declares the features (default: recipe A)");
  command->add_option("--parameters", flags->parameters, "JSON object of the trainer's parameters");
  command->add_option("--name", flags->name, "The model's name, kept in the artifact");
  command->add_option("--seed", flags->seed, "Seed of folds and trainer; the same seed gives the same bytes")
      ->capture_default_str();
  command->add_option("--threads", flags->threads, "Threads of the trainer")->capture_default_str();
  command->add_option("--workbench", flags->workbench, "Workbench folder (default NACELLE_WORKBENCH, else ./nacelle-workbench)");
  command->add_flag("--json", flags->json, "Print the result as JSON");
  command->footer(
      "Examples:\n  nacelle train --data FD001 --out model\n"
      "  nacelle train --data train.csv --experiment turbofan --trainers xgboost,ridge --folds 5 --register turbofan-rul");
  command->callback([&outcome, flags] { outcome.take(run_train(*flags)); });
}

}  // namespace nacelle::app
