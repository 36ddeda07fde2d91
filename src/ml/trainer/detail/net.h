#pragma once
// A small neural network while it learns: forward and backward over a batch of rows, its parameters side by side in one vector, in
// the order in which ml/model/network.h keeps them. Private to ml/trainer. `Scalar` is float; double where gradients are checked.

#include <Eigen/Dense>
#include <cmath>
#include <vector>

#include "ml/dataset/seeded.h"
#include "ml/model/network.h"

namespace nacelle::trainer {

/// A layer's shape: what comes before it is `steps` x `width` of a sequence, then `beside` values.
struct LayerShape {
  model::Layer::Kind kind = model::Layer::Kind::dense;
  model::Layer::Activation activation = model::Layer::Activation::none;
  Eigen::Index steps = 0, width = 0, beside = 0;
  Eigen::Index taps = 1;
  Eigen::Index outputs = 0;
  Eigen::Index weights_at = 0, bias_at = 0;  ///< in the parameters

  Eigen::Index inputs() const { return steps * width + beside; }
  Eigen::Index steps_after() const { return kind == model::Layer::Kind::convolution ? steps - taps + 1 : 1; }
  Eigen::Index weight_rows() const { return kind == model::Layer::Kind::lstm ? 4 * outputs : outputs; }
  Eigen::Index weight_columns() const {
    switch (kind) {
      case model::Layer::Kind::dense: return inputs();
      case model::Layer::Kind::convolution: return taps * width;
      case model::Layer::Kind::lstm: return width + outputs;
    }
    return 0;
  }
};

/// One thread.
template <class Scalar>
class Net {
 public:
  using Index = Eigen::Index;
  using Matrix = Eigen::Matrix<Scalar, Eigen::Dynamic, Eigen::Dynamic>;  // a column is a row of features
  using Vector = Eigen::Matrix<Scalar, Eigen::Dynamic, 1>;

  Net(Index steps, Index channels, Index beside) : next_{.steps = steps, .width = channels, .beside = beside} {}

  void add(model::Layer::Kind kind, Index outputs, model::Layer::Activation activation, Index taps = 1) {
    LayerShape layer = next_;
    layer.kind = kind;
    layer.activation = activation;
    layer.outputs = outputs;
    layer.taps = taps;
    layer.weights_at = parameters_.size();
    layer.bias_at = layer.weights_at + layer.weight_rows() * layer.weight_columns();
    parameters_.conservativeResize(layer.bias_at + layer.weight_rows());
    layers_.push_back(layer);
    next_ = {.steps = layer.steps_after(), .width = outputs, .beside = kind == model::Layer::Kind::dense ? 0 : layer.beside};
    passes_.resize(layers_.size());
  }

  /// Glorot's and Bengio's uniform weights (He's for ReLU); an LSTM begins by keeping what it has (forget bias 1).
  void initialise(dataset::Seeded& random) {
    for (const LayerShape& layer : layers_) {
      const auto fan_in = static_cast<double>(layer.weight_columns());
      const bool relu = layer.activation == model::Layer::Activation::relu;
      const double bound = std::sqrt(relu ? 6 / fan_in : 6 / (fan_in + static_cast<double>(layer.outputs)));
      for (Index i = layer.weights_at; i < layer.bias_at; ++i)
        parameters_[i] = static_cast<Scalar>(bound * (2 * random.uniform() - 1));
      parameters_.segment(layer.bias_at, layer.weight_rows()).setZero();
      if (layer.kind == model::Layer::Kind::lstm) parameters_.segment(layer.bias_at + layer.outputs, layer.outputs).setOnes();
    }
  }

  Vector& parameters() { return parameters_; }
  const Vector& gradient() const { return gradient_; }
  const std::vector<LayerShape>& layers() const { return layers_; }

  /// [1, rows] from [inputs, rows].
  const Matrix& forward(const Matrix& inputs) {
    const Matrix* in = &inputs;
    for (std::size_t l = 0; l < layers_.size(); ++l) {
      forward_layer(layers_[l], *in, passes_[l]);
      in = &passes_[l].out;
    }
    return *in;
  }

