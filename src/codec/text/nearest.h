#pragma once
// The known name most like a mistyped one, for messages that help: "unknown member 'imge', did you mean 'image'?".

#include <cstddef>
#include <span>
#include <string_view>

namespace nacelle::text {

/// Letters to add, drop or change to turn `a` into `b`, ASCII case aside (Levenshtein).
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The first of the names nearest to `name`; empty if none is within `most` changes, or all would have to change.
std::string_view nearest(std::string_view name, std::span<const std::string_view> known, std::size_t most = 3);

}  // namespace nacelle::text
