#include "codec/text/nearest.h"

#include <gtest/gtest.h>

#include <string>

namespace nacelle::text {
namespace {

TEST(Nearest, distance_counts_changes_without_case) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("Image", "iMAGE"), 0u);
  EXPECT_EQ(edit_distance("imge", "image"), 1u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
}

TEST(Nearest, finds_the_mistyped_name_and_nothing_far_off) {
  constexpr std::string_view known[] = {"image", "createOptions", "env"};
  EXPECT_EQ(nearest("imge", known), "image");
  EXPECT_EQ(nearest("createoption", known), "createOptions");
  EXPECT_EQ(nearest("restartPolicy", known), "");
  EXPECT_EQ(nearest("x", known), "");
  EXPECT_EQ(nearest("", known), "");
  EXPECT_EQ(nearest(std::string(10000, 'i'), known), "");
}

}  // namespace
}  // namespace nacelle::text
