#pragma once
// KernelModel: support vector regression with a Gaussian kernel: target_centre + target_scale * (intercept + sum of coefficient *
// exp(-gamma * |z - vector|^2)), where z is the row, standardised. In double precision, in the vectors' order.

#include <cstdint>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::model {

struct KernelModel {
  std::vector<float> centre;  ///< of each feature; z = (x - centre) * scale
  std::vector<float> scale;
  double gamma = 1;
  double intercept = 0;
  double target_centre = 0;
  double target_scale = 1;
  std::vector<double> coefficient;  ///< of each support vector
  std::vector<float> vectors;       ///< support vectors x features

  static constexpr std::string_view kind = "kernel";
  static constexpr std::size_t max_features = 1024;

  std::size_t feature_count() const { return centre.size(); }
  double predict(const float* row) const;  ///< allocates nothing
  void encode(Bytes& out) const;
  static Result<KernelModel> decode(BytesView bytes);  ///< Fault::corrupt
};

}  // namespace nacelle::model
