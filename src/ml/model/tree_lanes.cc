// One kernel, compiled for the vectors that every machine has (16 bytes) and for AVX2 (32 bytes). GCC's vector types, as the
// intrinsics would be the same thing written twice.

#include "ml/model/detail/tree_lanes.h"

#include <cstring>

#pragma GCC diagnostic ignored "-Wpsabi"  // everything with a vector in its signature is inlined

namespace nacelle::model {

namespace {

using Floats4 = float __attribute__((vector_size(16)));
using Ints4 = std::int32_t __attribute__((vector_size(16)));
using Floats8 = float __attribute__((vector_size(32)));
using Ints8 = std::int32_t __attribute__((vector_size(32)));

/// One value of each row. A number is spread as `number - zeros`, which keeps the sign of -0.
template <class Floats>
struct Packet {
  static constexpr std::size_t width = sizeof(Floats) / sizeof(float);
  Floats part[lane_rows / width];
};

template <class Floats, class Ints, std::size_t levels, bool silence>
struct Kernel {
  using Values = Packet<Floats>;
  static constexpr std::size_t parts = lane_rows / Values::width;
  static constexpr std::size_t inner = (std::size_t{1} << levels) - 1;

  /// The leaf that each row ends in below `node`.
  template <std::size_t node>
  [[gnu::always_inline]] static inline Values leaf_below(const TreeEnsemble::CompleteNode* nodes, const float* leaves,
                                                         const float* columns) {
    Values chosen;
    if constexpr (node >= inner) {
      for (std::size_t p = 0; p < parts; ++p) chosen.part[p] = leaves[node - inner] - Floats{};
    } else {
      const Values left = leaf_below<2 * node + 1>(nodes, leaves, columns);
      const Values right = leaf_below<2 * node + 2>(nodes, leaves, columns);
      const float* column = columns + nodes[node].feature * lane_rows;
      const Floats threshold = nodes[node].threshold - Floats{};
      for (std::size_t p = 0; p < parts; ++p) {
        Floats x;
        std::memcpy(&x, column + p * Values::width, sizeof x);
        Ints goes_left = x < threshold;
        if constexpr (silence) goes_left |= (x != x) & (Ints{} - static_cast<std::int32_t>(nodes[node].silent_left));
        chosen.part[p] = goes_left ? left.part[p] : right.part[p];
      }
    }
    return chosen;
  }

  [[gnu::always_inline]] static inline void sum(const CompleteTrees& trees, const float* columns, float* sums) {
    Values total;
    for (std::size_t p = 0; p < parts; ++p) total.part[p] = trees.base_score - Floats{};
    for (std::size_t t = 0; t < trees.tree_count; ++t) {
      const Values leaf = leaf_below<0>(trees.nodes + t * inner, trees.leaves + t * (inner + 1), columns);
      for (std::size_t p = 0; p < parts; ++p) total.part[p] += leaf.part[p];
    }
    std::memcpy(sums, &total, sizeof total);
  }
};

template <class Floats, class Ints, bool silence>
[[gnu::always_inline]] inline void sum_depth(const CompleteTrees& trees, const float* columns, float* sums) {
  switch (trees.depth) {
    case 1: return Kernel<Floats, Ints, 1, silence>::sum(trees, columns, sums);
    case 2: return Kernel<Floats, Ints, 2, silence>::sum(trees, columns, sums);
    case 3: return Kernel<Floats, Ints, 3, silence>::sum(trees, columns, sums);
    case 4: return Kernel<Floats, Ints, 4, silence>::sum(trees, columns, sums);
    case 5: return Kernel<Floats, Ints, 5, silence>::sum(trees, columns, sums);
    default: return Kernel<Floats, Ints, 6, silence>::sum(trees, columns, sums);
  }
}

}  // namespace

void sum_lanes(const CompleteTrees& trees, const float* columns, bool silent, float* sums) {
  if (silent) return sum_depth<Floats4, Ints4, true>(trees, columns, sums);
  return sum_depth<Floats4, Ints4, false>(trees, columns, sums);
}

#if defined(__x86_64__)
__attribute__((target("avx2"))) void sum_lanes_avx2(const CompleteTrees& trees, const float* columns, bool silent, float* sums) {
  if (silent) return sum_depth<Floats8, Ints8, true>(trees, columns, sums);
  return sum_depth<Floats8, Ints8, false>(trees, columns, sums);
}
bool machine_has_avx2() { return __builtin_cpu_supports("avx2") != 0; }
#else
void sum_lanes_avx2(const CompleteTrees& trees, const float* columns, bool silent, float* sums) {
  sum_lanes(trees, columns, silent, sums);
}
bool machine_has_avx2() { return false; }
#endif

}  // namespace nacelle::model
