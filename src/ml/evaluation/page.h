#pragma once
// The frame of our HTML pages: one style sheet inside, light and dark, no script, nothing fetched.

#include <string>
#include <string_view>

namespace nacelle::evaluation {

std::string page_begin(std::string_view title);  ///< up to the title as a heading
std::string_view page_end();

}  // namespace nacelle::evaluation
