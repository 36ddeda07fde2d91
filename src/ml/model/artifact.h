#pragma once
// Artifact: everything a model needs to predict, and what made it, in one file. Format: docs/formats/model-artifact.md.
// The same artifact has the same bytes: no time of day, no host name.

#include <string>
#include <vector>

#include "codec/json/value.h"
#include "ml/feature/pipeline.h"
#include "ml/model/background.h"
#include "ml/model/estimator.h"
#include "ml/model/regressor.h"

namespace nacelle::model {

/// Split-conformal intervals: quantiles of the out-of-fold residual (true less predicted), by bins of the prediction.
/// Source: Vovk, Gammerman, Shafer, "Algorithmic Learning in a Random World" (Mondrian conformal prediction).
struct ConformalBins {
  double coverage = 0.9;
  std::vector<double> edges;  ///< ascending, inner ones: [bins - 1]
  std::vector<double> low;    ///< [bins], added to the prediction
  std::vector<double> high;   ///< [bins]
  std::size_t bin_of(double predicted) const;
};

struct Artifact {
  std::string name;
  double cap = 125;  ///< predictions are clipped to 0 .. cap
  ConformalBins intervals;
  json::Value provenance = json::Object{};
  feature::Pipeline pipeline;
  Regressor regressor;
  Background background =
      {};  ///< rows of the pipeline's features; kept for models that cannot be explained without (needs_background)
};

/// The file's name inside a folder that stands for a model.
constexpr std::string_view artifact_file_name = "model.nacelle";

Bytes encode_artifact(const Artifact& artifact);
/// Fault::corrupt naming the part.
Result<Artifact> decode_artifact(BytesView bytes);

}  // namespace nacelle::model
