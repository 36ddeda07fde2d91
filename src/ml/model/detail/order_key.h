#pragma once
// Numbers of single precision as whole numbers of the same order: x < y if and only if order_key(x) < order_key(y), NaN aside. A
// comparison of whole numbers leaves its answer in the carry flag, where the step to a child can add it. Private to ml/model.

#include <bit>
#include <cstdint>

namespace nacelle::model {

inline std::uint32_t order_key(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x + 0.0f);  // -0 becomes 0: they are equal
  return bits ^ (static_cast<std::uint32_t>(static_cast<std::int32_t>(bits) >> 31) | 0x80000000u);
}

}  // namespace nacelle::model
