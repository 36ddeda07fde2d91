#include "service/hub/amqp.h"

#include "service/hub/amqp_client.h"

namespace nacelle::hub {

Amqp::Amqp(Executor executor, Services& services, CommitSignal& commits, Events::Routing routing)
    : services_(services), events_{services.log, commits, services.disk, std::move(routing), services.clock.now()} {
  const auto make_client = [this](const net::AmqpConnectionPtr& connection) {
    return std::make_shared<AmqpClient>(services_, events_, connection);
  };
  server_ = net::AmqpServer::make(std::move(executor), make_client);
}

void Amqp::recheck() {
  server_->for_each([](net::AmqpPeer& peer) { static_cast<AmqpClient&>(peer).recheck(); });
}

}  // namespace nacelle::hub
