#include <gtest/gtest.h>

#include "domain/device/identity.h"

namespace nacelle::device {
namespace {

const std::string key = "MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY=";
const std::string other_key = "ZmVkY2JhOTg3NjU0MzIxMGZlZGNiYTk4NzY1NDMyMTA=";
const std::vector<std::string> hubs = {"hub.example.net", "localhost:8883"};
const IdentityName dev1{DeviceId("dev1"), {}};
const IdentityName filter{DeviceId("edge1"), ModuleId("filter")};
const IdentityName edge_hub{DeviceId("edge1"), ModuleId("$edgeHub")};
const Timestamp expiry = from_unix_seconds(1'893'456'000);
const Timestamp before = expiry - std::chrono::hours(1);

std::string token_for(const std::string& resource, const std::string& with = key, Timestamp until = expiry,
                      std::string_view policy = {}) {
  auto token = sas::make_token(resource, with, until, policy);
  EXPECT_TRUE(token);
  return token ? *std::move(token) : std::string();
}

Identity identity_of(const IdentityName& name) {
  Identity identity;
  identity.name = name;
  identity.primary_key = key;
  identity.secondary_key = other_key;
  return identity;
}

TEST(ResourceCovers, table) {
  const struct {
    const char* resource;
    bool dev1, filter;
  } cases[] = {
      {"hub.example.net/devices/dev1", true, false},
      {"HUB.Example.NET/devices/dev1", true, false},
      {"hub.example.net:8883/devices/dev1", true, false},
      {"localhost/devices/dev1", true, false},
      {"localhost:1234/devices/dev1/", true, false},
      {"hub.example.net/devices/dev1/api-version=2016-11-14", true, false},
      {"hub.example.net/devices/edge1/modules/filter", false, true},
      {"hub.example.net/devices/edge1", false, false},
      {"hub.example.net/devices/edge1/modules", false, false},
      {"hub.example.net/devices", true, true},
      {"hub.example.net", true, true},
      {"hub.example.net/", true, true},
      {"hub.example.net/devices/DEV1", false, false},
      {"hub.example.net/Devices/dev1", false, false},
      {"hub.example.net/devices/dev1x", false, false},
      {"hub.example.net/devices/dev", false, false},
      {"hub.example.net.evil/devices/dev1", false, false},
      {"evil/devices/dev1", false, false},
      {"hub.example.net:88x/devices/dev1", false, false},
      {"/devices/dev1", false, false},
      {"", false, false},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(resource_covers(c.resource, hubs, dev1), c.dev1) << c.resource;
    EXPECT_EQ(resource_covers(c.resource, hubs, filter), c.filter) << c.resource;
  }
  EXPECT_TRUE(resource_covers("hub.example.net/devices/edge1/modules/%24edgeHub", hubs, edge_hub));
  EXPECT_TRUE(resource_covers_hub("HUB.example.net", hubs));
  EXPECT_FALSE(resource_covers_hub("hub.example.net/devices", hubs));
  EXPECT_FALSE(resource_covers_hub("", {}));
}

TEST(Authenticate, either_key_opens) {
  for (const std::string& with : {key, other_key}) {
    const auto until = authenticate(identity_of(dev1), token_for("hub.example.net%2Fdevices%2Fdev1", with), hubs, before);
    ASSERT_TRUE(until) << until.error().message;
    EXPECT_EQ(*until, expiry + allowed_skew);
  }
  EXPECT_TRUE(authenticate(identity_of(filter), token_for("hub.example.net%2Fdevices%2Fedge1%2Fmodules%2Ffilter"), hubs, before));
}

TEST(Authenticate, the_published_token_is_accepted) {
  EXPECT_TRUE(authenticate(
      identity_of(dev1),
      "SharedAccessSignature sr=hub.example.net%2Fdevices%2Fdev1&sig=ncXfJXbeyTiRLDz9kvk1ElOCiWr2fUvGO9PPFIYKEFA%3D&se=1893456000",
      hubs, before));
}

TEST(Authenticate, a_clock_five_minutes_behind_is_forgiven_and_no_more) {
  const std::string token = token_for("hub.example.net%2Fdevices%2Fdev1");
  EXPECT_TRUE(authenticate(identity_of(dev1), token, hubs, expiry + allowed_skew - std::chrono::seconds(1)));
  EXPECT_FALSE(authenticate(identity_of(dev1), token, hubs, expiry + allowed_skew));
}

TEST(Authenticate, every_refusal_is_denied_says_why_and_shows_no_secret) {
  const std::string good = "hub.example.net%2Fdevices%2Fdev1";
  Identity disabled = identity_of(dev1);
  disabled.enabled = false;
  Identity certified = identity_of(dev1);
  certified.authentication = Authentication::self_signed;
  Identity keyless = identity_of(dev1);
  keyless.primary_key = keyless.secondary_key = "";
  const std::string wrong_key = "YWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWFhYWE=";
  const struct {
    Identity identity;
    std::string token;
    const char* why;
  } cases[] = {
      {disabled, token_for(good), "disabled"},
      {certified, token_for(good), "tokens"},
      {keyless, token_for(good), "not signed"},
      {identity_of(dev1), "", "cannot be read"},
      {identity_of(dev1), "hello", "cannot be read"},
      {identity_of(dev1), token_for(good, wrong_key), "not signed"},
      {identity_of(dev1), token_for(good, key, before - allowed_skew), "expired"},
      {identity_of(dev1), token_for("hub.example.net%2Fdevices%2Fdev2"), "another identity"},
      {identity_of(dev1), token_for("hub.example.net"), "another identity"},
      {identity_of(dev1), token_for("hub.example.net%2Fdevices"), "another identity"},
      {identity_of(dev1), token_for("other.example.net%2Fdevices%2Fdev1"), "another hub"},
      {identity_of(dev1), token_for(good, key, expiry, "device"), "policy"},
      {identity_of(filter), token_for("hub.example.net%2Fdevices%2Fedge1"), "another identity"},
  };
  for (const auto& c : cases) {
    const auto result = authenticate(c.identity, c.token, hubs, before);
    ASSERT_FALSE(result) << c.why;
    EXPECT_EQ(result.error().fault, Fault::denied);
    EXPECT_NE(result.error().message.find(c.why), std::string::npos) << result.error().message;
    EXPECT_EQ(result.error().message.find("sig="), std::string::npos);
    EXPECT_EQ(result.error().message.find(key), std::string::npos);
  }
}

TEST(AuthenticateWithPolicy, needs_the_right_the_name_and_the_cover) {
  Policy device{"device", key, other_key, {.device_connect = true}};
  EXPECT_TRUE(authenticate_with_policy(device, dev1, token_for("hub.example.net", key, expiry, "device"), hubs, before));
  EXPECT_TRUE(
      authenticate_with_policy(device, filter, token_for("hub.example.net%2Fdevices", other_key, expiry, "device"), hubs, before));
  EXPECT_TRUE(
      authenticate_with_policy(device, dev1, token_for("hub.example.net%2Fdevices%2Fdev1", key, expiry, "device"), hubs, before));
  EXPECT_FALSE(
      authenticate_with_policy(device, dev1, token_for("hub.example.net%2Fdevices%2Fdev2", key, expiry, "device"), hubs, before));
  EXPECT_FALSE(authenticate_with_policy(device, dev1, token_for("hub.example.net", key, expiry, "service"), hubs, before));
  EXPECT_FALSE(authenticate_with_policy(device, dev1, token_for("hub.example.net", key, expiry), hubs, before));
  device.rights = {.service_connect = true};
  EXPECT_FALSE(authenticate_with_policy(device, dev1, token_for("hub.example.net", key, expiry, "device"), hubs, before));
}

TEST(AuthenticateService, only_the_hub_itself_covers) {
  const Policy owner{"iothubowner", key, other_key, {true, true, true, true}};
  EXPECT_TRUE(authenticate_service(owner, token_for("hub.example.net", key, expiry, "iothubowner"), hubs, before));
  EXPECT_TRUE(authenticate_service(owner, token_for("localhost%3A8443", key, expiry, "iothubowner"), hubs, before));
  EXPECT_FALSE(authenticate_service(owner, token_for("hub.example.net%2Fdevices", key, expiry, "iothubowner"), hubs, before));
  EXPECT_FALSE(authenticate_service(owner, token_for("hub.example.net", key, expiry), hubs, before));
  EXPECT_FALSE(authenticate_service(owner, token_for("hub.example.net", key, before - allowed_skew, "iothubowner"), hubs, before));
}

}  // namespace
}  // namespace nacelle::device
