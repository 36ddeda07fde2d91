#pragma once
// Models trained elsewhere on raw columns, as artifacts: XGBoost's JSON and UBJSON, and trees in ONNX.

#include <string>
#include <vector>

#include "ml/model/artifact.h"

namespace nacelle::model {

struct ImportOptions {
  std::string name;                  ///< the artifact's
  std::vector<std::string> columns;  ///< what the features are called in readings; empty: as the model tells
  double cap = 0;                    ///< predictions are clipped to 0 .. cap; 0: where the model clips, else 10^9
  std::string source;                ///< where it came from, for the provenance
};

/// The format is told by the first bytes. The artifact has the columns as features (Recipe::identity) and no intervals.
/// Fault::invalid_input says what is not supported or who must name the columns.
Result<Artifact> import_model(BytesView bytes, const ImportOptions& options);

}  // namespace nacelle::model
