#pragma once
// Twin calls of clients, of any protocol: one after the other for each, so that patches keep their order.

#include "foundation/bounded_queue.h"
#include "foundation/task_scope.h"
#include "service/endpoint/device_endpoint.h"
#include "service/endpoint/twin_call.h"

namespace nacelle::endpoint {

/// A client as far as its twin calls go, and those that wait. Of one connection: it ends with it.
struct TwinCaller {
  explicit TwinCaller(device::IdentityName name) : who(std::move(name)) {}
  const device::IdentityName who;
  std::optional<BoundedQueue<TwinCallPtr>> waiting{};  ///< made with the first call: most clients never make one
};
using TwinCallerPtr = std::shared_ptr<TwinCaller>;

/// begin() on the strand of the client's connection. What it is made with outlives it.
class TwinCalls {
 public:
  TwinCalls(Executor executor, DeviceBackend& backend, const Clock& clock)
      : executor_(executor), backend_(backend), clock_(clock), tasks_(std::move(executor)) {}

  /// The call is answered when its turn has come; at once, with 429, if too many of this client wait.
  void begin(const TwinCallerPtr& caller, TwinCallPtr call);
  /// The client has gone: nothing more of it is taken in. Any thread, when no begin() can come any more.
  static void end(TwinCaller& caller);
  awaitable<void> close();

 private:
  awaitable<void> serve(TwinCallerPtr caller);
  awaitable<void> read(TwinCallerPtr caller, TwinCallPtr call);
  awaitable<void> patch(TwinCallerPtr caller, TwinCallPtr call);
  TwinAnswer refusal(const TwinCaller& caller, const TwinCall& call, const Error& error) const;

  const Executor executor_;
  DeviceBackend& backend_;
  const Clock& clock_;
  TaskScope tasks_;
};

}  // namespace nacelle::endpoint
