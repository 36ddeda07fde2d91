#pragma once
// Amqp: the hub over AMQP 1.0 (wire facts 7): claims by tokens, devices, messages to devices, feedback, files, events.

#include <memory>

#include "net/amqp/server.h"
#include "net/tls/context.h"
#include "service/endpoint/twin_calls.h"
#include "service/hub/amqp_events.h"

namespace nacelle::hub {

/// Borrows the services, which outlive it. close() it before they go.
class Amqp {
 public:
  Amqp(Executor executor, Services& services, CommitSignal& commits, Events::Routing routing);
  Result<std::uint16_t> listen(const net::Endpoint& at, std::shared_ptr<net::TlsServerContext> tls) {
    return server_->listen(at, std::move(tls));
  }
  awaitable<void> serve(net::StreamPtr stream) { return server_->serve(std::move(stream)); }
  /// Keys, rights or identities have changed: links that stood on what is no more are ended. Any thread.
  void recheck();
  net::AmqpCounts counts() const { return server_->counts(); }
  net::AmqpServer& server() { return *server_; }
  awaitable<void> close();

 private:
  Services& services_;
  AmqpEvents events_;
  endpoint::TwinCalls twin_calls_;
  std::unique_ptr<net::AmqpServer> server_;
};

}  // namespace nacelle::hub
