// What devices ask and are asked: twins, subscriptions, methods, messages to them.
#include "service/endpoint/scripted_backend_test.h"

namespace nacelle::endpoint {
namespace {

using namespace test;

// -- Twins -------------------------------------------------------------------------------------------------------------

TEST_F(EndpointTest, twin_reads_and_patches_are_answered_in_order) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    PeerPtr peer = co_await t->dial_as(dev1);
    const std::uint8_t granted = co_await subscribe(peer, "$iothub/twin/res/#", mqtt::QoS::at_most_once);
    EXPECT_EQ(granted, 0);
    co_await publish(peer, "$iothub/twin/GET/?$rid=a%20b", " ", 0);
    const auto view = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(view.topic, "$iothub/twin/res/200/?$rid=a%20b");
    EXPECT_EQ(view.payload, R"({"desired":{"$version":1},"reported":{"$version":1}})");
    co_await publish(peer, "$iothub/twin/PATCH/properties/reported/?$rid=2", R"({"a":1})", 0);
    co_await publish(peer, "$iothub/twin/PATCH/properties/reported/?$rid=3&$version=2", R"({"a":null})", 0);
    const auto second = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(second.topic, "$iothub/twin/res/204/?$rid=2&$version=2");
    EXPECT_EQ(second.payload, "");
    const auto third = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(third.topic, "$iothub/twin/res/204/?$rid=3&$version=3");
  };
  run(story(this));
  EXPECT_EQ(backend_.patches, (std::vector<std::string>{R"({"a":1})", R"({"a":null} on 2)"}));
}

TEST_F(EndpointTest, failed_twin_calls_carry_an_error_code_and_a_message) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    PeerPtr peer = co_await t->dial_as(dev1);
    co_await subscribe(peer, "$iothub/twin/res/#");
    const struct {
      const char* query;
      const char* body;
      std::optional<Error> fault;
      const char* status;
      int code;
    } cases[] = {{"", "{", {}, "400", 400004},
                 {"", "", {}, "400", 400004},
                 {"", "[1]", {}, "400", 400004},
                 {"&$version=x", "{}", {}, "400", 400004},
                 {"", "{}", Error{Fault::conflict, "reported properties are at version 4, the patch is for 3"}, "412", 412001},
                 {"", "{}", Error{Fault::unavailable, "the hub cannot be reached"}, "503", 503001},
                 {"", "{}", Error{Fault::corrupt, "the twin cannot be read"}, "500", 500001}};
    for (const auto& c : cases) {
      t->backend_.twin_fault = c.fault;
      co_await publish(peer, std::string("$iothub/twin/PATCH/properties/reported/?$rid=9") + c.query, c.body, 5);
      std::string topic;
      Bytes body;
      bool acknowledged = false;
      for (int i = 0; i < 2; ++i) {  // the reply and the PUBACK, in either order
        const auto packet = co_await peer->next();
        if (!packet) co_return;
        acknowledged = acknowledged || std::holds_alternative<mqtt::Puback>(*packet);
        const auto* reply = std::get_if<mqtt::Publish>(&*packet);
        if (!reply) continue;
        topic = reply->topic;
        body = reply->payload;
      }
      EXPECT_TRUE(acknowledged);
      EXPECT_EQ(topic, "$iothub/twin/res/" + std::string(c.status) + "/?$rid=9");
      const auto error = json::parse(body);
      EXPECT_TRUE(error && error->find("errorCode") && error->find("message") && error->find("trackingId") &&
                  error->find("timestampUtc"));
      if (!error) co_return;
      EXPECT_EQ(error->find("errorCode")->as_integer(), c.code);
    }
  };
  run(story(this));
}

// -- Subscriptions -----------------------------------------------------------------------------------------------------

TEST_F(EndpointTest, filters_of_the_table_are_granted_and_others_refused) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    PeerPtr device = co_await t->dial_as(dev1);
    PeerPtr module = co_await t->dial_as(filter);
    const struct {
      bool by_module;
      const char* filter;
      int code;
    } cases[] = {{false, "devices/dev1/messages/devicebound/#", 1},
                 {false, "$iothub/twin/PATCH/properties/desired/#", 1},
                 {false, "$iothub/methods/POST/#", 1},
                 {false, "devices/dev2/messages/devicebound/#", 0x80},
                 {false, "devices/dev1/modules/filter/inputs/#", 0x80},
                 {false, "#", 0x80},
                 {false, "devices/dev1/messages/events/#", 0x80},
                 {true, "devices/edge1/modules/filter/inputs/#", 1},
                 {true, "devices/edge1/modules/filter/#", 1},
                 {true, "devices/edge1/modules/other/inputs/#", 0x80},
                 {true, "devices/edge1/messages/devicebound/#", 0x80}};
    for (const auto& c : cases) {
      const std::uint8_t code = co_await subscribe(c.by_module ? module : device, c.filter, mqtt::QoS::exactly_once);
      EXPECT_EQ(code, c.code) << c.filter;
    }
  };
  run(story(this));
  EXPECT_EQ(backend_.subscription_changes["dev1"], 1 + 3);
  EXPECT_EQ(backend_.subscription_changes["edge1/filter"], 1 + 2);
}

