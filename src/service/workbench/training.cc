#include "service/workbench/training.h"

#include <fmt/format.h>

#include <algorithm>

namespace nacelle::workbench {

json::Value metrics_json(const trainer::CrossValidation& judged) {
  json::Array folds;
  for (const trainer::Fold& fold : judged.folds) folds.emplace_back(fold.metrics.rmse);
  return json::Object{
      {"rmse", judged.capped.rmse},
      {"mae", judged.capped.mae},
      {"r2", judged.capped.r2},
      {"phm08PerEngine", judged.capped.count > 0 ? judged.capped.phm08 / static_cast<double>(judged.capped.count) : 0.0},
      {"rmseRaw", judged.raw.rmse},
      {"intervalCoverage", judged.interval_coverage},
      {"intervalWidth", judged.interval_width},
      {"foldRmse", std::move(folds)}};
}

namespace {

struct Made {
  json::Value metrics;
  std::string artifact_sha256;
};

Result<Made> make_model(WorkbenchStore& store, const dataset::FleetTable& table, const trainer::Plan& plan) {
  TRY_LET(const trainer::CrossValidation judged, trainer::cross_validate(table, plan));
  TRY_LET(const model::Artifact artifact, trainer::train(table, plan, judged));
  TRY_LET(std::string sha256, store.keep_artifact(model::encode_artifact(artifact)));
  return Made{metrics_json(judged), std::move(sha256)};
}

}  // namespace

Result<ExperimentResult> run_experiment(WorkbenchStore& store, const dataset::FleetTable& table, const ExperimentRequest& request) {
  for (const std::string& name : request.trainers) TRY(trainer::find_trainer(name));
  if (!request.register_as.empty()) TRY(registry::check_name(request.register_as, "model"));
  const std::string data_sha256 = table.content_hash();
  ExperimentResult result;
  std::optional<Error> first_failure;
  for (const std::string& name : request.trainers) {
    trainer::Plan plan = request.plan;
    plan.trainer = name;
    TRY_LET(const trainer::Trainer* chosen, trainer::find_trainer(name));
    TRY_LET(const json::Value parameters, trainer::merge_parameters(*chosen, plan.parameters));
    TRY_LET(Run run, store.start_run(request.name, name, static_cast<std::int64_t>(plan.seed), data_sha256, parameters));
    if (auto made = make_model(store, table, plan)) {
      TRY(store.finish_run(run.id, made->metrics, made->artifact_sha256));
    } else {
      TRY(store.fail_run(run.id, made.error().message));
      if (!first_failure) first_failure = made.error();
    }
    TRY_LET(run, store.run(run.id));
    result.leaderboard.push_back(std::move(run));
  }
  const auto rmse = [](const Run& run) {
    const json::Value* value = run.metrics.find("rmse");
    return value ? value->as_number() : 1e300;
  };
  std::stable_sort(result.leaderboard.begin(), result.leaderboard.end(),
                   [&](const Run& a, const Run& b) { return rmse(a) < rmse(b); });
  const Run& best = result.leaderboard.front();
  if (best.status != "finished") return fail(*first_failure);
  if (!request.register_as.empty()) {
    TRY_LET(result.registered, store.register_model(request.register_as, best.artifact_sha256, best.id,
                                                    fmt::format("best of experiment {}: {}", request.name, best.trainer)));
  }
  return result;
}

}  // namespace nacelle::workbench
