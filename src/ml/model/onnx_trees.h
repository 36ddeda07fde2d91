#pragma once
// Models of trees from ONNX (the operator TreeEnsembleRegressor of ai.onnx.ml, as converters of XGBoost, scikit-learn and LightGBM
// write it), and ours to ONNX. Source: onnx/docs/Operators-ml.md.

#include <optional>
#include <string>
#include <vector>

#include "codec/onnx/model.h"
#include "ml/model/artifact.h"

namespace nacelle::model {

struct OnnxTrees {
  TreeEnsemble trees;
  std::vector<std::string> feature_names;  ///< empty: not told
  std::optional<double> low, high;         ///< where the model clips its answer
};

/// Trees of one output whose leaves are summed (or averaged), single precision; before them nothing but Cast and Identity, after
/// them nothing but Clip, Cast, Identity and Reshape. Comparisons other than < become the same split written with it: x <= t is
/// x < the next float. Fault::invalid_input says what is not supported, or what is no tree.
Result<OnnxTrees> read_onnx_trees(const onnx::Model& model);

/// The graph `features` [n, F] -> `rul` [n, 1]: the model, then the clip to 0 .. cap. Trees alone, summed in order by one thread
/// (as ONNX Runtime does with one thread), give our bits in float32; so do blends of trees, in float64. Lines, logarithms of life
/// and support vectors agree within the rounding of sums in float64, networks of dense layers in float32. Fault::unavailable:
/// sequence networks and trajectories are not expressed.
Result<onnx::Model> write_onnx_rows(const Artifact& artifact);

/// The graph from readings on: `readings` [t, inputs] and `cycles` [t, 1] of one engine, float64, oldest first -> `rul` [1, 1]
/// after the last of them. Regimes, z-scores, fused channels, windows and averages included. Readings must not be silent (NaN):
/// holding the last value is not expressed. Agrees with ours within rounding of the sums, which another order takes.
/// Fault::unavailable: a feature is not expressible.
Result<onnx::Model> write_onnx_readings(const Artifact& artifact);

}  // namespace nacelle::model