// -- To clients --------------------------------------------------------------------------------------------------------

TEST_F(EndpointTest, an_input_carries_its_sender_and_is_done_when_acknowledged) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    PeerPtr peer = co_await t->dial_as(filter);
    EXPECT_FALSE(t->endpoint_->accepts_input(filter, "in1"));
    co_await subscribe(peer, "devices/edge1/modules/filter/inputs/#");
    EXPECT_TRUE(t->endpoint_->accepts_input(filter, "in1"));
    telemetry::Message message;
    message.system = {
        {"connectionDeviceId", "leaf1"}, {"connectionModuleId", "cam"}, {"outputName", "o"}, {"contentType", "application/json"}};
    message.application = {{"a b", "c&d"}};
    message.body = "{}";
    bool done = false;
    t->endpoint_->deliver_input(filter, "in1", message, [&done](Result<> result) { done = result.has_value(); });
    const auto input = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(input.topic,
              "devices/edge1/modules/filter/inputs/in1/%24.cdid=leaf1&%24.cmid=cam&%24.ct=application%2Fjson&a%20b=c%26d");
    EXPECT_EQ(input.qos, mqtt::QoS::at_least_once);
    EXPECT_FALSE(done);
    co_await peer->send(mqtt::Puback{input.packet_id});
    co_await peer->send(mqtt::Pingreq{});
    co_await peer->expect<mqtt::Pingresp>();
    EXPECT_TRUE(done);
  };
  run(story(this));
}

TEST_F(EndpointTest, a_message_whose_properties_fit_no_topic_is_an_error_and_not_a_broken_packet) {
  telemetry::Message message;
  message.application = {{"k", std::string(70'000, 'v')}};
  std::optional<Fault> fault;
  endpoint_->deliver_input(filter, "in1", message, [&fault](Result<> result) {
    if (!result) fault = result.error().fault;
  });
  EXPECT_EQ(fault, Fault::invalid_input);
}

TEST_F(EndpointTest, cloud_to_device_desired_changes_and_methods_reach_their_subscriber) {
  const auto story = [](EndpointTest* t) -> awaitable<void> {
    PeerPtr peer = co_await t->dial_as(dev1);
    EXPECT_FALSE(t->endpoint_->call_method(dev1, "reboot", "1a", "null"));
    co_await subscribe(peer, "devices/dev1/messages/devicebound/#");
    co_await subscribe(peer, "$iothub/twin/PATCH/properties/desired/#", mqtt::QoS::at_most_once);
    co_await subscribe(peer, "$iothub/methods/POST/#", mqtt::QoS::at_most_once);

    telemetry::Message message;
    message.system = {{"messageId", "m1"}, {"to", "/devices/dev1/messages/devicebound"}};
    message.body = "hello";
    t->endpoint_->deliver_cloud_to_device(dev1, message, [](const Result<>&) {});
    const auto c2d = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(c2d.topic, "devices/dev1/messages/devicebound/%24.mid=m1&%24.to=%2Fdevices%2Fdev1%2Fmessages%2Fdevicebound");
    EXPECT_EQ(c2d.payload, "hello");

    const json::Value change = json::Object{{"rate", nullptr}, {"$version", 4}};
    t->endpoint_->notify_desired(dev1, change, 4);
    const auto desired = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(desired.topic, "$iothub/twin/PATCH/properties/desired/?$version=4");
    EXPECT_EQ(desired.payload, R"({"rate":null,"$version":4})");

    EXPECT_TRUE(t->endpoint_->call_method(dev1, "get state", "1b", "{}"));
    const auto call = co_await peer->expect<mqtt::Publish>();
    EXPECT_EQ(call.topic, "$iothub/methods/POST/get%20state/?$rid=1b");
    co_await publish(peer, "$iothub/methods/res/-3/?$rid=1b", "{\"ok\":true}", 4);
    co_await peer->expect<mqtt::Puback>();
  };
  run(story(this));
  EXPECT_EQ(backend_.events[1], "response dev1 1b -3 {\"ok\":true}");
}

}  // namespace
}  // namespace nacelle::endpoint
