#include "service/workbench/comparison.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "ml/search/experiment_spec.h"
#include "service/workbench/trial.h"

namespace nacelle::workbench {

namespace {

Result<Run> find_run(const WorkbenchStore& store, const std::string& name) {
  auto run = store.run(name);
  if (run) return run;
  const auto runs = store.runs(name);
  if (!runs) return fail(Fault::not_found, fmt::format("'{}' is neither a run nor an experiment", name));
  if (runs->empty()) return fail(Fault::not_found, fmt::format("experiment '{}' has no runs", name));
  return runs->front();
}

void add_differences(RunComparison& comparison) {
  std::map<std::string, std::vector<std::string>> values;
  const std::size_t count = comparison.runs.size();
  for (std::size_t r = 0; r < count; ++r)
    for (const auto& [name, value] : comparison.runs[r].parameters.as_object()) {
      auto& row = values.try_emplace(name, count, "-").first->second;
      row[r] = json::print(value);
    }
  for (auto& [name, row] : values)
    if (std::any_of(row.begin(), row.end(), [&row = row](const std::string& value) { return value != row.front(); }))
      comparison.differences.emplace_back(name, row);
}

/// What a run predicted at each cut point: engine and row to truth and prediction.
using Predictions = std::map<std::pair<std::size_t, std::size_t>, std::pair<double, double>>;

Result<double> cap_of(const WorkbenchStore& store, const Run& run) {
  TRY_LET(const std::vector<Sweep> sweeps, store.sweeps(run.experiment));
  for (const Sweep& sweep : sweeps)
    if (sweep.id == run.sweep) {
      TRY_LET(const search::Experiment experiment, search::Experiment::from_json(sweep.spec));
      return experiment.cap;
    }
  return fail(Fault::not_found, fmt::format("run '{}' is of no sweep", run.id));
}

Result<Predictions> predictions_of(const WorkbenchStore& store, const Run& run, double cap) {
  TRY_LET(const std::vector<json::Value> documents, store.judged_folds(run.id));
  Predictions predictions;
  for (const json::Value& document : documents) {
    TRY_LET(const trainer::JudgedFold fold, judged_from_json(document, cap));
    for (const trainer::Cut& cut : fold.cuts) predictions[{cut.engine, cut.row}] = {std::min(cut.truth, cap), cut.predicted};
  }
  return predictions;
}

Result<> compare_pair(const WorkbenchStore& store, RunComparison& comparison, const Run& first, const Run& second) {
  if (first.data_sha256 != second.data_sha256) {
    comparison.notes.push_back(
        fmt::format("{} and {} were judged on different data: their metrics are no comparison", first.id, second.id));
    return {};
  }
  if (first.folds == 0 || second.folds == 0) {
    comparison.notes.push_back(fmt::format("{} and {}: one was judged on no fold", first.id, second.id));
    return {};
  }
  TRY_LET(const double cap_first, cap_of(store, first));
  TRY_LET(const double cap_second, cap_of(store, second));
  const double cap = std::min(cap_first, cap_second);
  TRY_LET(const Predictions a, predictions_of(store, first, cap));
  TRY_LET(const Predictions b, predictions_of(store, second, cap));
  std::vector<double> truth, of_a, of_b;
  std::vector<std::size_t> engine;
  for (const auto& [cut, value] : a) {
    const auto other = b.find(cut);
    if (other == b.end()) continue;
    truth.push_back(value.first);
    of_a.push_back(std::min(value.second, cap));
    of_b.push_back(std::min(other->second.second, cap));
    engine.push_back(cut.first);
  }
  if (truth.empty()) {
    comparison.notes.push_back(
        fmt::format("{} and {} have no held-out engine in common (other seeds or folds)", first.id, second.id));
    return {};
  }
  comparison.against_first.emplace_back(second.id, evaluation::compare_models(truth, of_a, of_b, engine, {.level = 0.95}));
  return {};
}

}  // namespace

Result<RunComparison> compare_runs(const WorkbenchStore& store, const std::vector<std::string>& names) {
  RunComparison comparison;
  for (const std::string& name : names) {
    TRY_LET(Run run, find_run(store, name));
    comparison.runs.push_back(std::move(run));
  }
  add_differences(comparison);
  for (std::size_t r = 1; r < comparison.runs.size(); ++r)
    TRY(compare_pair(store, comparison, comparison.runs.front(), comparison.runs[r]));
  return comparison;
}

json::Value to_json(const RunComparison& comparison) {
  json::Array runs, notes;
  for (const Run& run : comparison.runs) runs.emplace_back(to_json(run));
  for (const std::string& note : comparison.notes) notes.emplace_back(note);
  json::Object differences, against;
  for (const auto& [name, values] : comparison.differences) {
    json::Array row;
    for (const std::string& value : values) row.emplace_back(value);
    differences.set(name, std::move(row));
  }
  for (const auto& [id, one] : comparison.against_first) against.set(id, evaluation::to_json(one));
  return json::Object{{"runs", std::move(runs)},
                      {"differences", std::move(differences)},
                      {"againstFirst", std::move(against)},
                      {"notes", std::move(notes)}};
}

}  // namespace nacelle::workbench