  /// After forward() of the same inputs: gradient() of a loss whose derivative by the outputs is `by_output`.
  void backward(const Matrix& inputs, const Matrix& by_output) {
    gradient_.setZero(parameters_.size());
    Matrix flow = by_output;
    for (std::size_t l = layers_.size(); l-- > 0;) {
      Matrix before;  // by the layer's inputs; nobody asks for those of the first
      backward_layer(layers_[l], l == 0 ? inputs : passes_[l - 1].out, passes_[l], flow, l == 0 ? nullptr : &before);
      flow = std::move(before);
    }
  }

  /// The layers as they are kept in a model.
  std::vector<model::Layer> layers_of(const Vector& parameters) const {
    std::vector<model::Layer> made;
    for (const LayerShape& layer : layers_) {
      const auto part = [&parameters](Index begin, Index end) {
        std::vector<float> values;
        for (Index i = begin; i < end; ++i) values.push_back(static_cast<float>(parameters[i]));
        return values;
      };
      const Index inputs = layer.kind == model::Layer::Kind::dense ? layer.inputs() : layer.width;
      made.push_back({.kind = layer.kind,
                      .activation = layer.activation,
                      .inputs = static_cast<std::uint32_t>(inputs),
                      .outputs = static_cast<std::uint32_t>(layer.outputs),
                      .taps = static_cast<std::uint32_t>(layer.taps),
                      .weight = part(layer.weights_at, layer.bias_at),
                      .bias = part(layer.bias_at, layer.bias_at + layer.weight_rows())});
    }
    return made;
  }

 private:
  struct Pass {
    Matrix out;
    std::vector<Matrix> gates, cells, hidden;  // of an LSTM, one a step
  };

  auto weight(const LayerShape& layer) const {
    return Eigen::Map<const Matrix>(parameters_.data() + layer.weights_at, layer.weight_rows(), layer.weight_columns());
  }
  auto bias(const LayerShape& layer) const { return parameters_.segment(layer.bias_at, layer.weight_rows()); }
  auto weight_gradient(const LayerShape& layer) {
    return Eigen::Map<Matrix>(gradient_.data() + layer.weights_at, layer.weight_rows(), layer.weight_columns());
  }
  auto bias_gradient(const LayerShape& layer) { return gradient_.segment(layer.bias_at, layer.weight_rows()); }

  void forward_layer(const LayerShape& layer, const Matrix& in, Pass& pass) {
    const Index steps = layer.steps_after(), size = layer.outputs;
    const Index beside = layer.kind == model::Layer::Kind::dense ? 0 : layer.beside;
    pass.out.resize(steps * size + beside, in.cols());
    if (layer.kind == model::Layer::Kind::lstm) {
      forward_lstm(layer, in, pass);
    } else {
      for (Index step = 0; step < steps; ++step) {
        auto out = pass.out.middleRows(step * size, size);
        out.noalias() = weight(layer) * window(layer, in, step);
        out.colwise() += bias(layer);
      }
    }
    auto active = pass.out.topRows(steps * size);
    if (layer.activation == model::Layer::Activation::relu) active = active.cwiseMax(Scalar{0});
    if (layer.activation == model::Layer::Activation::tanh) active = active.array().tanh();
    if (beside > 0) pass.out.bottomRows(beside) = in.bottomRows(beside);
  }

  static auto window(const LayerShape& layer, const Matrix& in, Index step) {
    return layer.kind == model::Layer::Kind::dense ? in.middleRows(0, layer.inputs())
                                                   : in.middleRows(step * layer.width, layer.taps * layer.width);
  }

  void backward_layer(const LayerShape& layer, const Matrix& in, const Pass& pass, Matrix& flow, Matrix* before) {
    const Index steps = layer.steps_after(), size = layer.outputs;
    if (before) before->setZero(in.rows(), in.cols());
    auto active = flow.topRows(steps * size);
    const auto out = pass.out.topRows(steps * size);
    if (layer.activation == model::Layer::Activation::relu) active.array() *= (out.array() > Scalar{0}).template cast<Scalar>();
    if (layer.activation == model::Layer::Activation::tanh) active.array() *= Scalar{1} - out.array().square();
    if (layer.kind == model::Layer::Kind::lstm) {
      backward_lstm(layer, in, pass, active, before);
    } else {
      for (Index step = 0; step < steps; ++step) {
        const auto by_out = flow.middleRows(step * size, size);
        weight_gradient(layer).noalias() += by_out * window(layer, in, step).transpose();
        bias_gradient(layer) += by_out.rowwise().sum();
        const Index at = layer.kind == model::Layer::Kind::dense ? 0 : step * layer.width;
        if (before) before->middleRows(at, layer.weight_columns()).noalias() += weight(layer).transpose() * by_out;
      }
    }
    if (before && layer.kind != model::Layer::Kind::dense && layer.beside > 0)
      before->bottomRows(layer.beside) += flow.bottomRows(layer.beside);
  }

