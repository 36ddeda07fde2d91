#include "foundation/result.h"

#include <cstdio>
#include <cstdlib>

namespace nacelle {

void invariant_broken(const char* condition, const char* why, const char* file, int line) {
  std::fprintf(stderr, "%s:%d: broken invariant: %s (%s)\n", file, line, why, condition);
  std::abort();
}

std::string_view fault_name(Fault fault) {
  switch (fault) {
    case Fault::invalid_input: return "invalid input";
    case Fault::not_found: return "not found";
    case Fault::conflict: return "conflict";
    case Fault::denied: return "denied";
    case Fault::unavailable: return "unavailable";
    case Fault::timed_out: return "timed out";
    case Fault::corrupt: return "corrupt";
    case Fault::exhausted: return "exhausted";
  }
  return "unknown fault";
}

Error Error::in(std::string_view context) && {
  message.insert(0, ": ");
  message.insert(0, context);
  return std::move(*this);
}

}  // namespace nacelle
