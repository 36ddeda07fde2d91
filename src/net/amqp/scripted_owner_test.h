#pragma once
// For tests: an AMQP server whose owner keeps what it is told and decides by the address, and peers of it.

#include "codec/text/encoding.h"
#include "net/amqp/scripted_amqp_test.h"
#include "net/amqp/server.h"
#include "net/socket/wake.h"

namespace nacelle::net::test {

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

inline amqp::Message message(Bytes body) {
  amqp::Message made;
  made.data = std::move(body);
  return made;
}

}  // namespace nacelle::net::test
