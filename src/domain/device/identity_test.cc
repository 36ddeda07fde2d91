#include "domain/device/identity.h"

#include <gtest/gtest.h>

namespace nacelle::device {
namespace {

const IdentityName dev1{DeviceId("dev1"), {}};
const IdentityName filter{DeviceId("edge1"), ModuleId("filter")};

json::Value document(std::string_view text) {
  auto value = json::parse(text);
  EXPECT_TRUE(value) << text;
  return value ? *std::move(value) : json::Value();
}

TEST(DeviceIds, every_allowed_character_up_to_128) {
  EXPECT_TRUE(parse_device_id("aZ09-:.+%_#*?!(),=@$';"));
  EXPECT_TRUE(parse_device_id(std::string(128, 'x')));
  EXPECT_TRUE(parse_module_id("$edgeHub"));
}

TEST(DeviceIds, everything_else_is_refused) {
  for (const std::string& text :
       {std::string(), std::string(129, 'x'), std::string("a/b"), std::string("a b"), std::string("ä"), std::string("a\0", 2),
        std::string("a\"b"), std::string("a\\b"), std::string("."), std::string(".."), std::string("a\n"), std::string("a<b")}) {
    EXPECT_FALSE(parse_device_id(text)) << text;
    EXPECT_FALSE(parse_module_id(text)) << text;
  }
  EXPECT_FALSE(parse_module_id("a;b"));
}

TEST(ClientId, device_and_module_forms) {
  EXPECT_EQ(*parse_client_id("dev1"), dev1);
  EXPECT_EQ(*parse_client_id("edge1/filter"), filter);
  EXPECT_EQ(filter.client_id(), "edge1/filter");
  EXPECT_EQ(dev1.client_id(), "dev1");
  for (const char* text : {"", "/", "dev1/", "/m", "a/b/c"}) EXPECT_FALSE(parse_client_id(text)) << text;
}

TEST(DeviceDocument, missing_authentication_makes_two_different_keys) {
  const auto identity = from_json(document(R"({"deviceId":"dev1"})"), dev1);
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ(identity->authentication, Authentication::sas);
  EXPECT_EQ(identity->primary_key.size(), 44u);
  EXPECT_EQ(identity->secondary_key.size(), 44u);
  EXPECT_NE(identity->primary_key, identity->secondary_key);
  EXPECT_TRUE(identity->enabled);
}

TEST(DeviceDocument, what_the_registry_prints_reads_back) {
  Identity identity;
  identity.name = dev1;
  identity.generation_id = "638400000000000001";
  identity.enabled = false;
  identity.status_reason = "under repair";
  identity.primary_key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
  identity.secondary_key = identity.primary_key;
  identity.edge = true;
  identity.scope = edge_scope(identity);
  const json::Value printed = to_json(identity);
  EXPECT_EQ(printed.find("etag")->as_string(), "AAAAAAAAAAE=");
  EXPECT_EQ(printed.find("deviceScope")->as_string(), "ms-azure-iot-edge://dev1-638400000000000001");
  EXPECT_EQ(printed.find("lastActivityTime")->as_string(), "0001-01-01T00:00:00");
  const auto again = from_json(printed, dev1);
  ASSERT_TRUE(again) << again.error().message;
  EXPECT_FALSE(again->enabled);
  EXPECT_EQ(again->status_reason, "under repair");
  EXPECT_EQ(again->primary_key, identity.primary_key);
  EXPECT_TRUE(again->edge);
  EXPECT_EQ(again->scope, identity.scope);
}

TEST(DeviceDocument, a_modules_document_names_its_manager_and_no_status) {
  Identity identity;
  identity.name = filter;
  identity.managed_by = "IotEdge";
  const json::Value printed = to_json(identity);
  EXPECT_EQ(printed.find("moduleId")->as_string(), "filter");
  EXPECT_EQ(printed.find("managedBy")->as_string(), "IotEdge");
  EXPECT_EQ(printed.find("status"), nullptr);
  EXPECT_EQ(printed.find("capabilities"), nullptr);
  EXPECT_EQ(from_json(printed, filter)->managed_by, "IotEdge");
}

TEST(DeviceDocument, thumbprints_imply_self_signed) {
  const std::string thumbprint(40, 'A');
  const auto identity =
      from_json(document(R"({"authentication":{"x509Thumbprint":{"primaryThumbprint":")" + thumbprint + R"("}}})"), dev1);
  ASSERT_TRUE(identity) << identity.error().message;
  EXPECT_EQ(identity->authentication, Authentication::self_signed);
  EXPECT_EQ(identity->primary_thumbprint, std::string(40, 'a'));
  EXPECT_EQ(identity->primary_key, "");
}

TEST(DeviceDocument, refusals_name_the_member) {
  const struct {
    const char* text;
    const char* named;
  } cases[] = {
      {R"([])", "object"},
      {R"({"deviceId":"other"})", "deviceId"},
      {R"({"deviceId":7})", "deviceId"},
      {R"({"status":"on"})", "status"},
      {R"({"status":true})", "status"},
      {R"({"authentication":"sas"})", "authentication"},
      {R"({"authentication":{"type":"password"}})", "type"},
      {R"({"authentication":{"type":"selfSigned"}})", "thumbprint"},
      {R"({"authentication":{"symmetricKey":{"primaryKey":"not base64!"}}})", "primaryKey"},
      {R"({"authentication":{"symmetricKey":{"secondaryKey":"c2hvcnQ="}}})", "secondaryKey"},
      {R"({"authentication":{"symmetricKey":[]}})", "symmetricKey"},
      {R"({"authentication":{"x509Thumbprint":{"primaryThumbprint":"abcd"}}})", "primaryThumbprint"},
      {R"({"capabilities":{"iotEdge":"yes"}})", "iotEdge"},
      {R"({"capabilities":1})", "capabilities"},
      {R"({"deviceScope":1})", "deviceScope"},
      {R"({"parentScopes":"x"})", "parentScopes"},
      {R"({"parentScopes":[1]})", "parentScopes"},
  };
  for (const auto& c : cases) {
    const auto identity = from_json(document(c.text), dev1);
    ASSERT_FALSE(identity) << c.text;
    EXPECT_EQ(identity.error().fault, Fault::invalid_input);
    EXPECT_NE(identity.error().message.find(c.named), std::string::npos) << identity.error().message;
    EXPECT_EQ(identity.error().message.find("not base64!"), std::string::npos) << "a key was shown";
  }
}

TEST(DeviceDocument, nulls_and_unknown_members_are_passed_over) {
  EXPECT_TRUE(from_json(
      document(
          R"({"deviceId":null,"status":null,"authentication":{"type":null,"symmetricKey":null,"x509Thumbprint":{"primaryThumbprint":null}},
      "capabilities":null,"deviceScope":null,"parentScopes":null,"tags":{"a":1},"etag":"x"})"),
      dev1));
}

}  // namespace
}  // namespace nacelle::device