  /// Source: Hochreiter, Schmidhuber 1997, with forget gates (Gers 2000). Rows of `gates`: input, forget, cell, output.
  void forward_lstm(const LayerShape& layer, const Matrix& in, Pass& pass) {
    const Index size = layer.outputs, rows = in.cols();
    const auto steps = static_cast<std::size_t>(layer.steps);
    pass.gates.resize(steps), pass.cells.resize(steps), pass.hidden.resize(steps);
    const auto sigmoid = [](auto x) { return ((x * Scalar{0.5}).tanh() * Scalar{0.5} + Scalar{0.5}).eval(); };
    for (std::size_t t = 0; t < steps; ++t) {
      Matrix& gates = pass.gates[t];
      gates.noalias() = weight(layer).leftCols(layer.width) * in.middleRows(static_cast<Index>(t) * layer.width, layer.width);
      if (t > 0) gates.noalias() += weight(layer).rightCols(size) * pass.hidden[t - 1];
      gates.colwise() += bias(layer);
      gates.topRows(2 * size) = sigmoid(gates.topRows(2 * size).array());
      gates.middleRows(2 * size, size) = gates.middleRows(2 * size, size).array().tanh();
      gates.bottomRows(size) = sigmoid(gates.bottomRows(size).array());
      Matrix& cell = pass.cells[t];
      cell = gates.topRows(size).cwiseProduct(gates.middleRows(2 * size, size));
      if (t > 0) cell += gates.middleRows(size, size).cwiseProduct(pass.cells[t - 1]);
      pass.hidden[t] = gates.bottomRows(size).array() * cell.array().tanh();
    }
    if (steps == 0) pass.hidden.assign(1, Matrix::Zero(size, rows));
    pass.out.topRows(size) = pass.hidden.back();
  }

  template <class Flow>
  void backward_lstm(const LayerShape& layer, const Matrix& in, const Pass& pass, const Flow& flow, Matrix* before) {
    const Index size = layer.outputs;
    Matrix by_hidden = flow;
    Matrix by_cell = Matrix::Zero(size, in.cols());
    Matrix by_gates(4 * size, in.cols());
    for (auto t = static_cast<std::size_t>(layer.steps); t-- > 0;) {
      const Matrix& gates = pass.gates[t];
      const auto gate = [&](Index g) { return gates.middleRows(g * size, size).array(); };
      const Matrix squashed = pass.cells[t].array().tanh();
      by_cell.array() += by_hidden.array() * gate(3) * (Scalar{1} - squashed.array().square());
      by_gates.topRows(size) = by_cell.array() * gate(2) * gate(0) * (Scalar{1} - gate(0));
      if (t > 0)
        by_gates.middleRows(size, size) = by_cell.array() * pass.cells[t - 1].array() * gate(1) * (Scalar{1} - gate(1));
      else
        by_gates.middleRows(size, size).setZero();
      by_gates.middleRows(2 * size, size) = by_cell.array() * gate(0) * (Scalar{1} - gate(2).square());
      by_gates.bottomRows(size) = by_hidden.array() * squashed.array() * gate(3) * (Scalar{1} - gate(3));
      const auto x = in.middleRows(static_cast<Index>(t) * layer.width, layer.width);
      weight_gradient(layer).leftCols(layer.width).noalias() += by_gates * x.transpose();
      if (t > 0) weight_gradient(layer).rightCols(size).noalias() += by_gates * pass.hidden[t - 1].transpose();
      bias_gradient(layer) += by_gates.rowwise().sum();
      if (before)
        before->middleRows(static_cast<Index>(t) * layer.width, layer.width).noalias() +=
            weight(layer).leftCols(layer.width).transpose() * by_gates;
      by_hidden.noalias() = weight(layer).rightCols(size).transpose() * by_gates;
      by_cell.array() *= gate(1);
    }
  }

  LayerShape next_;
  std::vector<LayerShape> layers_;
  std::vector<Pass> passes_;
  Vector parameters_, gradient_;
};

}  // namespace nacelle::trainer
