#include "codec/sas/token.h"

#include <gtest/gtest.h>

#include "codec/text/encoding.h"

namespace nacelle::sas {
namespace {

// The key of wire facts 1.3: the base64 of 32 ASCII characters, made up for tests.
constexpr std::string_view key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
constexpr std::string_view other_key = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
const Timestamp expiry = from_unix_seconds(1'893'456'000);
constexpr std::string_view device_token =
    "SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=ncXfJXbeyTiRLDz9kvk1ElOCiWr2fUvGO9PPFIYKEFA%3D&se=1893456000";

TEST(SasToken, known_signatures_are_made) {
  const std::pair<std::string_view, std::string_view> vectors[] = {
      {"hub.example.net%2Fdevices%2Fdev1", "ncXfJXbeyTiRLDz9kvk1ElOCiWr2fUvGO9PPFIYKEFA="},
      {"hub.example.net%2Fdevices%2Fedge1%2Fmodules%2Ffilter", "U19arAJxcdiGeSq6hgwkWbRLYxRXz/iknKdOqjzo9U4="},
      {"hub.example.net", "JsaJO5gTLF8mah9LxN0bGUcqp1KDFGr998P4Kix6V8A="},
      {"0ne00ABCDEF/registrations/reg1", "Gz5d9GBqrwdDiACcyJYP0YsOaljTyV1XzJbc/pzZnTQ="}};
  for (const auto& [resource, signature] : vectors) {
    const auto token = parse_token(*make_token(resource, key, expiry));
    ASSERT_TRUE(token) << resource;
    EXPECT_EQ(text::base64_encode(token->signature), signature);
    EXPECT_EQ(token->resource_literal, resource);
    EXPECT_TRUE(signed_by(*token, key));
  }
  EXPECT_EQ(*make_token(device_resource("hub.example.net", "dev1"), key, expiry), device_token);
}

TEST(SasToken, is_taken_apart) {
  const auto token = parse_token(device_token);
  ASSERT_TRUE(token);
  EXPECT_EQ(token->resource_literal, "hub.example.net%2Fdevices%2Fdev1");
  EXPECT_EQ(token->resource, "hub.example.net/devices/dev1");
  EXPECT_EQ(token->expires_at, expiry);
  EXPECT_EQ(token->policy, "");
}

TEST(SasToken, fields_come_in_any_order_with_escapes_in_any_case) {
  const auto token = parse_token(
      "sharedaccesssignature   "
      "skn=&extra=1&se=1893456000&sig=ncXfJXbeyTiRLDz9kvk1ElOCiWr2fUvGO9PPFIYKEFA%3d&sr=hub.example.net%2Fdevices%2Fdev1");
  ASSERT_TRUE(token);
  EXPECT_TRUE(signed_by(*token, key));
  EXPECT_EQ(token->policy, "");
}

TEST(SasToken, a_signature_over_the_decoded_resource_is_accepted) {
  auto token = *parse_token(*make_token("hub.example.net/devices/dev1", key, expiry));
  token.resource_literal = "hub.example.net%2Fdevices%2Fdev1";
  EXPECT_TRUE(signed_by(token, key));
}

TEST(SasToken, any_change_breaks_the_signature) {
  const Token token = *parse_token(device_token);
  ASSERT_TRUE(signed_by(token, key));
  EXPECT_FALSE(signed_by(token, other_key));
  EXPECT_FALSE(signed_by(token, ""));
  EXPECT_FALSE(signed_by(token, "not base64!"));
  Token changed = token;
  changed.expiry_literal = "1893456001";
  EXPECT_FALSE(signed_by(changed, key));
  changed = token;
  changed.resource_literal = "hub.example.net%2fdevices%2Fdev1";
  changed.resource = "hub.example.net/devices/dev2";
  EXPECT_FALSE(signed_by(changed, key));
  changed = token;
  changed.signature.pop_back();
  EXPECT_FALSE(signed_by(changed, key));
  changed.signature.clear();
  EXPECT_FALSE(signed_by(changed, key));
}

TEST(SasToken, a_policy_travels_encoded) {
  const auto text = make_token("hub", key, expiry, "my policy");
  EXPECT_NE(text->find("&skn=my%20policy"), std::string::npos);
  EXPECT_EQ(parse_token(*text)->policy, "my policy");
}

TEST(SasToken, an_expiry_beyond_the_calendar_is_the_last_second) {
  EXPECT_EQ(unix_seconds(parse_token("SharedAccessSignature sr=a&sig=YQ&se=9000000000000000000")->expires_at), 253'402'300'799);
}

TEST(SasToken, malformed_tokens_are_refused_without_showing_them) {
  for (const std::string text :
       {"", "SharedAccessSignature", "SharedAccessSignature ", "Bearer sr=leak&sig=YQ&se=1", "SharedAccessSignature sr=leak",
        "SharedAccessSignature sr=leak&sig=YQ", "SharedAccessSignature sr=leak&se=1", "SharedAccessSignature sig=YQ&se=1",
        "SharedAccessSignature sr=&sig=YQ&se=1", "SharedAccessSignature sr=leak&sig=&se=1",
        "SharedAccessSignature sr=leak&sig=*&se=1", "SharedAccessSignature sr=leak&sig=YQ&se=",
        "SharedAccessSignature sr=leak&sig=YQ&se=-1", "SharedAccessSignature sr=leak&sig=YQ&se=1x",
        "SharedAccessSignature sr=leak&sig=YQ&se=99999999999999999999", "SharedAccessSignature sr=leak%2&sig=YQ&se=1",
        "SharedAccessSignature sr=leak&sr=b&sig=YQ&se=1", "SharedAccessSignature leak&sig=YQ&se=1"}) {
    const auto token = parse_token(text);
    ASSERT_FALSE(token) << text;
    EXPECT_EQ(token.error().fault, Fault::invalid_input);
    EXPECT_EQ(token.error().message.find("leak"), std::string::npos);
  }
  EXPECT_FALSE(parse_token("SharedAccessSignature sr=" + std::string(5000, 'a') + "&sig=YQ&se=1"));
}

TEST(SasToken, every_truncation_is_refused_or_unsigned) {
  for (std::size_t length = 0; length < device_token.size(); ++length) {
    const auto token = parse_token(device_token.substr(0, length));
    EXPECT_FALSE(token && signed_by(*token, key)) << length;
  }
}

TEST(SasKey, derived_key_matches_the_provisioning_vector) {
  EXPECT_EQ(*derive_key(key, "reg1"), "4N3qlKfJiRxYFxF5qnGQy7dnxG82bG3sKtd7Db5x0oQ=");
  EXPECT_FALSE(derive_key("!", "reg1"));
  EXPECT_FALSE(derive_key("", "reg1"));
}

TEST(SasKey, random_keys_are_32_bytes_and_differ) {
  EXPECT_EQ(text::base64_decode(random_key())->size(), 32u);
  EXPECT_NE(random_key(), random_key());
}

TEST(SasResource, modules_are_below_their_device) {
  EXPECT_EQ(device_resource("hub.example.net", "edge1", "filter"), "hub.example.net%2Fdevices%2Fedge1%2Fmodules%2Ffilter");
  EXPECT_EQ(device_resource("h", "d(1)*"), "h%2Fdevices%2Fd%281%29%2a");
}

/// Wire facts 7.4.
TEST(SignedByText, is_the_rule_of_event_hubs) {
  const std::string key_text = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
  const auto parsed = parse_token(
      "SharedAccessSignature "
      "sr=sb%3A%2F%2Fhub.example.net%2Fhub&sig=AOTdGqopTmPVRbv9Ay5ilAsRvdcLrszAi%2F5S1yL5o%2B4%3D&se=1893456000"
      "&skn=service");
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(signed_by_text(*parsed, key_text));
  EXPECT_FALSE(signed_by(*parsed, key_text)) << "the hub's own rule decodes the key";
  EXPECT_FALSE(signed_by_text(*parsed, "another"));
  EXPECT_FALSE(signed_by_text(*parsed, ""));
}

}  // namespace
}  // namespace nacelle::sas
