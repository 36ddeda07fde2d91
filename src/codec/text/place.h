#pragma once
// Where in a text something is, as a person counts.

#include <cstddef>
#include <string_view>

namespace nacelle::text {

struct Place {
  std::size_t line = 1;
  std::size_t column = 1;  ///< in characters: UTF-8's continuation bytes are none
};
/// The place of byte `at`, or of the end if the text is shorter.
Place place_of(std::string_view text, std::size_t at);

}  // namespace nacelle::text
