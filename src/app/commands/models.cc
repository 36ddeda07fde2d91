// nacelle models: the registry of models, their versions, aliases and origin.

#include <fmt/format.h>

#include <memory>

#include "app/command.h"
#include "app/commands/terminal.h"
#include "ml/model/estimator.h"
#include "service/workbench/model_reference.h"
#include "service/workbench/store.h"
#include "storage/file/file.h"

namespace nacelle::app {

namespace {

struct Flags {
  std::string model, artifact, alias, stage, description, workbench;
  bool remove = false;
  bool json = false;
};

Result<workbench::WorkbenchStore> open_store(const Flags& flags, const Clock& clock) {
  return workbench::WorkbenchStore::open(workbench::workbench_folder(flags.workbench), clock);
}

std::string aliases_of(const workbench::ModelVersion& version) {
  std::string all;
  for (const std::string& alias : version.aliases) all += (all.empty() ? "" : ",") + alias;
  return all.empty() ? "-" : all;
}

Result<> run_list(const Flags& flags) {
  const SystemClock clock;
  TRY_LET(const auto store, open_store(flags, clock));
  TRY_LET(const auto models, store.models());
  if (flags.json) {
    json::Array all;
    for (const auto& model : models) all.emplace_back(workbench::to_json(model));
    fmt::print("{}\n", json::print(json::Object{{"models", std::move(all)}}));
    return {};
  }
  std::vector<std::vector<std::string>> rows;
  for (const auto& m : models)
    rows.push_back({m.name, fmt::format("{}", m.version), aliases_of(m), m.stage, m.created_at, m.run_id.empty() ? "-" : m.run_id,
                    m.artifact_sha256.substr(0, 12)});
  print_table({"model", "version", "aliases", "stage", "created", "run", "artifact"}, rows);
  return {};
}

Result<> run_show(const Flags& flags) {
  TRY_LET(const workbench::ResolvedModel resolved, workbench::resolve_model(flags.model, flags.workbench));
  TRY_LET(const auto estimator, model::Estimator::load(resolved.artifact));
  json::Object shown{
      {"artifact", resolved.artifact.string()}, {"sha256", estimator->content_hash()}, {"trainedAs", estimator->name()}};
  if (resolved.version > 0) {
    const SystemClock clock;
    TRY_LET(const auto store, open_store(flags, clock));
    TRY_LET(const auto version, store.resolve({.name = resolved.name, .version = resolved.version, .alias = {}, .bare = false}));
    shown.set("registered", workbench::to_json(version));
    if (!version.run_id.empty()) {
      TRY_LET(const auto run, store.run(version.run_id));
      shown.set("run", workbench::to_json(run));
    }
  }
  json::Array features;
  for (const std::string& name : estimator->pipeline().feature_names()) features.emplace_back(name);
  shown.set("features", std::move(features));
  shown.set("provenance", estimator->provenance());
  fmt::print("{}\n", flags.json ? json::print(shown) : json::print_pretty(shown));
  return {};
}

Result<> run_register(const Flags& flags) {
  TRY_LET(const workbench::ResolvedModel resolved, workbench::resolve_model(flags.artifact, flags.workbench));
  TRY_LET(const Bytes bytes, storage::read_file(storage::real_file_system(), resolved.artifact));
  TRY_LET(const auto estimator, in(model::Estimator::parse(bytes), resolved.artifact.string()));
  const SystemClock clock;
  TRY_LET(auto store, open_store(flags, clock));
  TRY(registry::check_name(flags.model, "model"));
  TRY_LET(const std::string sha256, store.keep_artifact(bytes));
  TRY_LET(const auto version, store.register_model(flags.model, sha256, "", flags.description));
  if (flags.json)
    fmt::print("{}\n", json::print(workbench::to_json(version)));
  else
    fmt::print("registered as {}:{} ({})\n", version.name, version.version, aliases_of(version));
  return {};
}

Result<> run_alias(const Flags& flags) {
  TRY_LET(const registry::ModelReference reference, registry::parse_reference(flags.model));
  const SystemClock clock;
  TRY_LET(auto store, open_store(flags, clock));
  if (flags.remove) return store.drop_alias(reference.name, flags.alias);
  TRY_LET(const auto version, store.resolve(reference));
  TRY(store.set_alias(version.name, flags.alias, version.version));
  TRY_LET(const auto changed, store.resolve({.name = version.name, .version = version.version, .alias = {}, .bare = false}));
  if (flags.json)
    fmt::print("{}\n", json::print(workbench::to_json(changed)));
  else
    fmt::print("{}@{} is now version {}\n", version.name, flags.alias, version.version);
  return {};
}

Result<> run_stage(const Flags& flags) {
  TRY_LET(const registry::ModelReference reference, registry::parse_reference(flags.model));
  const SystemClock clock;
  TRY_LET(auto store, open_store(flags, clock));
  TRY_LET(const auto version, store.resolve(reference));
  TRY(store.set_stage(version.name, version.version, flags.stage));
  fmt::print("{}:{} is now in stage {}\n", version.name, version.version, flags.stage);
  return {};
}

}  // namespace

void add_models(CLI::App& root, Outcome& outcome) {
  auto* models = root.add_subcommand("models", "List, show and register models; move aliases");
  models->footer("Example:\n  nacelle models list");
  models->require_subcommand(1);
  auto flags = std::make_shared<Flags>();
  const auto add = [&, flags](const char* name, const char* text, const char* example, Result<> (*run)(const Flags&)) {
    auto* command = models->add_subcommand(name, text);
    command->add_option("--workbench", flags->workbench, "Workbench folder (default NACELLE_WORKBENCH, else ./nacelle-workbench)");
    command->add_flag("--json", flags->json, "Print as JSON");
    command->footer(std::string("Example:\n  nacelle models ") + example);
    command->callback([&outcome, flags, run] { outcome.take(run(*flags)); });
    return command;
  };
  const char* reference = "NAME:VERSION, NAME@alias, NAME, an artifact file or its folder";
  add("list", "All versions, newest first", "list", run_list);
  add("show", "A model: where it comes from and how it did", "show turbofan-rul@champion", run_show)
      ->add_option("model", flags->model, reference)
      ->required();
  auto* add_one = add("register", "Register an artifact as the next version of a model",
                      "register turbofan-rul --artifact model/model.nacelle", run_register);
  add_one->add_option("name", flags->model, "The model's name")->required();
  add_one->add_option("--artifact", flags->artifact, "Artifact file, its folder, or another model")->required();
  add_one->add_option("--description", flags->description, "A few words");
  auto* alias = add("alias", "Point an alias (champion, challenger, ..) at a version", "alias turbofan-rul:2 champion", run_alias);
  alias->add_option("model", flags->model, "NAME:VERSION (NAME with --remove)")->required();
  alias->add_option("alias", flags->alias, "The alias")->required();
  alias->add_flag("--remove", flags->remove, "Take the alias away");
  auto* stage =
      add("stage", "Say where a version stands: none, staging, production, archived", "stage turbofan-rul:2 production", run_stage);
  stage->add_option("model", flags->model, "NAME:VERSION")->required();
  stage->add_option("stage", flags->stage, "The stage")->required();
}

}  // namespace nacelle::app
