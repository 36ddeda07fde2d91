#pragma once
// exp and tanh with the same bits on every machine, which the C library does not promise. Additions and multiplications only,
// compiled without fused multiply-add. Private to ml/model.

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>

namespace nacelle::model {

/// e^x to 2 units in the last place; 0 below -708, and x is cut at 708. NaN stays NaN.
inline double exp_same(double x) {
  if (std::isnan(x)) return x;
  if (x < -708) return 0;
  x = std::min(x, 708.0);
  // x = k ln 2 + r, |r| <= ln 2 / 2, ln 2 in two parts so that r is exact (Cody and Waite).
  const double k = std::floor(x * 1.4426950408889634 + 0.5);
  const double r = (x - k * 6.93147180369123816490e-01) - k * 1.90821492927058770002e-10;
  // Taylor's series: |r| <= 0.3466, so that r^14 / 14! is below a unit in the last place.
  constexpr double inverse_factorials[] = {1.0 / 6227020800.0,
                                           1.0 / 479001600.0,
                                           1.0 / 39916800.0,
                                           1.0 / 3628800.0,
                                           1.0 / 362880.0,
                                           1.0 / 40320.0,
                                           1.0 / 5040.0,
                                           1.0 / 720.0,
                                           1.0 / 120.0,
                                           1.0 / 24.0,
                                           1.0 / 6.0,
                                           1.0 / 2.0,
                                           1.0};
  double sum = 0;
  for (const double inverse : inverse_factorials) sum = sum * r + inverse;
  const double mantissa = sum * r + 1.0;
  return mantissa * std::bit_cast<double>(static_cast<std::uint64_t>(static_cast<std::int64_t>(k) + 1023) << 52);
}

/// tanh(x) to about 1e-7. Source: the rational minimax approximation that Eigen uses, too (Eigen/src/Core/MathFunctionsImpl.h):
/// an odd polynomial of degree 13 over an even one of degree 6. NaN stays NaN.
inline float tanh_same(float x) {
  const float at = x < -7.9f ? -7.9f : x > 7.9f ? 7.9f : x;
  const float square = at * at;
  float odd = -2.76076847742355e-16f;
  for (const float c : {2.00018790482477e-13f, -8.60467152213735e-11f, 5.12229709037114e-08f, 1.48572235717979e-05f,
                        6.37261928875436e-04f, 4.89352455891786e-03f})
    odd = odd * square + c;
  float even = 1.19825839466702e-06f;
  for (const float c : {1.18534705686654e-04f, 2.26843463243900e-03f, 4.89352518554385e-03f}) even = even * square + c;
  return at * odd / even;
}

inline float sigmoid_same(float x) { return 0.5f * tanh_same(0.5f * x) + 0.5f; }

}  // namespace nacelle::model
