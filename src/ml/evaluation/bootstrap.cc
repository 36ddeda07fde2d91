#include "ml/evaluation/bootstrap.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "foundation/invariant.h"
#include "ml/dataset/seeded.h"
#include "ml/evaluation/metrics.h"

namespace nacelle::evaluation {

namespace {

/// What is summed of an engine's predictions.
struct Sums {
  double count = 0, squares = 0, absolute = 0, penalty = 0;
  void add(const Sums& other) {
    count += other.count;
    squares += other.squares;
    absolute += other.absolute;
    penalty += other.penalty;
  }
  double rmse() const { return std::sqrt(squares / count); }
};

std::vector<Sums> by_engine(std::span<const double> truth, std::span<const double> predicted, std::span<const std::size_t> engine) {
  INVARIANT(truth.size() == predicted.size() && truth.size() == engine.size(), "one truth, prediction and engine each");
  std::vector<Sums> engines;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    if (i == 0 || engine[i] != engine[i - 1]) engines.emplace_back();
    const double error = predicted[i] - truth[i];
    engines.back().add({1, error * error, std::abs(error), phm08_penalty(error)});
  }
  return engines;
}

Range range_of(std::vector<double> values, double level) {
  std::sort(values.begin(), values.end());
  const double tail = (1 - level) / 2;
  const auto at = [&values](double part) {
    return values[static_cast<std::size_t>(std::lround(part * static_cast<double>(values.size() - 1)))];
  };
  return {at(tail), at(1 - tail)};
}

}  // namespace

MetricRanges bootstrap(std::span<const double> truth, std::span<const double> predicted, std::span<const std::size_t> engine,
                       const BootstrapOptions& options) {
  const std::vector<Sums> engines = by_engine(truth, predicted, engine);
  if (engines.empty() || options.resamples == 0) return {};
  dataset::Seeded random(options.seed);
  std::vector<double> rmse, mae, phm08;
  for (std::size_t r = 0; r < options.resamples; ++r) {
    Sums all;
    for (std::size_t i = 0; i < engines.size(); ++i) all.add(engines[random.below(engines.size())]);
    rmse.push_back(all.rmse());
    mae.push_back(all.absolute / all.count);
    phm08.push_back(all.penalty);
  }
  return {range_of(std::move(rmse), options.level), range_of(std::move(mae), options.level),
          range_of(std::move(phm08), options.level)};
}

Comparison compare_models(std::span<const double> truth, std::span<const double> first, std::span<const double> second,
                          std::span<const std::size_t> engine, const BootstrapOptions& options) {
  const std::vector<Sums> a = by_engine(truth, first, engine), b = by_engine(truth, second, engine);
  Comparison result;
  result.engines = a.size();
  if (a.empty() || options.resamples == 0) return result;
  Sums all_a, all_b;
  for (const Sums& sums : a) all_a.add(sums);
  for (const Sums& sums : b) all_b.add(sums);
  result.rmse_first = all_a.rmse();
  result.rmse_second = all_b.rmse();
  dataset::Seeded random(options.seed);
  std::vector<double> differences;
  std::size_t better = 0;
  for (std::size_t r = 0; r < options.resamples; ++r) {
    Sums of_a, of_b;
    for (std::size_t i = 0; i < a.size(); ++i) {
      const std::size_t drawn = random.below(a.size());
      of_a.add(a[drawn]);
      of_b.add(b[drawn]);
    }
    differences.push_back(of_b.rmse() - of_a.rmse());
    if (differences.back() < 0) ++better;
  }
  result.second_better = static_cast<double>(better) / static_cast<double>(options.resamples);
  result.difference = range_of(std::move(differences), options.level);
  if (result.difference.low > 0) result.verdict = Verdict::worse;
  if (result.difference.high < 0) result.verdict = Verdict::better;
  return result;
}

std::string_view verdict_text(Verdict verdict) {
  switch (verdict) {
    case Verdict::better: return "better";
    case Verdict::worse: return "worse";
    case Verdict::not_different: break;
  }
  return "not different";
}

json::Value to_json(const Range& range) { return json::Array{range.low, range.high}; }

json::Value to_json(const Comparison& comparison) {
  return json::Object{{"engines", comparison.engines},
                      {"rmseFirst", comparison.rmse_first},
                      {"rmseSecond", comparison.rmse_second},
                      {"difference", to_json(comparison.difference)},
                      {"secondBetter", comparison.second_better},
                      {"verdict", verdict_text(comparison.verdict)}};
}

}  // namespace nacelle::evaluation
