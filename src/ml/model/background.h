#pragma once
// Background: some rows that a model learned from, kept with it. What models that are no trees and no line are explained against:
// "not known" means that a feature is as in one of these.

#include <span>
#include <vector>

#include "ml/model/regressor.h"

namespace nacelle::model {

struct Background {
  std::size_t features = 0;
  std::vector<float> values;  ///< row after row; empty: none were kept

  static constexpr std::size_t max_rows = 64;

  std::size_t rows() const { return features == 0 ? 0 : values.size() / features; }
  std::span<const float> row(std::size_t index) const { return {values.data() + index * features, features}; }
  /// Some of the columns.
  Background part(std::span<const std::uint16_t> columns) const;
};

/// True of support vectors, networks and trajectories, and of blends with such a member: explain() needs rows for them.
bool needs_background(const Regressor& regressor);

}  // namespace nacelle::model
