#pragma once
// Shapley values of a product: a quantity that is the product over features of one factor where the feature is known and of another
// where it is not. Gaussian kernels are such, and exponentials of sums. Private to ml/model.

#include <array>
#include <span>
#include <vector>

namespace nacelle::model {

/// The values are integrals over t in 0 .. 1 of (known - unknown) times the product over the other features of t known + (1 - t)
/// unknown (the multilinear extension: Owen, "Multilinear extensions of games", Management Science 18, 1972). The integrand is a
/// polynomial, which Gauss and Legendre's nodes integrate exactly up to 64 features, and beyond to rounding.
class ProductGame {
 public:
  explicit ProductGame(std::size_t features);
  /// Adds `scale` times the values to `parts`. They sum to scale * (product of known - product of unknown).
  void add(double scale, std::span<const double> known, std::span<const double> unknown, std::vector<double>& parts);

 private:
  static constexpr std::size_t nodes = 32;
  using AtNodes = std::array<double, nodes>;
  AtNodes at_, weight_;
  std::vector<AtNodes> before_;  ///< products of the factors before each feature
};

}  // namespace nacelle::model
