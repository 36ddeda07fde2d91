#pragma once
// Network: small neural networks over a row of features, evaluated layer by layer and averaged. One form serves the
// multi-layer perceptron, the LSTM and the convolutional network: a row's inputs are a sequence (which may be empty) and values
// beside it. A sequence model keeps no state of its own: its window is part of the feature row, whose state is the pipeline's.

#include <cstdint>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::model {

/// One layer. Weights are [inputs][outputs], so that outputs are summed side by side in the order of inputs.
struct Layer {
  enum class Kind : std::uint8_t {
    dense,        ///< all that is left of the sequence, step after step, then the values beside it
    convolution,  ///< of `taps` steps of the sequence, at every place where they fit: steps - taps + 1 steps are left
    lstm          ///< over the sequence, oldest step first; its last output is left. Gates: input, forget, cell, output
  };
  enum class Activation : std::uint8_t { none, relu, tanh };
  Kind kind = Kind::dense;
  Activation activation = Activation::none;
  std::uint32_t inputs = 0;   ///< dense: of all; convolution, lstm: of a step
  std::uint32_t outputs = 0;  ///< convolution, lstm: of a step
  std::uint32_t taps = 1;
  std::vector<float> weight;  ///< dense: inputs x outputs; convolution: taps inputs x outputs; lstm: (inputs + outputs) x 4 outputs
  std::vector<float> bias;    ///< outputs; lstm: 4 outputs

  std::size_t weight_count() const;
  std::size_t bias_count() const;
};

struct Network {
  std::uint32_t row_features = 0;      ///< of the row that it is given
  std::uint32_t steps = 0;             ///< of the sequence
  std::uint32_t channels = 0;          ///< of each step
  std::vector<std::uint16_t> columns;  ///< of the row: steps x channels, oldest first, then the values beside the sequence
  std::vector<float> centre;           ///< of each input; it becomes (x - centre) * scale
  std::vector<float> scale;
  float target_centre = 0;  ///< the mean of the members' outputs times target_scale, and this, is the prediction
  float target_scale = 1;
  std::vector<std::vector<Layer>> members;

  static constexpr std::string_view kind = "network";
  /// Widest there may be between two layers: what a prediction keeps lies on the stack.
  static constexpr std::size_t max_width = 8192;

  std::size_t feature_count() const { return row_features; }
  /// Allocates nothing. The same bits on every machine.
  double predict(const float* row) const;
  /// Fault::corrupt naming what does not fit; predict() of what passes stays within its tables.
  Result<> check() const;
  void encode(Bytes& out) const;
  static Result<Network> decode(BytesView bytes);  ///< Fault::corrupt
};

}  // namespace nacelle::model
