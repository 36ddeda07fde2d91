#include "ml/registry/reference.h"

#include <gtest/gtest.h>

namespace nacelle::registry {
namespace {

TEST(ParseReference, tells_versions_aliases_and_bare_names_apart) {
  EXPECT_EQ(parse_reference("turbofan-rul:12")->version, 12);
  EXPECT_EQ(parse_reference("turbofan-rul@champion")->alias, "champion");
  EXPECT_TRUE(parse_reference("turbofan-rul")->bare);
}

TEST(ParseReference, what_cannot_be_a_name_is_refused) {
  for (const char* wrong : {"", ":1", "@a", "a:", "a:0", "a:-1", "a:x", "a:1x", "a@", "a@b@c", "a:1@b", "1a", "a b", "../x", "a@1"})
    EXPECT_FALSE(parse_reference(wrong)) << wrong;
  EXPECT_FALSE(check_name(std::string(65, 'a'), "model"));
  EXPECT_FALSE(check_stage("live"));
  EXPECT_TRUE(check_stage("production"));
}

}  // namespace
}  // namespace nacelle::registry
