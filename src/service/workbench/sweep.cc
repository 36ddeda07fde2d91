#include "service/workbench/sweep.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "ml/search/halving.h"
#include "service/workbench/finalist_blend.h"

namespace nacelle::workbench {

namespace {

namespace fs = std::filesystem;

// Of a budget of seconds: the first rung may start trials for half of it, the later ones until little is left; the rest is for
// those under way. The best is always judged to the end and fitted.
constexpr double first_rung_share = 0.5;
constexpr double later_rungs_share = 0.85;

class SweepRunner {
 public:
  SweepRunner(WorkbenchStore& store, Sweep sweep, search::Experiment experiment, feature::Recipe recipe, TrialWorkers& workers,
              const SweepOptions& options)
      : store_(store),
        sweep_(std::move(sweep)),
        experiment_(std::move(experiment)),
        recipe_(std::move(recipe)),
        workers_(workers),
        options_(options),
        began_(options.seconds_now ? options.seconds_now() : 0) {}

  Result<SweepResult> run() {
    const Result<SweepResult> result = run_to_the_end();
    sweep_.seconds = elapsed();
    if (result) return result;
    sweep_.status = result.error().fault == Fault::unavailable ? "interrupted" : "failed";
    sweep_.message = result.error().message;
    TRY(leave_behind("interrupted"));
    TRY(store_.end_sweep(sweep_));
    return result;
  }

 private:
  /// One trial: its run and what was judged of it.
  struct State {
    Run run;
    std::vector<json::Value> documents;
    std::vector<trainer::JudgedFold> folds;
    bool failed = false;
  };

  double elapsed() const { return sweep_.seconds + (options_.seconds_now ? options_.seconds_now() - began_ : 0); }

  trainer::Plan plan_of(const State& state) const {
    trainer::Plan plan;
    plan.model_name = !options_.model_name.empty()       ? options_.model_name
                      : !experiment_.register_as.empty() ? experiment_.register_as
                                                         : plan.model_name;
    plan.trainer = state.run.trainer;
    plan.parameters = state.run.parameters;
    plan.recipe = recipe_;
    plan.cap = experiment_.cap;
    plan.folds = experiment_.folds;
    plan.fold_row_stride = experiment_.fold_row_stride;
    plan.cuts = {experiment_.cuts_per_engine, experiment_.cut_max_rul, experiment_.cut_min_rows};
    plan.coverage = experiment_.coverage;
    plan.seed = experiment_.seed;
    plan.threads = experiment_.trial_threads;
    plan.code_version = options_.code_version;
    return plan;
  }

  TrialRequest request_of(const State& state) const {
    TrialRequest request;
    request.source = {experiment_.data, experiment_.rul, experiment_.schema};
    request.data_sha256 = sweep_.data_sha256;
    request.plan = plan_of(state);
    request.memory_mb = experiment_.trial_memory_mb;
    request.seconds = experiment_.trial_seconds;
    return request;
  }

  /// Draws the trials, and finds again what a former process left.
  Result<> prepare() {
    const auto trials = search::draw_trials(experiment_.spaces, experiment_.trials, experiment_.seed);
    for (const search::Trial& trial : trials) {  // all are checked before any is run
      TRY_LET(const trainer::Trainer* chosen, trainer::find_trainer(trial.trainer));
      TRY(trainer::merge_parameters(*chosen, trial.parameters));
    }
    std::map<std::int64_t, Run> known;
    TRY_LET(const std::vector<Run> runs, store_.runs(sweep_.experiment, sweep_.id));
    for (const Run& run : runs) known.emplace(run.trial, run);
    for (const search::Trial& trial : trials) {
      State state;
      if (const auto found = known.find(static_cast<std::int64_t>(trial.number)); found != known.end()) {
        state.run = found->second;
        state.failed = state.run.status == "failed";
        TRY_LET(const std::vector<json::Value> documents, store_.judged_folds(state.run.id));
        for (const json::Value& document : documents) TRY(add_fold(state, document));
      } else {
        TRY_LET(state.run, store_.add_run(sweep_, static_cast<std::int64_t>(trial.number), trial.trainer,
                                          static_cast<std::int64_t>(experiment_.seed), trial.parameters));
      }
      if (!state.failed) TRY(set_status(state, "waiting"));
      states_.push_back(std::move(state));
    }
    if (const auto found = known.find(static_cast<std::int64_t>(trials.size())); found != known.end())
      former_blend_ = found->second;
    return {};
  }

