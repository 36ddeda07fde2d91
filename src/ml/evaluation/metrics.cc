#include "ml/evaluation/metrics.h"

#include <algorithm>
#include <cmath>

#include "foundation/invariant.h"

namespace nacelle::evaluation {

namespace {
// An engine said to last longer than it does is worse than one taken out too soon.
constexpr double early_scale = 13;
constexpr double late_scale = 10;
}  // namespace

double phm08_penalty(double error) { return error < 0 ? std::exp(-error / early_scale) - 1 : std::exp(error / late_scale) - 1; }

Metrics measure(std::span<const double> truth, std::span<const double> predicted) {
  INVARIANT(truth.size() == predicted.size(), "one prediction for each truth");
  Metrics metrics;
  metrics.count = truth.size();
  if (truth.empty()) return metrics;
  const auto n = static_cast<double>(truth.size());
  double mean = 0;
  for (const double y : truth) mean += y / n;
  double squares = 0, around_mean = 0;
  for (std::size_t i = 0; i < truth.size(); ++i) {
    const double error = predicted[i] - truth[i];
    squares += error * error;
    around_mean += (truth[i] - mean) * (truth[i] - mean);
    metrics.mae += std::abs(error) / n;
    metrics.bias += error / n;
    metrics.phm08 += phm08_penalty(error);
  }
  metrics.rmse = std::sqrt(squares / n);
  metrics.r2 = around_mean > 0 ? 1 - squares / around_mean : 0;
  return metrics;
}

std::vector<double> capped(std::span<const double> values, double cap) {
  std::vector<double> out(values.begin(), values.end());
  for (double& value : out) value = std::min(value, cap);
  return out;
}

json::Value to_json(const Metrics& metrics) {
  return json::Object{{"count", metrics.count}, {"rmse", metrics.rmse}, {"mae", metrics.mae},
                      {"r2", metrics.r2},       {"bias", metrics.bias}, {"phm08", metrics.phm08}};
}

}  // namespace nacelle::evaluation
