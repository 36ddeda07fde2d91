#include <gtest/gtest.h>

#include "domain/device/identity.h"

namespace nacelle::device {
namespace {

Result<Rights> parse(const char* text) { return parse_rights(json::parse(text).value(), "rights"); }

TEST(PolicyRights, are_read_as_they_are_written) {
  EXPECT_EQ(parse_rights(rights_json(all_rights()), "rights").value(), all_rights());
  EXPECT_EQ(json::print(rights_json(parse(R"(["serviceconnect","RegistryRead"])").value())),
            R"(["RegistryRead","ServiceConnect"])");
  EXPECT_EQ(parse("[]").value(), Rights{});
}

TEST(PolicyRights, writing_brings_reading_with_it) {
  const Rights rights = parse(R"(["RegistryWrite","EnrollmentWrite","RegistrationStatusWrite"])").value();
  EXPECT_TRUE(rights.registry_read && rights.enrollment_read && rights.registration_read);
  EXPECT_FALSE(rights.service_connect || rights.device_connect);
}

TEST(PolicyRights, what_is_no_list_of_rights_is_refused) {
  for (const char* bad : {R"("ServiceConnect")", R"(["Everything"])", "[1]", "null", "{}", R"([""])"})
    EXPECT_EQ(parse(bad).error().fault, Fault::invalid_input) << bad;
}

TEST(PolicyName, is_short_and_plain) {
  EXPECT_TRUE(check_policy_name("line-a.read_only"));
  EXPECT_TRUE(check_policy_name(std::string(64, 'x')));
  for (const std::string& bad :
       {std::string(), std::string(65, 'x'), std::string("a b"), std::string("a&skn=b"), std::string("a/b")})
    EXPECT_FALSE(check_policy_name(bad)) << bad;
}

TEST(PolicyKeys, change_one_at_a_time_or_places) {
  std::string primary = "one", secondary = "two";
  change_keys(parse_key_change("swap").value(), primary, secondary);
  EXPECT_EQ(primary, "two");
  EXPECT_EQ(secondary, "one");
  change_keys(parse_key_change("primary").value(), primary, secondary);
  EXPECT_EQ(primary.size(), sas::random_key().size());
  EXPECT_EQ(secondary, "one");
  change_keys(parse_key_change("secondary").value(), primary, secondary);
  EXPECT_NE(secondary, "one");
  EXPECT_NE(primary, secondary);
  EXPECT_FALSE(parse_key_change("both"));
}

}  // namespace
}  // namespace nacelle::device
