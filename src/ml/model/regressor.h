#pragma once
// Regressor: a fitted function from a feature row to capped remaining life, as flat tables. Trainers make one, artifacts hold
// one, the Estimator evaluates it.

#include <cstdint>
#include <span>
#include <string_view>
#include <variant>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"
#include "ml/model/tree_ensemble.h"

namespace nacelle::model {

/// intercept + sum of weight * (x - centre) * scale, in double precision and feature order.
struct LinearModel {
  double intercept = 0;
  std::vector<double> centre;
  std::vector<double> scale;
  std::vector<double> weight;

  double predict(const float* row) const;
  void encode(Bytes& out) const;
  static Result<LinearModel> decode(BytesView bytes);
};

using Regressor = std::variant<TreeEnsemble, LinearModel>;

/// "trees" or "linear".
std::string_view kind_of(const Regressor& regressor);
std::size_t feature_count(const Regressor& regressor);
/// `row` holds feature_count() values. Not clipped. Any thread.
double predict(const Regressor& regressor, std::span<const float> row);

Bytes encode(const Regressor& regressor);
/// Every index is checked: evaluating what this returns stays within its tables. Fault::corrupt.
Result<Regressor> decode(std::string_view kind, BytesView bytes);

}  // namespace nacelle::model
