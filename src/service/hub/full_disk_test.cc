// A hub whose event log meets a full disk.
#include <set>

#include "service/hub/amqp_testing.h"
#include "service/hub/filtered_files.h"
#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

class FullDiskTest : public HubTest {
 protected:
  FullDiskTest() {
    stop();
    start(options(), disk);
  }
  ~FullDiskTest() override { stop(); }
  FilteredFiles disk{"/events/"};
};

TEST_F(FullDiskTest, what_does_not_fit_is_not_acknowledged_and_all_else_goes_on_until_there_is_room) {
  const auto device = add("Client_001");
  const auto connection = connected(device);
  send(*connection, "Client_001", 0, 10);

  disk.refuse = true;
  std::promise<Result<>> late;
  const std::string topic = telemetry::event_topic("Client_001", {}, "%24.mid=late");
  connection->publish(topic, "{}", mqtt::QoS::at_least_once, [&](Result<> acked) { late.set_value(std::move(acked)); });
  auto late_acked = late.get_future();
  Counters& counters = hub->services().counters;
  for (int i = 0; i < 20'000 && counters.refused_messages == 0; ++i) get("/statistics/messages");
  EXPECT_EQ(counters.refused_messages, 1u);
  EXPECT_EQ(late_acked.wait_for(std::chrono::seconds{0}), std::future_status::timeout) << "refused is not acknowledged";
  EXPECT_TRUE(hub->services().endpoint.connected(device.name)) << "the connection is kept";
  EXPECT_EQ(get("/events?from=start&waitSeconds=0").find("events")->as_array().size(), 10u) << "reading goes on";
  EXPECT_EQ(call("POST", "/devices/Client_001/messages/events", "{}", {}, token(device)).status, 503)
      << "and says why where it can";
  flush();

  disk.refuse = false;
  send(*connection, "Client_001", 10, 10);  // by itself, on the same connection
  hub->services().endpoint.disconnect(device.name, "so that the client sends again what was not acknowledged");
  EXPECT_TRUE(late_acked.get().has_value());
  const auto events = get("/events?from=start&waitSeconds=0");
  std::multiset<std::string> seen;
  for (const auto& event : events.find("events")->as_array())
    seen.insert(event.at_path({"systemProperties", "messageId"})->as_string());
  EXPECT_EQ(seen.size(), 21u);
  EXPECT_EQ(seen.count("late"), 1u);
  run(connection->close());
}

TEST_F(FullDiskTest, over_amqp_what_does_not_fit_is_rejected_and_the_link_goes_on) {
  const auto device = add("Client_001");
  auto story = [](Services& services, std::string shown, FilteredFiles& filling) -> awaitable<void> {
    const AmqpSessionPtr session = co_await join(*services.amqp);
    co_await put_token(*session->peer, shown);
    co_await session->peer->attach("events", 2, false, "/devices/Client_001/messages/events");
    amqp::Message reading;
    reading.data = "{}";
    for (const bool full : {false, true, false}) {
      filling.refuse = full;
      session->peer->transfer(2, reading);
      const std::string outcome = co_await session->peer->outcome();
      EXPECT_EQ(outcome, full ? "rejected com.microsoft:timeout" : "accepted");
    }
    co_await leave(session);
  };
  run(story(hub->services(), token(device), disk));
  EXPECT_EQ(get("/events?from=start&waitSeconds=0").find("events")->as_array().size(), 2u);
}

}  // namespace
}  // namespace nacelle::hub::testing
