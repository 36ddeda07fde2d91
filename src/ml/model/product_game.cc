#include <cmath>
#include <numbers>

#include "ml/model/detail/product_game.h"

namespace nacelle::model {

ProductGame::ProductGame(std::size_t features) : before_(features) {
  // Roots of Legendre's polynomial by Newton's method, moved from -1 .. 1 to 0 .. 1.
  constexpr auto n = static_cast<double>(nodes);
  for (std::size_t i = 0; i < nodes; ++i) {
    double x = std::cos(std::numbers::pi * (static_cast<double>(i) + 0.75) / (n + 0.5)), slope = 1;
    for (int round = 0; round < 20; ++round) {
      double value = x, last = 1;
      for (std::size_t k = 2; k <= nodes; ++k) {
        const auto order = static_cast<double>(k);
        const double next = ((2 * order - 1) * x * value - (order - 1) * last) / order;
        last = value;
        value = next;
      }
      slope = n * (x * value - last) / (x * x - 1);
      x -= value / slope;
    }
    at_[i] = (1 + x) / 2;
    weight_[i] = 1 / ((1 - x * x) * slope * slope);
  }
}

void ProductGame::add(double scale, std::span<const double> known, std::span<const double> unknown, std::vector<double>& parts) {
  AtNodes product;
  for (std::size_t t = 0; t < nodes; ++t) product[t] = scale * weight_[t];
  for (std::size_t f = 0; f < before_.size(); ++f) {
    before_[f] = product;
    for (std::size_t t = 0; t < nodes; ++t) product[t] *= unknown[f] + at_[t] * (known[f] - unknown[f]);
  }
  AtNodes after;
  after.fill(1);
  for (std::size_t f = before_.size(); f-- > 0;) {
    double sum = 0;
    for (std::size_t t = 0; t < nodes; ++t) sum += before_[f][t] * after[t];
    parts[f] += (known[f] - unknown[f]) * sum;
    for (std::size_t t = 0; t < nodes; ++t) after[t] *= unknown[f] + at_[t] * (known[f] - unknown[f]);
  }
}

}  // namespace nacelle::model
