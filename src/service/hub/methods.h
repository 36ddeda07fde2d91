#pragma once
// Methods: calls of services (and jobs) to a connected device or module, and the replies (wire facts 1.9, 2.6).
//
//   TRY_LET(MethodRequest request, read_method_request(body));
//   const auto answer = co_await methods.invoke({device, {}}, request);

#include <functional>
#include <memory>
#include <string>

#include "codec/json/value.h"
#include "domain/device/identity.h"
#include "foundation/async.h"
#include "foundation/bytes.h"

namespace nacelle::hub {

struct MethodRequest {
  std::string name;
  json::Value payload;
  std::chrono::milliseconds response_timeout{30'000};  ///< from sending the request to having the reply
  std::chrono::milliseconds connect_timeout{0};        ///< how long to wait for a device that is not there
};

/// What the device said, whatever it thinks of the call.
struct MethodAnswer {
  int status = 0;
  json::Value payload;  ///< null if its reply was empty
};

/// `{"methodName","payload","responseTimeoutInSeconds","connectTimeoutInSeconds"}`, as a service posts it and a job holds
/// it. Fault::invalid_input names the member: a name of 1 to 100 characters without `/`, 5 to 300 and 0 to 300 seconds, the
/// connect time-out no longer than the other, a payload of at most max_method_payload.
Result<MethodRequest> read_method_request(const json::Value& document);

inline constexpr ByteCount max_method_payload = 128_KiB;

/// Any thread. Its state is on a strand of its own. close() before destroying it.
class Methods {
 public:
  /// Sends a request to a client; false if that is not connected and subscribed. Any thread.
  using Send =
      std::function<bool(const device::IdentityName& who, const std::string& method, const std::string& request_id, Bytes payload)>;
  Methods(Executor executor, Send send);
  ~Methods();

  /// Calls one method. The device must be registered: that is the caller's check. Fault::not_found: not connected or not
  /// subscribed within the connect time-out; timed_out: no reply in time; corrupt: the reply is no JSON; exhausted: too many
  /// calls wait already; unavailable: the hub ends. Not cancellable: it ends with its time-outs.
  awaitable<Result<MethodAnswer>> invoke(device::IdentityName who, MethodRequest request);

  /// The reply of `who` to `request_id`. One that nobody waits for, or of another than was asked, is ignored.
  void answered(const device::IdentityName& who, const std::string& request_id, int status, Bytes body);
  /// `who` may have become able to receive requests.
  void ready(const device::IdentityName& who);

  /// Answers every call that waits with Fault::unavailable, and all later ones.
  awaitable<void> close();

  /// Calls that wait at one time, and their payloads: what the memory bound is made of.
  static constexpr std::size_t most_waiting = 10'000;
  static constexpr ByteCount most_waiting_bytes = 64_MiB;

 private:
  struct State;
  const std::shared_ptr<State> state_;
};

}  // namespace nacelle::hub
