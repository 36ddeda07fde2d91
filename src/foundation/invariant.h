#pragma once
// INVARIANT(condition, "why it must hold"): stays on in release and stops the process. Never used on input.

namespace nacelle {
[[noreturn]] void invariant_broken(const char* condition, const char* why, const char* file, int line);
}

#define INVARIANT(condition, why)                                       \
  do {                                                                  \
    if (!(condition)) [[unlikely]]                                      \
      ::nacelle::invariant_broken(#condition, why, __FILE__, __LINE__); \
  } while (false)
