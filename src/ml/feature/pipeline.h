#pragma once
// Pipeline: the declared features of a model, learned on training engines; one implementation, used in batch (training)
// and streaming (edge, scorer), bit for bit the same. Recipe: regimes, z-scores, fused channels, trailing windows.

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::feature {

/// One reading of one engine: cycle number, then settings and sensors in the pipeline's input order. NaN: silent.
struct Reading {
  std::int64_t cycle = 0;
  std::vector<double> values;
};

class Pipeline;

/// What the pipeline remembers of one engine: bounded, serialisable.
class EngineState {
 public:
  EngineState();
  ~EngineState();
  EngineState(const EngineState&);
  EngineState(EngineState&&) noexcept;
  EngineState& operator=(const EngineState&);
  EngineState& operator=(EngineState&&) noexcept;

  std::int64_t last_cycle() const;  ///< 0: none seen
  /// The state as bytes, and back; Fault::corrupt; Fault::conflict if it was made by another pipeline.
  Bytes serialise(const Pipeline& pipeline) const;
  static Result<EngineState> parse(BytesView bytes, const Pipeline& pipeline);

 private:
  friend class Pipeline;
  struct Data;
  Data* data_ = nullptr;
};

}  // namespace nacelle::feature
