#pragma once
// What the ONNX graphs that we write have in common. Private to ml/model.

#include <string>

#include "codec/onnx/model.h"
#include "ml/model/artifact.h"

namespace nacelle::model {

/// A model with its operator sets and names, and an empty graph.
onnx::Model begin_onnx(const Artifact& artifact);
/// The trees on the value `features`, then the clip; the output's name. Fault::unavailable.
Result<std::string> append_trees(onnx::Model& model, const Artifact& artifact, const std::string& features);

}  // namespace nacelle::model
