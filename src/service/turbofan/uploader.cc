#include "service/turbofan/uploader.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "net/http/client.h"
#include "storage/file/file.h"

namespace nacelle::turbofan {

namespace {

struct Grant {
  std::string correlation_id;
  net::Endpoint store;
  std::string target;  // /container/blob?sas
};

Result<Grant> read_grant(const json::Value& document) {
  Grant grant;
  TRY_LET(grant.correlation_id, json::get_string(document, "correlationId", "upload grant"));
  TRY_LET(const std::string host, json::get_string(document, "hostName", "upload grant"));
  TRY_LET(const std::string container, json::get_string(document, "containerName", "upload grant"));
  TRY_LET(const std::string blob, json::get_string(document, "blobName", "upload grant"));
  TRY_LET(const std::string token, json::get_string(document, "sasToken", "upload grant"));
  TRY_LET(grant.store, in(net::parse_endpoint(host, 443), "upload grant, hostName"));
  grant.target = "/" + text::percent_encode(container);
  for (const std::string_view segment : text::split(blob, '/')) grant.target += "/" + text::percent_encode(segment);
  grant.target += token;
  return grant;
}

Result<> created(const Result<net::HttpResponse>& response, std::string_view what) {
  if (!response) return fail(response.error());
  if (response->status == 201) return {};
  return fail(Fault::unavailable,
              fmt::format("{} answered {}: {}", what, response->status, std::string_view(response->body).substr(0, 200)));
}

/// Fixed length, as the protocol wants of the ids of one blob.
std::string block_id(std::uint64_t number) { return text::base64_encode(fmt::format("{:012}", number)); }

awaitable<Result<>> put_blocks(net::HttpClient& client, std::string target, std::filesystem::path path) {
  CO_TRY_LET(const auto file, storage::real_file_system().open(path, storage::OpenMode::read));
  CO_TRY_LET(const std::uint64_t size, file->size());
  std::string list = R"(<?xml version="1.0" encoding="UTF-8" standalone="yes"?><BlockList>)";
  std::uint64_t number = 0;
  for (std::uint64_t at = 0; at < size; at += upload_block_bytes, ++number) {
    const std::string id = block_id(number);
    net::HttpRequest request;
    request.method = "PUT";
    request.target = target + "&comp=block&blockid=" + text::percent_encode(id);
    request.headers.set("Content-Type", "application/octet-stream");
    request.headers.set("x-ms-version", "2020-10-02");
    CO_TRY_LET(request.body, file->read_at(at, upload_block_bytes));
    const auto response = co_await client.send(std::move(request));
    CO_TRY(created(response, "put block"));
    list += "<Latest>" + id + "</Latest>";
  }
  net::HttpRequest commit;
  commit.method = "PUT";
  commit.target = target + "&comp=blocklist";
  commit.headers.set("Content-Type", "application/xml");
  commit.headers.set("x-ms-version", "2020-10-02");
  commit.body = list + "</BlockList>";
  const auto response = co_await client.send(std::move(commit));
  co_return created(response, "put block list");
}

}  // namespace

awaitable<Result<>> upload_file(UploadTools tools, std::filesystem::path file, std::string blob_name) {
  const auto document = co_await tools.workload.begin_upload(std::move(blob_name));
  if (!document) co_return fail(document.error());
  CO_TRY_LET(const Grant grant, read_grant(*document));
  net::HttpClientOptions options;
  options.endpoint = grant.store;
  options.tls = tools.tls;
  options.timeout = std::chrono::seconds(120);
  net::HttpClient client(std::move(options));
  const auto put = co_await put_blocks(client, grant.target, std::move(file));
  const auto told = co_await tools.workload.end_upload(grant.correlation_id, put.has_value());
  if (!put) co_return fail(put.error());
  co_return told;
}

}  // namespace nacelle::turbofan
