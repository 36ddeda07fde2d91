#pragma once
// Twin calls of clients: one after the other for each, so that patches keep their order. Private to service/endpoint.

#include "foundation/task_scope.h"
#include "service/endpoint/detail/client.h"
#include "service/endpoint/device_endpoint.h"

namespace nacelle::endpoint {

/// begin() on the strand of the client's connection. What it is made with outlives it.
class TwinCalls {
 public:
  TwinCalls(Executor executor, DeviceBackend& backend, const Clock& clock)
      : executor_(executor), backend_(backend), clock_(clock), tasks_(std::move(executor)) {}

  /// The call is answered when its turn has come; at once, with 429, if too many of this client wait.
  void begin(const ClientPtr& client, TwinCallPtr call);
  /// The client has gone: what waits is dropped, unanswered.
  static void end(Client& client);
  awaitable<void> close();

 private:
  awaitable<void> serve(ClientPtr client);
  awaitable<void> read(ClientPtr client, TwinCallPtr call);
  awaitable<void> patch(ClientPtr client, TwinCallPtr call);
  TwinAnswer refusal(const Client& client, const TwinCall& call, const Error& error) const;

  const Executor executor_;
  DeviceBackend& backend_;
  const Clock& clock_;
  TaskScope tasks_;
};

}  // namespace nacelle::endpoint
