// Any bytes: read_image refuses or reads, never crashes and never hands on a path that leads outside.

#include "codec/oci/image.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const auto image = nacelle::oci::read_image({reinterpret_cast<const char*>(data), size}, 1 << 20);
  if (!image) return 0;
  for (const auto& file : image->files) INVARIANT(nacelle::oci::check_path(file.path), "paths are checked");
  return 0;
}
