// Whatever bytes are given as UBJSON, reading them ends with a fault or with a document that prints and parses.
#include <cstdlib>

#include "codec/json/ubj.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace nacelle;
  const auto value = json::parse_ubj({reinterpret_cast<const char*>(data), size}, {.max_bytes = 1u << 20, .max_depth = 32});
  if (value && !json::parse(json::print(*value), {.max_bytes = 1u << 26, .max_depth = 64})) std::abort();
  return 0;
}
