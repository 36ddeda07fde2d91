#include "service/turbofan/module_environment.h"

#include <gtest/gtest.h>

#include <map>

namespace nacelle::turbofan {
namespace {

Variables variables(std::map<std::string, std::string> all) {
  return [all](const char* name) -> const char* {
    const auto at = all.find(name);
    return at == all.end() ? nullptr : at->second.c_str();
  };
}

const std::map<std::string, std::string> complete{{"IOTEDGE_WORKLOADURI", "unix:///run/w.sock"},
                                                  {"IOTEDGE_DEVICEID", "edge1"},
                                                  {"IOTEDGE_MODULEID", "router"},
                                                  {"IOTEDGE_MODULEGENERATIONID", "g1"},
                                                  {"IOTEDGE_IOTHUBHOSTNAME", "hub:8443"},
                                                  {"IOTEDGE_GATEWAYHOSTNAME", "gw:18883"},
                                                  {"IOTEDGE_AUTHSCHEME", "SASTOKEN"},
                                                  {"NACELLE_MODULE_FOLDER", "/data/router"}};

TEST(ModuleEnvironment, all_is_read_from_the_edge_s_variables) {
  const auto me = read_environment(variables(complete));
  ASSERT_TRUE(me) << me.error().message;
  EXPECT_EQ(me->client_id(), "edge1/router");
  EXPECT_EQ(me->gateway.host, "gw");
  EXPECT_EQ(me->gateway.port, 18883);
  EXPECT_EQ(me->workload_socket, "/run/w.sock");
  EXPECT_EQ(me->folder, "/data/router");
}

TEST(ModuleEnvironment, each_missing_variable_is_named) {
  for (const auto& [name, value] : complete) {
    if (name == "NACELLE_MODULE_FOLDER") continue;
    auto without = complete;
    without.erase(name);
    const auto refused = read_environment(variables(without));
    ASSERT_FALSE(refused) << name;
    EXPECT_NE(refused.error().message.find(name), std::string::npos) << refused.error().message;
  }
}

TEST(ModuleEnvironment, a_connection_string_is_enough_and_its_key_is_never_shown) {
  const auto me = read_environment(
      variables({{"EdgeHubConnectionString", "HostName=hub;DeviceId=e;ModuleId=m;SharedAccessKey=c2VjcmV0;GatewayHostName=gw"},
                 {"EdgeModuleCACertificateFile", "/ca.pem"}}));
  ASSERT_TRUE(me) << me.error().message;
  EXPECT_EQ(me->gateway.host, "gw");
  EXPECT_EQ(me->gateway.port, 8883);
  EXPECT_EQ(me->ca_file, "/ca.pem");
  EXPECT_EQ(me->key, "c2VjcmV0");
  const auto refused =
      read_environment(variables({{"EdgeHubConnectionString", "HostName=hub;DeviceId=e;SharedAccessKey=c2VjcmV0"}}));
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message.find("c2VjcmV0"), std::string::npos);
}

TEST(ModuleEnvironment, numbers_are_held_to_their_range) {
  EXPECT_EQ(*number_variable(variables({}), "N", 7, 1, 10), 7);
  EXPECT_EQ(*number_variable(variables({{"N", "3"}}), "N", 7, 1, 10), 3);
  EXPECT_FALSE(number_variable(variables({{"N", "11"}}), "N", 7, 1, 10));
  EXPECT_FALSE(number_variable(variables({{"N", "many"}}), "N", 7, 1, 10));
}

}  // namespace
}  // namespace nacelle::turbofan
