#pragma once
// WorkloadClient: a module's side of the workload API (wire facts 5.2, and the edge's extensions in docs/edge.md). Every
// call makes its own connection. One strand.

#include <string>

#include "codec/json/value.h"
#include "foundation/async.h"
#include "net/http/message.h"
#include "service/turbofan/module_environment.h"

namespace nacelle::turbofan {

class WorkloadClient {
 public:
  explicit WorkloadClient(const ModuleEnvironment& me) : me_(me) {}

  awaitable<Result<std::string>> trust_bundle() const;
  /// HMAC-SHA256 of `data` under the module's key, base64.
  awaitable<Result<std::string>> sign(std::string data) const;
  awaitable<Result<Bytes>> artifact(std::string sha256_hex) const;
  /// The hub's answer to a file upload that begins (wire facts 3, step 1), asked by the edge for this module.
  awaitable<Result<json::Value>> begin_upload(std::string blob_name) const;
  awaitable<Result<>> end_upload(std::string correlation_id, bool success) const;

 private:
  awaitable<Result<Bytes>> call(std::string_view method, std::string target, Bytes body) const;

  ModuleEnvironment me_;
};

}  // namespace nacelle::turbofan
