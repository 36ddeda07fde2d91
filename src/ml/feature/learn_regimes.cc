#include <algorithm>
#include <cmath>
#include <limits>

#include "ml/feature/detail/regimes.h"

namespace nacelle::feature {

namespace {

struct Regime {
  std::vector<double> point;  ///< what rows are compared with
  std::vector<double> sum;    ///< over its rows
  std::size_t count = 0;
};

Regime regime_at(const double* values, std::size_t settings) {
  return {{values, values + settings}, std::vector<double>(settings), 0};
}

void take(Regime& regime, const double* values) {
  for (std::size_t s = 0; s < regime.sum.size(); ++s) regime.sum[s] += values[s];
  ++regime.count;
}

bool within_tolerance(const Regime& regime, const double* settings, const std::vector<Setting>& declared) {
  for (std::size_t s = 0; s < declared.size(); ++s)
    if (!(std::abs(settings[s] - regime.point[s]) <= declared[s].tolerance)) return false;
  return true;
}

/// Leader clustering: a row joins the first regime within tolerance, else it founds one (up to the bound). One pass, and no
/// number of clusters to guess: flight conditions are set points with a little noise.
std::vector<Regime> by_tolerance(const std::vector<const double*>& rows, const Recipe& recipe) {
  std::vector<Regime> regimes;
  for (const double* values : rows) {
    auto home = std::find_if(regimes.begin(), regimes.end(),
                             [&](const Regime& regime) { return within_tolerance(regime, values, recipe.settings); });
    if (home == regimes.end()) {
      if (regimes.size() == recipe.max_regimes) continue;
      home = regimes.insert(regimes.end(), regime_at(values, recipe.settings.size()));
    }
    take(*home, values);
  }
  return regimes;
}

double squared_distance(const double* values, const std::vector<double>& point, const std::vector<Setting>& declared) {
  double sum = 0;
  for (std::size_t s = 0; s < declared.size(); ++s) {
    const double apart = (values[s] - point[s]) / declared[s].tolerance;
    sum += apart * apart;
  }
  return sum;
}

std::size_t nearest(const double* values, const std::vector<Regime>& regimes, const std::vector<Setting>& declared) {
  std::size_t best = 0;
  double least = std::numeric_limits<double>::infinity();
  for (std::size_t r = 0; r < regimes.size(); ++r)
    if (const double distance = squared_distance(values, regimes[r].point, declared); distance < least) least = distance, best = r;
  return best;
}

/// Lloyd's k-means from the rows that are farthest from those chosen before, beginning with the first: no chance in it. Fewer
/// regimes than asked for if there are not so many distinct settings. Source: Lloyd 1982; Gonzalez 1985 for the beginning.
std::vector<Regime> by_means(const std::vector<const double*>& rows, const Recipe& recipe) {
  const auto& declared = recipe.settings;
  std::vector<Regime> regimes = {regime_at(rows.front(), declared.size())};
  std::vector<double> distance(rows.size(), std::numeric_limits<double>::infinity());
  while (regimes.size() < recipe.regime_count) {
    for (std::size_t i = 0; i < rows.size(); ++i)
      distance[i] = std::min(distance[i], squared_distance(rows[i], regimes.back().point, declared));
    const auto farthest = std::max_element(distance.begin(), distance.end());
    if (!(*farthest > 0)) break;
    regimes.push_back(regime_at(rows[static_cast<std::size_t>(farthest - distance.begin())], declared.size()));
  }
  constexpr int most_rounds = 100;
  std::vector<std::size_t> home(rows.size(), regimes.size());
  for (int round = 0; round < most_rounds; ++round) {
    for (Regime& regime : regimes) regime.sum.assign(declared.size(), 0), regime.count = 0;
    bool moved = false;
    for (std::size_t i = 0; i < rows.size(); ++i) {
      const std::size_t now = nearest(rows[i], regimes, declared);
      moved = moved || now != home[i];
      home[i] = now;
      take(regimes[now], rows[i]);
    }
    if (!moved) break;
    for (Regime& regime : regimes)
      for (std::size_t s = 0; s < declared.size() && regime.count > 0; ++s)
        regime.point[s] = regime.sum[s] / static_cast<double>(regime.count);
  }
  std::erase_if(regimes, [](const Regime& regime) { return regime.count == 0; });
  return regimes;
}

}  // namespace

Result<> learn_regimes(std::span<const double> held, Pipeline::Tables& tables) {
  const std::size_t settings = tables.settings();
  const Recipe& recipe = tables.recipe;
  if (!recipe.regime_points.empty()) {
    tables.regimes = recipe.regime_points.size();
    for (const std::vector<double>& point : recipe.regime_points)
      tables.set_points.insert(tables.set_points.end(), point.begin(), point.end());
    return {};
  }
  if (settings == 0) {  // nothing tells regimes apart
    tables.regimes = 1;
    return {};
  }
  std::vector<const double*> rows;
  for (const double* row = held.data(); row != held.data() + held.size(); row += settings)
    if (std::all_of(row, row + settings, [](double value) { return std::isfinite(value); })) rows.push_back(row);
  if (rows.empty()) return fail(Fault::invalid_input, "feature pipeline: no row tells every operational setting");
  std::vector<Regime> regimes = recipe.regime_count > 0 ? by_means(rows, recipe) : by_tolerance(rows, recipe);
  std::stable_sort(regimes.begin(), regimes.end(), [](const Regime& a, const Regime& b) { return a.count > b.count; });
  tables.regimes = regimes.size();
  for (const Regime& regime : regimes)
    for (std::size_t s = 0; s < settings; ++s) tables.set_points.push_back(regime.sum[s] / static_cast<double>(regime.count));
  return {};
}

}  // namespace nacelle::feature
