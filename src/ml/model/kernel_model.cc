#include "ml/model/kernel_model.h"

#include <array>

#include "foundation/binary.h"
#include "ml/model/detail/smooth.h"

namespace nacelle::model {

using binary::put;
using binary::put_all;

double KernelModel::predict(const float* row) const {
  const std::size_t features = centre.size();
  std::array<double, max_features> z;
  for (std::size_t f = 0; f < features; ++f) z[f] = static_cast<double>((row[f] - centre[f]) * scale[f]);
  double sum = 0;
  for (std::size_t v = 0; v < coefficient.size(); ++v) {
    const float* vector = vectors.data() + v * features;
    double distance = 0;
    for (std::size_t f = 0; f < features; ++f) {
      const double apart = z[f] - static_cast<double>(vector[f]);
      distance += apart * apart;
    }
    sum += coefficient[v] * exp_same(-gamma * distance);
  }
  return target_centre + target_scale * (sum + intercept);
}

void KernelModel::encode(Bytes& out) const {
  put(out, static_cast<std::uint32_t>(centre.size()));
  put(out, static_cast<std::uint32_t>(coefficient.size()));
  put(out, gamma);
  put(out, intercept);
  put(out, target_centre);
  put(out, target_scale);
  put_all(out, centre);
  put_all(out, scale);
  put_all(out, coefficient);
  put_all(out, vectors);
}

Result<KernelModel> KernelModel::decode(BytesView bytes) {
  binary::Reader in{bytes};
  KernelModel model;
  const auto features = in.take<std::uint32_t>();
  const auto count = in.take<std::uint32_t>();
  model.gamma = in.take<double>();
  model.intercept = in.take<double>();
  model.target_centre = in.take<double>();
  model.target_scale = in.take<double>();
  if (features > max_features) return fail(Fault::corrupt, "kernel model: too many features");
  in.take_all(model.centre, features);
  in.take_all(model.scale, features);
  in.take_all(model.coefficient, count);
  in.take_all(model.vectors, std::size_t{count} * features);
  if (!in.good || !in.rest.empty()) return fail(Fault::corrupt, "kernel model: its length does not fit its counts");
  return model;
}

}  // namespace nacelle::model
