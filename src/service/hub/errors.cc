#include "service/hub/errors.h"

#include <fmt/format.h>

#include "codec/json/value.h"
#include "foundation/random.h"

namespace nacelle::hub {

const ErrorKind& kind_of(Fault fault) {
  switch (fault) {
    case Fault::invalid_input: return kinds::argument_invalid;
    case Fault::not_found: return kinds::not_found;
    case Fault::conflict: return kinds::precondition_failed;
    case Fault::denied: return kinds::unauthorized;
    case Fault::unavailable: return kinds::unavailable;
    case Fault::timed_out: return kinds::timed_out;
    case Fault::exhausted: return kinds::unavailable;  // the disk or a bound: clients try 503 again
    case Fault::corrupt: return kinds::server_error;
  }
  return kinds::server_error;
}

net::HttpResponse error_response(const ErrorKind& kind, std::string_view text, Timestamp now) {
  const std::string iso = format_iso8601(now, 0);  // 2030-01-01T10:00:00Z
  const std::string time = fmt::format("{}/{}/{} {}", iso.substr(5, 2), iso.substr(8, 2), iso.substr(0, 4), iso.substr(11, 8));
  const json::Value body = json::Object{{"Message", fmt::format("ErrorCode:{};{}", kind.name, text)},
                                        {"ExceptionMessage", fmt::format("Tracking ID:{}-TimeStamp:{}", random_uuid(), time)}};
  net::HttpResponse response = net::json_response(kind.status, json::print(body));
  response.headers.set("iothub-errorcode", kind.name);
  return response;
}

}  // namespace nacelle::hub
