#include "service/endpoint/hub_file.h"

#include <gtest/gtest.h>

#include <unistd.h>

#include <fstream>

namespace nacelle::endpoint {
namespace {

class HubFileTest : public testing::Test {
 protected:
  HubFileTest() : folder_(std::filesystem::path(testing::TempDir()) / ("hub_file_" + std::to_string(getpid()))) {
    std::filesystem::create_directories(folder_);
  }
  ~HubFileTest() override { std::filesystem::remove_all(folder_); }
  void write(const std::string& text) { std::ofstream(folder_ / "hub.json") << text; }
  const std::filesystem::path folder_;
};

TEST_F(HubFileTest, what_the_hub_writes_is_read_from_file_or_folder) {
  HubFile hub;
  hub.mqtts = 8883;
  hub.https = 8443;
  hub.ca_path = "certs/ca.pem";
  hub.connection_string = "HostName=localhost;SharedAccessKeyName=iothubowner;SharedAccessKey=a2V5";
  write(json::print(hub_file_document(hub)));
  for (const auto& path : {folder_, folder_ / "hub.json"}) {
    const auto read = read_hub_file(path);
    ASSERT_TRUE(read) << read.error().message;
    EXPECT_EQ(read->https, 8443);
    EXPECT_EQ(read->connection_string, hub.connection_string);
    EXPECT_EQ(read->ca_path, folder_ / "certs/ca.pem");
  }
  EXPECT_EQ(ready_line_document(hub).find("connectionString"), nullptr);
}

TEST_F(HubFileTest, refusals_name_the_member_and_never_the_key) {
  EXPECT_EQ(read_hub_file(folder_ / "nothing").error().fault, Fault::not_found);
  for (const char* text : {"", "[]", R"({"https":70000,"connectionString":"secret"})",
                           R"({"https":"x","connectionString":"secret"})", R"({"connectionString":"secret"})", R"({"https":1})"}) {
    write(text);
    const auto read = read_hub_file(folder_);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().message.find("secret"), std::string::npos);
  }
}

}  // namespace
}  // namespace nacelle::endpoint
