#pragma once
// For tests of trainers: a small set whose answer is known, and parameters with which each trainer learns it quickly.

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "ml/dataset/seeded.h"
#include "ml/model/estimator.h"
#include "ml/trainer/detail/training_set.h"
#include "ml/trainer/trainer.h"

namespace nacelle::trainer {

inline constexpr std::size_t steps = 6;

/// Engines of 60 cycles whose one channel tells the life that is left, with noise; a feature that says nothing, one that never
/// changes, the channel's last steps, and the cycle.
inline TrainingSet small_set(std::size_t engines, std::uint64_t seed, double noise = 0.02) {
  TrainingSet set{.feature_names = {"level", "noise", "constant"}};
  for (std::size_t step = 0; step < steps; ++step) set.feature_names.push_back(fmt::format("health.step{}", step));
  set.feature_names.push_back("cycle");
  set.rows.features = set.feature_names.size();
  dataset::Seeded random(seed);
  for (std::size_t engine = 0; engine < engines; ++engine) {
    std::vector<double> channel;
    for (int cycle = 0; cycle < 60; ++cycle) {
      const double life = 59 - cycle;
      channel.push_back(std::sqrt(life) / 8 + noise * random.normal());
      std::vector<double> row = {channel.back(), random.normal(), 7};
      for (std::size_t step = 0; step < steps; ++step)
        row.push_back(channel[channel.size() - 1 - std::min(step, channel.size() - 1)]);
      row.push_back(cycle);
      for (const double x : row) set.rows.values.push_back(static_cast<float>(x));
      set.target.push_back(static_cast<float>(life));
      set.engine.push_back(static_cast<std::uint32_t>(engine));
      ++set.rows.rows;
    }
  }
  return set;
}

inline json::Value quick(std::string_view trainer) {
  if (trainer == "xgboost" || trainer == "survival") return json::Object{{"rounds", 60}, {"eta", 0.15}, {"min_child_weight", 2.0}};
  if (trainer == "random_forest" || trainer == "extra_trees") return json::Object{{"trees", 20}, {"min_leaf", 3}};
  if (trainer == "svr") return json::Object{{"max_rows", 300}};
  if (trainer == "mlp") return json::Object{{"nets", 2}, {"epochs", 15}};
  if (trainer == "lstm" || trainer == "cnn") {
    json::Object parameters{{"nets", 2}, {"epochs", 15}, {"steps", static_cast<std::int64_t>(steps)}, {"rate", 0.01}};
    if (trainer == "cnn") parameters.set("taps", 2);
    return parameters;
  }
  if (trainer == "similarity") return json::Object{{"steps", static_cast<std::int64_t>(steps)}, {"neighbours", 5}};
  if (trainer == "blend")
    return *json::parse(R"({"members":["ridge",{"trainer":"extra_trees","parameters":{"trees":10}}],"folds":2})");
  return json::Object{};
}

inline model::Regressor fit(const Trainer& trainer, const TrainingSet& set, std::uint64_t seed = 1, int threads = 1) {
  auto fitted = trainer.fit(set, {.parameters = quick(trainer.name()), .seed = seed, .threads = threads});
  EXPECT_TRUE(fitted) << trainer.name() << ": " << (fitted ? "" : fitted.error().message);
  return std::move(fitted).value();
}

inline double rmse_on(const model::Regressor& regressor, const TrainingSet& set) {
  double squares = 0;
  for (std::size_t row = 0; row < set.rows.rows; ++row) {
    const double apart = model::predict(regressor, {set.rows.row(row), set.rows.features}) - static_cast<double>(set.target[row]);
    squares += apart * apart / static_cast<double>(set.rows.rows);
  }
  return std::sqrt(squares);
}

}  // namespace nacelle::trainer
