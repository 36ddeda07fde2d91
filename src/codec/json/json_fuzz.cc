// Whatever parses prints, and what is printed parses to the same value.
#include <cstdlib>

#include "codec/json/value.h"
#include "codec/json/view.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace nacelle;
  json::View view;
  const bool viewed = view.read({reinterpret_cast<const char*>(data), size});
  if (viewed && !json::parse({reinterpret_cast<const char*>(data), size}))
    std::abort();  // a view reads nothing that parse() does not
  const auto value = json::parse({reinterpret_cast<const char*>(data), size}, {.max_bytes = 1u << 20, .max_depth = 32});
  if (!value) return 0;
  for (const std::string& text : {json::print(*value), json::print_pretty(*value)}) {
    const auto again = json::parse(text);
    if (!again || !(*again == *value)) std::abort();
  }
  json::Value target = *value;
  json::merge_patch(target, *value);
  return 0;
}
