#include "ml/search/halving.h"

#include <algorithm>
#include <cmath>

namespace nacelle::search {

std::vector<Rung> plan_rungs(std::size_t trials, std::size_t folds, std::size_t keep_one_in, std::size_t finalists) {
  if (trials == 0) return {};
  finalists = std::clamp<std::size_t>(finalists, 1, trials);
  std::vector<std::size_t> sizes = {trials};
  while (keep_one_in > 1 && sizes.back() > finalists && sizes.size() < folds)
    sizes.push_back(std::max((sizes.back() + keep_one_in - 1) / keep_one_in, finalists));
  std::vector<Rung> rungs;
  for (std::size_t r = 0; r < sizes.size(); ++r) {
    // Folds grow as trials shrink, but at least by one: of 5 folds and 3 rungs 1, 2, 5.
    const double part = static_cast<double>(r + 1) / static_cast<double>(sizes.size());
    const auto grown = static_cast<std::size_t>(std::floor(std::pow(static_cast<double>(folds), part) + 1e-9));
    const std::size_t least = rungs.empty() ? 1 : rungs.back().folds + 1;
    rungs.push_back({.folds = std::clamp(grown, std::min(least, folds), folds), .trials = sizes[r]});
  }
  rungs.back().folds = folds;
  return rungs;
}

std::vector<std::size_t> promote(std::vector<Standing> standings, std::size_t count) {
  std::erase_if(standings, [](const Standing& standing) { return !standing.score || !std::isfinite(*standing.score); });
  std::sort(standings.begin(), standings.end(),
            [](const Standing& a, const Standing& b) { return *a.score != *b.score ? *a.score < *b.score : a.trial < b.trial; });
  if (standings.size() > count) standings.resize(count);
  std::vector<std::size_t> chosen;
  for (const Standing& standing : standings) chosen.push_back(standing.trial);
  std::sort(chosen.begin(), chosen.end());
  return chosen;
}

}  // namespace nacelle::search
