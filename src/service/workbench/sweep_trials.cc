#include "service/workbench/sweep_trials.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

namespace nacelle::workbench {

Result<> SweepTrials::prepare(const Sweep& sweep) {
  const auto drawn = search::draw_trials(experiment_.spaces, experiment_.trials, experiment_.seed);
  for (const search::Trial& trial : drawn) {  // all are checked before any is run
    TRY_LET(const trainer::Trainer* chosen, trainer::find_trainer(trial.trainer));
    TRY(trainer::merge_parameters(*chosen, trial.parameters));
  }
  std::map<std::int64_t, Run> known;
  TRY_LET(const std::vector<Run> runs, store_.runs(sweep.experiment, sweep.id));
  for (const Run& run : runs) known.emplace(run.trial, run);
  for (const search::Trial& trial : drawn) {
    SweepTrial state;
    if (const auto found = known.find(static_cast<std::int64_t>(trial.number)); found != known.end()) {
      state.run = found->second;
      state.failed = state.run.status == "failed";
      TRY_LET(const std::vector<json::Value> documents, store_.judged_folds(state.run.id));
      for (const json::Value& document : documents) TRY(add_fold(state, document));
    } else {
      TRY_LET(state.run, store_.add_run(sweep, static_cast<std::int64_t>(trial.number), trial.trainer,
                                        static_cast<std::int64_t>(experiment_.seed), trial.parameters));
    }
    if (!state.failed) TRY(set_status(state, "waiting"));
    trials_.push_back(std::move(state));
  }
  if (const auto found = known.find(static_cast<std::int64_t>(drawn.size())); found != known.end()) former_blend_ = found->second;
  return {};
}

trainer::Plan SweepTrials::plan_of(const SweepTrial& trial) const {
  trainer::Plan plan = plan_;
  plan.trainer = trial.run.trainer;
  plan.parameters = trial.run.parameters;
  return plan;
}

TrialRequest SweepTrials::request_of(const SweepTrial& trial, const Sweep& sweep) const {
  TrialRequest request;
  request.source = {experiment_.data, experiment_.rul, experiment_.schema};
  request.data_sha256 = sweep.data_sha256;
  request.plan = plan_of(trial);
  request.memory_mb = experiment_.trial_memory_mb;
  request.seconds = experiment_.trial_seconds;
  return request;
}

Result<> SweepTrials::set_status(SweepTrial& trial, const std::string& status, const std::string& message) {
  if (trial.run.status == status) return {};
  trial.run.status = status;
  trial.run.message = message;
  return store_.set_run_status(trial.run.id, status, message);
}

Result<> SweepTrials::add_fold(SweepTrial& trial, const json::Value& document) {
  TRY_LET(trainer::JudgedFold fold, judged_from_json(document, experiment_.cap));
  trial.folds.push_back(std::move(fold));
  trial.documents.push_back(document);
  trial.run.folds = static_cast<std::int64_t>(trial.folds.size());
  return {};
}

json::Value SweepTrials::metrics_of(const SweepTrial& trial, std::size_t folds) const {
  return metrics_json(
      trainer::combine({trial.folds.begin(), trial.folds.begin() + static_cast<std::ptrdiff_t>(folds)}, plan_of(trial)));
}

std::optional<double> SweepTrials::score_of(const SweepTrial& trial, std::size_t folds) const {
  if (trial.failed || folds == 0 || trial.folds.size() < folds) return std::nullopt;
  return metrics_of(trial, folds).find(search::metric_name(experiment_.metric))->as_number();
}

Result<std::string> SweepTrials::take(SweepTrial& trial, const Result<json::Value>& answer) {
  const std::string who = fmt::format("trial {}, {}", trial.run.trial, trial.run.trainer);
  const json::Value* folds = answer ? answer->find("folds") : nullptr;
  if (!folds || !folds->is_array()) {
    const Error why = answer ? Error{Fault::corrupt, "the trial answered without folds"} : answer.error();
    trial.failed = true;
    if (!first_failure_) first_failure_ = why;
    TRY(set_status(trial, "failed", why.message));
    return fmt::format("{}: failed: {}", who, why.message);
  }
  for (const json::Value& fold : folds->as_array()) {
    TRY(store_.keep_fold(trial.run.id, static_cast<std::int64_t>(trial.folds.size()), fold));
    TRY(add_fold(trial, fold));
  }
  trial.run.metrics = metrics_of(trial, trial.folds.size());
  TRY(store_.set_run_metrics(trial.run.id, trial.run.metrics));
  TRY(set_status(trial, "waiting"));
  return fmt::format("{}: {} {:.2f} on {} folds", who, search::metric_name(experiment_.metric),
                     score_of(trial, trial.folds.size()).value_or(0), trial.folds.size());
}

Result<> SweepTrials::finish(SweepTrial& trial) {
  trial.run.metrics = metrics_of(trial, trial.folds.size());
  TRY(store_.finish_run(trial.run.id, trial.run.metrics, *score_of(trial, trial.folds.size())));
  trial.run.status = "finished";
  return {};
}

Result<> SweepTrials::leave_behind(const std::string& status) {
  for (SweepTrial& trial : trials_)
    if (trial.run.status == "waiting" || trial.run.status == "running") TRY(set_status(trial, status));
  return {};
}

Result<> SweepTrials::add_blend(const Sweep& sweep, const json::Value& parameters, SweepTrial blend) {
  if (former_blend_) {
    blend.run = *former_blend_;
  } else {
    TRY_LET(blend.run, store_.add_run(sweep, static_cast<std::int64_t>(trials_.size()), "blend",
                                      static_cast<std::int64_t>(experiment_.seed), parameters));
    for (std::size_t fold = 0; fold < blend.documents.size(); ++fold)
      TRY(store_.keep_fold(blend.run.id, static_cast<std::int64_t>(fold), blend.documents[fold]));
  }
  blend.run.folds = static_cast<std::int64_t>(blend.folds.size());
  TRY(finish(blend));
  trials_.push_back(std::move(blend));
  return {};
}

std::vector<Run> SweepTrials::best(std::size_t count) const {
  struct Standing {
    const SweepTrial* trial;
    std::optional<double> score;
  };
  std::vector<Standing> order;
  for (const SweepTrial& trial : trials_)
    if (!trial.failed && !trial.folds.empty()) order.push_back({&trial, score_of(trial, trial.folds.size())});
  std::stable_sort(order.begin(), order.end(), [](const Standing& a, const Standing& b) {
    if (a.trial->folds.size() != b.trial->folds.size()) return a.trial->folds.size() > b.trial->folds.size();
    return a.score < b.score;
  });
  std::vector<Run> runs;
  for (std::size_t i = 0; i < std::min(count, order.size()); ++i) runs.push_back(order[i].trial->run);
  return runs;
}

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

}  // namespace nacelle::workbench
