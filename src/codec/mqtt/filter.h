#pragma once
// Topic filters compared with each other: what access rules need.

#include <string_view>

namespace nacelle::mqtt {

/// Whether every topic that `wanted` can match is matched by `allowed` too; both are valid filters. As in topic_matches, a
/// leading wild card of `allowed` does not reach topics that begin with `$`.
bool filter_covers(std::string_view allowed, std::string_view wanted);

}  // namespace nacelle::mqtt
