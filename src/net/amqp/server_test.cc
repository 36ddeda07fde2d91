#include "net/amqp/scripted_owner_test.h"

namespace nacelle::net::test {
namespace {

TEST_F(AmqpServerTest, opens_with_the_bare_header_and_without_credentials) {
  run([](Bench& bench) -> awaitable<void> {
    auto peer = bench.dial();
    co_await peer->open();
    EXPECT_EQ(bench.owner.events.front(), "hub test");
    EXPECT_EQ(bench.server->counts().connections, 1u);
    peer->say(amqp_close, {});
    const auto condition = co_await peer->end();
    EXPECT_EQ(condition, "");
  });
}

awaitable<std::string> login(AmqpScript& peer, std::string mechanism, Bytes response) {
  peer.raw("AMQP\3\1\0\0"s);
  const auto mechanisms = co_await peer.expect(sasl_mechanisms);
  EXPECT_EQ(mechanisms.field(0).as<amqp::Array>()->elements.size(), 3u);
  amqp::List init{amqp::Symbol{std::move(mechanism)}, amqp::Binary{std::move(response)}};
  peer.say(sasl_init, std::move(init));
  const auto outcome = co_await peer.expect(sasl_outcome);
  co_return std::to_string(outcome.field(0).integer().value_or(-1));
}

TEST_F(AmqpServerTest, opens_with_sasl) {
  run([](Bench& bench) -> awaitable<void> {
    for (const auto& [mechanism, response] :
         {std::pair("ANONYMOUS"s, Bytes()), std::pair("EXTERNAL"s, Bytes()), std::pair("PLAIN"s, "\0user\0secret"s)}) {
      auto peer = bench.dial();
      const auto code = co_await login(*peer, mechanism, response);
      EXPECT_EQ(code, "0") << mechanism;
      co_await peer->open();
    }
    for (const auto& [mechanism, response] : {std::pair("PLAIN"s, "\0user\0wrong"s), std::pair("PLAIN"s, "user"s),
                                              std::pair("CRAM-MD5"s, Bytes()), std::pair(""s, Bytes())}) {
      auto peer = bench.dial();
      const auto code = co_await login(*peer, mechanism, response);
      EXPECT_EQ(code, "1") << mechanism;
      co_await peer->end();
    }
  });
}

TEST_F(AmqpServerTest, a_transfer_is_accepted_only_when_its_handler_has_said_so) {
  run([](Bench& bench) -> awaitable<void> {
    bench.owner.answer_at_once = false;
    auto peer = bench.dial();
    co_await peer->open();
    const auto attached = co_await peer->attach("l", 0, false, "in");
    EXPECT_EQ(attached, "attached");
    peer->transfer(0, message("one"));
    peer->transfer(0, message("two"));
    auto two = [&bench] { return bench.owner.received.size() == 2; };
    co_await peer->flush();
    co_await bench.owner.until(two);
    // The second first: what comes back shows that nothing was said before.
    bench.owner.received[1].done(AmqpCondition{"amqp:resource-limit-exceeded", "full"});
    auto outcome = co_await peer->outcome();
    EXPECT_EQ(outcome, "rejected amqp:resource-limit-exceeded");
    bench.owner.received[0].done(std::nullopt);
    outcome = co_await peer->outcome();
    EXPECT_EQ(outcome, "accepted");
    EXPECT_EQ(bench.owner.received[0].message.data, "one");
    EXPECT_EQ(bench.server->counts().received, 2u);
  });
}

TEST_F(AmqpServerTest, a_message_of_many_frames_is_one) {
  run([](Bench& bench) -> awaitable<void> {
    auto peer = bench.dial(1 << 20);
    co_await peer->open();
    co_await peer->attach("l", 0, false, "in");
    const Bytes body(100'000, 'x');
    const Bytes whole = amqp::encode_message(message(body));
    peer->say(amqp_transfer, {number(0), number(0), amqp::Binary{"t"}, number(0), false, true}, whole.substr(0, 50'000));
    peer->say(amqp_transfer, {number(0), {}, {}, {}, {}, false}, whole.substr(50'000));
    const auto outcome = co_await peer->outcome();
    EXPECT_EQ(outcome, "accepted");
    EXPECT_EQ(bench.owner.received.at(0).message.data.size(), body.size());
    // One that is given up half way is nothing.
    peer->say(amqp_transfer, {number(0), number(1), amqp::Binary{"u"}, number(0), false, true}, "half");
    peer->say(amqp_transfer, {number(0), {}, {}, {}, {}, false, {}, {}, {}, true});
    peer->say(amqp_transfer, {number(0), number(2), amqp::Binary{"v"}, number(0), true}, amqp::encode_message(message("v")));
    auto two = [&bench] { return bench.owner.received.size() == 2; };
    co_await peer->flush();
    co_await bench.owner.until(two);
  });
}

TEST_F(AmqpServerTest, refused_links_are_told_why_and_others_go_on) {
  run([](Bench& bench) -> awaitable<void> {
    auto peer = bench.dial();
    co_await peer->open();
    const auto refused = co_await peer->attach("a", 0, false, "nowhere");
    EXPECT_EQ(refused, "amqp:not-found");
    const auto attached = co_await peer->attach("b", 1, false, "in");
    EXPECT_EQ(attached, "attached");
    EXPECT_EQ(bench.server->counts().links, 1u);
    EXPECT_FALSE(bench.owner.links[0]->attached());
  });
}

TEST_F(AmqpServerTest, messages_go_out_as_there_is_credit_and_outcomes_come_back) {
  run([](Bench& bench) -> awaitable<void> {
    bench.owner.to_send = 5;
    auto peer = bench.dial();
    co_await peer->open();
    co_await peer->attach("l", 0, true, "out");
    peer->flow(0, 4);
    const std::uint64_t states[] = {0x24, 0x25, 0x26, 0x27};
    for (const std::uint64_t state : states) {
      const auto [got, id] = co_await peer->receive();
      EXPECT_EQ(got.data, "b");
      peer->dispose(id, state);
    }
    auto all = [&bench] { return bench.owner.outcomes.size() == 4; };
    co_await peer->flush();
    co_await bench.owner.until(all);
    using enum AmqpOutcome;
    EXPECT_EQ(bench.owner.outcomes, (std::vector{accepted, rejected, released, modified}));
    EXPECT_EQ(bench.owner.to_send, 1u);
  });
}

TEST_F(AmqpServerTest, drained_credit_is_given_back) {
  run([](Bench& bench) -> awaitable<void> {
    bench.owner.to_send = 1;
    auto peer = bench.dial();
    co_await peer->open();
    co_await peer->attach("l", 0, true, "out");
    peer->flow(0, 10, true);
    co_await peer->receive();
    const auto flow = co_await peer->expect(amqp_flow);
    EXPECT_EQ(flow.field(6).integer(), 0);
    EXPECT_EQ(flow.field(5).integer(), 10);
  });
}

TEST_F(AmqpServerTest, deliveries_that_nobody_settles_are_released_with_the_connection) {
  run([](Bench& bench) -> awaitable<void> {
    bench.owner.to_send = 2;
    auto peer = bench.dial();
    co_await peer->open();
    co_await peer->attach("l", 0, true, "out");
    peer->flow(0, 2);
    co_await peer->receive();
    co_await peer->flush();
    peer->drop();
    auto all = [&bench] { return bench.owner.outcomes.size() == 2; };
    co_await peer->flush();
    co_await bench.owner.until(all);
    EXPECT_EQ(bench.owner.outcomes.front(), AmqpOutcome::released);
    EXPECT_EQ(bench.owner.events.back(), "detached");
  });
}

TEST_F(AmqpServerTest, unsettled_deliveries_are_bounded_and_go_on_when_there_is_room) {
  AmqpLimits limits;
  limits.max_unsettled = 3;
  run(
      [](Bench& bench) -> awaitable<void> {
        bench.owner.to_send = 5;
        auto peer = bench.dial();
        co_await peer->open();
        co_await peer->attach("l", 0, true, "out");
        peer->flow(0, 100);
        std::vector<std::uint32_t> ids;
        for (int i = 0; i < 3; ++i) {
          const auto [got, id] = co_await peer->receive();
          ids.push_back(id);
        }
        EXPECT_EQ(bench.owner.to_send, 2u);
        peer->dispose(ids[0], 0x24);
        co_await peer->receive();
        EXPECT_EQ(bench.owner.to_send, 1u);
      },
      limits);
}

TEST_F(AmqpServerTest, a_peer_that_does_not_read_is_not_written_for_without_end) {
  AmqpLimits limits;
  limits.max_output_bytes = 32 * 1024;
  run(
      [](Bench& bench) -> awaitable<void> {
        bench.owner.to_send = 400;
        bench.owner.body = Bytes(4000, 'x');
        auto peer = bench.dial(8 * 1024);
        co_await peer->open();
        co_await peer->attach("l", 0, true, "out");
        peer->flow(0, 400);
        std::size_t most_waited = 0;
        for (int i = 0; i < 400; ++i) {
          const auto [got, id] = co_await peer->receive();
          EXPECT_EQ(got.data.size(), 4000u);
          if (i == 0) most_waited = bench.owner.to_send;
        }
        EXPECT_GT(most_waited, 300u) << "they wait with their owner";
      },
      limits);
}

TEST_F(AmqpServerTest, more_links_than_allowed_are_refused) {
  AmqpLimits limits;
  limits.max_links = 2;
  run(
      [](Bench& bench) -> awaitable<void> {
        auto peer = bench.dial();
        co_await peer->open();
        co_await peer->attach("a", 0, false, "in");
        co_await peer->attach("b", 1, false, "in");
        const auto refused = co_await peer->attach("c", 2, false, "in");
        EXPECT_EQ(refused, "amqp:resource-limit-exceeded");
        // Attached again and again without an end to the refused ones, until it is enough.
        for (std::uint32_t i = 3; i < 8; ++i) peer->say(amqp_attach, AmqpScript::attach_fields(std::to_string(i), i, false, "x"));
        const auto condition = co_await peer->end();
        EXPECT_EQ(condition, "amqp:resource-limit-exceeded");
      },
      limits);
}

TEST_F(AmqpServerTest, silence_is_answered_with_heartbeats_and_then_ends_the_connection) {
  run([](Bench& bench) -> awaitable<void> {
    auto peer = bench.dial();
    auto now = std::chrono::steady_clock::time_point(std::chrono::hours{1});
    bench.server->sweep(now);
    co_await peer->open(60'000);
    bench.server->sweep(now);
    co_await peer->attach("l", 0, false, "in");
    now += std::chrono::seconds{31};
    bench.server->sweep(now);
    const auto attached = co_await peer->attach("m", 1, false, "in");
    EXPECT_EQ(attached, "attached");
    bench.server->sweep(now += std::chrono::seconds{31});
    bench.server->sweep(now += std::chrono::seconds{31});
    bench.server->sweep(now += std::chrono::minutes{5});
    const auto condition = co_await peer->end();
    EXPECT_GT(peer->heartbeats, 0u);
    EXPECT_EQ(condition, "amqp:resource-limit-exceeded");
  });
}

TEST_F(AmqpServerTest, who_does_not_open_is_not_waited_for) {
  run([](Bench& bench) -> awaitable<void> {
    auto peer = bench.dial();
    peer->raw("AMQP\0\1\0\0"s);
    co_await peer->next();
    EXPECT_EQ(bench.deadline->deadline(), std::chrono::seconds{60});
    bench.deadline->expire();
    co_await peer->end();
  });
}

TEST_F(AmqpServerTest, the_owner_ends_links_and_connections_with_a_reason) {
  run([](Bench& bench) -> awaitable<void> {
    auto peer = bench.dial();
    co_await peer->open();
    co_await peer->attach("l", 0, false, "in");
    bench.owner.links[0]->detach({"amqp:unauthorized-access", "the token has lapsed"});
    const auto detach = co_await peer->expect(amqp_detach);
    EXPECT_EQ(detach.condition(2), "amqp:unauthorized-access");
    EXPECT_EQ(bench.owner.events.back(), "detached");
    bench.owner.connection->close({"amqp:connection:forced", "enough"});
    const auto condition = co_await peer->end();
    EXPECT_EQ(condition, "amqp:connection:forced");
  });
}

}  // namespace
}  // namespace nacelle::net::test
