// File upload: grant, blob endpoint, notification (wire facts 3).
#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/random.h"
#include "service/hub/api.h"
#include "service/hub/object_body.h"

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
    case Fault::conflict: return {409, "QuotaExceeded"};
    default: return {503, "ServerBusy"};
  }
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

net::HttpResponse failed(Services& services, const Call& call, const Error& error) {
  if (error.fault == Fault::denied) note_refusal(services, Way::blob, call.request, {}, error);
  return blob_error(error);
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
  auto look = [&uploads = services.uploads, blob, ids]() -> Result<std::vector<std::string>> {
    TRY_LET(std::vector<std::string> blocks, uploads.blocks_of(blob, ids));
    uploads.claim_blocks(blob, ids);
    return blocks;
  };
  CO_TRY_LET(const std::vector<std::string> blocks, co_await run_on(services.disk.tables(), look));
  auto assemble = [&uploads = services.uploads, blob, blocks]() -> Result<ByteCount> {
    const ByteCount replaced = uploads.size_of(blob);
    TRY(uploads.assemble(blob, blocks));
    return replaced;
  };
  const auto replaced = co_await run_on(services.disk.files(), assemble);
  auto settle = [&uploads = services.uploads, blob, ids, ok = replaced.has_value(), bytes = replaced ? *replaced : 0] {
    uploads.give_back(blob, ok ? bytes : uploads.bytes_of(blob, ids));
    return ok ? uploads.release(blob) : std::vector<std::string>{};
  };
  const auto staged = co_await run_on(services.disk.tables(), settle);
  auto discard = [&uploads = services.uploads, staged] {
    uploads.discard(staged);
    return true;
  };
  co_await run_on(services.disk.files(), discard);
  if (!replaced) co_return fail(replaced.error());
  co_return Result<>{};
}

awaitable<Result<>> store_whole(Services& services, std::string blob, Bytes bytes) {
  const ByteCount size = bytes.size();
  auto claim = [&uploads = services.uploads, blob, size] { return uploads.claim_whole(blob, size); };
  CO_TRY(co_await run_on(services.disk.tables(), claim));
  auto write = [&uploads = services.uploads, blob, bytes = std::move(bytes)]() -> Result<ByteCount> {
    const ByteCount replaced = uploads.size_of(blob);
    TRY(uploads.store_whole(blob, bytes));
    return replaced;
  };
  const auto replaced = co_await run_on(services.disk.files(), std::move(write));
  auto settle = [&uploads = services.uploads, blob, less = replaced ? *replaced : size] {
    uploads.give_back(blob, less);
    return true;
  };
  co_await run_on(services.disk.tables(), settle);
  if (!replaced) co_return fail(replaced.error());
  co_return Result<>{};
}

/// Wire facts 3, 7.3: what services are told of a file.
json::Value notification_of(const Services& services, const UploadedFile& file) {
  std::string path;
  for (const std::string_view segment : text::split(file.blob_name, '/')) path += "/" + text::percent_encode(segment);
  const std::string port = services.https_port == 443 ? std::string() : fmt::format(":{}", services.https_port);
  return json::Object{{"deviceId", file.device},
                      {"blobUri", fmt::format("https://{}{}/{}{}", services.host, port, upload_container, path)},
                      {"blobName", file.blob_name},
                      {"lastUpdatedTime", format_iso8601(file.modified_at)},
                      {"blobSizeInBytes", static_cast<std::int64_t>(file.bytes)},
                      {"enqueuedTimeUtc", format_iso8601(services.clock.now())}};
}

}  // namespace

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

Result<> check_blob_grant(const Services& services, const Call& call) {
  const net::HttpRequest& request = call.request;
  const std::string permissions = request.query("sp");
  if (request.method == "PUT" && permissions.find('w') == std::string::npos)
    return fail(Fault::denied, "the grant does not allow writing");
  return services.uploads.check_signature(call.captures[0], request.query("se"), permissions, request.query("sig"));
}

