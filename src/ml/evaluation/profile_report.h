#pragma once
// A data profile as one HTML page.

#include <string>
#include <string_view>

#include "ml/dataset/profile.h"

namespace nacelle::evaluation {

std::string render_profile(const dataset::DataProfile& profile, std::string_view data);

}  // namespace nacelle::evaluation
