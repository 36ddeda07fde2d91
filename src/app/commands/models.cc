// nacelle models: the registry of models, their versions, aliases and origin.

#include <fmt/format.h>

#include <map>
#include <memory>

#include "app/command.h"
#include "app/commands/terminal.h"
#include "app/commands/workbench_options.h"
#include "ml/model/estimator.h"
#include "service/workbench/model_reference.h"
#include "service/workbench/store.h"
#include "storage/file/file.h"

namespace nacelle::app {

namespace {

struct Flags {
  std::string model, other, artifact, alias, stage, description, device, workbench;
  bool remove = false;
  bool json = false;
};

Result<workbench::WorkbenchStore> open_store(const Flags& flags, const Clock& clock) {
  return workbench::WorkbenchStore::open(workbench::workbench_folder(flags.workbench), clock);
}

std::string listed(const std::vector<std::string>& items) {
  std::string all;
  for (const std::string& item : items) all += (all.empty() ? "" : ",") + item;
  return all.empty() ? "-" : all;
}
std::string aliases_of(const workbench::ModelVersion& version) { return listed(version.aliases); }

/// The version that a reference names.
Result<workbench::ModelVersion> version_of(const workbench::WorkbenchStore& store, const std::string& text) {
  TRY_LET(const registry::ModelReference reference, registry::parse_reference(text));
  return store.resolve(reference);
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
    rows.push_back({m.name, fmt::format("{}", m.version), aliases_of(m), m.stage, listed(m.deployed_to), m.created_at,
                    m.run_id.empty() ? "-" : m.run_id, m.artifact_sha256.substr(0, 12)});
  print_table({"model", "version", "aliases", "stage", "deployed to", "created", "run", "artifact"}, rows);
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
  if (flags.remove) {
    TRY(store.drop_alias(reference.name, flags.alias));
    if (flags.json)
      fmt::print("{}\n", json::print(json::Object{{"name", reference.name}, {"removed", flags.alias}}));
    else
      fmt::print("{} has no {} any more\n", reference.name, flags.alias);
    return {};
  }
  TRY_LET(const auto version, store.resolve(reference));
  TRY(store.set_alias(version.name, flags.alias, version.version));
  TRY_LET(const auto changed, store.resolve({.name = version.name, .version = version.version, .alias = {}, .bare = false}));
  if (flags.json)
    fmt::print("{}\n", json::print(workbench::to_json(changed)));
  else
    fmt::print("{}@{} is now version {}\n", version.name, flags.alias, version.version);
  return {};
}

Result<> tell_version(const Flags& flags, const workbench::WorkbenchStore& store, const workbench::ModelVersion& version,
                      const std::string& sentence) {
  if (!flags.json) {
    fmt::print("{}\n", sentence);
    return {};
  }
  TRY_LET(const auto changed, store.resolve({.name = version.name, .version = version.version, .alias = {}, .bare = false}));
  fmt::print("{}\n", json::print(workbench::to_json(changed)));
  return {};
}

Result<> run_stage(const Flags& flags) {
  const SystemClock clock;
  TRY_LET(auto store, open_store(flags, clock));
  TRY_LET(const auto version, version_of(store, flags.model));
  TRY(store.set_stage(version.name, version.version, flags.stage));
  return tell_version(flags, store, version, fmt::format("{}:{} is now in stage {}", version.name, version.version, flags.stage));
}

Result<> run_note(const Flags& flags) {
  const SystemClock clock;
  TRY_LET(auto store, open_store(flags, clock));
  TRY_LET(const auto version, version_of(store, flags.model));
  TRY(store.set_notes(version.name, version.version, flags.description));
  return tell_version(flags, store, version, fmt::format("noted on {}:{}", version.name, version.version));
}

Result<> run_delete(const Flags& flags) {
  const SystemClock clock;
  TRY_LET(auto store, open_store(flags, clock));
  TRY_LET(const registry::ModelReference reference, registry::parse_reference(flags.model));
  if (!reference.version)
    return fail(Fault::invalid_input, "models delete: expected NAME:VERSION, so that nothing else is deleted by mistake");
  TRY(store.delete_version(reference.name, *reference.version));
  if (flags.json)
    fmt::print("{}\n", json::print(json::Object{{"deleted", flags.model}}));
  else
    fmt::print("{} is deleted\n", flags.model);
  return {};
}

Result<> run_retire(const Flags& flags) {
  const SystemClock clock;
  TRY_LET(auto store, open_store(flags, clock));
  TRY(store.unmark_deployed(flags.device));
  if (flags.json)
    fmt::print("{}\n", json::print(json::Object{{"retired", flags.device}}));
  else
    fmt::print("no model is deployed to {} any more\n", flags.device);
  return {};
}

/// Of each version back to the first: where it comes from. A parent that was deleted ends the line.
Result<> run_lineage(const Flags& flags) {
  const SystemClock clock;
  TRY_LET(const auto store, open_store(flags, clock));
  TRY_LET(auto version, version_of(store, flags.model));
  json::Array line;
  std::vector<std::vector<std::string>> rows;
  for (;;) {
    TRY_LET(const auto estimator, model::Estimator::load(store.artifact_path(version.artifact_sha256)));
    const json::Value& origin = estimator->provenance();
    json::Value entry = workbench::to_json(version);
    const auto text = [&origin](std::initializer_list<std::string_view> path) {
      const json::Value* found = origin.at_path(path);
      return !found ? std::string("-") : found->is_string() ? found->as_string() : json::print(*found);
    };
    for (const char* key : {"trainer", "code_version", "seed", "parameters", "data", "source", "cross_validation"})
      if (const json::Value* found = origin.find(key)) entry.as_object().set(key, *found);
    line.push_back(std::move(entry));
    rows.push_back({fmt::format("{}:{}", version.name, version.version), version.created_at, text({"trainer"}), text({"seed"}),
                    text({"data", "sha256"}).substr(0, 12), text({"code_version"}),
                    text({"cross_validation", "capped", "rmse"}).substr(0, 6), version.run_id.empty() ? "-" : version.run_id});
    if (version.parent.empty()) break;
    auto parent = version_of(store, version.parent);
    if (!parent) break;
    version = std::move(parent).value();
  }
  if (flags.json)
    fmt::print("{}\n", json::print(json::Object{{"lineage", std::move(line)}}));
  else
    print_table({"version", "created", "trainer", "seed", "data", "code", "CV RMSE", "run"}, rows);
  return {};
}

/// A document's leaves by path, so that two documents can be compared line by line.
void flatten(const json::Value& value, const std::string& path, std::map<std::string, std::string>& leaves) {
  if (value.is_object())
    for (const auto& [key, member] : value.as_object()) flatten(member, path.empty() ? key : path + "." + key, leaves);
  else
    leaves[path] = json::print(value);
}

Result<std::map<std::string, std::string>> describe(const Flags& flags, const std::string& model) {
  TRY_LET(const workbench::ResolvedModel resolved, workbench::resolve_model(model, flags.workbench));
  TRY_LET(const auto estimator, model::Estimator::load(resolved.artifact));
  std::map<std::string, std::string> leaves;
  leaves["sha256"] = json::print(json::Value(estimator->content_hash()));
  flatten(estimator->provenance(), "", leaves);
  flatten(estimator->pipeline().recipe().to_json(), "recipe", leaves);
  leaves["features"] = fmt::format("{}", estimator->pipeline().feature_count());
  return leaves;
}

/// What differs between two versions: data, parameters, features, metrics.
Result<> run_diff(const Flags& flags) {
  TRY_LET(const auto first, describe(flags, flags.model));
  TRY_LET(const auto second, describe(flags, flags.other));
  std::map<std::string, std::pair<std::string, std::string>> lines;
  for (const auto& [key, value] : first) lines[key] = {value, "-"};
  for (const auto& [key, value] : second) lines.try_emplace(key, "-", "").first->second.second = value;
  std::erase_if(lines, [](const auto& line) { return line.second.first == line.second.second; });
  json::Object differences;
  std::vector<std::vector<std::string>> rows;
  for (const auto& [key, values] : lines) {
    differences.set(key, json::Array{values.first, values.second});
    rows.push_back({key, values.first.substr(0, 60), values.second.substr(0, 60)});
  }
  if (flags.json)
    fmt::print("{}\n",
               json::print(json::Object{{"first", flags.model}, {"second", flags.other}, {"differences", std::move(differences)}}));
  else if (rows.empty())
    fmt::print("no difference\n");
  else
    print_table({"what", flags.model, flags.other}, rows);
  return {};
}

}  // namespace

void add_models(CLI::App& root, Outcome& outcome) {
  auto* models = root.add_subcommand("models", "List, show, register, compare and delete models; move aliases");
  models->footer("Example:\n  nacelle models list");
  models->require_subcommand(1);
  auto flags = std::make_shared<Flags>();
  const auto add = [&, flags](const char* name, const char* text, const char* example, Result<> (*run)(const Flags&)) {
    auto* command = models->add_subcommand(name, text);
    add_workbench_option(*command, flags->workbench);
    add_json_flag(*command, flags->json);
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
  auto* note = add("note", "Keep a note with a version", R"(note turbofan-rul:2 "trained without engine 12")", run_note);
  note->add_option("model", flags->model, "NAME:VERSION")->required();
  note->add_option("text", flags->description, "The note; it replaces the one there is")->required();
  auto* diff = add("diff", "What differs between two models: data, parameters, features, metrics",
                   "diff turbofan-rul:1 turbofan-rul:2", run_diff);
  diff->add_option("first", flags->model, reference)->required();
  diff->add_option("second", flags->other, reference)->required();
  add("delete", "Delete a version that is not deployed and has no alias, and its artifact", "delete turbofan-rul:1", run_delete)
      ->add_option("model", flags->model, "NAME:VERSION")
      ->required();
  add("retire", "Say that a device is gone: what was deployed to it may be deleted", "retire edge-1", run_retire)
      ->add_option("device", flags->device, "The edge device")
      ->required();
  add("lineage", "A version and the champions it was registered beside, back to the first: data, code, parameters",
      "lineage turbofan-rul@champion", run_lineage)
      ->add_option("model", flags->model, "NAME:VERSION, NAME@alias or NAME")
      ->required();
  add_model_files(*models, outcome);
}

}  // namespace nacelle::app
