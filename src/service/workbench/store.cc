#include "service/workbench/store.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

#include "codec/digest/digest.h"
#include "foundation/random.h"
#include "service/workbench/files.h"

namespace nacelle::workbench {

namespace {

using storage::Row;

const std::vector<std::string>& migrations() {
  static const std::vector<std::string> all = {
      "CREATE TABLE experiment (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, created_at TEXT NOT NULL) STRICT",
      "CREATE TABLE run (id TEXT PRIMARY KEY, experiment_id INTEGER NOT NULL REFERENCES experiment(id), trainer TEXT NOT NULL,"
      " status TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT NOT NULL DEFAULT '', seed INTEGER NOT NULL, data_sha256 TEXT "
      "NOT NULL,"
      " parameters TEXT NOT NULL, metrics TEXT NOT NULL DEFAULT '{}', rmse REAL, artifact_sha256 TEXT NOT NULL DEFAULT '',"
      " message TEXT NOT NULL DEFAULT '') STRICT",
      "CREATE INDEX run_by_experiment ON run(experiment_id, rmse)",
      "CREATE TABLE model_version (name TEXT NOT NULL, version INTEGER NOT NULL, artifact_sha256 TEXT NOT NULL, run_id TEXT NOT "
      "NULL,"
      " stage TEXT NOT NULL, created_at TEXT NOT NULL, description TEXT NOT NULL, PRIMARY KEY (name, version)) STRICT",
      "CREATE TABLE model_alias (name TEXT NOT NULL, alias TEXT NOT NULL, version INTEGER NOT NULL, PRIMARY KEY (name, alias)) "
      "STRICT",
  };
  return all;
}

constexpr std::string_view run_columns =
    "run.id, experiment.name, trainer, status, started_at, ended_at, seed, data_sha256, parameters, metrics, artifact_sha256, "
    "message"
    " FROM run JOIN experiment ON experiment.id = run.experiment_id";

Result<Run> run_of(const Row& row) {
  Run run{.id = text(row[0]),
          .experiment = text(row[1]),
          .trainer = text(row[2]),
          .status = text(row[3]),
          .started_at = text(row[4]),
          .ended_at = text(row[5]),
          .seed = integer(row[6]),
          .data_sha256 = text(row[7]),
          .parameters = {},
          .metrics = {},
          .artifact_sha256 = text(row[10]),
          .message = text(row[11])};
  TRY_LET(run.parameters, json::parse(text(row[8])));
  TRY_LET(run.metrics, json::parse(text(row[9])));
  return run;
}

ModelVersion version_of(const Row& row) {
  return {.name = text(row[0]),
          .version = integer(row[1]),
          .artifact_sha256 = text(row[2]),
          .run_id = text(row[3]),
          .stage = text(row[4]),
          .created_at = text(row[5]),
          .description = text(row[6]),
          .aliases = {}};
}

}  // namespace

fs::path workbench_folder(const std::string& told) {
  if (!told.empty()) return told;
  const char* environment = std::getenv("NACELLE_WORKBENCH");
  return environment && *environment ? environment : "nacelle-workbench";
}

WorkbenchStore::WorkbenchStore(fs::path folder, storage::Database database, const Clock& clock)
    : folder_(std::move(folder)), database_(std::move(database)), clock_(&clock) {}

std::string WorkbenchStore::now() const { return format_iso8601(clock_->now(), 3); }

Result<WorkbenchStore> WorkbenchStore::open(const fs::path& folder, const Clock& clock) {
  std::error_code code;
  fs::create_directories(folder / "artifacts", code);
  if (code) return fail(Fault::unavailable, fmt::format("workbench {}: {}", folder.string(), code.message()));
  TRY_LET(storage::Database database, in(storage::Database::open(folder / "workbench.db", migrations()), "workbench"));
  return WorkbenchStore(folder, std::move(database), clock);
}

Result<std::int64_t> WorkbenchStore::experiment_id(const std::string& name) {
  TRY(registry::check_name(name, "experiment"));
  TRY(database_.run("INSERT INTO experiment (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING", name, now()));
  TRY_LET(const auto rows, database_.query("SELECT id FROM experiment WHERE name = ?", name));
  return storage::integer(rows.at(0).at(0));
}

Result<Run> WorkbenchStore::start_run(const std::string& experiment, const std::string& trainer, std::int64_t seed,
                                      const std::string& data_sha256, const json::Value& parameters) {
  TRY_LET(const std::int64_t experiment_number, experiment_id(experiment));
  const std::string id = random_uuid().substr(0, 8);
  TRY(
      database_.run("INSERT INTO run (id, experiment_id, trainer, status, started_at, seed, data_sha256, parameters) VALUES (?, ?, "
                    "?, 'running', ?, ?, ?, ?)",
                    id, experiment_number, trainer, now(), seed, data_sha256, json::print(parameters)));
  return run(id);
}

Result<> WorkbenchStore::finish_run(const std::string& id, const json::Value& metrics, const std::string& artifact_sha256) {
  TRY_LET(const double rmse, json::get_number(metrics, "rmse", "metrics of a run"));
  TRY(database_.run("UPDATE run SET status = 'finished', ended_at = ?, metrics = ?, rmse = ?, artifact_sha256 = ? WHERE id = ?",
                    now(), json::print(metrics), rmse, artifact_sha256, id));
  return {};
}

Result<> WorkbenchStore::fail_run(const std::string& id, const std::string& message) {
  TRY(database_.run("UPDATE run SET status = 'failed', ended_at = ?, message = ? WHERE id = ?", now(), message, id));
  return {};
}

Result<std::vector<Experiment>> WorkbenchStore::experiments() const {
  TRY_LET(
      const auto rows,
      database_.query("SELECT experiment.id, name, created_at, COUNT(run.id), MIN(rmse) FROM experiment"
                      " LEFT JOIN run ON run.experiment_id = experiment.id GROUP BY experiment.id ORDER BY experiment.id DESC"));
  std::vector<Experiment> all;
  for (const Row& row : rows) {
    Experiment experiment{storage::integer(row[0]), storage::text(row[1]), storage::text(row[2]), storage::integer(row[3]),
                          std::nullopt};
    if (!std::holds_alternative<std::nullptr_t>(row[4])) experiment.best_rmse = storage::number(row[4]);
    all.push_back(std::move(experiment));
  }
  return all;
}

Result<std::vector<Run>> WorkbenchStore::runs(const std::string& experiment) const {
  TRY_LET(const auto known, database_.query("SELECT id FROM experiment WHERE name = ?", experiment));
  if (known.empty()) {
    TRY_LET(const auto all, experiments());
    std::string names;
    for (const Experiment& other : all) names += (names.empty() ? "there are: " : ", ") + other.name;
    return fail(Fault::not_found,
                fmt::format("experiment '{}' is unknown; {}", experiment, names.empty() ? "there are none yet" : names));
  }
  TRY_LET(const auto rows,
          database_.query(fmt::format("SELECT {} WHERE experiment_id = ? ORDER BY rmse IS NULL, rmse, started_at", run_columns),
                          storage::integer(known[0][0])));
  std::vector<Run> all;
  for (const Row& row : rows) {
    TRY_LET(Run run, run_of(row));
    all.push_back(std::move(run));
  }
  return all;
}

Result<Run> WorkbenchStore::run(const std::string& id) const {
  TRY_LET(const auto rows, database_.query(fmt::format("SELECT {} WHERE run.id = ?", run_columns), id));
  if (rows.empty()) return fail(Fault::not_found, fmt::format("run '{}' is unknown", id));
  return run_of(rows[0]);
}

Result<std::string> WorkbenchStore::keep_artifact(BytesView bytes) {
  const std::string sha256 = digest::sha256_hex(bytes);
  TRY(write_whole(artifact_path(sha256), bytes));
  return sha256;
}

fs::path WorkbenchStore::artifact_path(const std::string& sha256) const { return folder_ / "artifacts" / (sha256 + ".nacelle"); }

json::Value to_json(const Run& run) {
  return json::Object{{"id", run.id},
                      {"experiment", run.experiment},
                      {"trainer", run.trainer},
                      {"status", run.status},
                      {"started", run.started_at},
                      {"ended", run.ended_at},
                      {"seed", run.seed},
                      {"dataSha256", run.data_sha256},
                      {"parameters", run.parameters},
                      {"metrics", run.metrics},
                      {"artifactSha256", run.artifact_sha256},
                      {"message", run.message}};
}

json::Value to_json(const ModelVersion& version) {
  json::Array aliases;
  for (const std::string& alias : version.aliases) aliases.emplace_back(alias);
  return json::Object{{"name", version.name},
                      {"version", version.version},
                      {"sha256", version.artifact_sha256},
                      {"run", version.run_id},
                      {"stage", version.stage},
                      {"aliases", std::move(aliases)},
                      {"created", version.created_at},
                      {"description", version.description}};
}

// Models.

Result<ModelVersion> WorkbenchStore::register_model(const std::string& name, const std::string& artifact_sha256,
                                                    const std::string& run_id, const std::string& description) {
  TRY(registry::check_name(name, "model"));
  std::int64_t version = 0;
  const auto add = [&]() -> Result<> {
    TRY_LET(const auto newest, database_.query("SELECT COALESCE(MAX(version), 0) FROM model_version WHERE name = ?", name));
    version = storage::integer(newest.at(0).at(0)) + 1;
    TRY(database_.run("INSERT INTO model_version VALUES (?, ?, ?, ?, 'none', ?, ?)", name, version, artifact_sha256, run_id, now(),
                      description));
    TRY(database_.run("INSERT OR REPLACE INTO model_alias VALUES (?, ?, ?)", name, version == 1 ? "champion" : "challenger",
                      version));
    return {};
  };
  TRY(database_.transaction(add));
  return resolve({.name = name, .version = version, .alias = std::nullopt, .bare = false});
}

Result<std::vector<ModelVersion>> WorkbenchStore::models() const {
  TRY_LET(const auto rows, database_.query("SELECT * FROM model_version ORDER BY name, version DESC"));
  TRY_LET(const auto aliases, database_.query("SELECT name, alias, version FROM model_alias ORDER BY alias"));
  std::vector<ModelVersion> all;
  for (const Row& row : rows) {
    ModelVersion version = version_of(row);
    for (const Row& alias : aliases)
      if (storage::text(alias[0]) == version.name && storage::integer(alias[2]) == version.version)
        version.aliases.push_back(storage::text(alias[1]));
    all.push_back(std::move(version));
  }
  return all;
}

Result<ModelVersion> WorkbenchStore::resolve(const registry::ModelReference& reference) const {
  TRY_LET(const auto all, models());
  const auto has_alias = [](const ModelVersion& model, std::string_view alias) {
    return std::find(model.aliases.begin(), model.aliases.end(), alias) != model.aliases.end();
  };
  const ModelVersion* newest = nullptr;
  std::vector<const ModelVersion*> by_alias;
  for (const ModelVersion& model : all) {
    if (reference.bare && has_alias(model, reference.name)) by_alias.push_back(&model);
    if (model.name != reference.name) continue;
    if (reference.version && model.version == *reference.version) return model;
    if (reference.alias && has_alias(model, *reference.alias)) return model;
    if (reference.bare && has_alias(model, registry::champion)) return model;
    if (!newest) newest = &model;
  }
  if (reference.bare && newest) return *newest;
  if (by_alias.size() == 1) return *by_alias.front();
  if (by_alias.size() > 1)
    return fail(Fault::invalid_input,
                fmt::format("alias '{}' is used by several models; say NAME@{}", reference.name, reference.name));
  std::string known;
  for (const ModelVersion& model : all)
    known += fmt::format("{}{}:{}", known.empty() ? "there are: " : ", ", model.name, model.version);
  std::string asked = reference.name;
  if (reference.version) asked += fmt::format(":{}", *reference.version);
  if (reference.alias) asked += "@" + *reference.alias;
  return fail(Fault::not_found, fmt::format("model '{}' is unknown; {}", asked, known.empty() ? "none is registered yet" : known));
}

Result<> WorkbenchStore::set_alias(const std::string& name, const std::string& alias, std::int64_t version) {
  TRY(registry::check_name(alias, "alias"));
  TRY(resolve({.name = name, .version = version, .alias = std::nullopt, .bare = false}));
  TRY(database_.run("INSERT OR REPLACE INTO model_alias VALUES (?, ?, ?)", name, alias, version));
  return {};
}

Result<> WorkbenchStore::drop_alias(const std::string& name, const std::string& alias) {
  TRY_LET(const std::int64_t changed, database_.run("DELETE FROM model_alias WHERE name = ? AND alias = ?", name, alias));
  if (changed == 0) return fail(Fault::not_found, fmt::format("model '{}' has no alias '{}'", name, alias));
  return {};
}

Result<> WorkbenchStore::set_stage(const std::string& name, std::int64_t version, const std::string& stage) {
  TRY(registry::check_stage(stage));
  TRY_LET(const std::int64_t changed,
          database_.run("UPDATE model_version SET stage = ? WHERE name = ? AND version = ?", stage, name, version));
  if (changed == 0) return fail(Fault::not_found, fmt::format("model '{}:{}' is unknown", name, version));
  return {};
}

}  // namespace nacelle::workbench
