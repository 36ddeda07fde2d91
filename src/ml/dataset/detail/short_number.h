#pragma once
// Numbers of few digits, which data files are full of, eight bytes at a time. Private to ml/dataset.

#include <bit>
#include <cstdint>
#include <cstring>

namespace nacelle::dataset {

static_assert(std::endian::native == std::endian::little, "the first digit is the lowest byte of what is loaded");

/// Eight bytes of text as one number; the first is the lowest.
inline std::uint64_t load_eight(const char* at) {
  std::uint64_t bytes = 0;
  std::memcpy(&bytes, at, sizeof bytes);
  return bytes;
}

/// The whole number that begins at `at`, and the number of its digits, as far as eight bytes go. At least eight bytes are readable.
/// Three multiplications instead of eight: D. Lemire, "Quickly parsing eight digits", 2018.
inline std::uint64_t take_digits(const char* at, unsigned& digits) {
  const std::uint64_t values = load_eight(at) ^ 0x3030303030303030;
  const std::uint64_t others = (((values & 0x7f7f7f7f7f7f7f7f) + 0x7676767676767676) | values) & 0x8080808080808080;
  digits = others == 0 ? 8 : static_cast<unsigned>(std::countr_zero(others)) / 8;
  if (digits == 0) return 0;
  std::uint64_t packed = values << (8 * (8 - digits));  // the missing digits are zeros before the first
  packed = packed * 10 + (packed >> 8);
  constexpr std::uint64_t mask = 0x000000ff000000ff;
  return ((packed & mask) * 0x000f424000000064 + ((packed >> 16) & mask) * 0x0000271000000001) >> 32;
}

/// The number that begins at `at`, if it is one of few digits; `at` is then behind it. Else `at` stays.
/// Clinger's fast path: a whole number below 2^53 over a power of ten up to 10^22 is one correctly rounded division of two exact
/// doubles. "How to read floating point numbers accurately", PLDI 1990.
inline bool take_short_number(const char*& at, const char* end, double& value) {
  static constexpr double powers[] = {1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15};
  static constexpr std::uint64_t whole_powers[] = {1, 10, 100, 1000, 10'000, 100'000, 1'000'000, 10'000'000, 100'000'000};
  constexpr std::size_t max_fast_digits = 15;
  const char* next = at;
  const bool negative = next != end && *next == '-';
  if (negative) ++next;
  std::uint64_t mantissa = 0;
  std::size_t decimals = 0;
  unsigned digits = 0;
  bool done = false;
  if (end - next >= 17) {  // eight digits, a point, eight digits
    mantissa = take_digits(next, digits);
    if (digits < 8 && next[digits] == '.') {
      unsigned fraction = 0;
      const std::uint64_t rest = take_digits(next + digits + 1, fraction);
      mantissa = mantissa * whole_powers[fraction] + rest;
      next += digits + 1 + fraction;
      digits += fraction;
      decimals = fraction;
      done = fraction < 8;
    } else {
      next += digits;
      done = digits < 8;
    }
  }
  if (!done) {  // near the end of the line, or many digits: one by one
    const char* const first = next = at + (negative ? 1 : 0);
    const char* point = nullptr;
    for (mantissa = 0; next != end; ++next) {
      const auto digit = static_cast<unsigned>(*next - '0');
      if (digit <= 9)
        mantissa = mantissa * 10 + digit;
      else if (*next == '.' && !point)
        point = next;
      else
        break;
    }
    digits = static_cast<unsigned>(next - first) - (point ? 1 : 0);
    decimals = point ? static_cast<std::size_t>(next - point - 1) : 0;
  }
  if (digits == 0 || digits > max_fast_digits) return false;
  const double magnitude = decimals == 0 ? static_cast<double>(mantissa) : static_cast<double>(mantissa) / powers[decimals];
  value = negative ? -magnitude : magnitude;
  at = next;
  return true;
}

}  // namespace nacelle::dataset
