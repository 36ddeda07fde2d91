#include "ml/model/network.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <span>

#include "foundation/binary.h"
#include "ml/model/detail/smooth.h"

namespace nacelle::model {

using binary::put;
using binary::put_all;

namespace {

constexpr std::size_t max_members = 64;
constexpr std::size_t max_layers = 16;
constexpr std::size_t max_lstm = 512;

using Scratch = std::array<float, Network::max_width>;

/// out[o] = bias[o] + sum over i of weight[i][o] * in[i], in the order of i.
void affine(const float* weight, const float* in, std::size_t inputs, std::size_t outputs, float* out) {
  for (std::size_t i = 0; i < inputs; ++i) {
    const float x = in[i];
    const float* w = weight + i * outputs;
    for (std::size_t o = 0; o < outputs; ++o) out[o] += w[o] * x;
  }
}

void activate(Layer::Activation activation, std::span<float> values) {
  if (activation == Layer::Activation::relu)
    for (float& v : values) v = v < 0 ? 0 : v;
  if (activation == Layer::Activation::tanh)
    for (float& v : values) v = tanh_same(v);
}

void run_lstm(const Layer& layer, const float* sequence, std::size_t steps, float* out) {
  const std::size_t inputs = layer.inputs, width = layer.outputs;
  std::array<float, 4 * max_lstm> gates;
  std::array<float, max_lstm> cell{};
  std::fill(out, out + width, 0.0f);
  for (std::size_t step = 0; step < steps; ++step) {
    std::copy(layer.bias.begin(), layer.bias.end(), gates.begin());
    affine(layer.weight.data(), sequence + step * inputs, inputs, 4 * width, gates.data());
    affine(layer.weight.data() + inputs * 4 * width, out, width, 4 * width, gates.data());
    for (std::size_t o = 0; o < width; ++o) {
      const float fresh = sigmoid_same(gates[o]) * tanh_same(gates[2 * width + o]);
      cell[o] = sigmoid_same(gates[width + o]) * cell[o] + fresh;
      out[o] = sigmoid_same(gates[3 * width + o]) * tanh_same(cell[o]);
    }
  }
}

/// What lies between two layers: a sequence of `steps` x `width`, then `beside` values that no layer has taken yet.
struct Between {
  std::size_t steps = 0, width = 0, beside = 0;
  std::size_t size() const { return steps * width + beside; }
};

float run(const std::vector<Layer>& layers, Between shape, Scratch& now, Scratch& next) {
  float* in = now.data();
  float* out = next.data();
  for (const Layer& layer : layers) {
    const float* beside = in + shape.steps * shape.width;
    Between after{.steps = 1, .width = layer.outputs, .beside = shape.beside};
    switch (layer.kind) {
      case Layer::Kind::dense:
        std::copy(layer.bias.begin(), layer.bias.end(), out);
        affine(layer.weight.data(), in, layer.inputs, layer.outputs, out);
        after.beside = 0;
        break;
      case Layer::Kind::convolution:
        after.steps = shape.steps - layer.taps + 1;
        for (std::size_t step = 0; step < after.steps; ++step) {  // a window of steps is one stretch of memory
          std::copy(layer.bias.begin(), layer.bias.end(), out + step * after.width);
          affine(layer.weight.data(), in + step * layer.inputs, layer.taps * layer.inputs, layer.outputs, out + step * after.width);
        }
        break;
      case Layer::Kind::lstm: run_lstm(layer, in, shape.steps, out); break;
    }
    activate(layer.activation, {out, after.steps * after.width});
    std::copy(beside, beside + after.beside, out + after.steps * after.width);
    shape = after;
    std::swap(in, out);
  }
  return in[0];
}

}  // namespace

std::size_t Layer::weight_count() const {
  const std::size_t in = inputs, out = outputs;
  switch (kind) {
    case Kind::dense: return in * out;
    case Kind::convolution: return taps * in * out;
    case Kind::lstm: return (in + out) * 4 * out;
  }
  return 0;
}

std::size_t Layer::bias_count() const { return kind == Kind::lstm ? std::size_t{4} * outputs : outputs; }

double Network::predict(const float* row) const {
  Scratch inputs, now, next;
  for (std::size_t i = 0; i < columns.size(); ++i) inputs[i] = (row[columns[i]] - centre[i]) * scale[i];
  const Between shape{.steps = steps, .width = channels, .beside = columns.size() - std::size_t{steps} * channels};
  double sum = 0;
  for (const std::vector<Layer>& layers : members) {
    std::copy(inputs.begin(), inputs.begin() + static_cast<std::ptrdiff_t>(columns.size()), now.begin());
    sum += static_cast<double>(run(layers, shape, now, next));
  }
  const double mean = sum / static_cast<double>(members.size());
  return static_cast<double>(target_centre) + static_cast<double>(target_scale) * mean;
}

Result<> Network::check() const {
  const auto wrong = [](std::string_view what) { return fail(Fault::corrupt, fmt::format("network: {}", what)); };
  const std::size_t in_sequence = std::size_t{steps} * channels;
  if (columns.size() > max_width || steps > max_width || channels > max_width || in_sequence > columns.size())
    return wrong("its sequence is longer than its inputs");
  if (centre.size() != columns.size() || scale.size() != columns.size())
    return wrong("expected a centre and a scale for each input");
  for (const std::uint16_t column : columns)
    if (column >= row_features) return wrong(fmt::format("column {} of {} is used", column, row_features));
  if (members.empty() || members.size() > max_members) return wrong("expected 1 to 64 members");
  for (const std::vector<Layer>& layers : members) {
    Between shape{.steps = steps, .width = channels, .beside = columns.size() - in_sequence};
    if (layers.empty() || layers.size() > max_layers) return wrong("expected 1 to 16 layers");
    for (const Layer& layer : layers) {
      if (layer.kind > Layer::Kind::lstm || layer.activation > Layer::Activation::tanh)
        return wrong("a layer is of an unknown kind");
      if (layer.outputs == 0 || layer.outputs > max_width || layer.taps == 0) return wrong("a layer has no outputs, or too many");
      if (layer.inputs != (layer.kind == Layer::Kind::dense ? shape.size() : shape.width))
        return wrong("a layer's inputs are not the outputs before it");
      if (layer.weight.size() != layer.weight_count() || layer.bias.size() != layer.bias_count())
        return wrong("a layer's weights do not fit its size");
      if (layer.kind != Layer::Kind::dense && shape.steps < layer.taps) return wrong("the sequence is shorter than a layer's taps");
      if (layer.kind == Layer::Kind::lstm && layer.outputs > max_lstm) return wrong("an LSTM is too wide");
      shape = {.steps = layer.kind == Layer::Kind::convolution ? shape.steps - layer.taps + 1 : 1,
               .width = layer.outputs,
               .beside = layer.kind == Layer::Kind::dense ? 0 : shape.beside};
      if (shape.size() > max_width) return wrong("a layer is too wide");
    }
    if (shape.size() != 1) return wrong("expected one output");
  }
  return {};
}

void Network::encode(Bytes& out) const {
  put(out, row_features);
  put(out, steps);
  put(out, channels);
  put(out, static_cast<std::uint32_t>(columns.size()));
  put_all(out, columns);
  put_all(out, centre);
  put_all(out, scale);
  put(out, target_centre);
  put(out, target_scale);
  put(out, static_cast<std::uint32_t>(members.size()));
  for (const std::vector<Layer>& layers : members) {
    put(out, static_cast<std::uint32_t>(layers.size()));
    for (const Layer& layer : layers) {
      put(out, layer.kind);
      put(out, layer.activation);
      put(out, std::uint16_t{0});
      put(out, layer.inputs);
      put(out, layer.outputs);
      put(out, layer.taps);
      put_all(out, layer.weight);
      put_all(out, layer.bias);
    }
  }
}

Result<Network> Network::decode(BytesView bytes) {
  binary::Reader in{bytes};
  Network network;
  network.row_features = in.take<std::uint32_t>();
  network.steps = in.take<std::uint32_t>();
  network.channels = in.take<std::uint32_t>();
  const auto inputs = in.take<std::uint32_t>();
  in.take_all(network.columns, inputs);
  in.take_all(network.centre, inputs);
  in.take_all(network.scale, inputs);
  network.target_centre = in.take<float>();
  network.target_scale = in.take<float>();
  const auto member_count = in.take<std::uint32_t>();
  for (std::uint32_t m = 0; in.good && m < std::min<std::size_t>(member_count, max_members + 1); ++m) {
    const auto layer_count = in.take<std::uint32_t>();
    std::vector<Layer>& layers = network.members.emplace_back();
    for (std::uint32_t l = 0; in.good && l < std::min<std::size_t>(layer_count, max_layers + 1); ++l) {
      Layer& layer = layers.emplace_back();
      layer.kind = in.take<Layer::Kind>();
      layer.activation = in.take<Layer::Activation>();
      in.take<std::uint16_t>();
      layer.inputs = in.take<std::uint32_t>();
      layer.outputs = in.take<std::uint32_t>();
      layer.taps = in.take<std::uint32_t>();
      // Counts below 2^16 each cannot overflow their product; take_all() refuses more than there is.
      if (layer.inputs > 0xffff || layer.outputs > 0xffff || layer.taps > 0xffff) in.good = false;
      in.take_all(layer.weight, layer.weight_count());
      in.take_all(layer.bias, layer.bias_count());
    }
  }
  if (!in.good || !in.rest.empty()) return fail(Fault::corrupt, "network: its length does not fit its counts");
  TRY(network.check());
  return network;
}

}  // namespace nacelle::model
