#include "service/workbench/sweep.h"

#include <fmt/format.h>

#include <algorithm>

#include "ml/search/halving.h"
#include "service/workbench/finalist_blend.h"
#include "service/workbench/sweep_trials.h"

namespace nacelle::workbench {

namespace {

namespace fs = std::filesystem;

// Of a budget of seconds: the first rung may start trials for half of it, the later ones until little is left; the rest is for
// those under way. The best is always judged to the end and fitted.
constexpr double first_rung_share = 0.5;
constexpr double later_rungs_share = 0.85;

trainer::Plan plan_of(const search::Experiment& experiment, const feature::Recipe& recipe, const SweepOptions& options) {
  trainer::Plan plan;
  plan.model_name = !options.model_name.empty()       ? options.model_name
                    : !experiment.register_as.empty() ? experiment.register_as
                                                      : plan.model_name;
  plan.recipe = recipe;
  plan.cap = experiment.cap;
  plan.folds = experiment.folds;
  plan.fold_row_stride = experiment.fold_row_stride;
  plan.cuts = {experiment.cuts_per_engine, experiment.cut_max_rul, experiment.cut_min_rows};
  plan.coverage = experiment.coverage;
  plan.seed = experiment.seed;
  plan.threads = experiment.trial_threads;
  plan.code_version = options.code_version;
  return plan;
}

class SweepRunner {
 public:
  SweepRunner(WorkbenchStore& store, Sweep sweep, search::Experiment experiment, const feature::Recipe& recipe,
              TrialWorkers& workers, const SweepOptions& options)
      : store_(store),
        sweep_(std::move(sweep)),
        experiment_(std::move(experiment)),
        workers_(workers),
        options_(options),
        began_(options.seconds_now ? options.seconds_now() : 0),
        trials_(store, experiment_, plan_of(experiment_, recipe, options)) {}

  Result<SweepResult> run() {
    const Result<SweepResult> result = run_to_the_end();
    sweep_.seconds = elapsed();
    if (result) return result;
    sweep_.status = result.error().fault == Fault::unavailable ? "interrupted" : "failed";
    sweep_.message = result.error().message;
    TRY(trials_.leave_behind("interrupted"));
    TRY(store_.end_sweep(sweep_));
    return result;
  }

 private:
  double elapsed() const { return sweep_.seconds + (options_.seconds_now ? options_.seconds_now() - began_ : 0); }

  void report(std::size_t rung, std::size_t rungs, std::size_t done, std::size_t all) const {
    constexpr std::size_t shown = 5;
    if (!options_.progress) return;
    options_.progress(
        {.rung = rung, .rungs = rungs, .done = done, .all = all, .seconds = elapsed(), .what = tell_, .best = trials_.best(shown)});
  }

  /// Judges these trials on the first `folds` folds; those for which the time is not enough stay as they are.
  Result<> judge(const std::vector<std::size_t>& trials, std::size_t rung, const std::vector<search::Rung>& rungs) {
    const std::size_t folds = rungs[rung].folds;
    std::vector<std::size_t> waiting;
    for (const std::size_t trial : trials)
      if (!trials_[trial].failed && trials_[trial].folds.size() < folds) waiting.push_back(trial);
    std::size_t done = trials.size() - waiting.size(), busy = 0, next = 0;
    const auto out_of_time = [&] {
      if (!experiment_.seconds || done == 0) return false;
      return elapsed() > *experiment_.seconds * (rung == 0 ? first_rung_share : later_rungs_share);
    };
    report(rung + 1, rungs.size(), done, trials.size());
    while (next < waiting.size() || busy > 0) {
      while (next < waiting.size() && workers_.room() > 0 && !out_of_time()) {
        SweepTrial& trial = trials_[waiting[next]];
        TrialRequest request = trials_.request_of(trial, sweep_);
        for (std::size_t fold = trial.folds.size(); fold < folds; ++fold) request.folds.push_back(fold);
        TRY(trials_.set_status(trial, "running"));
        TRY(workers_.start(waiting[next], request));
        ++next, ++busy;
      }
      if (busy == 0) break;
      TRY_LET(const TrialWorkers::Done finished, workers_.next());
      --busy, ++done;
      TRY(store_.together([&]() -> Result<> {
        TRY_LET(tell_, trials_.take(trials_[finished.ticket], finished.answer));
        return {};
      }));
      report(rung + 1, rungs.size(), done, trials.size());
    }
    return {};
  }

