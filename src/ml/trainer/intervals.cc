// Prediction intervals from what a model got wrong about engines that it had not seen. Why so: docs/decisions/0271.

#include <algorithm>
#include <cmath>

#include "ml/trainer/detail/intervals.h"

namespace nacelle::trainer {

namespace {

constexpr std::size_t bin_count = 8;
constexpr std::size_t min_in_bin = 20;
/// The error that is allowed in all is shared out between the two sides in so many steps, and the narrowest is taken.
constexpr std::size_t share_steps = 10;

struct Residual {
  std::size_t engine;
  double predicted;
  double value;  ///< capped truth less predicted
};

struct Offsets {
  double low = 0;
  double high = 0;
};

/// The finite-sample rank of split conformal prediction, ceil((n + 1)(1 - a)), as an index into n sorted values.
std::size_t rank_of(std::size_t n, double part) {
  const auto count = static_cast<double>(n);
  return static_cast<std::size_t>(std::clamp(std::ceil((count + 1) * part), 1.0, count)) - 1;
}

/// What is to be covered of n engines' cuts so that a further engine is covered as often as asked: engines are exchangeable, the
/// cuts of one are not, so that the finite-sample correction (n + 1) / n of split conformal prediction counts engines.
double corrected(const std::vector<Residual>& residuals, double coverage) {
  std::vector<std::size_t> engines;
  for (const Residual& residual : residuals) engines.push_back(residual.engine);
  std::sort(engines.begin(), engines.end());
  const auto n = static_cast<double>(std::unique(engines.begin(), engines.end()) - engines.begin());
  return std::min(coverage * (n + 1) / n, (1 + coverage) / 2);
}

/// The narrowest on average, once cut at 0 and the cap: there what lies beyond costs nothing, so the error goes to the other side.
Offsets narrowest(const std::vector<Residual>& residuals, double cap, double coverage) {
  std::vector<double> sorted;
  for (const Residual& residual : residuals) sorted.push_back(residual.value);
  std::sort(sorted.begin(), sorted.end());
  const std::size_t n = sorted.size();
  Offsets best;
  double least = 0;
  for (std::size_t step = 0; step <= share_steps; ++step) {
    const double below = (1 - coverage) * static_cast<double>(step) / share_steps;
    const Offsets offsets{.low = sorted[n - 1 - rank_of(n, 1 - below)], .high = sorted[rank_of(n, coverage + below)]};
    double width = 0;
    for (const Residual& residual : residuals)
      width += std::clamp(residual.predicted + offsets.high, 0.0, cap) - std::clamp(residual.predicted + offsets.low, 0.0, cap);
    if (step == 0 || width < least) least = width, best = offsets;
  }
  return best;
}

}  // namespace

model::ConformalBins learn_intervals(const std::vector<Cut>& cuts, double cap, double coverage) {
  model::ConformalBins bins{.coverage = coverage, .edges = {}, .low = {}, .high = {}};
  if (cuts.empty()) return bins;  // nobody was judged: no intervals
  std::vector<Residual> all;
  for (const Cut& cut : cuts) all.push_back({cut.engine, cut.predicted, std::min(cut.truth, cap) - cut.predicted});
  std::stable_sort(all.begin(), all.end(), [](const Residual& a, const Residual& b) { return a.predicted < b.predicted; });
  for (std::size_t b = 1; b < bin_count; ++b) bins.edges.push_back(cap * static_cast<double>(b) / bin_count);
  for (std::size_t b = 0; b < bin_count; ++b) {
    std::vector<Residual> inside;
    for (const Residual& residual : all)
      if (bins.bin_of(residual.predicted) == b) inside.push_back(residual);
    const std::vector<Residual>& used = inside.size() < min_in_bin ? all : inside;  // too few to tell apart: all
    const Offsets offsets = narrowest(used, cap, corrected(used, coverage));
    bins.low.push_back(offsets.low);
    bins.high.push_back(offsets.high);
  }
  return bins;
}

/// Coverage and width of intervals, each engine's made from the cuts of the other folds' engines.
void judge_intervals(CrossValidation& result, const Plan& plan) {
  double covered = 0, width = 0;
  for (const Fold& fold : result.folds) {
    const auto held = [&fold](const Cut& cut) {
      return std::find(fold.held_out.begin(), fold.held_out.end(), cut.engine) != fold.held_out.end();
    };
    std::vector<Cut> inside, outside;
    for (const Cut& cut : result.cuts) (held(cut) ? inside : outside).push_back(cut);
    const model::ConformalBins bins = learn_intervals(outside, plan.cap, plan.coverage);
    for (const Cut& cut : inside) {
      const std::size_t bin = bins.bin_of(cut.predicted);
      const double low = std::clamp(cut.predicted + bins.low[bin], 0.0, plan.cap);
      const double high = std::clamp(cut.predicted + bins.high[bin], 0.0, plan.cap);
      const double truth = std::min(cut.truth, plan.cap);
      covered += truth >= low && truth <= high ? 1 : 0;
      width += high - low;
    }
  }
  result.interval_coverage = covered / static_cast<double>(result.cuts.size());
  result.interval_width = width / static_cast<double>(result.cuts.size());
}

}  // namespace nacelle::trainer
