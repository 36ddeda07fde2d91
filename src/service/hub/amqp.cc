#include "service/hub/amqp.h"

#include "service/hub/amqp_client.h"
#include "service/hub/ingest.h"

namespace nacelle::hub {

Amqp::Amqp(Executor executor, Services& services, CommitSignal& commits, Events::Routing routing)
    : services_(services),
      events_{services.log, commits, services.disk, std::move(routing), services.clock.now()},
      twin_calls_(executor, services.ingest, services.clock) {
  const auto make_client = [this](const net::AmqpConnectionPtr& connection) {
    return std::make_shared<AmqpClient>(services_, events_, twin_calls_, connection);
  };
  server_ = net::AmqpServer::make(std::move(executor), make_client);
}

awaitable<void> Amqp::close() {
  co_await server_->close();
  co_await twin_calls_.close();
}

void Amqp::recheck() {
  server_->for_each([](net::AmqpPeer& peer) { static_cast<AmqpClient&>(peer).recheck(); });
}

}  // namespace nacelle::hub
