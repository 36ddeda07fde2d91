#pragma once
// A client's twin call on its way through the backend, and the reply in the protocol's form (wire facts 1.8). Private to
// service/endpoint.

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "codec/json/value.h"
#include "domain/telemetry/topic.h"
#include "foundation/bytes.h"
#include "foundation/clock.h"
#include "foundation/result.h"

namespace nacelle::endpoint {

/// A GET, or a PATCH if `patch` is there. Its publish is acknowledged when the call is over, however it ends.
struct TwinCall {
  std::string request_id;
  std::optional<Bytes> patch;
  std::string base_version;
  std::function<void(Result<>)> done;

  TwinCall() = default;
  TwinCall(const TwinCall&) = delete;
  TwinCall& operator=(const TwinCall&) = delete;
  ~TwinCall() {
    if (done) done({});
  }
};
using TwinCallPtr = std::shared_ptr<TwinCall>;

struct TwinReply {
  std::string topic;
  Bytes body;
};
TwinReply view_reply(const std::string& request_id, const json::Value& view);
TwinReply accepted_reply(const std::string& request_id, std::int64_t version);
/// The status code suits the fault; the body is JSON with `errorCode` and `message`, which is what clients go by.
TwinReply error_reply(const std::string& request_id, const Error& error, Timestamp now);

struct ReportedPatch {
  json::Value changes;
  std::optional<std::int64_t> base_version;
};
/// Fault::invalid_input for a body that is no JSON object or a version that is no number.
Result<ReportedPatch> read_patch(const TwinCall& call);

}  // namespace nacelle::endpoint
