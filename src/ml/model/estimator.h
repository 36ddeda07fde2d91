#pragma once
// Estimator: a loaded model artifact that turns an engine's readings, one at a time, into remaining useful life. The
// edge, the scoring service and the workbench all predict through it (promise P5). Never includes ml/trainer.
//
//   TRY_LET(const auto estimator, Estimator::load(artifact));
//   feature::EngineState state;                                              // one for each engine, kept
//   TRY_LET(const auto reading, feature::reading_from_json(estimator->pipeline(), body));
//   TRY_LET(const Cycles rul, estimator->step(state, reading));

#include <filesystem>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "codec/json/value.h"
#include "foundation/bytes.h"
#include "foundation/result.h"
#include "ml/feature/pipeline.h"
#include "ml/model/explanation.h"

namespace nacelle::model {

/// Remaining cycles of useful life.
using Cycles = double;

/// Where the true remaining life lies with the model's nominal coverage.
struct Interval {
  Cycles low = 0;
  Cycles high = 0;
};

/// Immutable; any thread.
class Estimator {
 public:
  /// Reads an artifact file, or the file model.nacelle of a folder (docs/formats/model-artifact.md), and checks every hash
  /// in it. Fault::not_found, Fault::corrupt naming the part.
  static Result<std::shared_ptr<const Estimator>> load(const std::filesystem::path& artifact);
  /// The same from the artifact's bytes (as fetched by content hash).
  static Result<std::shared_ptr<const Estimator>> parse(std::string_view artifact_bytes);
  virtual ~Estimator() = default;

  virtual const std::string& name() const = 0;          ///< model name and version as trained
  virtual const std::string& content_hash() const = 0;  ///< SHA-256 hex of the artifact's bytes
  virtual const feature::Pipeline& pipeline() const = 0;
  /// What made it: trainer, parameters, seed, data hash, code version, metrics.
  virtual const json::Value& provenance() const = 0;

  /// Feeds one reading to the engine's `state` and predicts. `reading` in pipeline().input_names() order; NaN: silent.
  /// A repeated or late reading changes nothing and answers for the newest one. In 0 .. the model's cap.
  virtual Result<Cycles> step(feature::EngineState& state, const feature::Reading& reading) const = 0;
  /// The prediction of one feature row of pipeline().feature_count() values.
  virtual Cycles predict(std::span<const float> row) const = 0;
  /// The conformal interval around a prediction; empty bins answer the widest.
  virtual Interval interval(Cycles predicted) const = 0;
  /// False: it was made without judged engines, as imported models are; interval() then answers all that can be.
  virtual bool has_intervals() const { return true; }
  /// What each feature adds to predict(row) before it is clipped, in cycles. Fault::unavailable: this kind of model does not tell.
  virtual Result<Explanation> explain(std::span<const float> row) const;
};

}  // namespace nacelle::model
