#pragma once
// WorkbenchStore: experiments, runs, models and aliases in one folder: workbench.db (SQLite) and artifacts/SHA256.nacelle.
//
//   TRY_LET(auto store, WorkbenchStore::open(folder, clock));
//   TRY_LET(const std::string sha256, store.keep_artifact(bytes));
//   TRY_LET(const ModelVersion made, store.register_model("turbofan-rul", sha256, run_id, "first"));

#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "codec/json/value.h"
#include "foundation/clock.h"
#include "foundation/result.h"
#include "ml/registry/reference.h"
#include "storage/tables/database.h"

namespace nacelle::workbench {

struct Experiment {
  std::int64_t id = 0;
  std::string name;
  std::string created_at;
  std::int64_t runs = 0;
  std::optional<double> best_rmse;
};

struct Run {
  std::string id;
  std::string experiment;
  std::string trainer;
  std::string status;  ///< waiting, running, finished, pruned (judged on few folds, then left behind), failed, interrupted
  std::string started_at;
  std::string ended_at;
  std::int64_t seed = 0;
  std::string data_sha256;
  json::Value parameters = json::Object{};
  json::Value metrics = json::Object{};  ///< primary: "rmse", of cross-validation
  std::string artifact_sha256;           ///< empty: not fitted to all engines
  std::string message;                   ///< why it failed
  std::int64_t sweep = 0;
  std::int64_t trial = 0;  ///< its number in the sweep
  std::int64_t folds = 0;  ///< judged so far
};

/// One go at an experiment: a declaration, on data of one hash. An experiment may have several.
struct Sweep {
  std::int64_t id = 0;
  std::string experiment;
  json::Value spec = json::Object{};
  std::string data_sha256;
  std::string status;  ///< running, finished, failed, interrupted
  std::string started_at;
  std::string ended_at;
  double seconds = 0;  ///< of work, over all times it was run
  std::string message;
  std::string registered;  ///< NAME:VERSION
};

struct ModelVersion {
  std::string name;
  std::int64_t version = 0;
  std::string artifact_sha256;
  std::string run_id;  ///< empty: not made by a recorded run
  std::string stage = "none";
  std::string created_at;
  std::string description;
  std::string parent;  ///< NAME:VERSION of the champion when this one was registered: what it is to replace
  std::string notes;
  std::vector<std::string> aliases;
  std::vector<std::string> deployed_to;  ///< DEVICE/MODULE, as `nacelle deploy` marked
};

/// Held while a process works on an experiment.
class ExperimentLock {
 public:
  explicit ExperimentLock(int descriptor) : descriptor_(descriptor) {}
  ExperimentLock(ExperimentLock&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
  ExperimentLock& operator=(ExperimentLock&&) = delete;
  ~ExperimentLock();

 private:
  int descriptor_;
};

class WorkbenchStore {
 public:
  /// Opens or makes the folder. Fault::conflict if a newer program made it.
  static Result<WorkbenchStore> open(const std::filesystem::path& folder, const Clock& clock);

  // Experiments, sweeps and runs. What a process that is gone left as running is shown as interrupted: see lock_experiment().
  Result<std::int64_t> experiment_id(const std::string& name);  ///< made if absent
  /// Only one process may work on an experiment; the lock ends with the process, however it ends. Fault::conflict.
  Result<ExperimentLock> lock_experiment(const std::string& name);
  /// What `changes` does is one change on disk, or none.
  Result<> together(const std::function<Result<>()>& changes) { return database_.transaction(changes); }
  Result<Sweep> start_sweep(const std::string& experiment, const json::Value& spec, const std::string& data_sha256);
  Result<> end_sweep(const Sweep& sweep);  ///< keeps its status, seconds, message and what was registered
  Result<> continue_sweep(std::int64_t id);
  Result<std::vector<Sweep>> sweeps(const std::string& experiment) const;  ///< newest first. Fault::not_found
  Result<Run> add_run(const Sweep& sweep, std::int64_t trial, const std::string& trainer, std::int64_t seed,
                      const json::Value& parameters);
  Result<> set_run_status(const std::string& id, const std::string& status, const std::string& message = {});
  /// A fold's judgement, and the metrics over all folds so far.
  Result<> keep_fold(const std::string& run, std::int64_t fold, const json::Value& judged);
  Result<std::vector<json::Value>> judged_folds(const std::string& run) const;  ///< in order of fold
  Result<> set_run_metrics(const std::string& id, const json::Value& metrics);
  /// `score`: what finished runs are ranked by.
  Result<> finish_run(const std::string& id, const json::Value& metrics, double score);
  Result<std::vector<Experiment>> experiments() const;
  /// Best first; then pruned, unfinished and failed. `sweep` 0: of all. Fault::not_found.
  Result<std::vector<Run>> runs(const std::string& experiment, std::int64_t sweep = 0) const;
  Result<Run> run(const std::string& id) const;

  // Artifacts, by content.
  Result<std::string> keep_artifact(BytesView bytes);
  /// Where a trial may write the artifact of a run, before adopt_artifact() takes it in under its hash.
  std::filesystem::path new_artifact_path(const std::string& run) const;
  Result<> adopt_artifact(const std::string& run, const std::string& sha256);
  std::filesystem::path artifact_path(const std::string& sha256) const;

  // Models.
  /// The next version. The first version of a model becomes its champion, a later one its challenger.
  Result<ModelVersion> register_model(const std::string& name, const std::string& artifact_sha256, const std::string& run_id,
                                      const std::string& description);
  Result<std::vector<ModelVersion>> models() const;                               ///< by name, newest version first
  Result<ModelVersion> resolve(const registry::ModelReference& reference) const;  ///< Fault::not_found lists what there is
  Result<> set_alias(const std::string& name, const std::string& alias, std::int64_t version);
  Result<> set_notes(const std::string& name, std::int64_t version, const std::string& notes);
  /// What `nacelle deploy` tells: this device's module runs that artifact now, and none that it ran before.
  Result<> mark_deployed(const std::string& artifact_sha256, const std::string& device, const std::string& module);
  /// Says that the device is gone. Fault::not_found.
  Result<> unmark_deployed(const std::string& device);
  /// Takes a version out, and its artifact if nothing else needs it. Fault::conflict while it is deployed, or has an alias.
  Result<> delete_version(const std::string& name, std::int64_t version);
  Result<> drop_alias(const std::string& name, const std::string& alias);
  Result<> set_stage(const std::string& name, std::int64_t version, const std::string& stage);

 private:
  Result<> mark_interrupted();
  WorkbenchStore(std::filesystem::path folder, storage::Database database, const Clock& clock);
  std::string now() const;
  std::filesystem::path folder_;
  storage::Database database_;
  const Clock* clock_;  ///< outlives the store
};

/// `--workbench`, else NACELLE_WORKBENCH, else ./nacelle-workbench.
std::filesystem::path workbench_folder(const std::string& told);

json::Value to_json(const Run& run);
json::Value to_json(const Sweep& sweep);
json::Value to_json(const ModelVersion& version);

}  // namespace nacelle::workbench
