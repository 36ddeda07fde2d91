#include "domain/provisioning/enrollment.h"

#include <gtest/gtest.h>

#include "codec/sas/token.h"

namespace nacelle::provisioning {
namespace {

// Wire facts 1.3 and 4.3.
constexpr const char* vector_key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const Timestamp now{std::chrono::seconds{1'893'450'000}};

Result<Enrollment> read(const std::string& text, EnrollmentKind kind = EnrollmentKind::individual, const std::string& id = "reg1") {
  return parse_enrollment(json::parse(text).value(), kind, id);
}
std::string with_key(const char* key) {
  return std::string(R"({"attestation":{"type":"symmetricKey","symmetricKey":{"primaryKey":")") + key + R"(","secondaryKey":""}}})";
}

TEST(Enrollment, group_keys_are_derived_as_the_vector_says) {
  const auto group = read(with_key(vector_key), EnrollmentKind::group, "g1").value();
  EXPECT_EQ(keys_of(group, "reg1").value().primary, "4N3qlKfJiRxYFxF5qnGQy7dnxG82bG3sKtd7Db5x0oQ=");
  const auto one = read(with_key(vector_key)).value();
  EXPECT_EQ(keys_of(one, "reg1").value().primary, vector_key);
  EXPECT_NE(one.secondary_key, "") << "missing keys are made";
}

TEST(Enrollment, a_token_is_for_one_scope_and_registration_and_one_time) {
  const Keys keys{vector_key, vector_key};
  const char* token =
      "SharedAccessSignature "
      "sr=0ne00ABCDEF/registrations/reg1&sig=Gz5d9GBqrwdDiACcyJYP0YsOaljTyV1XzJbc%2FpzZnTQ%3D&se=1893456000&skn=registration";
  EXPECT_TRUE(check_token(keys, "0ne00ABCDEF", "reg1", token, now).has_value());
  EXPECT_FALSE(check_token(keys, "0ne00ABCDEF", "reg2", token, now).has_value());
  EXPECT_FALSE(check_token(keys, "0ne00000000", "reg1", token, now).has_value());
  EXPECT_FALSE(check_token(keys, "0ne00ABCDEF", "reg1", token, now + std::chrono::hours{3}).has_value());
  const std::string other = sas::random_key();
  EXPECT_FALSE(check_token({other, other}, "0ne00ABCDEF", "reg1", token, now).has_value());
  EXPECT_FALSE(check_token(keys, "0ne00ABCDEF", "reg1", "", now).has_value());
  const std::string encoded =
      sas::make_token("0ne00ABCDEF%2Fregistrations%2Freg1", vector_key, now + std::chrono::hours{1}, "registration").value();
  EXPECT_TRUE(check_token(keys, "0ne00ABCDEF", "reg1", encoded, now).has_value()) << "other SDKs encode the resource";
}

TEST(Enrollment, documents_are_read_and_printed_without_keys) {
  const auto read_back =
      read(R"({"registrationId":"reg1","deviceId":"dev1","attestation":{"type":"symmetricKey"},"capabilities":{"iotEdge":true},
    "initialTwin":{"tags":{"a":1},"properties":{"desired":{"r":2}}},"provisioningStatus":"disabled","allocationPolicy":"static",
    "reprovisionPolicy":{"updateHubAssignment":true,"migrateDeviceData":false}})");
  ASSERT_TRUE(read_back.has_value());
  EXPECT_TRUE(read_back->edge);
  EXPECT_FALSE(read_back->enabled);
  EXPECT_EQ(decide(*read_back, false), Assignment::first);
  EXPECT_EQ(decide(*read_back, true), Assignment::start_over);
  const std::string shown = json::print(to_json(*read_back, false));
  EXPECT_EQ(shown.find(read_back->primary_key), std::string::npos);
  EXPECT_NE(shown.find(R"("allocationPolicy":"static")"), std::string::npos);
  const auto again = parse_enrollment(to_json(*read_back, true), EnrollmentKind::individual, "reg1");
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->primary_key, read_back->primary_key);
  EXPECT_EQ(json::print(*again->initial_twin.desired), R"({"r":2})");
}

TEST(Enrollment, mistakes_are_named) {
  EXPECT_FALSE(read(R"([])").has_value());
  EXPECT_FALSE(read(R"({"attestation":{"type":"tpm"}})").has_value());
  EXPECT_FALSE(read(R"({"attestation":{"type":"x509","x509":{}}})").has_value());
  EXPECT_FALSE(read(with_key("c2hvcnQ=")).has_value());
  EXPECT_FALSE(read(R"({"attestation":{"type":"symmetricKey"},"allocationPolicy":"custom"})").has_value());
  EXPECT_FALSE(read(R"({"attestation":{"type":"symmetricKey"},"registrationId":"other"})").has_value());
  EXPECT_FALSE(read(R"({"attestation":{"type":"symmetricKey"},"initialTwin":{"tags":{"a.b":1}}})").has_value());
  EXPECT_FALSE(check_registration_id("ends.").has_value());
  EXPECT_FALSE(check_registration_id("a b").has_value());
  EXPECT_TRUE(check_registration_id("Reg-1:x_y.").has_value() == false && check_registration_id("Reg-1:x_y-").has_value());
}

}  // namespace
}  // namespace nacelle::provisioning
