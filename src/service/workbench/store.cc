#include "service/workbench/store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <unistd.h>

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
      "CREATE TABLE sweep (id INTEGER PRIMARY KEY, experiment_id INTEGER NOT NULL REFERENCES experiment(id), spec TEXT NOT NULL,"
      " data_sha256 TEXT NOT NULL, status TEXT NOT NULL, started_at TEXT NOT NULL, ended_at TEXT NOT NULL DEFAULT '',"
      " seconds REAL NOT NULL DEFAULT 0, message TEXT NOT NULL DEFAULT '', registered TEXT NOT NULL DEFAULT '') STRICT",
      "ALTER TABLE run ADD COLUMN sweep_id INTEGER NOT NULL DEFAULT 0",
      "ALTER TABLE run ADD COLUMN trial INTEGER NOT NULL DEFAULT 0",
      "CREATE TABLE judged_fold (run_id TEXT NOT NULL, fold INTEGER NOT NULL, document TEXT NOT NULL, PRIMARY KEY (run_id, fold)) "
      "STRICT",
      "ALTER TABLE model_version ADD COLUMN parent TEXT NOT NULL DEFAULT ''",
      "ALTER TABLE model_version ADD COLUMN notes TEXT NOT NULL DEFAULT ''",
      "CREATE TABLE model_deployment (device TEXT NOT NULL, module TEXT NOT NULL, artifact_sha256 TEXT NOT NULL, marked_at TEXT "
      "NOT "
      "NULL,"
      " PRIMARY KEY (device, module)) STRICT",
      // Numbers of deleted versions are not given again.
      "CREATE TABLE model_counter (name TEXT PRIMARY KEY, last INTEGER NOT NULL) STRICT",
      "INSERT INTO model_counter SELECT name, MAX(version) FROM model_version GROUP BY name",
  };
  return all;
}

constexpr std::string_view run_columns =
    "run.id, experiment.name, trainer, status, started_at, ended_at, seed, data_sha256, parameters, metrics, artifact_sha256, "
    "message, sweep_id, trial, (SELECT COUNT(*) FROM judged_fold WHERE run_id = run.id)"
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
          .message = text(row[11]),
          .sweep = integer(row[12]),
          .trial = integer(row[13]),
          .folds = integer(row[14])};
  TRY_LET(run.parameters, json::parse(text(row[8])));
  TRY_LET(run.metrics, json::parse(text(row[9])));
  return run;
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
  WorkbenchStore store(folder, std::move(database), clock);
  TRY(store.mark_interrupted());
  return store;
}

ExperimentLock::~ExperimentLock() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

Result<ExperimentLock> WorkbenchStore::lock_experiment(const std::string& name) {
  TRY(registry::check_name(name, "experiment"));
  const fs::path path = folder_ / "locks" / (name + ".lock");
  std::error_code code;
  fs::create_directories(path.parent_path(), code);
  // The kernel lets go of it when the process ends, by whatever cause; children do not inherit it.
  const int descriptor = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (descriptor < 0) return fail(Fault::unavailable, fmt::format("{}: cannot be opened", path.string()));
  ExperimentLock held(descriptor);
  if (::flock(descriptor, LOCK_EX | LOCK_NB) != 0)
    return fail(Fault::conflict, fmt::format("experiment '{}' is being worked on by another process", name));
  return held;
}

Result<> WorkbenchStore::mark_interrupted() {
  TRY_LET(const auto rows,
          database_.query("SELECT DISTINCT experiment.name FROM run JOIN experiment ON experiment.id = experiment_id"
                          " WHERE status IN ('running', 'waiting')"
                          " UNION SELECT experiment.name FROM sweep JOIN experiment ON experiment.id = experiment_id"
                          " WHERE status = 'running'"));
  for (const Row& row : rows) {
    const std::string name = storage::text(row[0]);
    const auto lock = lock_experiment(name);
    if (!lock) continue;  // somebody is at work
    for (const char* table : {"run", "sweep"})
      TRY(database_.run(fmt::format("UPDATE {} SET status = 'interrupted', ended_at = ? WHERE status IN ('running', 'waiting')"
                                    " AND experiment_id = (SELECT id FROM experiment WHERE name = ?)",
                                    table),
                        now(), name));
  }
  return {};
}

Result<std::int64_t> WorkbenchStore::experiment_id(const std::string& name) {
  TRY(registry::check_name(name, "experiment"));
  TRY(database_.run("INSERT INTO experiment (name, created_at) VALUES (?, ?) ON CONFLICT DO NOTHING", name, now()));
  TRY_LET(const auto rows, database_.query("SELECT id FROM experiment WHERE name = ?", name));
  return storage::integer(rows.at(0).at(0));
}

namespace {

Result<Sweep> sweep_of(const Row& row) {
  Sweep sweep{.id = integer(row[0]),
              .experiment = text(row[1]),
              .spec = {},
              .data_sha256 = text(row[3]),
              .status = text(row[4]),
              .started_at = text(row[5]),
              .ended_at = text(row[6]),
              .seconds = number(row[7]),
              .message = text(row[8]),
              .registered = text(row[9])};
  TRY_LET(sweep.spec, json::parse(text(row[2])));
  return sweep;
}

}  // namespace

Result<Sweep> WorkbenchStore::start_sweep(const std::string& experiment, const json::Value& spec, const std::string& data_sha256) {
  TRY_LET(const std::int64_t experiment_number, experiment_id(experiment));
  TRY(database_.run("INSERT INTO sweep (experiment_id, spec, data_sha256, status, started_at) VALUES (?, ?, ?, 'running', ?)",
                    experiment_number, json::print(spec), data_sha256, now()));
  TRY_LET(const std::vector<Sweep> all, sweeps(experiment));
  return all.front();
}

