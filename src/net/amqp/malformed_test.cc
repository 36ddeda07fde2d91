// What breaks the rules of AMQP, and what ends by it: the message, the link, or that connection only.
#include "net/amqp/scripted_owner_test.h"

namespace nacelle::net::test {
namespace {

TEST_F(AmqpServerTest, a_message_that_is_too_long_ends_its_link_only) {
  AmqpLimits limits;
  limits.max_message_bytes = 1000;
  run(
      [](Bench& bench) -> awaitable<void> {
        auto peer = bench.dial();
        co_await peer->open();
        co_await peer->attach("a", 0, false, "in");
        peer->transfer(0, message(Bytes(2000, 'x')));
        const auto detach = co_await peer->expect(amqp_detach);
        EXPECT_EQ(detach.condition(2), "amqp:link:message-size-exceeded");
        peer->transfer(0, message("late"));
        peer->say(amqp_detach, {number(0), true});
        const auto attached = co_await peer->attach("b", 0, false, "in");
        EXPECT_EQ(attached, "attached");
      },
      limits);
}

TEST_F(AmqpServerTest, a_message_that_is_none_is_rejected) {
  run([](Bench& bench) -> awaitable<void> {
    auto peer = bench.dial();
    co_await peer->open();
    co_await peer->attach("a", 0, false, "in");
    peer->say(amqp_transfer, {number(0), number(0), amqp::Binary{"t"}}, "\0\x53\x75\xa1\1a"s);
    const auto outcome = co_await peer->outcome();
    EXPECT_EQ(outcome, "rejected amqp:decode-error");
    EXPECT_TRUE(bench.owner.received.empty());
  });
}

TEST_F(AmqpServerTest, transfers_beyond_the_credit_end_the_connection) {
  AmqpLimits limits;
  limits.incoming_credit = 2;
  run(
      [](Bench& bench) -> awaitable<void> {
        bench.owner.answer_at_once = false;
        auto peer = bench.dial();
        co_await peer->open();
        co_await peer->attach("a", 0, false, "in");
        for (int i = 0; i < 3; ++i) peer->transfer(0, message("x"));
        const auto condition = co_await peer->end();
        EXPECT_EQ(condition, "amqp:link:transfer-limit-exceeded");
      },
      limits);
}

/// What breaks the rules ends its own connection, and no other.
TEST_F(AmqpServerTest, broken_peers_end_alone) {
  run([](Bench& bench) -> awaitable<void> {
    auto good = bench.dial();
    co_await good->open();
    const Bytes after_open[] = {
        "\0\0\0\7\2\0\0\0"s,                                                               // smaller than its header
        "\0\x10\0\0\2\0\0\0"s,                                                             // a frame of a megabyte
        "\0\0\0\x08\x02\x09\0\0"s,                                                         // of no type
        "\0\0\0\x0c\x02\0\0\0\0\x53\x10\x45"s,                                             // open without its name
        "\0\0\0\x09\x02\0\0\0\x41"s,                                                       // no performative
        AmqpScript::frame(amqp_transfer, {number(7), number(0), amqp::Binary{"t"}}, "x"),  // no such link
        AmqpScript::frame(amqp_transfer, {number(0), {}, {}, {}, {}, true}, "x"),
        AmqpScript::frame(amqp_flow, {number(0), number(1), number(0), number(1), number(9)}),
        AmqpScript::frame(amqp_detach, {number(5), true}),
        AmqpScript::frame(amqp_begin, {{}, number(0), number(1), number(1)}, {}, 4000),
        AmqpScript::frame(amqp_attach, AmqpScript::attach_fields("x", 0, false, "in"), {}, 3),  // no such session
        AmqpScript::frame(amqp_open, {"again"}),
    };
    for (const Bytes& bytes : after_open) {
      SCOPED_TRACE(text::hex_encode(bytes));
      auto peer = bench.dial();
      co_await peer->open();
      peer->raw(bytes);
      co_await peer->end();
    }
    const Bytes at_once[] = {"GET / HTTP/1.1\r\n\r\n"s,
                             "AMQP\0\0\x09\x01"s,
                             "AMQP\1\1\0\0"s,
                             "AMQP\0\1\0\0"s + after_open[3],
                             AmqpScript::frame(amqp_open, {"no header"}),
                             "AMQP\0\1\0\0"s + AmqpScript::frame(amqp_begin, {{}, number(0), number(1), number(1)})};
    for (const Bytes& bytes : at_once) {
      auto peer = bench.dial();
      peer->raw(bytes);
      co_await peer->end();
    }
    const auto attached = co_await good->attach("l", 0, false, "in");
    EXPECT_EQ(attached, "attached");
    EXPECT_EQ(bench.server->counts().connections, 1u);
  });
}

/// A transfer that goes on with a delivery which was never begun: the engine would not look.
TEST_F(AmqpServerTest, continuations_of_nothing_are_broken_rules) {
  run([](Bench& bench) -> awaitable<void> {
    for (const bool more : {true, false}) {
      auto peer = bench.dial();
      co_await peer->open();
      co_await peer->attach("a", 0, false, "in");
      peer->say(amqp_transfer, {number(0), {}, {}, {}, {}, more}, "x");
      const auto condition = co_await peer->end();
      EXPECT_EQ(condition, "amqp:connection:framing-error");
    }
    auto peer = bench.dial();
    co_await peer->open();
    co_await peer->attach("a", 0, true, "out");
    peer->say(amqp_transfer, {number(0), number(0), amqp::Binary{"t"}}, "x");
    const auto condition = co_await peer->end();
    EXPECT_EQ(condition, "amqp:not-allowed") << "the peer receives there";
  });
}

TEST_F(AmqpServerTest, every_truncation_of_a_conversation_is_survived) {
  const Bytes whole =
      "AMQP\0\1\0\0"s + AmqpScript::frame(amqp_open, {"test", "hub"}) +
      AmqpScript::frame(amqp_begin, {{}, number(0), number(9), number(9)}) +
      AmqpScript::frame(amqp_attach, AmqpScript::attach_fields("l", 0, false, "in")) +
      AmqpScript::frame(amqp_transfer, {number(0), number(0), amqp::Binary{"t"}}, amqp::encode_message(message("x"))) +
      AmqpScript::frame(amqp_detach, {number(0), true}) + AmqpScript::frame(amqp_close, {});
  run([whole](Bench& bench) -> awaitable<void> {
    for (std::size_t size = 0; size < whole.size(); ++size) {
      auto peer = bench.dial();
      peer->raw(whole.substr(0, size));
      co_await peer->flush();
      peer->drop();
    }
    auto peer = bench.dial();
    peer->raw(whole);
    const auto condition = co_await peer->end();
    EXPECT_EQ(condition, "");
    EXPECT_GT(bench.owner.received.size(), 0u);
  });
}

}  // namespace
}  // namespace nacelle::net::test
