#pragma once
// How sure a figure is: metrics over resampled engines, and the difference of two models on the same ones. Whole engines are drawn,
// since the readings of one are not independent. Source: Efron, Tibshirani, "An Introduction to the Bootstrap" (1993), percentile
// method.

#include <cstdint>
#include <span>
#include <string_view>

#include "codec/json/value.h"

namespace nacelle::evaluation {

struct Range {
  double low = 0;
  double high = 0;
};

struct BootstrapOptions {
  std::size_t resamples = 2000;
  std::uint64_t seed = 1;
  double level = 0.9;  ///< of the range: 0.9 is from 5 % to 95 %
};

struct MetricRanges {
  Range rmse, mae, phm08;
};

/// `engine`: of each prediction; predictions of one engine stand together. The same seed, the same ranges. All spans are as long.
MetricRanges bootstrap(std::span<const double> truth, std::span<const double> predicted, std::span<const std::size_t> engine,
                       const BootstrapOptions& options = {});

enum class Verdict { better, not_different, worse };

struct Comparison {
  std::size_t engines = 0;
  double rmse_first = 0;
  double rmse_second = 0;
  Range difference;                          ///< of the RMSEs, second less first, at the level
  double second_better = 0;                  ///< part of the resamples in which the second has the smaller RMSE
  Verdict verdict = Verdict::not_different;  ///< on the second: worse only if the whole range lies above 0
};

/// Paired: each resample judges both on the same engines. options.level 0.95 is usual here.
Comparison compare_models(std::span<const double> truth, std::span<const double> first, std::span<const double> second,
                          std::span<const std::size_t> engine, const BootstrapOptions& options);

std::string_view verdict_text(Verdict verdict);  ///< "better", "not different", "worse"
json::Value to_json(const Range& range);
json::Value to_json(const Comparison& comparison);

}  // namespace nacelle::evaluation
