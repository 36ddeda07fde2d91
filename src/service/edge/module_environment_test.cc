#include "service/edge/module_environment.h"

#include <gtest/gtest.h>

#include <cstdlib>

namespace nacelle::edge {
namespace {

const ModuleSurroundings around{"edge1", "hub.example", "localhost:18883", "unix:///run/m.sock", "638", "/data/m"};

TEST(ModuleEnvironment, identity_and_sockets_cannot_be_overridden_by_the_manifest) {
  deployment::ModuleSpec spec;
  spec.name = "classifier";
  spec.env = {{"IOTEDGE_MODULEID", "$edgeAgent"}, {"IOTEDGE_WORKLOADURI", "unix:///other"}, {"HOME", "/tmp"}, {"LIMIT", "3"}};
  const auto all = environment_of(spec, around);
  EXPECT_EQ(all.at("IOTEDGE_MODULEID"), "classifier");
  EXPECT_EQ(all.at("IOTEDGE_WORKLOADURI"), "unix:///run/m.sock");
  EXPECT_EQ(all.at("IOTEDGE_GATEWAYHOSTNAME"), "localhost:18883");
  EXPECT_EQ(all.at("HOME"), "/tmp");
  EXPECT_EQ(all.at("LIMIT"), "3");
}

TEST(ModuleEnvironment, the_edge_own_secret_is_not_handed_on) {
  ::setenv("NACELLE_EDGE_CONNECTION", "HostName=h;DeviceId=d;SharedAccessKey=c2VjcmV0", 1);
  const auto all = environment_of({}, around);
  ::unsetenv("NACELLE_EDGE_CONNECTION");
  for (const auto& [name, value] : all) EXPECT_EQ(value.find("c2VjcmV0"), std::string::npos) << name;
}

}  // namespace
}  // namespace nacelle::edge
