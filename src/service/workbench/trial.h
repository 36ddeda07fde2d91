#pragma once
// A trial's work as a document: a configuration to be judged on some folds, or fitted to all engines; and what comes of it. What
// may run in another process, which may fail alone, is said in JSON.

#include <memory>
#include <string>
#include <vector>

#include "codec/json/value.h"
#include "ml/dataset/fleet_table.h"
#include "ml/trainer/experiment.h"

namespace nacelle::workbench {

/// Where an experiment's table comes from.
struct DataReference {
  std::vector<std::string> data;
  std::string rul;
  std::string schema;
};
/// The table: sources joined, remaining lives laid beside.
Result<dataset::FleetTable> load_fleet(const DataReference& reference);

struct TrialRequest {
  DataReference source;
  std::string data_sha256;  ///< of the table; another one is refused
  trainer::Plan plan;
  std::vector<std::size_t> folds;  ///< to judge
  std::string artifact;            ///< not empty: fit to all engines, and write the artifact there
  json::Value judged;              ///< then: the folds judged before, for intervals and provenance
  std::size_t memory_mb = 4096;
  double seconds = 600;

  static Result<TrialRequest> from_json(const json::Value& document);
  json::Value to_json() const;
};

/// {"folds":[..]} as judged_to_json() says, or {"sha256":..} of the artifact written.
Result<json::Value> run_trial(const TrialRequest& request, const dataset::FleetTable& table);

/// {"fold":0,"heldOut":[..],"cuts":[[engine, row, truth, predicted], ..]}, and back; the metrics are computed again.
json::Value judged_to_json(const trainer::JudgedFold& judged, std::size_t index);
Result<trainer::JudgedFold> judged_from_json(const json::Value& document, double cap);

/// Who does trials: this process, or others. One thread uses it.
class TrialWorkers {
 public:
  struct Done {
    std::size_t ticket = 0;
    Result<json::Value> answer;
  };
  virtual ~TrialWorkers() = default;
  virtual std::size_t room() const = 0;  ///< how many more can be started now
  virtual Result<> start(std::size_t ticket, const TrialRequest& request) = 0;
  /// Waits for one that was started. A failure of the trial is in its answer; a Fault of the call ends the experiment
  /// (Fault::unavailable: interrupted).
  virtual Result<Done> next() = 0;
};

/// Does each in turn, in this process, on a table it is given.
std::unique_ptr<TrialWorkers> make_local_workers(const dataset::FleetTable& table);

}  // namespace nacelle::workbench
