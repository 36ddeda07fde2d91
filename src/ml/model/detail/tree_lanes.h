#pragma once
// Sixteen rows at a time through trees of full depth: every node is compared for all rows, and the leaf is chosen by selects, so
// that nothing is fetched by a computed address. Private to ml/model.

#include <cstddef>

#include "ml/model/tree_ensemble.h"

namespace nacelle::model {

constexpr std::size_t lane_rows = 16;
/// A block of rows is laid out on the stack: 64 KiB.
constexpr std::size_t max_lane_features = 1024;

struct CompleteTrees {
  std::size_t depth = 1;  ///< 1 to 6
  std::size_t tree_count = 0;
  float base_score = 0;
  const TreeEnsemble::CompleteNode* nodes = nullptr;  ///< [trees][2^depth - 1]
  const float* leaves = nullptr;                      ///< [trees][2^depth]
};

/// `columns`: [features][lane_rows]; `sums`: [lane_rows]. `silent`: some value may be NaN. With the vectors of any machine.
void sum_lanes(const CompleteTrees& trees, const float* columns, bool silent, float* sums);
/// The same where machine_has_avx2().
void sum_lanes_avx2(const CompleteTrees& trees, const float* columns, bool silent, float* sums);
bool machine_has_avx2();

}  // namespace nacelle::model