  Result<> set_status(State& state, const std::string& status, const std::string& message = {}) {
    if (state.run.status == status) return {};
    state.run.status = status;
    state.run.message = message;
    return store_.set_run_status(state.run.id, status, message);
  }

  Result<> add_fold(State& state, const json::Value& document) {
    TRY_LET(trainer::JudgedFold fold, judged_from_json(document, experiment_.cap));
    state.folds.push_back(std::move(fold));
    state.documents.push_back(document);
    state.run.folds = static_cast<std::int64_t>(state.folds.size());
    return {};
  }

  json::Value metrics_of(const State& state, std::size_t folds) const {
    return metrics_json(
        trainer::combine({state.folds.begin(), state.folds.begin() + static_cast<std::ptrdiff_t>(folds)}, plan_of(state)));
  }

  std::optional<double> score_of(const State& state, std::size_t folds) const {
    if (state.failed || folds == 0 || state.folds.size() < folds) return std::nullopt;
    return metrics_of(state, folds).find(search::metric_name(experiment_.metric))->as_number();
  }

  /// Takes what a trial answered.
  Result<> take(State& state, const Result<json::Value>& answer) {
    const json::Value* folds = answer ? answer->find("folds") : nullptr;
    if (!folds || !folds->is_array()) {
      state.failed = true;
      if (!first_failure_) first_failure_ = answer ? Error{Fault::corrupt, "the trial answered without folds"} : answer.error();
      tell_ =
          fmt::format("trial {}, {}: failed: {}", state.run.trial, state.run.trainer, answer ? "no folds" : answer.error().message);
      return set_status(state, "failed", answer ? "the trial answered without folds" : answer.error().message);
    }
    for (const json::Value& fold : folds->as_array()) {
      TRY(store_.keep_fold(state.run.id, static_cast<std::int64_t>(state.folds.size()), fold));
      TRY(add_fold(state, fold));
    }
    state.run.metrics = metrics_of(state, state.folds.size());
    TRY(store_.set_run_metrics(state.run.id, state.run.metrics));
    tell_ =
        fmt::format("trial {}, {}: {} {:.2f} on {} folds", state.run.trial, state.run.trainer,
                    search::metric_name(experiment_.metric), score_of(state, state.folds.size()).value_or(0), state.folds.size());
    return set_status(state, "waiting");
  }

  void report(std::size_t rung, std::size_t rungs, std::size_t done, std::size_t all) const {
    if (!options_.progress) return;
    std::vector<const State*> order;
    for (const State& state : states_)
      if (!state.failed && !state.folds.empty()) order.push_back(&state);
    std::stable_sort(order.begin(), order.end(), [this](const State* a, const State* b) {
      if (a->folds.size() != b->folds.size()) return a->folds.size() > b->folds.size();
      return score_of(*a, a->folds.size()) < score_of(*b, b->folds.size());
    });
    constexpr std::size_t shown = 5;
    SweepProgress progress{.rung = rung, .rungs = rungs, .done = done, .all = all, .seconds = elapsed(), .what = tell_, .best = {}};
    for (std::size_t i = 0; i < std::min(shown, order.size()); ++i) progress.best.push_back(order[i]->run);
    options_.progress(progress);
  }