  /// Rung by rung; the finalists, best first.
  Result<std::vector<std::size_t>> halve() {
    const auto rungs = search::plan_rungs(trials_.size(), experiment_.folds, experiment_.keep_one_in, experiment_.finalists);
    std::vector<std::size_t> alive;
    for (std::size_t t = 0; t < trials_.size(); ++t) alive.push_back(t);
    for (std::size_t r = 0; r < rungs.size(); ++r) {
      TRY(judge(alive, r, rungs));
      const std::size_t wanted = r + 1 < rungs.size() ? rungs[r + 1].trials : alive.size();
      std::vector<search::Standing> standings;
      for (const std::size_t trial : alive) standings.push_back({trial, trials_.score_of(trial, rungs[r].folds)});
      std::vector<std::size_t> chosen = search::promote(standings, wanted);
      if (chosen.empty()) return fail(trials_.first_failure().value_or(Error{Fault::conflict, "no trial came to an end"}));
      for (const std::size_t trial : alive)
        if (!trials_[trial].failed && !std::binary_search(chosen.begin(), chosen.end(), trial))
          TRY(trials_.set_status(trials_[trial], "pruned"));
      // Best first, should the time run out.
      std::stable_sort(chosen.begin(), chosen.end(), [&](std::size_t a, std::size_t b) {
        return trials_.score_of(a, rungs[r].folds) < trials_.score_of(b, rungs[r].folds);
      });
      alive = std::move(chosen);
    }
    for (const std::size_t trial : alive) TRY(trials_.finish(trials_[trial]));
    return alive;
  }

  /// The best of each of so many trainers, best first; those that halving left behind are judged to the end now.
  Result<std::vector<std::size_t>> best_of_trainers(const std::vector<std::size_t>& best_first) {
    const auto rungs = search::plan_rungs(trials_.size(), experiment_.folds, experiment_.keep_one_in, experiment_.finalists);
    std::vector<std::size_t> others;
    for (std::size_t t = 0; t < trials_.size(); ++t)
      if (std::find(best_first.begin(), best_first.end(), t) == best_first.end() && trials_.score_of(t, rungs[0].folds))
        others.push_back(t);
    std::stable_sort(others.begin(), others.end(), [&](std::size_t a, std::size_t b) {
      return trials_.score_of(a, rungs[0].folds) < trials_.score_of(b, rungs[0].folds);
    });
    std::vector<std::size_t> order = best_first, chosen;
    order.insert(order.end(), others.begin(), others.end());
    for (const std::size_t trial : order) {
      const auto same = [&](std::size_t other) { return trials_[other].run.trainer == trials_[trial].run.trainer; };
      const bool taken = std::any_of(chosen.begin(), chosen.end(), same) || trials_[trial].run.trainer == "blend";
      if (!taken && chosen.size() < experiment_.blend) chosen.push_back(trial);
    }
    TRY(judge(chosen, rungs.size() - 1, rungs));
    std::erase_if(chosen, [this](std::size_t trial) { return !trials_.score_of(trial, experiment_.folds); });
    for (const std::size_t trial : chosen)
      if (trials_[trial].run.status != "finished") TRY(trials_.finish(trials_[trial]));
    return chosen;
  }

