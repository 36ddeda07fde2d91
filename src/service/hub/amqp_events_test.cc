#include <gtest/gtest.h>

#include "service/hub/amqp_events.h"
#include "service/hub/amqp_messages.h"

namespace nacelle::hub {
namespace {

using By = EventSelector::By;

TEST(EventSelector, reads_what_clients_write) {
  const struct {
    const char* text;
    By by;
    storage::Offset offset;
  } cases[] = {{"amqp.annotation.x-opt-offset > '-1'", By::start, 0},
               {"amqp.annotation.x-opt-offset > '@latest'", By::end, 0},
               {"amqp.annotation.x-opt-offset > '12'", By::offset, 13},
               {"amqp.annotation.x-opt-offset >= '12'", By::offset, 12},
               {"amqp.annotation.x-opt-sequence-number > '0'", By::offset, 1},
               {" amqp.annotation.x-opt-sequence-number>='0' ", By::offset, 0}};
  for (const auto& each : cases) {
    const auto read = EventSelector::parse(each.text);
    ASSERT_TRUE(read) << each.text << ": " << read.error().message;
    EXPECT_EQ(read->by, each.by) << each.text;
    EXPECT_EQ(read->offset, each.offset) << each.text;
  }
  const auto since = EventSelector::parse("amqp.annotation.x-opt-enqueued-time > '1893456000000'");
  ASSERT_TRUE(since);
  EXPECT_EQ(since->by, By::time);
  EXPECT_EQ(since->since, from_unix_seconds(1'893'456'000) + std::chrono::milliseconds{1});
}

TEST(EventSelector, refuses_all_else) {
  for (const char* text :
       {"", "x", "amqp.annotation.", "amqp.annotation.x-opt-offset", "amqp.annotation.x-opt-offset > ",
        "amqp.annotation.x-opt-offset > 1", "amqp.annotation.x-opt-offset > '", "amqp.annotation.x-opt-offset > 'a'",
        "amqp.annotation.x-opt-offset < '1'", "amqp.annotation.x-opt-else > '1'", "amqp.annotation.x-opt-enqueued-time > '@latest'",
        "amqp.annotation.x-opt-offset > '99999999999999999999'"})
    EXPECT_FALSE(EventSelector::parse(text)) << text;
  EXPECT_TRUE(EventSelector::parse("amqp.annotation.x-opt-enqueued-time > '9223372036854775807'"))
      << "no time is too late to be asked for";
}

TEST(EventMessage, carries_what_event_hubs_clients_look_for) {
  telemetry::Message message;
  message.system = {{"messageId", "m1"}, {"contentType", "application/json"}, {"connectionDeviceId", "d1"}};
  message.application = {{"level", "high"}};
  message.enqueued_at = from_unix_seconds(1'893'456'000);
  message.body = "{}";
  const amqp::Message sent = event_message(7, message);
  EXPECT_EQ(sent.data, "{}");
  EXPECT_EQ(amqp::id_text(sent.message_id), "m1");
  EXPECT_EQ(sent.content_type, "application/json");
  EXPECT_EQ(amqp::find(sent.annotations, "x-opt-sequence-number")->integer(), 7);
  EXPECT_EQ(amqp::text_at(sent.annotations, "x-opt-offset"), "7");
  EXPECT_EQ(amqp::find(sent.annotations, "x-opt-enqueued-time")->as<amqp::Instant>()->unix_ms, 1'893'456'000'000);
  EXPECT_EQ(amqp::text_at(sent.annotations, "iothub-connection-device-id"), "d1");
  EXPECT_EQ(amqp::text_at(sent.application, "level"), "high");
}

TEST(AmqpMessageOf, takes_what_devices_can_be_sent) {
  amqp::Message sent;
  sent.message_id = "m1";
  sent.absolute_expiry = amqp::Instant{1'893'456'000'000};
  sent.application = {{"iothub-ack", "full"}, {"n", std::int32_t{3}}, {"flag", true}, {"connectionDeviceId", "liar"}};
  sent.data = "x";
  const auto message = message_of(sent);
  ASSERT_TRUE(message);
  EXPECT_EQ(message->system.get("ack"), "full");
  EXPECT_EQ(message->system.get("expiryTimeUtc"), "2030-01-01T00:00:00.000Z");
  EXPECT_EQ(message->application.get("n"), "3");
  EXPECT_EQ(message->application.get("flag"), "true");
  EXPECT_EQ(message->application.find("connectionDeviceId"), nullptr) << "only the server says it";
  sent.application.push_back({"list", amqp::List{}});
  EXPECT_FALSE(message_of(sent));
  sent.application.clear();
  sent.value = amqp::Map{};
  EXPECT_FALSE(message_of(sent));
}

}  // namespace
}  // namespace nacelle::hub