  /// Judges these trials on the first `folds` folds; those for which the time is not enough stay as they are.
  Result<> judge(const std::vector<std::size_t>& trials, std::size_t rung, const std::vector<search::Rung>& rungs) {
    const std::size_t folds = rungs[rung].folds;
    std::vector<std::size_t> waiting;
    for (const std::size_t trial : trials)
      if (!states_[trial].failed && states_[trial].folds.size() < folds) waiting.push_back(trial);
    std::size_t done = trials.size() - waiting.size(), busy = 0, next = 0;
    const auto out_of_time = [&] {
      if (!experiment_.seconds || done == 0) return false;
      return elapsed() > *experiment_.seconds * (rung == 0 ? first_rung_share : later_rungs_share);
    };
    report(rung + 1, rungs.size(), done, trials.size());
    while (next < waiting.size() || busy > 0) {
      while (next < waiting.size() && workers_.room() > 0 && !out_of_time()) {
        State& state = states_[waiting[next]];
        TrialRequest request = request_of(state);
        for (std::size_t fold = state.folds.size(); fold < folds; ++fold) request.folds.push_back(fold);
        TRY(set_status(state, "running"));
        TRY(workers_.start(waiting[next], request));
        ++next, ++busy;
      }
      if (busy == 0) break;
      TRY_LET(const TrialWorkers::Done finished, workers_.next());
      --busy, ++done;
      TRY(store_.together([&] { return take(states_[finished.ticket], finished.answer); }));
      report(rung + 1, rungs.size(), done, trials.size());
    }
    return {};
  }

  /// Rung by rung; the finalists, best first.
  Result<std::vector<std::size_t>> halve() {
    const auto rungs = search::plan_rungs(states_.size(), experiment_.folds, experiment_.keep_one_in, experiment_.finalists);
    std::vector<std::size_t> alive;
    for (std::size_t t = 0; t < states_.size(); ++t) alive.push_back(t);
    for (std::size_t r = 0; r < rungs.size(); ++r) {
      TRY(judge(alive, r, rungs));
      const std::size_t wanted = r + 1 < rungs.size() ? rungs[r + 1].trials : alive.size();
      std::vector<search::Standing> standings;
      for (const std::size_t trial : alive) standings.push_back({trial, score_of(states_[trial], rungs[r].folds)});
      std::vector<std::size_t> chosen = search::promote(standings, wanted);
      if (chosen.empty()) return fail(first_failure_.value_or(Error{Fault::conflict, "no trial came to an end"}));
      for (const std::size_t trial : alive)
        if (!states_[trial].failed && !std::binary_search(chosen.begin(), chosen.end(), trial))
          TRY(set_status(states_[trial], "pruned"));
      // Best first, should the time run out.
      std::stable_sort(chosen.begin(), chosen.end(), [&](std::size_t a, std::size_t b) {
        return score_of(states_[a], rungs[r].folds) < score_of(states_[b], rungs[r].folds);
      });
      alive = std::move(chosen);
    }
    for (const std::size_t trial : alive) TRY(finish(states_[trial]));
    return alive;
  }

  Result<> finish(State& state) {
    state.run.metrics = metrics_of(state, state.folds.size());
    TRY(store_.finish_run(state.run.id, state.run.metrics, *score_of(state, state.folds.size())));
    state.run.status = "finished";
    return {};
  }

  /// The best of each of so many trainers, best first; those that halving left behind are judged to the end now.
  Result<std::vector<std::size_t>> best_of_trainers(const std::vector<std::size_t>& best_first) {
    const auto rungs = search::plan_rungs(states_.size(), experiment_.folds, experiment_.keep_one_in, experiment_.finalists);
    std::vector<std::size_t> others;
    for (std::size_t t = 0; t < states_.size(); ++t)
      if (std::find(best_first.begin(), best_first.end(), t) == best_first.end() && score_of(states_[t], rungs[0].folds))
        others.push_back(t);
    std::stable_sort(others.begin(), others.end(), [&](std::size_t a, std::size_t b) {
      return score_of(states_[a], rungs[0].folds) < score_of(states_[b], rungs[0].folds);
    });
    std::vector<std::size_t> order = best_first, chosen;
    order.insert(order.end(), others.begin(), others.end());
    for (const std::size_t trial : order) {
      const auto same = [&](std::size_t other) { return states_[other].run.trainer == states_[trial].run.trainer; };
      const bool taken = std::any_of(chosen.begin(), chosen.end(), same) || states_[trial].run.trainer == "blend";
      if (!taken && chosen.size() < experiment_.blend) chosen.push_back(trial);
    }
    TRY(judge(chosen, rungs.size() - 1, rungs));
    std::erase_if(chosen, [this](std::size_t trial) { return !score_of(states_[trial], experiment_.folds); });
    for (const std::size_t trial : chosen)
      if (states_[trial].run.status != "finished") TRY(finish(states_[trial]));
    return chosen;
  }

