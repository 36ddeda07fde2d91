#pragma once
// Numbers in and out of the bytes of our own files: little-endian, as they lie in memory.

#include <bit>
#include <cstdint>
#include <cstring>
#include <vector>

#include "foundation/bytes.h"

namespace nacelle::binary {

static_assert(std::endian::native == std::endian::little, "our formats' byte order is the machine's");

template <class T>
void put(Bytes& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}
template <class T>
void put_all(Bytes& out, const std::vector<T>& values) {
  out.append(reinterpret_cast<const char*>(values.data()), values.size() * sizeof(T));
}

/// Takes values off the front; too few leave `good` false, and nothing is allocated for them.
struct Reader {
  BytesView rest;
  bool good = true;

  template <class T>
  T take() {
    T value{};
    good = good && rest.size() >= sizeof value;
    if (!good) return value;
    std::memcpy(&value, rest.data(), sizeof value);
    rest.remove_prefix(sizeof value);
    return value;
  }
  template <class T>
  void take_all(std::vector<T>& values, std::size_t count) {
    good = good && rest.size() / sizeof(T) >= count;
    if (!good) return;
    values.resize(count);
    if (count > 0) std::memcpy(values.data(), rest.data(), count * sizeof(T));
    rest.remove_prefix(count * sizeof(T));
  }
  BytesView take_bytes(std::size_t count) {
    good = good && rest.size() >= count;
    if (!good) return {};
    const BytesView bytes = rest.substr(0, count);
    rest.remove_prefix(count);
    return bytes;
  }
};

/// FNV-1a, 64 bit: spreads names, and finds torn or flipped bytes; not for what an attacker may choose.
inline std::uint64_t fnv1a(BytesView bytes) {
  std::uint64_t hash = 14695981039346656037u;
  for (const char c : bytes) hash = (hash ^ static_cast<unsigned char>(c)) * 1099511628211u;
  return hash;
}

}  // namespace nacelle::binary
