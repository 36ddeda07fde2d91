// A damaged segment through the whole hub: it starts, puts the segment aside, says so, and serves and captures all the rest.
#include <fmt/format.h>

#include <fstream>

#include "net/http/client.h"
#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

namespace fs = std::filesystem;

class DamagedLogTest : public HubTest {
 protected:
  /// The segment files of the partition in which the device's messages lie.
  std::vector<fs::path> segments(const std::string& device) {
    const auto partition = storage::partition_of(device, 4);
    std::vector<fs::path> found;
    for (const auto& entry : fs::directory_iterator(folder.path() / "hub" / "events" / fmt::format("{:04}", partition)))
      found.push_back(entry.path());
    return found;
  }
  /// Turns one bit of the message `id` in its segment over.
  void damage(const std::string& device, const std::string& id) {
    for (const fs::path& path : segments(device)) {
      std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
      std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
      const auto at = bytes.find(id);
      if (at == std::string::npos) continue;
      file.clear();
      file.seekp(static_cast<std::streamoff>(at));
      file.put(static_cast<char>(bytes[at] ^ 0x04));
      ASSERT_TRUE(file.good());
      return;
    }
    FAIL() << id << " is in no segment";
  }
  /// One more commit behind what was sent: it shows that the one before was synced, so that damage there is no torn write of a
  /// power cut (docs/decisions/0023-damage-is-put-aside.md).
  void seal(net::MqttClient& connection) { send(connection, "Client_001", 999, 1); }
  std::string metrics() {
    net::HttpClientOptions options;
    options.endpoint = {"127.0.0.1", hub->found_at().metrics, {}};
    net::HttpClient plain(std::move(options));
    net::HttpRequest request;
    request.target = "/metrics";
    return run(plain.send(std::move(request))).value().body;
  }
};

TEST_F(DamagedLogTest, costs_the_messages_that_are_hit_and_nothing_else) {
  const auto device = add("Client_001");
  auto connection = connected(device);
  send(*connection, "Client_001", 100, 50);
  seal(*connection);
  run(connection->close());
  stop();  // as by a kill: nothing is captured yet
  damage("Client_001", "Client_001:117");
  start();

  const Json events = get("/events?from=start&waitSeconds=0&maxEvents=1000");
  EXPECT_EQ(events.find("events")->as_array().size(), 50u);
  connection = connected(device);
  send(*connection, "Client_001", 200, 5);
  const auto ids = message_ids(captured("devicedata"));
  EXPECT_EQ(ids.size(), 55u);
  EXPECT_EQ(std::count(ids.begin(), ids.end(), "Client_001:117"), 0);
  EXPECT_EQ(ids.back(), "Client_001:204");

  const auto has = [page = metrics()](const std::string& line) { return page.find(line + "\n") != std::string::npos; };
  EXPECT_TRUE(has("nacelle_hub_log_quarantined_segments_total 1"));
  EXPECT_TRUE(has("nacelle_hub_capture_lost_total{route=\"turbofanDeviceDataToStorage\"} 1"));
  const auto all = segments("Client_001");
  EXPECT_EQ(std::count_if(all.begin(), all.end(), [](const fs::path& path) { return path.extension() == ".quarantined"; }), 1)
      << "the damaged file is kept";
  const Json endpoint = get("/endpoints").find("endpoints")->as_array().at(0);
  EXPECT_EQ(endpoint.find("health")->as_string(), "healthy");
  EXPECT_EQ(endpoint.find("lost")->as_integer(), 1);
  run(connection->close());
}

TEST_F(DamagedLogTest, the_hub_starts_over_any_single_damage_and_serves_the_rest) {
  const auto device = add("Client_001");
  auto connection = connected(device);
  send(*connection, "Client_001", 100, 20);
  seal(*connection);
  run(connection->close());
  stop();
  std::size_t before = 21;
  for (const char* id : {"Client_001:100", "Client_001:119", "Client_001:110"}) {
    damage("Client_001", id);
    start();
    const std::size_t served = get("/events?from=start&waitSeconds=0&maxEvents=1000").find("events")->as_array().size();
    EXPECT_EQ(served, before - 1) << id;
    before = served;
    stop();
  }
}

}  // namespace
}  // namespace nacelle::hub::testing
