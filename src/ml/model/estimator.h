#pragma once
// Estimator: a loaded model artifact that turns an engine's readings, one at a time, into remaining useful life. The
// edge, the scoring service and the workbench all predict through it (promise P5). Never includes ml/trainer.

#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "foundation/result.h"
#include "ml/feature/pipeline.h"

namespace nacelle::model {

/// Remaining cycles of useful life.
using Cycles = double;

class Estimator {
 public:
  /// Reads an artifact folder or file (docs/formats/model-artifact.md) and checks every hash in it.
  /// Fault::not_found, Fault::corrupt naming the part.
  static Result<std::shared_ptr<const Estimator>> load(const std::filesystem::path& artifact);
  /// The same from the artifact's bytes (as fetched by content hash).
  static Result<std::shared_ptr<const Estimator>> parse(std::string_view artifact_bytes);
  virtual ~Estimator() = default;

  virtual const std::string& name() const = 0;          ///< model name and version as trained
  virtual const std::string& content_hash() const = 0;  ///< SHA-256 hex of the artifact's bytes
  virtual const feature::Pipeline& pipeline() const = 0;

  /// Feeds one reading to the engine's `state` and predicts. `reading` in pipeline().input_names() order; NaN: silent.
  virtual Result<Cycles> step(feature::EngineState& state, const feature::Reading& reading) const = 0;
};

}  // namespace nacelle::model