  /// A blend of the best of several trainers goes to the front if it is better than they are, on engines that neither its members
  /// nor its weights were learned from.
  Result<> blend(std::vector<std::size_t>& best_first) {
    if (experiment_.blend < 2) return {};
    TRY_LET(const std::vector<std::size_t> chosen, best_of_trainers(best_first));
    std::vector<Finalist> finalists;
    for (const std::size_t trial : chosen)
      finalists.push_back({states_[trial].run.trainer, states_[trial].run.parameters, &states_[trial].folds});
    TRY_LET(std::optional<FinalistBlend> made, blend_finalists(finalists, experiment_.cap));
    if (!made) return {};
    State state;
    for (std::size_t fold = 0; fold < made->folds.size(); ++fold) {
      state.documents.push_back(judged_to_json(made->folds[fold], fold));
      state.folds.push_back(std::move(made->folds[fold]));
    }
    if (!(*score_of(state, experiment_.folds) < *score_of(states_[best_first.front()], experiment_.folds))) return {};
    TRY(store_.together([&]() -> Result<> {
      if (former_blend_) {
        state.run = *former_blend_;
      } else {
        TRY_LET(state.run, store_.add_run(sweep_, static_cast<std::int64_t>(states_.size()), "blend",
                                          static_cast<std::int64_t>(experiment_.seed), made->parameters));
        for (std::size_t fold = 0; fold < state.documents.size(); ++fold)
          TRY(store_.keep_fold(state.run.id, static_cast<std::int64_t>(fold), state.documents[fold]));
      }
      state.run.folds = static_cast<std::int64_t>(state.folds.size());
      return finish(state);
    }));
    tell_ = fmt::format("blend of {} trainers: {} {:.2f}", made->parameters.find("members")->as_array().size(),
                        search::metric_name(experiment_.metric), *score_of(state, experiment_.folds));
    best_first.insert(best_first.begin(), states_.size());
    states_.push_back(std::move(state));
    return {};
  }

  /// Fits the best `keep` to all engines.
  Result<> fit(const std::vector<std::size_t>& best_first) {
    const std::size_t count = std::min(experiment_.keep, best_first.size());
    std::size_t next = 0, busy = 0;
    while (next < count || busy > 0) {
      while (next < count && workers_.room() > 0) {
        State& state = states_[best_first[next]];
        if (state.run.artifact_sha256.empty()) {
          TrialRequest request = request_of(state);
          request.artifact = store_.new_artifact_path(state.run.id).string();
          request.judged = json::Array(state.documents.begin(), state.documents.end());
          TRY(workers_.start(best_first[next], request));
          ++busy;
        }
        ++next;
      }
      if (busy == 0) break;
      TRY_LET(const TrialWorkers::Done finished, workers_.next());
      --busy;
      State& state = states_[finished.ticket];
      TRY_LET(const json::Value answer, in(finished.answer, fmt::format("{}, fitted to all engines", state.run.trainer)));
      TRY_LET(const std::string sha256, json::get_string(answer, "sha256", "trial"));
      TRY(store_.adopt_artifact(state.run.id, sha256));
      state.run.artifact_sha256 = sha256;
      tell_ = fmt::format("trial {}, {}: fitted to all engines", state.run.trial, state.run.trainer);
      report(0, 0, next - busy, count);
    }
    return {};
  }

  Result<> leave_behind(const std::string& status) {
    for (State& state : states_)
      if (state.run.status == "waiting" || state.run.status == "running") TRY(set_status(state, status));
    return {};
  }