  /// A blend of the best of several trainers goes to the front if it holds against the best of them, on engines that neither its
  /// members nor its weights were learned from. What is behind by little there is ahead on other engines more often than not: the
  /// best of many trials is partly so by chance (docs/decisions/0276).
  Result<> blend(std::vector<std::size_t>& best_first) {
    if (experiment_.blend < 2) return {};
    TRY_LET(const std::vector<std::size_t> chosen, best_of_trainers(best_first));
    // Those that were judged to the end for the blend's sake may be better than what halving left: it saw them on few folds.
    for (const std::size_t trial : chosen)
      if (std::find(best_first.begin(), best_first.end(), trial) == best_first.end()) best_first.push_back(trial);
    std::stable_sort(best_first.begin(), best_first.end(), [this](std::size_t a, std::size_t b) {
      const auto first = trials_.score_of(a, experiment_.folds), second = trials_.score_of(b, experiment_.folds);
      return first && (!second || *first < *second);
    });
    std::vector<Finalist> finalists;
    for (const std::size_t trial : chosen)
      finalists.push_back({trials_[trial].run.trainer, trials_[trial].run.parameters, &trials_[trial].folds});
    TRY_LET(std::optional<FinalistBlend> made, blend_finalists(finalists, experiment_.cap));
    if (!made) return {};
    SweepTrial blend;
    for (std::size_t fold = 0; fold < made->folds.size(); ++fold) {
      blend.documents.push_back(judged_to_json(made->folds[fold], fold));
      blend.folds.push_back(std::move(made->folds[fold]));
    }
    const std::optional<double> score = trials_.score_of(blend, experiment_.folds);
    if (!holds_against(blend.folds, trials_[best_first.front()].folds, experiment_.metric, experiment_.cap)) return {};
    const std::size_t index = trials_.size();
    TRY(store_.together([&] { return trials_.add_blend(sweep_, made->parameters, std::move(blend)); }));
    tell_ = fmt::format("blend of {} trainers: {} {:.2f}", made->parameters.find("members")->as_array().size(),
                        search::metric_name(experiment_.metric), *score);
    best_first.insert(best_first.begin(), index);
    const auto rungs = search::plan_rungs(index, experiment_.folds, experiment_.keep_one_in, experiment_.finalists).size();
    report(rungs, rungs, 1, 1);
    return {};
  }

  /// Fits the best `keep` to all engines; the next best takes the place of one that fails (for want of memory, say). Where fewer
  /// are left than can be fitted at once, each has more threads: its bytes do not depend on them. Those fitted, best first.
  Result<std::vector<std::size_t>> fit(const std::vector<std::size_t>& best_first) {
    std::vector<std::size_t> fitted;
    std::optional<Error> why;
    std::size_t next = 0, busy = 0;
    while (true) {
      while (next < best_first.size() && fitted.size() + busy < experiment_.keep && workers_.room() > 0) {
        const std::size_t index = best_first[next++];
        if (!trials_[index].run.artifact_sha256.empty()) {
          fitted.push_back(index);
          continue;
        }
        TRY(workers_.start(index, request_to_fit(index, experiment_.keep - fitted.size() - busy)));
        ++busy;
      }
      if (busy == 0) break;
      TRY_LET(const TrialWorkers::Done finished, workers_.next());
      --busy;
      SweepTrial& trial = trials_[finished.ticket];
      if (!finished.answer) {
        why = Error(finished.answer.error()).in(fmt::format("{}, fitted to all engines", trial.run.trainer));
        tell_ = fmt::format("trial {}, {}", trial.run.trial, why->message);
        TRY(trials_.set_status(trial, "failed", why->message));
      } else {
        TRY_LET(const std::string sha256, json::get_string(*finished.answer, "sha256", "trial"));
        TRY(store_.adopt_artifact(trial.run.id, sha256));
        trial.run.artifact_sha256 = sha256;
        fitted.push_back(finished.ticket);
        tell_ = fmt::format("trial {}, {}: fitted to all engines", trial.run.trial, trial.run.trainer);
      }
      report(0, 0, fitted.size(), std::min(experiment_.keep, best_first.size()));
    }
    if (fitted.empty()) return fail(why.value_or(Error{Fault::conflict, "no trial could be fitted to all engines"}));
    const auto place = [&best_first](std::size_t index) { return std::find(best_first.begin(), best_first.end(), index); };
    std::sort(fitted.begin(), fitted.end(), [&](std::size_t first, std::size_t second) { return place(first) < place(second); });
    return fitted;
  }

