// Any bytes into a connection whose owner takes every link, answers every transfer and sends as there is credit.
#include "foundation/log.h"
#include "foundation/task_scope.h"
#include "net/amqp/server.h"
#include "net/socket/memory_stream.h"
#include "net/socket/runtime.h"

namespace {

using namespace nacelle;

struct Echo final : net::AmqpLinkHandler {
  std::weak_ptr<net::AmqpLink> link;
  void transfer(amqp::Message message, Done done) override {
    done(message.data.empty() ? std::optional(net::AmqpCondition{"amqp:not-allowed", "empty"}) : std::nullopt);
  }
  void credit() override {
    const auto to = link.lock();
    for (int i = 0; to && i < 3 && to->credit() > 0; ++i) to->send(amqp::Message{.data = "x"}, {});
  }
};

struct Owner final : net::AmqpPeer {
  net::AmqpAttached attach(const net::AmqpLinkPtr& link) override {
    if (link->asked().address.empty()) return net::AmqpCondition{"amqp:not-found", "no address"};
    const auto echo = std::make_shared<Echo>();
    echo->link = link;
    return echo;
  }
};

awaitable<void> tell(Bytes bytes) {
  const Executor strand = co_await asio::this_coro::executor;
  TaskScope tasks(strand);
  const auto make = [](const net::AmqpConnectionPtr&) { return std::make_shared<Owner>(); };
  const auto server = net::AmqpServer::make(strand, make);
  auto pipe = net::make_memory_pipe(strand, 1 << 20);
  tasks.spawn(server->serve(std::move(pipe.left)));
  static_cast<void>(co_await pipe.right->write_all(bytes));
  server->sweep(std::chrono::steady_clock::time_point(std::chrono::hours{1}));
  for (int i = 0; i < 4; ++i) co_await asio::post(strand, asio::use_awaitable);
  pipe.right->close();
  co_await server->close();
  co_await tasks.close();
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  static net::Runtime runtime(1);
  log::set_level(log::Level::error);
  runtime.block_on(tell(Bytes(reinterpret_cast<const char*>(data), size)));
  return 0;
}
