// Any text as a query and as a selection: a tree or a sentence, never a crash.
#include <cstddef>
#include <cstdint>

#include "domain/query/query.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace nacelle;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)query::parse_query(text).has_value();
  (void)query::parse_selection(text, "condition").has_value();
  return 0;
}
