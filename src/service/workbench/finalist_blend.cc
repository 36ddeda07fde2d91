#include "service/workbench/finalist_blend.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "ml/evaluation/metrics.h"
#include "ml/trainer/blend.h"

namespace nacelle::workbench {

namespace {

using Predictions = std::vector<std::vector<double>>;

/// A member with less costs its time and room for nothing.
constexpr double least_weight = 0.03;

/// The weights, members of next to no weight left out.
std::vector<double> weigh_few(const Predictions& predictions, const std::vector<double>& truth) {
  const std::vector<double> first = trainer::weigh(predictions, truth);
  Predictions of_use;
  for (std::size_t m = 0; m < first.size(); ++m)
    if (first[m] >= least_weight) of_use.push_back(predictions[m]);
  const std::vector<double> second = of_use.empty() ? std::vector<double>{} : trainer::weigh(of_use, truth);
  std::vector<double> weights;
  auto next = second.begin();
  for (const double weight : first) weights.push_back(weight >= least_weight ? *next++ : 0);
  return weights;
}

/// Of all folds but `left_out`.
std::vector<double> weights_of(const std::vector<Finalist>& finalists, std::size_t left_out, double cap) {
  Predictions predictions(finalists.size());
  std::vector<double> truth;
  for (std::size_t m = 0; m < finalists.size(); ++m)
    for (std::size_t fold = 0; fold < finalists[m].folds->size(); ++fold) {
      if (fold == left_out) continue;
      for (const trainer::Cut& cut : (*finalists[m].folds)[fold].cuts) {
        predictions[m].push_back(cut.predicted);
        if (m == 0) truth.push_back(std::min(cut.truth, cap));
      }
    }
  return weigh_few(predictions, truth);
}

bool asked_alike(const Finalist& a, const Finalist& b) {
  const auto same_cut = [](const trainer::Cut& x, const trainer::Cut& y) { return x.engine == y.engine && x.row == y.row; };
  return std::equal(a.folds->begin(), a.folds->end(), b.folds->begin(), b.folds->end(), [&](const auto& x, const auto& y) {
    return std::equal(x.cuts.begin(), x.cuts.end(), y.cuts.begin(), y.cuts.end(), same_cut);
  });
}

/// What a prediction costs under a metric: the metric is its mean over cuts, or the root of that.
double loss_of(const trainer::Cut& cut, search::Metric metric, double cap) {
  const double raw = cut.predicted - cut.truth, error = cut.predicted - std::min(cut.truth, cap);
  switch (metric) {
    case search::Metric::rmse: return error * error;
    case search::Metric::mae: return std::abs(error);
    case search::Metric::phm08_per_engine: return evaluation::phm08_penalty(error);
    case search::Metric::rmse_raw: return raw * raw;
  }
  return error * error;
}

}  // namespace

bool holds_against(const std::vector<trainer::JudgedFold>& blend, const std::vector<trainer::JudgedFold>& single,
                   search::Metric metric, double cap) {
  std::map<std::size_t, double> dearer;  // by engine: its cuts go right and wrong together
  for (std::size_t fold = 0; fold < blend.size(); ++fold)
    for (std::size_t i = 0; i < blend[fold].cuts.size(); ++i)
      dearer[blend[fold].cuts[i].engine] += loss_of(blend[fold].cuts[i], metric, cap) - loss_of(single[fold].cuts[i], metric, cap);
  const auto engines = static_cast<double>(dearer.size());
  double mean = 0, squares = 0;
  for (const auto& [engine, difference] : dearer) mean += difference / engines;
  for (const auto& [engine, difference] : dearer) squares += (difference - mean) * (difference - mean);
  const double standard_error = engines > 1 ? std::sqrt(squares / (engines - 1) / engines) : 0;
  return mean <= standard_error;
}

Result<std::optional<FinalistBlend>> blend_finalists(const std::vector<Finalist>& finalists, double cap) {
  if (finalists.size() < 2 || finalists.front().folds->size() < 2) return std::optional<FinalistBlend>();
  for (const Finalist& finalist : finalists)
    if (!asked_alike(finalist, finalists.front()))
      return fail(Fault::corrupt, "blend: the finalists were not asked at the same points of the same engines");

  const std::size_t folds = finalists.front().folds->size();
  const std::vector<double> weights = weights_of(finalists, folds, cap);
  FinalistBlend made{.parameters = json::Object{}, .folds = {}};
  json::Array members, kept;
  for (std::size_t m = 0; m < finalists.size(); ++m) {
    if (weights[m] == 0) continue;
    members.emplace_back(json::Object{{"trainer", finalists[m].trainer}, {"parameters", finalists[m].parameters}});
    kept.emplace_back(weights[m]);
  }
  if (members.size() < 2) return std::optional<FinalistBlend>();
  made.parameters = json::Object{{"members", std::move(members)}, {"weights", std::move(kept)}};

  for (std::size_t fold = 0; fold < folds; ++fold) {
    const std::vector<double> of_others = weights_of(finalists, fold, cap);
    trainer::JudgedFold judged = (*finalists.front().folds)[fold];
    std::vector<double> truth, predicted;
    for (std::size_t i = 0; i < judged.cuts.size(); ++i) {
      double sum = 0;
      for (std::size_t m = 0; m < finalists.size(); ++m) sum += of_others[m] * (*finalists[m].folds)[fold].cuts[i].predicted;
      judged.cuts[i].predicted = std::clamp(sum, 0.0, cap);
      truth.push_back(std::min(judged.cuts[i].truth, cap));
      predicted.push_back(judged.cuts[i].predicted);
    }
    judged.fold.metrics = evaluation::measure(truth, predicted);
    made.folds.push_back(std::move(judged));
  }
  return std::optional<FinalistBlend>(std::move(made));
}

}  // namespace nacelle::workbench