Result<> WorkbenchStore::end_sweep(const Sweep& sweep) {
  TRY(database_.run("UPDATE sweep SET status = ?, ended_at = ?, seconds = ?, message = ?, registered = ? WHERE id = ?",
                    sweep.status, now(), sweep.seconds, sweep.message, sweep.registered, sweep.id));
  return {};
}

Result<> WorkbenchStore::continue_sweep(std::int64_t id) {
  TRY(database_.run("UPDATE sweep SET status = 'running', ended_at = '', message = '' WHERE id = ?", id));
  return {};
}

Result<std::vector<Sweep>> WorkbenchStore::sweeps(const std::string& experiment) const {
  TRY_LET(const auto known, database_.query("SELECT id FROM experiment WHERE name = ?", experiment));
  if (known.empty()) {
    TRY_LET(const auto all, experiments());
    std::string names;
    for (const Experiment& other : all) names += (names.empty() ? "there are: " : ", ") + other.name;
    return fail(Fault::not_found,
                fmt::format("experiment '{}' is unknown; {}", experiment, names.empty() ? "there are none yet" : names));
  }
  TRY_LET(const auto rows,
          database_.query(
              "SELECT sweep.id, experiment.name, spec, data_sha256, status, started_at, ended_at, seconds, message, registered"
              " FROM sweep JOIN experiment ON experiment.id = experiment_id WHERE name = ? ORDER BY sweep.id DESC",
              experiment));
  std::vector<Sweep> all;
  for (const Row& row : rows) {
    TRY_LET(Sweep sweep, sweep_of(row));
    all.push_back(std::move(sweep));
  }
  return all;
}

Result<Run> WorkbenchStore::add_run(const Sweep& sweep, std::int64_t trial, const std::string& trainer, std::int64_t seed,
                                    const json::Value& parameters) {
  const std::string id = random_uuid().substr(0, 8);
  TRY(database_.run(
      "INSERT INTO run (id, experiment_id, trainer, status, started_at, seed, data_sha256, parameters, sweep_id, trial)"
      " SELECT ?, experiment_id, ?, 'waiting', ?, ?, ?, ?, id, ? FROM sweep WHERE id = ?",
      id, trainer, now(), seed, sweep.data_sha256, json::print(parameters), trial, sweep.id));
  return run(id);
}

Result<> WorkbenchStore::set_run_status(const std::string& id, const std::string& status, const std::string& message) {
  TRY(database_.run("UPDATE run SET status = ?, ended_at = ?, message = ? WHERE id = ?", status,
                    status == "running" || status == "waiting" ? "" : now(), message, id));
  return {};
}

Result<> WorkbenchStore::keep_fold(const std::string& run, std::int64_t fold, const json::Value& judged) {
  TRY(database_.run("INSERT OR REPLACE INTO judged_fold VALUES (?, ?, ?)", run, fold, json::print(judged)));
  return {};
}

Result<std::vector<json::Value>> WorkbenchStore::judged_folds(const std::string& run) const {
  TRY_LET(const auto rows, database_.query("SELECT document FROM judged_fold WHERE run_id = ? ORDER BY fold", run));
  std::vector<json::Value> folds;
  for (const Row& row : rows) {
    TRY_LET(json::Value document, json::parse(storage::text(row[0])));
    folds.push_back(std::move(document));
  }
  return folds;
}

Result<> WorkbenchStore::set_run_metrics(const std::string& id, const json::Value& metrics) {
  TRY(database_.run("UPDATE run SET metrics = ? WHERE id = ?", json::print(metrics), id));
  return {};
}

Result<> WorkbenchStore::finish_run(const std::string& id, const json::Value& metrics, double score) {
  TRY(database_.run("UPDATE run SET status = 'finished', ended_at = ?, metrics = ?, rmse = ?, message = '' WHERE id = ?", now(),
                    json::print(metrics), score, id));
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

Result<std::vector<Run>> WorkbenchStore::runs(const std::string& experiment, std::int64_t sweep) const {
  TRY(sweeps(experiment));  // is it known?
  TRY_LET(
      const auto rows,
      database_.query(fmt::format("SELECT {} WHERE experiment.name = ? AND (? = 0 OR sweep_id = ?)"
                                  " ORDER BY status = 'failed', rmse IS NULL, rmse, 15 DESC,"
                                  " json_extract(metrics, '$.rmse') IS NULL, json_extract(metrics, '$.rmse'), started_at, trial",
                                  run_columns),
                      experiment, sweep, sweep));
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

fs::path WorkbenchStore::new_artifact_path(const std::string& run) const {
  std::error_code code;
  return fs::absolute(folder_, code) / "artifacts" / fmt::format(".{}.new", run);
}

Result<> WorkbenchStore::adopt_artifact(const std::string& run, const std::string& sha256) {
  std::error_code code;
  fs::rename(new_artifact_path(run), artifact_path(sha256), code);
  if (code) return fail(Fault::unavailable, fmt::format("artifact of run {}: {}", run, code.message()));
  TRY(database_.run("UPDATE run SET artifact_sha256 = ? WHERE id = ?", sha256, run));
  return {};
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
                      {"message", run.message},
                      {"sweep", run.sweep},
                      {"trial", run.trial},
                      {"folds", run.folds}};
}

json::Value to_json(const Sweep& sweep) {
  return json::Object{{"id", sweep.id},
                      {"experiment", sweep.experiment},
                      {"status", sweep.status},
                      {"started", sweep.started_at},
                      {"ended", sweep.ended_at},
                      {"seconds", sweep.seconds},
                      {"dataSha256", sweep.data_sha256},
                      {"message", sweep.message},
                      {"registered", sweep.registered},
                      {"spec", sweep.spec}};
}

}  // namespace nacelle::workbench