  Result<SweepResult> run_to_the_end() {
    TRY(store_.together([this] { return prepare(); }));
    TRY_LET(std::vector<std::size_t> best_first, halve());
    TRY(blend(best_first));
    TRY(fit(best_first));
    TRY(leave_behind("pruned"));  // those for which the time was not enough
    SweepResult result;
    if (!experiment_.register_as.empty()) {
      const Run& best = states_[best_first.front()].run;
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
  const feature::Recipe recipe_;
  TrialWorkers& workers_;
  const SweepOptions& options_;
  const double began_;
  std::vector<State> states_;
  std::optional<Run> former_blend_;  ///< of a process before this one
  std::optional<Error> first_failure_;
  std::string tell_;
};

/// A search space without parameters of its own takes those that its trainer documents; they are written down with the experiment,
/// so that it means the same when it is resumed.
Result<> fill_spaces(search::Experiment& experiment) {
  for (search::Space& space : experiment.spaces) {
    TRY_LET(const trainer::Trainer* chosen, trainer::find_trainer(space.trainer));
    if (!space.parameters.empty()) continue;
    for (const trainer::Parameter& parameter : chosen->parameters()) {
      using Kind = search::Choice::Kind;
      search::Choice choice{.kind = Kind::uniform, .values = {}, .low = parameter.search_low, .high = parameter.search_high};
      if (!(choice.low < choice.high)) continue;
      const bool whole = parameter.standard.is_integer();
      choice.kind = parameter.logarithmic ? (whole ? Kind::log_whole : Kind::log_uniform) : (whole ? Kind::whole : Kind::uniform);
      space.parameters.emplace_back(parameter.name, std::move(choice));
    }
  }
  return {};
}

Result<> check(const search::Experiment& experiment) {
  if (!experiment.register_as.empty()) TRY(registry::check_name(experiment.register_as, "model"));
  for (const search::Trial& trial : search::draw_trials(experiment.spaces, experiment.trials, experiment.seed)) {
    TRY_LET(const trainer::Trainer* chosen, trainer::find_trainer(trial.trainer));
    TRY(trainer::merge_parameters(*chosen, trial.parameters));
  }
  return {};
}

}  // namespace

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

feature::Recipe default_recipe(const dataset::FleetSchema& schema) {
  feature::Recipe recipe;
  if (schema.column_names() == dataset::turbofan_columns()) return recipe;
  recipe.settings.clear();
  recipe.sensors.clear();
  for (const dataset::Channel& setting : schema.settings)
    recipe.settings.push_back({setting.name, setting.tolerance > 0 ? setting.tolerance : 1});
  for (const dataset::Channel& sensor : schema.sensors) recipe.sensors.push_back(sensor.name);
  return recipe;
}

Result<feature::Recipe> recipe_of(const search::Experiment& experiment, const dataset::FleetSchema& schema) {
  if (!experiment.recipe) return default_recipe(schema);
  return in(feature::Recipe::from_json(*experiment.recipe), "experiment: recipe");
}

Result<SweepResult> run_sweep(WorkbenchStore& store, const search::Experiment& declared, const dataset::FleetTable& table,
                              TrialWorkers& workers, const SweepOptions& options) {
  search::Experiment experiment = declared;
  TRY(fill_spaces(experiment));
  TRY(check(experiment));
  TRY(trainer::deal_folds(table.engines.size(), experiment.folds, experiment.seed));
  TRY_LET(feature::Recipe recipe, recipe_of(experiment, *table.schema));
  TRY_LET(const ExperimentLock lock, store.lock_experiment(experiment.name));
  TRY_LET(Sweep sweep, store.start_sweep(experiment.name, experiment.to_json(), table.content_hash()));
  return SweepRunner(store, std::move(sweep), experiment, std::move(recipe), workers, options).run();
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
  TRY_LET(feature::Recipe recipe, recipe_of(experiment, *table.schema));
  TRY(store.continue_sweep(sweep.id));
  return SweepRunner(store, std::move(sweep), experiment, std::move(recipe), workers, options).run();
}

}  // namespace nacelle::workbench
