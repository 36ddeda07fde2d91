// Any text as a token and as a connection string; what parses prints and parses again to the same.
#include <cstdlib>

#include "codec/sas/connection_string.h"
#include "codec/sas/token.h"

extern "C" int LLVMFuzzerTestOneInput(const unsigned char* data, std::size_t size) {
  using namespace nacelle::sas;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto token = parse_token(text)) (void)signed_by(*token, "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=");
  if (const auto parts = parse_connection_string(text)) {
    const std::string printed = print_connection_string(*parts);
    const auto again = parse_connection_string(printed);
    if (!again || print_connection_string(*again) != printed) std::abort();
  }
  return 0;
}
