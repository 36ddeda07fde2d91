#include "foundation/random.h"

#include <fmt/format.h>
#include <sys/random.h>

#include "foundation/invariant.h"

namespace nacelle {

Bytes secure_random(std::size_t count) {
  Bytes bytes(count, '\0');
  std::size_t have = 0;
  while (have < count) {
    const auto got = ::getrandom(bytes.data() + have, count - have, 0);
    INVARIANT(got > 0, "the kernel's generator answers once booted");
    have += static_cast<std::size_t>(got);
  }
  return bytes;
}

std::string random_uuid() {
  Bytes b = secure_random(16);
  b[6] = static_cast<char>((b[6] & 0x0f) | 0x40);
  b[8] = static_cast<char>((b[8] & 0x3f) | 0x80);
  std::string text;
  for (std::size_t i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) text += '-';
    text += fmt::format("{:02x}", static_cast<unsigned char>(b[i]));
  }
  return text;
}

}  // namespace nacelle
