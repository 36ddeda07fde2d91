#include "service/hub/cloud_to_device.h"

#include <deque>

#include "service/hub/hub_fixture.h"

namespace nacelle::hub::testing {
namespace {

using namespace std::chrono_literals;

class CloudToDeviceTest : public HubTest {
 protected:
  net::HttpResponse send(const std::string& body, net::Headers headers = {}) {
    return call("POST", "/devices/d1/messages/devicebound", body, std::move(headers));
  }
  void send_all(int count) {
    for (int i = 0; i < count; ++i) EXPECT_EQ(send("m" + std::to_string(i)).status, 200);
  }
  net::HttpResponse receive() { return call("GET", "/devices/d1/messages/devicebound", {}, {}, token(d1)); }
  static std::string lock_of(const net::HttpResponse& response) {
    const std::string etag(response.headers.get("etag"));
    return etag.size() < 2 ? std::string() : etag.substr(1, etag.size() - 2);
  }
  int settle(const std::string& lock, const std::string& query = {}) {
    return call("DELETE", "/devices/d1/messages/devicebound/" + lock + query, {}, {}, token(d1)).status;
  }
  int abandon(const std::string& lock) {
    return call("POST", "/devices/d1/messages/devicebound/" + lock + "/abandon", {}, {}, token(d1)).status;
  }
  /// What feedback says, taken and completed: `m1 Success`.
  std::vector<std::string> feedback() {
    std::vector<std::string> found;
    const auto response = call("GET", "/messages/serviceBound/feedback");
    if (response.status != 200) return found;
    const Json records = parse(response.body);
    for (const auto& record : records.as_array())
      found.push_back(record.find("originalMessageId")->as_string() + " " + record.find("statusCode")->as_string());
    EXPECT_EQ(call("DELETE", "/messages/serviceBound/feedback/" + lock_of(response)).status, 204);
    return found;
  }
  std::int64_t waiting() { return get("/devices/d1").find("cloudToDeviceMessageCount")->as_integer(); }
  void sweep() {
    auto work = [this] { return hub->services().cloud_to_device.sweep(); };
    EXPECT_TRUE(run(run_on(hub->services().disk.tables(), work)).has_value());
  }

  /// A device's client that keeps what it is sent, and acknowledges as long as `acknowledging`.
  struct Inbox {
    std::mutex mutex;
    std::condition_variable changed;
    std::deque<std::pair<std::string, std::string>> messages;  // topic, body
    std::pair<std::string, std::string> next() {
      std::unique_lock lock(mutex);
      EXPECT_TRUE(changed.wait_for(lock, 30s, [this] { return !messages.empty(); }));
      auto first = messages.front();
      messages.pop_front();
      return first;
    }
  };
  std::unique_ptr<net::MqttClient> listen(Inbox& inbox, bool acknowledging = true) {
    auto made = connected(d1, [&inbox, acknowledging](const mqtt::Publish& publish, std::function<void()> done) {
      {
        const std::lock_guard lock(inbox.mutex);
        inbox.messages.emplace_back(publish.topic, publish.payload);
      }
      inbox.changed.notify_all();
      if (acknowledging) done();
    });
    EXPECT_TRUE(run(made->subscribe("devices/d1/messages/devicebound/#", mqtt::QoS::at_least_once)).has_value());
    return made;
  }

