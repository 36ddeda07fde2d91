// File upload: grant, blob endpoint, notification (wire facts 3).
#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/random.h"
#include "service/hub/api.h"

namespace nacelle::hub {
namespace {

struct BlobErrorKind {
  int status;
  std::string_view code;
};

BlobErrorKind blob_kind(Fault fault) {
  switch (fault) {
    case Fault::denied: return {403, "AuthenticationFailed"};
    case Fault::invalid_input: return {400, "InvalidBlockList"};
    case Fault::not_found: return {404, "BlobNotFound"};
    case Fault::exhausted: return {413, "RequestBodyTooLarge"};
    default: return {503, "ServerBusy"};
  }
}

/// The blob service speaks XML; its messages are ours and hold nothing of the request.
net::HttpResponse blob_error(const Error& error) {
  const BlobErrorKind kind = blob_kind(error.fault);
  auto response = net::text_response(
      kind.status,
      fmt::format("<?xml version=\"1.0\" encoding=\"utf-8\"?><Error><Code>{}</Code><Message>{}</Message></Error>", kind.code,
                  error.message),
      "application/xml");
  response.headers.set("x-ms-error-code", kind.code);
  return response;
}

net::HttpResponse blob_created(const Services& services, bool blob) {
  net::HttpResponse response{201, {}, {}};
  response.headers.set("x-ms-request-id", random_uuid());
  response.headers.set("x-ms-version", "2020-10-02");
  response.headers.set("x-ms-request-server-encrypted", "true");
  if (!blob) return response;
  response.headers.set("etag", fmt::format("\"0x{}\"", text::hex_encode(secure_random(8))));
  // RFC 9110 section 5.6.7, from `2030-01-01T10:00:00Z`.
  const Timestamp now = services.clock.now();
  const std::chrono::sys_days day = std::chrono::floor<std::chrono::days>(now);
  const std::chrono::year_month_day date{day};
  constexpr std::string_view week[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::string_view months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  response.headers.set("last-modified",
                       fmt::format("{}, {:02} {} {} {} GMT", week[std::chrono::weekday{day}.c_encoding()], unsigned(date.day()),
                                   months[unsigned(date.month()) - 1], int(date.year()), format_iso8601(now, 0).substr(11, 8)));
  return response;
}

Result<> check_grant(const Services& services, const Call& call) {
  const net::HttpRequest& request = call.request;
  const std::string permissions = request.query("sp");
  if (request.method == "PUT" && permissions.find('w') == std::string::npos)
    return fail(Fault::denied, "the grant does not allow writing");
  return services.uploads.check_signature(call.captures[0], request.query("se"), permissions, request.query("sig"));
}

awaitable<Result<>> stage_block(Services& services, std::string blob, std::string block_id, Bytes bytes) {
  auto reserve = [&uploads = services.uploads, blob, block_id, size = bytes.size()] {
    return uploads.reserve_block(blob, block_id, size);
  };
  CO_TRY_LET(const std::string object, co_await run_on(services.disk.tables(), reserve));
  auto write = [&uploads = services.uploads, object, bytes = std::move(bytes)] { return uploads.store_block(object, bytes); };
  auto written = co_await run_on(services.disk.files(), std::move(write));
  co_return written;
}

awaitable<Result<>> commit_blocks(Services& services, std::string blob, Bytes list) {
  CO_TRY_LET(const std::vector<std::string> ids, parse_block_list(list));
  auto look = [&uploads = services.uploads, blob, ids] { return uploads.blocks_of(blob, ids); };
  CO_TRY_LET(const std::vector<std::string> blocks, co_await run_on(services.disk.tables(), look));
  auto assemble = [&uploads = services.uploads, blob, blocks] { return uploads.assemble(blob, blocks); };
  CO_TRY(co_await run_on(services.disk.files(), assemble));
  auto release = [&uploads = services.uploads, blob] { return uploads.release(blob); };
  const auto staged = co_await run_on(services.disk.tables(), release);
  auto discard = [&uploads = services.uploads, staged] {
    uploads.discard(staged);
    return true;
  };
  co_await run_on(services.disk.files(), discard);
  co_return Result<>{};
}

awaitable<Result<>> store_whole(Services& services, std::string blob, Bytes bytes) {
  auto check = [&uploads = services.uploads, blob] { return uploads.check_open(blob); };
  CO_TRY(co_await run_on(services.disk.tables(), check));
  auto write = [&uploads = services.uploads, blob, bytes = std::move(bytes)] { return uploads.store_whole(blob, bytes); };
  auto written = co_await run_on(services.disk.files(), std::move(write));
  co_return written;
}

}  // namespace

net::HttpResponse begin_upload(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  const auto document = call.json();
  if (!document) return services.error(document.error());
  const auto blob = json::get_string(*document, "blobName", "request body");
  if (!blob) return services.error(blob.error());
  const auto grant = services.uploads.grant(call.target.device.str(), *blob);
  if (!grant && grant.error().fault == Fault::exhausted) return services.error(kinds::too_many_uploads, grant.error().message);
  if (!grant) return services.error(grant.error());
  // The name the caller reached us by is one it trusts us under.
  std::string host(call.request.headers.get("host"));
  if (host.find(':') == std::string::npos || services.https_port == 0)
    host = fmt::format("{}:{}", services.host, services.https_port);
  return json_answer(200, json::Object{{"correlationId", grant->correlation_id},
                                       {"hostName", host},
                                       {"containerName", upload_container},
                                       {"blobName", grant->blob_name},
                                       {"sasToken", grant->sas_token}});
}

net::HttpResponse end_upload(Services& services, const Call& call) {
  const auto document = call.json();
  if (!document) return services.error(document.error());
  const auto in_body = json::get_string_or(*document, "correlationId", "", "request body");
  if (!in_body) return services.error(in_body.error());
  const std::string correlation_id = call.captures.empty() ? *in_body : call.captures[0];
  const auto success = json::get_bool_or(*document, "isSuccess", false, "request body");
  if (!success) return services.error(success.error());
  const auto ended = services.uploads.notify(call.target.device.str(), correlation_id, *success);
  if (!ended) return services.error(ended.error());
  if (*success) ++services.counters.uploads;
  return {204, {}, {}};
}

awaitable<net::HttpResponse> put_blob(Services& services, Call call) {
  if (const auto granted = check_grant(services, call); !granted) {
    ++services.counters.refused_calls;
    co_return blob_error(granted.error());
  }
  const std::string blob = call.captures[0];
  const std::string part = call.request.query("comp");
  Bytes body = std::move(call.request.body);
  if (part == "block") {
    std::string block_id = call.request.query("blockid");
    const auto staged = co_await stage_block(services, blob, std::move(block_id), std::move(body));
    if (!staged) co_return blob_error(staged.error());
    co_return blob_created(services, false);
  }
  if (part == "blocklist") {
    const auto committed = co_await commit_blocks(services, blob, std::move(body));
    if (!committed) co_return blob_error(committed.error());
    co_return blob_created(services, true);
  }
  const Error unknown{Fault::invalid_input, "expected comp=block, comp=blocklist or a block blob in one request"};
  if (!part.empty() || !text::equal_ignoring_case(call.request.headers.get("x-ms-blob-type"), "BlockBlob"))
    co_return blob_error(unknown);
  const auto stored = co_await store_whole(services, blob, std::move(body));
  if (!stored) co_return blob_error(stored.error());
  co_return blob_created(services, true);
}

awaitable<net::HttpResponse> get_blob(Services& services, Call call) {
  if (const auto granted = check_grant(services, call); !granted) co_return blob_error(granted.error());
  auto work = [&uploads = services.uploads, blob = call.captures[0]] { return uploads.read(blob); };
  auto bytes = co_await run_on(services.disk.files(), work);
  if (!bytes) co_return blob_error(bytes.error());
  if (call.request.method == "HEAD") bytes->clear();
  co_return net::text_response(200, std::move(*bytes), "application/octet-stream");
}

}  // namespace nacelle::hub
