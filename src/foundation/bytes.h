#pragma once
// Raw bytes are held in std::string and passed as std::string_view: every library at our edges does so.

#include <cstdint>
#include <string>
#include <string_view>

namespace nacelle {

using Bytes = std::string;
using BytesView = std::string_view;

/// A size or a bound, in bytes.
using ByteCount = std::uint64_t;
constexpr ByteCount operator""_KiB(unsigned long long n) { return n << 10; }
constexpr ByteCount operator""_MiB(unsigned long long n) { return n << 20; }
constexpr ByteCount operator""_GiB(unsigned long long n) { return n << 30; }

}  // namespace nacelle
