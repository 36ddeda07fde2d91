#include "ml/trainer/experiment.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "ml/dataset/labels.h"
#include "ml/dataset/seeded.h"
#include "ml/trainer/detail/intervals.h"
#include "ml/trainer/detail/tasks.h"
#include "ml/trainer/detail/training_set.h"

namespace nacelle::trainer {

namespace {

using dataset::EngineRows;
using dataset::FleetTable;

/// A model's parts, learned from one table.
struct Fitted {
  feature::Pipeline pipeline;
  model::Regressor regressor;
  model::Background background;  ///< if the model cannot be explained without
};

bool report(const Plan& plan, const std::string& what, double done) { return !plan.progress || plan.progress(what, done); }

Result<> check_columns(const feature::Recipe& recipe, const FleetTable& table) {
  for (const std::string& name : recipe.input_names())
    if (!table.find_column(name))
      return fail(Fault::invalid_input, fmt::format("feature recipe: the data have no column '{}'", name));
  return {};
}

/// `progress` is told the part of this fit that is done.
Result<Fitted> fit(const FleetTable& table, const Plan& plan, const Trainer* trainer, std::size_t stride,
                   const std::function<bool(double)>& progress) {
  feature::Recipe recipe = plan.recipe;
  TRY(trainer->prepare(recipe, plan.parameters));
  TRY(check_columns(recipe, table));
  const FleetTable ended = table.select(engines_of(table, false));
  const std::vector<double> rul = dataset::label_rul(ended);
  TRY_LET(feature::Pipeline pipeline, feature::Pipeline::learn(recipe, training_rows(ended, recipe, rul)));
  TRY_LET(const TrainingSet set,
          make_training_set(pipeline, table, plan,
                            {.stride = stride, .censored = trainer->takes_censored(), .late_apart = trainer->learns_late_apart()}));
  const FitOptions options{.parameters = plan.parameters, .seed = plan.seed, .threads = plan.threads, .progress = progress};
  TRY_LET(model::Regressor regressor, trainer->fit(set, options));
  model::Background background = model::needs_background(regressor) ? background_of(set) : model::Background{};
  return Fitted{std::move(pipeline), std::move(regressor), std::move(background)};
}

/// The cut points of one engine; the same for every trainer, fold and order of engines.
std::vector<std::size_t> cut_rows(const EngineRows& engine, const std::vector<double>& rul, const CutProtocol& protocol,
                                  std::uint64_t seed) {
  std::vector<std::size_t> eligible;
  for (std::size_t row = engine.begin; row < engine.end; ++row)
    if (row - engine.begin + 1 >= protocol.min_rows && rul[row] <= protocol.max_rul) eligible.push_back(row);
  if (eligible.empty()) eligible.push_back(engine.end - 1);
  dataset::Seeded random(seed * 0x9e3779b97f4a7c15 + static_cast<std::uint64_t>(engine.unit));
  random.shuffle(eligible);
  eligible.resize(std::min(eligible.size(), protocol.per_engine));
  std::sort(eligible.begin(), eligible.end());
  return eligible;
}

/// Predictions of `fitted` at the cut points of held-out engines.
Result<> predict_cuts(const Fitted& fitted, const FleetTable& table, const std::vector<std::size_t>& held_out, const Plan& plan,
                      std::vector<Cut>& cuts) {
  const FleetTable held = table.select(held_out);
  const std::vector<double> rul = dataset::label_rul(held);
  TRY_LET(const FeatureRows features, make_features(fitted.pipeline, held));
  for (const std::size_t e : engines_of(held, false))
    for (const std::size_t row : cut_rows(held.engines[e], rul, plan.cuts, plan.seed)) {
      const double raw = model::predict(fitted.regressor, {features.row(row), features.features});
      const std::size_t in_table = table.engines[held_out[e]].begin + (row - held.engines[e].begin);
      cuts.push_back({.engine = held_out[e], .row = in_table, .truth = rul[row], .predicted = std::clamp(raw, 0.0, plan.cap)});
    }
  return {};
}

/// The same cuts, asked of engines whose first cycles were not seen.
Result<> predict_late_cuts(const Fitted& fitted, const FleetTable& table, const std::vector<Cut>& cuts, const Plan& plan,
                           LateCuts& late) {
  TRY_LET(const TableColumns columns, TableColumns::of(fitted.pipeline, table));
  std::vector<float> row(fitted.pipeline.feature_count());
  const auto say = [&] { return std::clamp(model::predict(fitted.regressor, row), 0.0, plan.cap); };
  for (std::size_t c = 0; c < cuts.size();) {
    const EngineRows& engine = table.engines[cuts[c].engine];
    const std::size_t begin = engine.begin + plan.judge_late;
    feature::EngineState counted, unknown;
    for (std::size_t at = begin; c < cuts.size() && table.engines[cuts[c].engine].begin == engine.begin; ++c) {
      if (cuts[c].row + 1 < begin + min_late_rows) continue;
      for (; at < cuts[c].row; ++at) {
        TRY(fitted.pipeline.step(counted, table.cycle[at], columns.row(at), row));
        TRY(fitted.pipeline.step(unknown, fitted.pipeline.needs_cycle() ? table.cycle[at] : 0, columns.row(at), row));
      }
      late.truth.push_back(std::min(cuts[c].truth, plan.cap));
      late.whole.push_back(cuts[c].predicted);
      TRY(fitted.pipeline.step(counted, table.cycle[at], columns.row(at), row));
      late.counted.push_back(say());
      TRY(fitted.pipeline.step(unknown, fitted.pipeline.needs_cycle() ? table.cycle[at] : 0, columns.row(at), row));
      late.unknown.push_back(say());
      ++at;
    }
  }
  return {};
}

std::string name_of_fold(const Plan& plan, std::size_t index) {
  return fmt::format("{}: fold {} of {}", plan.trainer, index + 1, plan.folds);
}
std::string name_of_final(const Plan& plan) { return fmt::format("{}: final model", plan.trainer); }

evaluation::Metrics measure_cuts(std::span<const Cut> cuts, double cap) {
  std::vector<double> truth, predicted;
  for (const Cut& cut : cuts) {
    truth.push_back(std::min(cut.truth, cap));
    predicted.push_back(cut.predicted);
  }
  return evaluation::measure(truth, predicted);
}

using Dealt = std::vector<std::vector<std::size_t>>;

/// Fits to the engines of all folds but one, and asks those of that one.
Result<JudgedFold> judge(const FleetTable& table, const Plan& plan, const Dealt& dealt, std::size_t index,
                         const std::function<bool(double)>& progress) {
  std::vector<std::size_t> learning;
  for (std::size_t other = 0; other < dealt.size(); ++other)
    if (other != index) learning.insert(learning.end(), dealt[other].begin(), dealt[other].end());
  std::sort(learning.begin(), learning.end());
  if (!progress(0)) return fail(Fault::conflict, "training was cancelled");
  TRY_LET(const Trainer* trainer, find_trainer(plan.trainer));
  Plan of_fold = plan;
  if (plan.judge_late == 0 && trainer->learns_late_apart()) of_fold.late_joins = 0;  // nobody will ask about late joins
  TRY_LET(const Fitted fitted, fit(table.select(learning), of_fold, trainer, plan.fold_row_stride, progress));
  JudgedFold judged{.fold = {.held_out = dealt[index], .metrics = {}}, .cuts = {}, .late = {}};
  TRY(predict_cuts(fitted, table, dealt[index], plan, judged.cuts));
  if (plan.judge_late > 0) TRY(predict_late_cuts(fitted, table, judged.cuts, plan, judged.late));
  judged.fold.metrics = measure_cuts(judged.cuts, plan.cap);
  return judged;
}

/// Judges all folds; if there is a `final`, fits to all engines, too. Side by side, as a fit gains less from a second thread than
/// another fit does; the largest goes first.
Result<std::vector<JudgedFold>> fit_side_by_side(const FleetTable& table, const Plan& plan, std::optional<Result<Fitted>>* final) {
  TRY_LET(const Dealt dealt, deal_folds(table.engines.size(), plan.folds, plan.seed));
  TRY_LET(const Trainer* trainer, find_trainer(plan.trainer));
  const std::size_t before = final ? 1 : 0, count = before + plan.folds;
  Pieces pieces(count, [&](std::size_t piece, double done) {
    return report(plan, piece < before ? name_of_final(plan) : name_of_fold(plan, piece - before), done);
  });
  std::vector<std::optional<Result<JudgedFold>>> judged(plan.folds);
  run_tasks(count, plan.threads, [&](std::size_t piece) {
    const auto progress = [&pieces, piece](double done) { return pieces.tell(piece, done); };
    Plan of_piece = plan;
    of_piece.threads = std::max(1, plan.threads / static_cast<int>(count));
    if (piece < before) {
      final->emplace(fit(table, of_piece, trainer, 1, progress));
    } else {
      const std::size_t index = piece - before;
      if (index >= plan.late_folds) of_piece.judge_late = 0;
      judged[index].emplace(judge(table, of_piece, dealt, index, progress));
    }
  });
  std::vector<JudgedFold> folds;
  for (std::optional<Result<JudgedFold>>& fold : judged) {
    TRY_LET(JudgedFold good, std::move(*fold));
    folds.push_back(std::move(good));
  }
  return folds;
}

Result<model::Artifact> make_artifact(const FleetTable& table, const Plan& plan, const CrossValidation& judged, Fitted fitted) {
  TRY_LET(const Trainer* trainer, find_trainer(plan.trainer));
  TRY_LET(const json::Value parameters, merge_parameters(*trainer, plan.parameters));
  json::Value provenance = json::Object{
      {"code_version", plan.code_version},
      {"trainer", plan.trainer},
      {"parameters", parameters},
      {"seed", plan.seed},
      {"late_joins", plan.late_joins},
      {"data", json::Object{{"sha256", table.content_hash()}, {"engines", table.engines.size()}, {"rows", table.row_count()}}},
      {"cross_validation", json::Object{{"folds", plan.folds},
                                        {"fold_row_stride", plan.fold_row_stride},
                                        {"capped", evaluation::to_json(judged.capped)},
                                        {"raw", evaluation::to_json(judged.raw)},
                                        {"interval_coverage", judged.interval_coverage},
                                        {"interval_width", judged.interval_width}}}};
  return model::Artifact{.name = plan.model_name,
                         .cap = plan.cap,
                         .intervals = learn_intervals(judged.cuts, plan.cap, plan.coverage),
                         .provenance = std::move(provenance),
                         .pipeline = std::move(fitted.pipeline),
                         .regressor = std::move(fitted.regressor),
                         .background = std::move(fitted.background)};
}

}  // namespace

Result<std::vector<std::vector<std::size_t>>> deal_folds(std::size_t engines, std::size_t folds, std::uint64_t seed) {
  if (engines < 2)
    return fail(
        Fault::invalid_input,
        fmt::format("cross-validation: expected two engines at least, one to learn from and one to ask, found {}", engines));
  if (folds < 2 || folds > engines)
    return fail(Fault::invalid_input,
                fmt::format("cross-validation: expected 2 to {} folds (one engine at least in each), found {}", engines, folds));
  std::vector<std::size_t> order(engines);
  std::iota(order.begin(), order.end(), std::size_t{0});
  dataset::Seeded random(seed);
  random.shuffle(order);
  std::vector<std::vector<std::size_t>> dealt(folds);
  for (std::size_t i = 0; i < engines; ++i) dealt[i % folds].push_back(order[i]);
  for (auto& fold : dealt) std::sort(fold.begin(), fold.end());
  return dealt;
}

Result<JudgedFold> judge_fold(const FleetTable& table, const Plan& plan, std::size_t index) {
  TRY_LET(const auto dealt, deal_folds(table.engines.size(), plan.folds, plan.seed));
  if (index >= dealt.size())
    return fail(Fault::invalid_input, fmt::format("cross-validation: expected a fold below {}, found {}", dealt.size(), index));
  return judge(table, plan, dealt, index, [&](double done) {
    return report(plan, name_of_fold(plan, index), (static_cast<double>(index) + done) / static_cast<double>(dealt.size()));
  });
}

CrossValidation combine(std::vector<JudgedFold> folds, const Plan& plan) {
  CrossValidation result;
  for (JudgedFold& judged : folds) {
    result.cuts.insert(result.cuts.end(), judged.cuts.begin(), judged.cuts.end());
    for (const auto part : {&LateCuts::truth, &LateCuts::whole, &LateCuts::counted, &LateCuts::unknown}) {
      auto& all = result.late.*part;
      all.insert(all.end(), (judged.late.*part).begin(), (judged.late.*part).end());
    }
    result.folds.push_back(std::move(judged.fold));
  }
  result.capped = measure_cuts(result.cuts, plan.cap);
  result.raw = measure_cuts(result.cuts, 1e9);
  if (result.folds.size() > 1) judge_intervals(result, plan);
  return result;
}

Result<CrossValidation> cross_validate(const FleetTable& table, const Plan& plan) {
  TRY_LET(std::vector<JudgedFold> folds, fit_side_by_side(table, plan, nullptr));
  return combine(std::move(folds), plan);
}

Result<model::Artifact> train(const FleetTable& table, const Plan& plan, const CrossValidation& judged) {
  TRY_LET(const Trainer* trainer, find_trainer(plan.trainer));
  TRY(merge_parameters(*trainer, plan.parameters));
  const auto progress = [&plan](double done) { return report(plan, name_of_final(plan), done); };
  TRY_LET(Fitted fitted, fit(table, plan, trainer, 1, progress));
  return make_artifact(table, plan, judged, std::move(fitted));
}

Result<Trained> judge_and_train(const FleetTable& table, const Plan& plan) {
  TRY_LET(const Trainer* trainer, find_trainer(plan.trainer));
  TRY(merge_parameters(*trainer, plan.parameters));
  std::optional<Result<Fitted>> fitted;
  TRY_LET(std::vector<JudgedFold> folds, fit_side_by_side(table, plan, &fitted));
  TRY_LET(Fitted final, std::move(*fitted));
  CrossValidation judged = combine(std::move(folds), plan);
  TRY_LET(model::Artifact artifact, make_artifact(table, plan, judged, std::move(final)));
  return Trained{.judged = std::move(judged), .artifact = std::move(artifact)};
}

}  // namespace nacelle::trainer