net::HttpResponse begin_upload(Services& services, const Call& call) {
  if (auto answer = missing(services, call.target)) return *std::move(answer);
  const auto document = call.json();
  if (!document) return services.error(document.error());
  const auto blob = json::get_string(*document, "blobName", "request body");
  if (!blob) return services.error(blob.error());
  const auto grant = services.uploads.grant(call.target.device.str(), *blob);
  if (!grant && grant.error().fault == Fault::exhausted) return services.error(kinds::too_many_uploads, grant.error().message);
  if (!grant && grant.error().fault == Fault::conflict) return services.error(kinds::quota_exceeded, grant.error().message);
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
  const auto tell = [&](const UploadedFile& file) {
    return services.service_queue.add(ServiceQueue::file_notifications, notification_of(services, file));
  };
  const auto ended = services.uploads.notify(call.target.device.str(), correlation_id, *success, tell);
  if (!ended) return services.error(ended.error());
  if (*success) ++services.counters.uploads;
  return {204, {}, {}};
}

awaitable<net::HttpResponse> put_blob(Services& services, Call call) {
  if (const auto granted = check_blob_grant(services, call); !granted) co_return failed(services, call, granted.error());
  const std::string blob = call.captures[0];
  const std::string part = call.request.query("comp");
  Bytes body = std::move(call.request.body);
  if (part == "block") {
    std::string block_id = call.request.query("blockid");
    const auto staged = co_await stage_block(services, blob, std::move(block_id), std::move(body));
    if (!staged) co_return failed(services, call, staged.error());
    co_return blob_created(services, false);
  }
  if (part == "blocklist") {
    const auto committed = co_await commit_blocks(services, blob, std::move(body));
    if (!committed) co_return failed(services, call, committed.error());
    co_return blob_created(services, true);
  }
  const Error unknown{Fault::invalid_input, "expected comp=block, comp=blocklist or a block blob in one request"};
  if (!part.empty() || !text::equal_ignoring_case(call.request.headers.get("x-ms-blob-type"), "BlockBlob"))
    co_return blob_error(unknown);
  const auto stored = co_await store_whole(services, blob, std::move(body));
  if (!stored) co_return failed(services, call, stored.error());
  co_return blob_created(services, true);
}

awaitable<net::HttpResponse> get_blob(Services& services, Call call) {
  if (const auto granted = check_blob_grant(services, call); !granted) co_return failed(services, call, granted.error());
  auto work = [&uploads = services.uploads, blob = call.captures[0]] { return uploads.open_file(blob); };
  auto file = co_await run_on(services.disk.files(), work);
  if (!file) co_return blob_error(file.error());
  co_return object_response(services.disk, std::move(*file));
}

// -- For services: which files there are (docs/hub.md)

awaitable<net::HttpResponse> list_files(Services& services, Call call) {
  const std::string device = call.request.query("device");
  if (!device.empty())
    if (const auto good = device::parse_device_id(device); !good) co_return services.error(good.error());
  const auto size = page_size_of(call);
  if (!size) co_return services.error(size.error());
  auto work = [&uploads = services.uploads, device] { return uploads.files_of(device); };
  const auto files = co_await run_on(services.disk.files(), work);
  if (!files) co_return services.error(files.error());
  const std::string_view after = call.request.headers.get("x-ms-continuation");
  json::Array rows;
  std::string next;
  for (const UploadedFile& file : *files) {
    if (file.blob_name <= after) continue;
    if (rows.size() == *size) break;
    rows.emplace_back(json::Object{{"deviceId", file.device},
                                   {"blobName", file.blob_name},
                                   {"blobSizeInBytes", static_cast<std::int64_t>(file.bytes)},
                                   {"lastUpdatedTime", format_iso8601(file.modified_at)}});
    next = file.blob_name;
  }
  const bool more = !next.empty() && next != files->back().blob_name;
  co_return page_answer(std::move(rows), "file", more ? next : std::string());
}

awaitable<net::HttpResponse> delete_file(Services& services, Call call) {
  const std::string blob = call.captures[0];
  auto work = [&uploads = services.uploads, blob] { return uploads.remove(blob); };
  const auto removed = co_await run_on(services.disk.files(), work);
  if (!removed) co_return services.error(removed.error());
  auto settle = [&uploads = services.uploads, blob, bytes = *removed] {
    uploads.give_back(blob, bytes);
    return true;
  };
  co_await run_on(services.disk.tables(), settle);
  co_return net::HttpResponse{204, {}, {}};
}

}  // namespace nacelle::hub
