#include "codec/sas/connection_string.h"

#include <gtest/gtest.h>

namespace nacelle::sas {
namespace {

TEST(ConnectionString, device_and_module_forms_come_back) {
  for (const std::string text :
       {"HostName=h.example.net:8883;DeviceId=d1;SharedAccessKey=YWJj",
        "HostName=h;DeviceId=d1;ModuleId=m1;SharedAccessKey=YWI=;GatewayHostName=gw", "HostName=h;DeviceId=d1;x509=true",
        "HostName=h;SharedAccessKeyName=iothubowner;SharedAccessKey=YQ=="}) {
    const auto parts = parse_connection_string(text);
    ASSERT_TRUE(parts) << parts.error().message;
    EXPECT_EQ(print_connection_string(*parts), text);
  }
}

TEST(ConnectionString, the_service_form_is_known_by_its_policy) {
  const auto parts = parse_connection_string("SharedAccessKey=YQ==;SharedAccessKeyName=service;HostName=h;");
  ASSERT_TRUE(parts);
  EXPECT_TRUE(parts->is_service());
  EXPECT_EQ(parts->policy_name, "service");
  EXPECT_EQ(parts->shared_access_key, "YQ==");  // split at the first `=` only
}

TEST(ConnectionString, of_repeated_parts_the_last_counts) {
  EXPECT_EQ(parse_connection_string("HostName=a;HostName=b;DeviceId=d;SharedAccessKey=YQ==")->host_name, "b");
}

TEST(ConnectionString, faults_name_the_missing_part) {
  const std::pair<std::string, std::string> cases[] = {
      {"DeviceId=d;SharedAccessKey=YQ==", "HostName is missing"},
      {"HostName=h;SharedAccessKey=YQ==", "DeviceId or SharedAccessKeyName is missing"},
      {"HostName=h;DeviceId=d", "SharedAccessKey is missing"},
      {"HostName=h;DeviceId=d;SharedAccessKey=", "SharedAccessKey is missing"},
      {"HostName=h;DeviceId=d;SharedAccessKey=%%", "SharedAccessKey is not base64"},
      {"HostName=h;SharedAccessKeyName=p;DeviceId=d;SharedAccessKey=YQ==", "has both DeviceId and SharedAccessKeyName"},
      {"HostName=h;ModuleId=m;SharedAccessKeyName=p;SharedAccessKey=YQ==", "ModuleId needs a DeviceId"},
      {"HostName=h;DeviceId=d;x509=maybe", "x509 is neither true nor false"},
      {"HostName=h;DeviceId=d;x509=true;SharedAccessKey=YQ==", "x509=true goes with neither a key nor a policy"},
      {"HostName=h;hostname=h;DeviceId=d;SharedAccessKey=YQ==", "unknown part 'hostname'"},
      {"", "HostName is missing"}};
  for (const auto& [text, message] : cases) {
    const auto parts = parse_connection_string(text);
    ASSERT_FALSE(parts) << text;
    EXPECT_EQ(parts.error().message, "connection string: " + message) << text;
  }
}

TEST(ConnectionString, no_fault_shows_the_key) {
  for (const std::string text : {"HostName=h;DeviceId=d;SecretSecretSecretSecretSecret=", "HostName=h;DeviceId=d;U2Vjc=",
                                 "HostName=h;DeviceId=d;U2Vjc", "HostName=h;DeviceId=d;SharedAccessKey=U2Vjc!"}) {
    const auto parts = parse_connection_string(text);
    ASSERT_FALSE(parts);
    EXPECT_EQ(parts.error().message.find("Secret"), std::string::npos);
    EXPECT_EQ(parts.error().message.find("U2V"), std::string::npos) << parts.error().message;
  }
}

}  // namespace
}  // namespace nacelle::sas
