#include "service/endpoint/twin_call.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/random.h"

namespace nacelle::endpoint {
namespace {

struct WireError {
  int status;
  int code;  ///< wire facts 2.10
};

WireError wire_error(Fault fault) {
  switch (fault) {
    case Fault::invalid_input: return {400, 400004};
    case Fault::denied: return {401, 401002};
    case Fault::not_found: return {404, 404001};
    case Fault::conflict: return {412, 412001};
    case Fault::exhausted: return {429, 429001};
    case Fault::unavailable: return {503, 503001};
    case Fault::timed_out: return {504, 504101};
    case Fault::corrupt: return {500, 500001};
  }
  return {500, 500001};
}

}  // namespace

TwinAnswer view_answer(const json::Value& view) { return {200, std::nullopt, json::print(view)}; }

TwinAnswer accepted_answer(std::int64_t version) { return {204, version, {}}; }

TwinAnswer error_answer(const Error& error, Timestamp now) {
  const WireError wire = wire_error(error.fault);
  const json::Value body = json::Object{
      {"errorCode", wire.code}, {"trackingId", random_uuid()}, {"message", error.message}, {"timestampUtc", format_iso8601(now)}};
  return {wire.status, std::nullopt, json::print(body)};
}

Result<ReportedPatch> read_patch(const TwinCall& call) {
  ReportedPatch patch;
  TRY_LET(patch.changes, in(json::parse(*call.patch), "reported properties"));
  if (!patch.changes.is_object())
    return fail(Fault::invalid_input,
                fmt::format("reported properties: expected an object, found {}", json::type_name(patch.changes)));
  if (!call.base_version.empty()) {
    TRY_LET(patch.base_version, text::parse_integer(call.base_version, "$version of the reported properties"));
  }
  return patch;
}

}  // namespace nacelle::endpoint
