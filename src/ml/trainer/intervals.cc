// Prediction intervals from what a model got wrong about engines that it had not seen. Why so: docs/decisions/0275 and 0277.

#include <algorithm>
#include <cmath>
#include <map>

#include "ml/trainer/detail/intervals.h"

namespace nacelle::trainer {

namespace {

/// Cells of the prediction, each with offsets of its own, learned from all residuals by a Gaussian of the predictions' distance.
constexpr std::size_t cells = 25;
constexpr double kernel_width = 0.064;  ///< as a part of the cap: 8 cycles of 125
constexpr double least_weight = 1e-3;   ///< of a residual; what weighs less is left out
constexpr double enough_weight = 20;    ///< in a cell; where there is less, or of too few engines, the Gaussian is widened
/// A cell may be covered less or more often than asked, within these shares of the error that is allowed, if the mean over all is
/// kept.
constexpr double most_error = 1.1, least_error = 0.7;
constexpr std::size_t level_steps = 8;
/// The error that is allowed in a cell is shared out between the two sides in so many steps, and the narrowest is taken.
constexpr std::size_t share_steps = 10;

struct Residual {
  std::size_t engine;
  double predicted;
  double value;       ///< capped truth less predicted
  double weight = 1;  ///< in a cell
};

struct Offsets {
  double low = 0;
  double high = 0;
};

/// How wide they are around a prediction, cut at 0 and the cap: what lies beyond costs nothing.
double width_at(const Offsets& offsets, double predicted, double cap) {
  return std::clamp(predicted + offsets.high, 0.0, cap) - std::clamp(predicted + offsets.low, 0.0, cap);
}

/// The residuals of a cell, weighted, by value, and of how many engines they are.
struct Near {
  std::vector<Residual> residuals;
  double engines = 0;
};

/// As many engines of equal weight would tell as much (Kish's effective number): the cuts of one engine go wrong together.
double effective_engines(const std::vector<Residual>& residuals) {
  std::map<std::size_t, double> weights;
  for (const Residual& residual : residuals) weights[residual.engine] += residual.weight;
  double sum = 0, squares = 0;
  for (const auto& [engine, weight] : weights) sum += weight, squares += weight * weight;
  return squares > 0 ? sum * sum / squares : 0;
}

/// What lies around `centre`; farther away where that is less than `enough_weight` or than `enough_engines`.
Near around(const std::vector<Residual>& all, double centre, double cap, double enough_engines) {
  for (double width = kernel_width * cap;; width *= 2) {
    std::vector<Residual> near;
    double sum = 0;
    for (Residual residual : all) {
      const double apart = (residual.predicted - centre) / width;
      residual.weight = std::exp(-0.5 * apart * apart);
      if (residual.weight < least_weight) continue;
      sum += residual.weight;
      near.push_back(residual);
    }
    const double engines = effective_engines(near);
    if (sum >= enough_weight && engines >= enough_engines) return {std::move(near), engines};
    if (width > 4 * cap) return {all, effective_engines(all)};
  }
}

/// The narrowest on average that cover `coverage` of the weight of `sorted`.
Offsets narrowest(const std::vector<Residual>& sorted, double cap, double coverage) {
  std::vector<double> up_to;
  double sum = 0;
  for (const Residual& residual : sorted) up_to.push_back(sum += residual.weight);
  const auto quantile = [&](double part) {  // the least value up to which `part` of the weight lies
    const auto at = std::lower_bound(up_to.begin(), up_to.end(), part * sum * (1 - 1e-12)) - up_to.begin();
    return sorted[std::min(static_cast<std::size_t>(at), sorted.size() - 1)].value;
  };
  Offsets best;
  double least = 0;
  for (std::size_t step = 0; step <= share_steps; ++step) {
    const double below = (1 - coverage) * static_cast<double>(step) / share_steps;
    const Offsets offsets{.low = quantile(below), .high = quantile(coverage + below)};
    double width = 0;
    for (const Residual& residual : sorted) width += residual.weight * width_at(offsets, residual.predicted, cap);
    if (step == 0 || width < least) least = width, best = offsets;
  }
  return best;
}

/// A cell's offsets at one level of coverage, and what they cost there.
struct Choice {
  double level = 0;
  Offsets offsets;
  double width = 0;  ///< summed over the cell's cuts
};
struct Cell {
  std::vector<Choice> choices;
  double count = 1e-9;  ///< cuts in it: one without any takes the widest choice
};

/// The choices that cost least at a price of what is covered.
std::vector<Choice> choose(const std::vector<Cell>& all, double price) {
  std::vector<Choice> chosen;
  for (const Cell& cell : all)
    chosen.push_back(*std::min_element(cell.choices.begin(), cell.choices.end(), [&](const Choice& a, const Choice& b) {
      return a.width - price * a.level * cell.count < b.width - price * b.level * cell.count;
    }));
  return chosen;
}

double covered_by(const std::vector<Cell>& all, const std::vector<Choice>& chosen) {
  double covered = 0, count = 0;
  for (std::size_t c = 0; c < all.size(); ++c) covered += chosen[c].level * all[c].count, count += all[c].count;
  return covered / count;
}

/// What is to be covered of n engines' cuts so that a further engine's is covered as often as `coverage` says. Engines are
/// exchangeable, the cuts of one are not: the finite-sample correction of split conformal prediction counts engines.
/// Source: Dunn, Wasserman, Ramdas (2023), Distribution-free prediction sets for two-layer hierarchical models, pooled CDFs.
double corrected(double coverage, double engines) { return std::min(1.0, coverage * (engines + 1) / engines); }

}  // namespace

model::ConformalBins learn_intervals(const std::vector<Cut>& cuts, double cap, double coverage) {
  model::ConformalBins bins{.coverage = coverage, .edges = {}, .low = {}, .high = {}};
  if (cuts.empty()) return bins;  // nobody was judged: no intervals
  std::vector<Residual> sorted;
  for (const Cut& cut : cuts) sorted.push_back({cut.engine, cut.predicted, std::min(cut.truth, cap) - cut.predicted});
  std::stable_sort(sorted.begin(), sorted.end(), [](const Residual& a, const Residual& b) { return a.value < b.value; });
  for (std::size_t c = 1; c < cells; ++c) bins.edges.push_back(cap * static_cast<double>(c) / cells);
  std::vector<Cell> all(cells);
  const double enough_engines = coverage / (1 - coverage);  // of fewer not even the widest would be enough
  for (std::size_t c = 0; c < cells; ++c) {
    const Near near = around(sorted, cap * (static_cast<double>(c) + 0.5) / cells, cap, enough_engines);
    for (std::size_t step = 0; step < level_steps; ++step) {
      const double part = static_cast<double>(step) / (level_steps - 1);
      const double level = 1 - (1 - coverage) * (most_error + (least_error - most_error) * part);
      all[c].choices.push_back(
          {.level = level, .offsets = narrowest(near.residuals, cap, corrected(level, near.engines)), .width = 0});
    }
  }
  for (const Residual& residual : sorted) {
    Cell& cell = all[bins.bin_of(residual.predicted)];
    cell.count += 1;
    for (Choice& choice : cell.choices) choice.width += width_at(choice.offsets, residual.predicted, cap);
  }
  // The price of what is covered at which as much as asked is covered, by halving: in cycles of width.
  double low = 0, high = 1e3 * cap;
  for (int halving = 0; halving < 60; ++halving) {
    const double price = (low + high) / 2;
    (covered_by(all, choose(all, price)) < coverage ? low : high) = price;
  }
  for (const Choice& choice : choose(all, high)) {
    bins.low.push_back(choice.offsets.low);
    bins.high.push_back(choice.offsets.high);
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
