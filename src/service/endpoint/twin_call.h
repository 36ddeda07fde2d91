#pragma once
// A client's twin call on its way through the backend, and its answer, whatever protocol carries them (wire facts 1.8).

#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "codec/json/value.h"
#include "foundation/bytes.h"
#include "foundation/clock.h"
#include "foundation/result.h"

namespace nacelle::endpoint {

struct TwinAnswer {
  int status = 500;
  std::optional<std::int64_t> version;  ///< of the reported properties, after a patch
  Bytes body;                           ///< JSON, or empty
};

/// A GET, or a PATCH if `patch` is there. Its message is acknowledged (`done`) when the call is over, however it ends.
struct TwinCall {
  std::optional<Bytes> patch;
  std::string base_version;                       ///< that the client thinks it patches; empty: any
  std::function<void(const TwinAnswer&)> answer;  ///< at most once; any strand
  std::function<void(Result<>)> done;

  TwinCall() = default;
  TwinCall(const TwinCall&) = delete;
  TwinCall& operator=(const TwinCall&) = delete;
  ~TwinCall() {
    if (done) done({});
  }
};
using TwinCallPtr = std::shared_ptr<TwinCall>;

TwinAnswer view_answer(const json::Value& view);
TwinAnswer accepted_answer(std::int64_t version);
/// The status code suits the fault; the body is JSON with `errorCode` and `message`, which is what clients go by.
TwinAnswer error_answer(const Error& error, Timestamp now);

struct ReportedPatch {
  json::Value changes;
  std::optional<std::int64_t> base_version;
};
/// Fault::invalid_input for a body that is no JSON object or a version that is no number.
Result<ReportedPatch> read_patch(const TwinCall& call);

}  // namespace nacelle::endpoint
