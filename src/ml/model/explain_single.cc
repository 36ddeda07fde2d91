#include <algorithm>
#include <numeric>

#include "ml/dataset/seeded.h"
#include "ml/model/detail/explain_single.h"
#include "ml/model/detail/product_game.h"
#include "ml/model/detail/smooth.h"

namespace nacelle::model {

namespace {

/// Columns that become known together.
using Player = std::vector<std::uint16_t>;

template <class Model>
Explanation sample(const Model& model, std::span<const float> row, const Background& background,
                   const std::vector<Player>& players) {
  Explanation explanation{.base = 0, .features = std::vector<double>(row.size()), .exact = false};
  std::vector<std::size_t> order(players.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::vector<float> mixed;
  dataset::Seeded random(players.size());
  const auto rows = static_cast<double>(background.rows());
  for (std::size_t b = 0; b < background.rows(); ++b) {
    random.shuffle(order);
    const double begin = static_cast<double>(model.predict(background.row(b).data()));
    explanation.base += begin / rows;
    for (int direction = 0; direction < 2; ++direction) {
      mixed.assign(background.row(b).begin(), background.row(b).end());
      double before = begin;
      for (const std::size_t p : order) {
        for (const std::uint16_t column : players[p]) mixed[column] = row[column];
        const auto after = static_cast<double>(model.predict(mixed.data()));
        const double share = (after - before) / (2 * rows * static_cast<double>(players[p].size()));
        for (const std::uint16_t column : players[p]) explanation.features[column] += share;
        before = after;
      }
      std::reverse(order.begin(), order.end());
    }
  }
  return explanation;
}

}  // namespace

Explanation explain_kernel(const KernelModel& model, std::span<const float> row, const Background& background) {
  const std::size_t features = model.feature_count();
  const auto standard = [&model](std::span<const float> x, std::size_t f) {
    return static_cast<double>((x[f] - model.centre[f]) * model.scale[f]);
  };
  const auto bell = [&model](double apart) { return exp_same(-model.gamma * apart * apart); };
  Explanation explanation{.base = model.target_centre + model.target_scale * model.intercept,
                          .features = std::vector<double>(features)};
  ProductGame game(features);
  std::vector<double> known(features), unknown(features);
  for (std::size_t v = 0; v < model.coefficient.size(); ++v) {
    const float* vector = model.vectors.data() + v * features;
    const double scale = model.target_scale * model.coefficient[v] / static_cast<double>(background.rows());
    for (std::size_t f = 0; f < features; ++f) known[f] = bell(standard(row, f) - static_cast<double>(vector[f]));
    for (std::size_t b = 0; b < background.rows(); ++b) {
      double product = 1;
      for (std::size_t f = 0; f < features; ++f) {
        unknown[f] = bell(standard(background.row(b), f) - static_cast<double>(vector[f]));
        product *= unknown[f];
      }
      explanation.base += scale * product;
      game.add(scale, known, unknown, explanation.features);
    }
  }
  return explanation;
}

Result<Explanation> explain_log_life(const LogLifeTrees& model, std::span<const float> row) {
  TRY_LET(const Explanation logarithm, explain(model.trees, row));
  const std::size_t features = logarithm.features.size();
  std::vector<double> known(features);
  const std::vector<double> unknown(features, 1.0);
  for (std::size_t f = 0; f < features; ++f) known[f] = exp_same(logarithm.features[f]);
  const double scale = exp_same(logarithm.base);
  Explanation explanation{.base = scale - model.offset, .features = std::vector<double>(features)};
  ProductGame(features).add(scale, known, unknown, explanation.features);
  return explanation;
}

Explanation explain_network(const Network& model, std::span<const float> row, const Background& background) {
  std::vector<Player> players(model.channels);
  const std::size_t sequence = std::size_t{model.steps} * model.channels;
  for (std::size_t c = 0; c < model.columns.size(); ++c) {
    if (c < sequence)
      players[c % model.channels].push_back(model.columns[c]);
    else
      players.push_back({model.columns[c]});
  }
  return sample(model, row, background, players);
}

Explanation explain_trajectories(const TrajectoryLibrary& model, std::span<const float> row, const Background& background) {
  std::vector<Player> players;
  for (const std::uint16_t column : model.columns) players.push_back({column});
  return sample(model, row, background, players);
}

}  // namespace nacelle::model