  const device::Identity d1 = add("d1");
};

TEST_F(CloudToDeviceTest, what_waits_is_delivered_in_order_over_mqtt_and_gone_once_acknowledged) {
  ASSERT_EQ(send("first", {{"iothub-messageid", "m1"}, {"iothub-ack", "full"}, {"iothub-app-colour", "r&d"}}).status, 200);
  ASSERT_EQ(send("second").status, 200);
  EXPECT_EQ(waiting(), 2);
  stop();
  start();
  EXPECT_EQ(waiting(), 2) << "the queue is on disk";
  Inbox inbox;
  const auto connection = listen(inbox);
  const auto first = inbox.next();
  EXPECT_EQ(first.second, "first");
  EXPECT_EQ(
      first.first,
      "devices/d1/messages/devicebound/%24.mid=m1&iothub-ack=full&%24.to=%2Fdevices%2Fd1%2Fmessages%2Fdevicebound&colour=r%26d");
  EXPECT_EQ(inbox.next().second, "second");
  ASSERT_EQ(send("third").status, 200);
  EXPECT_EQ(inbox.next().second, "third") << "a listening device gets it at once";
  run(connection->close());
  while (waiting() != 0) std::this_thread::yield();  // acknowledgements are on their way to the tables
  EXPECT_EQ(feedback(), std::vector<std::string>{"m1 Success"});
  EXPECT_TRUE(feedback().empty());
}

TEST_F(CloudToDeviceTest, what_is_not_acknowledged_comes_again_to_the_next_connection) {
  ASSERT_EQ(send("again").status, 200);
  Inbox inbox;
  {
    const auto connection = listen(inbox, false);
    EXPECT_EQ(inbox.next().second, "again");
    EXPECT_EQ(receive().status, 204) << "on its way over MQTT, it is not handed out over HTTPS";
    run(connection->close());
  }
  stop();
  start();
  EXPECT_EQ(waiting(), 1);
  Inbox second;
  const auto connection = listen(second);
  EXPECT_EQ(second.next().second, "again");
  run(connection->close());
}

TEST_F(CloudToDeviceTest, over_https_a_message_is_locked_and_completed_rejected_or_abandoned) {
  const net::Headers full{
      {"iothub-ack", "full"}, {"iothub-messageid", "m1"}, {"iothub-app-k", "v"}, {"iothub-contenttype", "text/plain"}};
  ASSERT_EQ(send("one", full).status, 200);
  const auto first = receive();
  EXPECT_EQ(first.status, 200);
  EXPECT_EQ(first.body, "one");
  EXPECT_EQ(first.headers.get("iothub-messageid"), "m1");
  EXPECT_EQ(first.headers.get("iothub-app-k"), "v");
  EXPECT_EQ(first.headers.get("iothub-contenttype"), "text/plain");
  EXPECT_EQ(first.headers.get("iothub-deliverycount"), "0");
  EXPECT_EQ(receive().status, 204) << "the only one is locked";
  EXPECT_EQ(abandon(lock_of(first)), 204);
  EXPECT_EQ(abandon(lock_of(first)), 412);
  const auto second = receive();
  EXPECT_EQ(second.headers.get("iothub-deliverycount"), "1");
  clock.advance(61s);
  const auto third = receive();
  EXPECT_EQ(third.status, 200) << "a lock ends after a minute";
  EXPECT_EQ(third.headers.get("iothub-deliverycount"), "1") << "which is no delivery";
  const auto late = call("DELETE", "/devices/d1/messages/devicebound/" + lock_of(second), {}, {}, token(d1));
  EXPECT_EQ(late.status, 412);
  EXPECT_EQ(error_code(late), "DeviceMessageLockLost");
  EXPECT_EQ(settle(lock_of(third)), 204);
  EXPECT_EQ(feedback(), std::vector<std::string>{"m1 Success"});
  ASSERT_EQ(send("two", full).status, 200);
  EXPECT_EQ(settle(lock_of(receive()), "?api-version=2021-04-12&reject"), 204);
  EXPECT_EQ(feedback(), std::vector<std::string>{"m1 Rejected"});
  EXPECT_EQ(waiting(), 0);
}

TEST_F(CloudToDeviceTest, a_lock_outlives_the_hub) {
  ASSERT_EQ(send("one").status, 200);
  const std::string lock = lock_of(receive());
  stop();
  start();
  EXPECT_EQ(receive().status, 204);
  EXPECT_EQ(settle(lock), 204);
}

TEST_F(CloudToDeviceTest, the_tenth_abandon_ends_a_message) {
  ASSERT_EQ(send("one", {{"iothub-ack", "negative"}, {"iothub-messageid", "m1"}}).status, 200);
  for (int i = 0; i < 10; ++i) EXPECT_EQ(abandon(lock_of(receive())), 204) << i;
  EXPECT_EQ(receive().status, 204);
  EXPECT_EQ(feedback(), std::vector<std::string>{"m1 DeliveryCountExceeded"});
}

TEST_F(CloudToDeviceTest, a_message_lives_an_hour_or_as_long_as_it_says) {
  const auto at = [&](std::chrono::seconds after) { return format_iso8601(clock.now() + after); };
  ASSERT_EQ(send("hour", {{"iothub-ack", "full"}, {"iothub-messageid", "hour"}}).status, 200);
  ASSERT_EQ(send("long", {{"iothub-messageid", "long"}, {"iothub-expiry", at(3h)}}).status, 200);
  ASSERT_EQ(send("short", {{"iothub-ack", "negative"}, {"iothub-messageid", "short"}, {"iothub-expiry", at(10s)}}).status, 200);
  EXPECT_EQ(send("never", {{"iothub-expiry", at(49h)}}).status, 400);
  EXPECT_EQ(send("never", {{"iothub-expiry", "tomorrow"}}).status, 400);
  clock.advance(11s);
  sweep();
  EXPECT_EQ(feedback(), std::vector<std::string>{"short Expired"});
  clock.advance(1h);
  EXPECT_EQ(receive().headers.get("iothub-messageid"), "long") << "what has expired is not handed out, swept or not";
  sweep();
  EXPECT_EQ(feedback(), std::vector<std::string>{"hour Expired"});
  EXPECT_EQ(waiting(), 1);
}

TEST_F(CloudToDeviceTest, fifty_messages_may_wait) {
  send_all(50);
  const auto refused = send("51");
  EXPECT_EQ(refused.status, 403);
  EXPECT_EQ(error_code(refused), "DeviceMaximumQueueDepthExceeded");
  EXPECT_EQ(settle(lock_of(receive())), 204);
  EXPECT_EQ(send("51").status, 200);
}

TEST_F(CloudToDeviceTest, purge_and_deletion_take_the_queue_away) {
  send_all(2);
  ASSERT_EQ(send("x", {{"iothub-ack", "full"}, {"iothub-messageid", "m1"}}).status, 200);
  const auto purged = call("DELETE", "/devices/d1/commands");
  EXPECT_EQ(purged.body, R"({"totalMessagesPurged":3,"deviceId":"d1","moduleId":null})");
  EXPECT_EQ(feedback(), std::vector<std::string>{"m1 Purged"});
  send_all(3);
  ASSERT_TRUE(run(client->remove("/devices/d1")).has_value());
  add("d1");
  EXPECT_EQ(waiting(), 0);
  EXPECT_EQ(receive().status, 401) << "the new device has other keys";
  send_all(50);
}

TEST_F(CloudToDeviceTest, what_cannot_be_sent_is_refused) {
  EXPECT_EQ(send("x", {{"iothub-ack", "maybe"}}).status, 400);
  EXPECT_EQ(send(std::string(telemetry::max_message_bytes, 'x')).status, 400);
  EXPECT_EQ(send("x", {{"iothub-app-a", std::string(30'000, '/')}}).status, 400) << "three bytes each in a topic";
  EXPECT_EQ(call("POST", "/devices/d9/messages/devicebound", "x").status, 404);
  EXPECT_EQ(call("POST", "/devices/d1/messages/devicebound", "x", {}, token(d1)).status, 401);
  EXPECT_EQ(waiting(), 0);
}

TEST_F(CloudToDeviceTest, feedback_that_is_given_back_or_forgotten_comes_again) {
  ASSERT_EQ(send("x", {{"iothub-ack", "full"}, {"iothub-messageid", "m1"}}).status, 200);
  call("DELETE", "/devices/d1/commands");
  auto batch = call("GET", "/messages/serviceBound/feedback");
  EXPECT_EQ(call("GET", "/messages/serviceBound/feedback").status, 204);
  EXPECT_EQ(call("POST", "/messages/serviceBound/feedback/" + lock_of(batch) + "/abandon").status, 204);
  batch = call("GET", "/messages/serviceBound/feedback");
  EXPECT_EQ(batch.status, 200);
  clock.advance(61s);
  EXPECT_EQ(call("DELETE", "/messages/serviceBound/feedback/" + lock_of(batch)).status, 412);
  EXPECT_EQ(feedback(), std::vector<std::string>{"m1 Purged"});
}

}  // namespace
}  // namespace nacelle::hub::testing
