// Direct methods over REST (wire facts 2.6).
#include "foundation/random.h"
#include "service/hub/api.h"

namespace nacelle::hub {
namespace {

/// Method calls fail in a form of their own: a JSON text inside `Message` (wire facts 2.10).
net::HttpResponse method_error(const Services& services, const ErrorKind& kind, const std::string& text) {
  const json::Value inner = json::Object{{"errorCode", kind.code},
                                         {"trackingId", random_uuid()},
                                         {"message", text},
                                         {"timestampUtc", format_iso8601(services.clock.now())}};
  auto response = json_answer(kind.status, json::Object{{"Message", json::print(inner)}, {"ExceptionMessage", ""}});
  response.headers.set("iothub-errorcode", kind.name);
  return response;
}

const ErrorKind& kind_of_failure(Fault fault) {
  switch (fault) {
    case Fault::not_found: return kinds::device_not_online;
    case Fault::corrupt: return kinds::bad_device_reply;
    case Fault::exhausted: return kinds::throttled;
    default: return kind_of(fault);
  }
}

}  // namespace

awaitable<net::HttpResponse> invoke_method(Services& services, Call call) {
  if (auto answer = missing(services, call.target)) co_return *std::move(answer);
  const auto body = call.json();
  if (!body) co_return services.error(body.error());
  auto request = read_method_request(*body);
  if (!request) co_return services.error(request.error());
  ++services.counters.method_calls;
  const auto answer = co_await services.methods.invoke(call.target, *std::move(request));
  if (!answer) {
    ++services.counters.failed_method_calls;
    co_return method_error(services, kind_of_failure(answer.error().fault), answer.error().message);
  }
  co_return json_answer(200, json::Object{{"status", answer->status}, {"payload", answer->payload}});
}

}  // namespace nacelle::hub
