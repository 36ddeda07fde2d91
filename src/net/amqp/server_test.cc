#include "net/amqp/server.h"

#include "codec/text/encoding.h"
#include "net/amqp/scripted_amqp_test.h"
#include "net/socket/wake.h"

namespace nacelle::net::test {
namespace {

/// Keeps what it is told; decides by the address: `in` receives, `out` sends, all else is refused.
struct Owner {
  struct Received {
    amqp::Message message;
    AmqpLinkHandler::Done done;
  };
  std::vector<Received> received;
  std::vector<AmqpLinkPtr> links;
  std::vector<AmqpOutcome> outcomes;
  std::vector<std::string> events;
  bool answer_at_once = true;
  std::size_t to_send = 0;
  Bytes body = "b";
  AmqpConnectionPtr connection;
  Wake changed;

  void note(std::string what) {
    events.push_back(std::move(what));
    changed.notify();
  }
  template <class Condition>
  awaitable<void> until(Condition condition) {
    while (!condition()) co_await changed.wait_for_good();
  }
};

struct Handler final : AmqpLinkHandler {
  Owner& owner;
  std::weak_ptr<AmqpLink> link;
  Handler(Owner& of, const AmqpLinkPtr& to) : owner(of), link(to) {}
  void transfer(amqp::Message message, Done done) override {
    owner.received.push_back({std::move(message), done});
    if (owner.answer_at_once) done(std::nullopt);
    owner.changed.notify();
  }
  void credit() override {
    const auto to = link.lock();
    while (owner.to_send > 0 && to->credit() > 0) {
      --owner.to_send;
      amqp::Message message;
      message.data = owner.body;
      to->send(message, [this](AmqpOutcome outcome) {
        owner.outcomes.push_back(outcome);
        owner.changed.notify();
      });
    }
    owner.changed.notify();
  }
  void detached() override { owner.note("detached"); }
};

struct TestPeer final : AmqpPeer {
  Owner& owner;
  explicit TestPeer(Owner& of) : owner(of) {}
  Result<> authenticate(const std::string& user, const std::string& password) override {
    if (user == "user" && password == "secret") return {};
    return fail(Fault::denied, "no");
  }
  void opened(const std::string& hostname, const std::string& container) override { owner.note(hostname + " " + container); }
  AmqpAttached attach(const AmqpLinkPtr& link) override {
    const auto& asked = link->asked();
    owner.links.push_back(link);
    if (asked.address == (asked.from_peer ? "in" : "out")) return std::make_shared<Handler>(owner, link);
    return AmqpCondition{"amqp:not-found", "there is no such address"};
  }
};

struct Bench {
  explicit Bench(Executor on, AmqpLimits limits = {}) : strand(on), tasks(on) {
    const auto make = [this](const AmqpConnectionPtr& connection) {
      owner.connection = connection;
      return std::make_shared<TestPeer>(owner);
    };
    server = AmqpServer::make(on, make, limits);
  }
  std::unique_ptr<AmqpScript> dial(std::size_t capacity = 64 * 1024) {
    auto pipe = make_memory_pipe(strand, capacity);
    deadline = pipe.left_deadline;
    tasks.spawn(server->serve(std::move(pipe.left)));
    return std::make_unique<AmqpScript>(std::move(pipe.right));
  }
  awaitable<void> close() {
    for (auto& each : owner.received) each.done = nullptr;
    co_await server->close();
    co_await tasks.close();
  }

  Executor strand;
  Owner owner;
  TaskScope tasks;
  std::unique_ptr<AmqpServer> server;
  std::shared_ptr<DeadlineProbe> deadline;
};

class AmqpServerTest : public ::testing::Test {
 protected:
  using Story = std::function<awaitable<void>(Bench&)>;
  void run(Story story, AmqpLimits limits = {}) {
    auto whole = [](Story told, AmqpLimits with) -> awaitable<void> {
      const Executor strand = co_await asio::this_coro::executor;
      Bench bench(strand, with);
      co_await told(bench);
      co_await bench.close();
    };
    runtime.block_on(whole(std::move(story), limits));
  }
  Runtime runtime{1};
};

amqp::Message message(Bytes body) {
  amqp::Message made;
  made.data = std::move(body);
  return made;
}

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
