// Whatever bytes are given as an ONNX file, reading them ends with a fault or with a model that is written and read the same.
#include <cstdlib>

#include "codec/onnx/model.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace nacelle;
  const auto model = onnx::decode({reinterpret_cast<const char*>(data), size}, {.max_bytes = 1u << 20});
  if (!model) return 0;
  for (const onnx::Tensor& tensor : model->graph.initializers) (void)tensor.numbers();
  const Bytes bytes = onnx::encode(*model);
  const auto again = onnx::decode(bytes, {.max_bytes = 1u << 22});
  if (!again || onnx::encode(*again) != bytes) std::abort();
  return 0;
}
