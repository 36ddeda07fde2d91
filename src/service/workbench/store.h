#pragma once
// WorkbenchStore: experiments, runs, models and aliases in one folder: workbench.db (SQLite) and artifacts/SHA256.nacelle.
//
//   TRY_LET(auto store, WorkbenchStore::open(folder, clock));
//   TRY_LET(const std::string sha256, store.keep_artifact(bytes));
//   TRY_LET(const ModelVersion made, store.register_model("turbofan-rul", sha256, run_id, "first"));

#include <filesystem>
#include <optional>
#include <string>
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
  std::string status;  ///< running, finished, failed
  std::string started_at;
  std::string ended_at;
  std::int64_t seed = 0;
  std::string data_sha256;
  json::Value parameters = json::Object{};
  json::Value metrics = json::Object{};  ///< primary: "rmse", of cross-validation
  std::string artifact_sha256;
  std::string message;  ///< why it failed
};

struct ModelVersion {
  std::string name;
  std::int64_t version = 0;
  std::string artifact_sha256;
  std::string run_id;  ///< empty: not made by a recorded run
  std::string stage = "none";
  std::string created_at;
  std::string description;
  std::vector<std::string> aliases;
};

class WorkbenchStore {
 public:
  /// Opens or makes the folder. Fault::conflict if a newer program made it.
  static Result<WorkbenchStore> open(const std::filesystem::path& folder, const Clock& clock);

  // Experiments and runs.
  Result<std::int64_t> experiment_id(const std::string& name);  ///< made if absent
  Result<Run> start_run(const std::string& experiment, const std::string& trainer, std::int64_t seed,
                        const std::string& data_sha256, const json::Value& parameters);
  Result<> finish_run(const std::string& id, const json::Value& metrics, const std::string& artifact_sha256);
  Result<> fail_run(const std::string& id, const std::string& message);
  Result<std::vector<Experiment>> experiments() const;
  /// Best first (least RMSE); then unfinished and failed. Fault::not_found.
  Result<std::vector<Run>> runs(const std::string& experiment) const;
  Result<Run> run(const std::string& id) const;

  // Artifacts, by content.
  Result<std::string> keep_artifact(BytesView bytes);
  std::filesystem::path artifact_path(const std::string& sha256) const;

  // Models.
  /// The next version. The first version of a model becomes its champion, a later one its challenger.
  Result<ModelVersion> register_model(const std::string& name, const std::string& artifact_sha256, const std::string& run_id,
                                      const std::string& description);
  Result<std::vector<ModelVersion>> models() const;                               ///< by name, newest version first
  Result<ModelVersion> resolve(const registry::ModelReference& reference) const;  ///< Fault::not_found lists what there is
  Result<> set_alias(const std::string& name, const std::string& alias, std::int64_t version);
  Result<> drop_alias(const std::string& name, const std::string& alias);
  Result<> set_stage(const std::string& name, std::int64_t version, const std::string& stage);

 private:
  WorkbenchStore(std::filesystem::path folder, storage::Database database, const Clock& clock);
  std::string now() const;
  std::filesystem::path folder_;
  storage::Database database_;
  const Clock* clock_;  ///< outlives the store
};

/// `--workbench`, else NACELLE_WORKBENCH, else ./nacelle-workbench.
std::filesystem::path workbench_folder(const std::string& told);

json::Value to_json(const Run& run);
json::Value to_json(const ModelVersion& version);

}  // namespace nacelle::workbench