  TrialRequest request_to_fit(std::size_t index, std::size_t wanted) const {
    const SweepTrial& trial = trials_[index];
    TrialRequest request = trials_.request_of(trial, sweep_);
    request.artifact = store_.new_artifact_path(trial.run.id).string();
    request.judged = json::Array(trial.documents.begin(), trial.documents.end());
    request.plan.threads *= static_cast<int>(std::max<std::size_t>(1, workers_.room() / wanted));
    return request;
  }

  Result<SweepResult> run_to_the_end() {
    TRY(store_.together([this] { return trials_.prepare(sweep_); }));
    TRY_LET(std::vector<std::size_t> best_first, halve());
    TRY(blend(best_first));
    TRY_LET(const std::vector<std::size_t> fitted, fit(best_first));
    TRY(trials_.leave_behind("pruned"));  // those for which the time was not enough
    SweepResult result;
    const Run& best = result.best = trials_[fitted.front()].run;
    if (!experiment_.register_as.empty()) {
      TRY_LET(result.registered, store_.register_model(experiment_.register_as, best.artifact_sha256, best.id,
                                                       fmt::format("best of experiment {}: {}", sweep_.experiment, best.trainer)));
      sweep_.registered = fmt::format("{}:{}", result.registered->name, result.registered->version);
    }
    sweep_.status = "finished";
    sweep_.seconds = elapsed();
    TRY(store_.end_sweep(sweep_));
    TRY_LET(result.leaderboard, store_.runs(sweep_.experiment, sweep_.id));
    result.sweep = sweep_;
    return result;
  }

  WorkbenchStore& store_;
  Sweep sweep_;
  const search::Experiment experiment_;
  TrialWorkers& workers_;
  const SweepOptions& options_;
  const double began_;
  SweepTrials trials_;
  std::string tell_;
};

}  // namespace

Result<SweepResult> run_sweep(WorkbenchStore& store, const search::Experiment& declared, const dataset::FleetTable& table,
                              TrialWorkers& workers, const SweepOptions& options) {
  search::Experiment experiment = declared;
  TRY(fill_spaces(experiment));
  TRY(check_spaces(experiment));
  TRY(trainer::deal_folds(table.engines.size(), experiment.folds, experiment.seed));
  TRY_LET(const feature::Recipe recipe, recipe_of(experiment, *table.schema));
  TRY_LET(const ExperimentLock lock, store.lock_experiment(experiment.name));
  TRY_LET(Sweep sweep, store.start_sweep(experiment.name, experiment.to_json(), table.content_hash()));
  return SweepRunner(store, std::move(sweep), experiment, recipe, workers, options).run();
}

Result<SweepResult> resume_sweep(WorkbenchStore& store, const std::string& name, const dataset::FleetTable& table,
                                 TrialWorkers& workers, const SweepOptions& options) {
  TRY_LET(const ExperimentLock lock, store.lock_experiment(name));
  TRY_LET(const std::vector<Sweep> sweeps, store.sweeps(name));
  if (sweeps.empty()) return fail(Fault::conflict, fmt::format("experiment '{}' has nothing to resume", name));
  Sweep sweep = sweeps.front();
  if (sweep.status == "finished") return fail(Fault::conflict, fmt::format("experiment '{}' is finished", name));
  if (sweep.data_sha256 != table.content_hash())
    return fail(Fault::conflict, fmt::format("experiment '{}': the data are not what it began with (SHA-256 {} then, {} now)", name,
                                             sweep.data_sha256.substr(0, 12), table.content_hash().substr(0, 12)));
  TRY_LET(const search::Experiment experiment, search::Experiment::from_json(sweep.spec));
  TRY_LET(const feature::Recipe recipe, recipe_of(experiment, *table.schema));
  TRY(store.continue_sweep(sweep.id));
  return SweepRunner(store, std::move(sweep), experiment, recipe, workers, options).run();
}

}  // namespace nacelle::workbench
