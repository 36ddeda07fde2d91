#include "codec/text/place.h"

#include <algorithm>

namespace nacelle::text {

Place place_of(std::string_view text, std::size_t at) {
  const std::string_view before = text.substr(0, std::min(at, text.size()));
  const std::string_view in_line = before.substr(before.rfind('\n') + 1);  // npos + 1 is 0
  const auto characters = std::count_if(in_line.begin(), in_line.end(), [](unsigned char c) { return (c & 0xc0) != 0x80; });
  return {1 + static_cast<std::size_t>(std::count(before.begin(), before.end(), '\n')), 1 + static_cast<std::size_t>(characters)};
}

}  // namespace nacelle::text
