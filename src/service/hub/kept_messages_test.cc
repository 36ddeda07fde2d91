// What the broker must not forget: what becomes of retained messages, identifiers, sessions and wills in the next life.
#include "service/hub/kept_messages_fixture.h"

namespace nacelle::hub::testing {
namespace {

TEST_F(KeptMessagesTest, what_is_retained_is_so_after_a_cut_and_after_an_orderly_end) {
  for (const bool cut : {true, false}) {
    live(cut, [](Life& life) -> awaitable<void> {
      auto peer = co_await life.join(kept_session("sender"));
      for (const char* text : {"old", "new"}) {
        auto packet = publish("state/1", text, QoS::at_least_once, true);
        mqtt::Properties properties;
        properties.content_type = "text/plain";
        properties.user = {{"k", "v"}, {"k", "w"}};
        packet.properties = std::make_shared<const mqtt::Properties>(std::move(properties));
        co_await peer->send(packet);
        co_await peer->expect<mqtt::Puback>();
      }
      for (const char* text : {"gone", ""}) {
        co_await peer->send(publish("state/2", text, QoS::at_least_once, true));
        co_await peer->expect<mqtt::Puback>();
      }
    });
    live(true, [](Life& life) -> awaitable<void> {
      auto peer = co_await life.join(kept_session("board"));
      co_await peer->send(net::test::subscribe_to("state/#", QoS::at_most_once));
      co_await peer->expect<mqtt::Suback>();
      const auto retained = co_await peer->expect<mqtt::Publish>();
      EXPECT_EQ(retained.payload, "new");
      EXPECT_TRUE(retained.retain);
      EXPECT_TRUE(retained.properties);
      if (retained.properties) {
        EXPECT_EQ(retained.properties->content_type, "text/plain");
        EXPECT_EQ(retained.properties->user.size(), 2u);
      }
      co_await peer->send(mqtt::Pingreq{});
      co_await peer->expect<mqtt::Pingresp>();  // and nothing of state/2
    });
  }
}

TEST_F(KeptMessagesTest,
       a_qos_2_message_is_stored_once_though_the_power_went_before_pubrec_and_its_identifier_is_free_after_pubcomp) {
  live(true, [](Life& life) -> awaitable<void> {
    auto peer = co_await life.join(kept_session("sender"));
    co_await peer->send(publish("t", "first", QoS::exactly_once));
    co_await peer->expect<mqtt::Pubrec>();  // the client never sees it
  });
  live(true, [](Life& life) -> awaitable<void> {
    auto peer = co_await life.join(kept_session("sender"));
    auto again = publish("t", "first", QoS::exactly_once);
    again.duplicate = true;
    co_await peer->send(again);
    co_await peer->expect<mqtt::Pubrec>();
    co_await peer->send(mqtt::Pubrel{1});
    const auto pubcomp = co_await peer->expect<mqtt::Pubcomp>();
    EXPECT_EQ(pubcomp.reason, mqtt::Reason::success);
  });
  live(true, [](Life& life) -> awaitable<void> {
    auto peer = co_await life.join(kept_session("sender"));
    co_await peer->send(publish("t", "second", QoS::exactly_once));
    co_await peer->expect<mqtt::Pubrec>();
    std::vector<std::string> stored;
    for (storage::Partition p = 0; p < 2; ++p) {
      const auto records = storage::read_all(*life.log, p);
      for (const auto& record : records.value()) stored.push_back(telemetry::decode_record(record.payload).value().body);
    }
    EXPECT_EQ(stored, (std::vector<std::string>{"first", "second"}));
  });
}

TEST_F(KeptMessagesTest, a_session_that_begins_anew_gets_nothing_of_the_old_one) {
  live(true, [](Life& life) -> awaitable<void> {
    auto peer = co_await life.join(kept_session("sender"));
    co_await peer->send(net::test::subscribe_to("t", QoS::at_least_once));
    co_await peer->expect<mqtt::Suback>();
    peer->drop();
    auto other = co_await life.join(kept_session("other"));
    co_await other->send(publish("t", "for the old session", QoS::at_least_once));
    co_await other->expect<mqtt::Puback>();
    auto clean = kept_session("sender");
    clean.clean_session = true;
    auto anew = co_await life.join(clean);
    co_await anew->send(net::test::subscribe_to("t", QoS::at_least_once));
    co_await anew->expect<mqtt::Suback>();
  });
  live(true, [](Life& life) -> awaitable<void> {
    auto peer = co_await life.join(kept_session("sender"));
    co_await peer->send(mqtt::Pingreq{});
    co_await peer->expect<mqtt::Pingresp>();
  });
}

TEST_F(KeptMessagesTest, a_delayed_will_is_published_by_the_next_life_and_not_if_its_client_is_back) {
  auto with_will = [](const std::string& id) {
    auto connect = kept_session(id);
    mqtt::Properties delay;
    delay.will_delay = 60;
    connect.will = mqtt::Will{"wills/" + id, "bye", QoS::at_least_once, true, std::make_shared<const mqtt::Properties>(delay)};
    return connect;
  };
  live(false, [&](Life& life) -> awaitable<void> {
    auto lost = co_await life.join(with_will("lost"));
    lost->drop();
    auto back = co_await life.join(with_will("back"));
    back->drop();
    auto again = co_await life.join(kept_session("back"));
    co_await again->send(mqtt::Disconnect{});
    co_await again->ends();
    while (life.server->connections() > 0) co_await asio::post(life.strand, asio::use_awaitable);
  });
  clock.advance(std::chrono::seconds{61});
  live(true, [](Life& life) -> awaitable<void> {
    life.server->sweep();
    EXPECT_EQ(life.policy->wills, std::vector<std::string>{"it was lost"});
    while (life.server->retained() == 0) co_await asio::post(life.strand, asio::use_awaitable);
  });
}

}  // namespace
}  // namespace nacelle::hub::testing
