#include "service/turbofan/workload_client.h"

#include <fmt/format.h>

#include "codec/digest/digest.h"
#include "codec/text/encoding.h"
#include "net/http/client.h"

namespace nacelle::turbofan {

awaitable<Result<Bytes>> WorkloadClient::call(std::string_view method, std::string target, Bytes body) const {
  if (me_.workload_socket.empty())
    co_return fail(Fault::unavailable, "this module has no workload socket: it was started with a connection string");
  net::HttpClientOptions options;
  options.endpoint.unix_path = me_.workload_socket;
  options.server_name = "localhost";
  options.timeout = std::chrono::seconds(300);  // a model may have to be fetched from the hub first
  options.max_body_bytes = 1_GiB;
  net::HttpClient client(std::move(options));
  net::HttpRequest request;
  request.method = method;
  request.target = target;
  if (!body.empty()) request.headers.set("Content-Type", "application/json");
  request.body = std::move(body);
  auto response = co_await client.send(std::move(request));
  if (!response) co_return fail(std::move(response).error().in("workload API"));
  if (response->status / 100 == 2) co_return std::move(response->body);
  Fault fault = Fault::unavailable;
  if (response->status == 400) fault = Fault::invalid_input;
  if (response->status == 403) fault = Fault::denied;
  if (response->status == 404) fault = Fault::not_found;
  const std::string_view why = std::string_view(response->body).substr(0, 300);
  co_return fail(fault, fmt::format("workload API: {} {} answered {}: {}", method, target, response->status, why));
}

awaitable<Result<std::string>> WorkloadClient::trust_bundle() const {
  std::string target = "/trust-bundle?api-version=2020-07-07";
  Bytes none;
  auto body = co_await call("GET", std::move(target), std::move(none));
  if (!body) co_return fail(std::move(body).error());
  CO_TRY_LET(const json::Value document, in(json::parse(*body), "trust bundle"));
  co_return json::get_string(document, "certificate", "trust bundle");
}

awaitable<Result<std::string>> WorkloadClient::sign(std::string data) const {
  std::string target = fmt::format("/modules/{}/genid/{}/sign?api-version=2020-07-07", text::percent_encode(me_.module),
                                   text::percent_encode(me_.generation));
  const json::Object request{{"keyId", "primary"}, {"algo", "HMACSHA256"}, {"data", text::base64_encode(data)}};
  Bytes text = json::print(request);
  auto body = co_await call("POST", std::move(target), std::move(text));
  if (!body) co_return fail(std::move(body).error());
  CO_TRY_LET(const json::Value document, in(json::parse(*body), "signature"));
  co_return json::get_string(document, "digest", "signature");
}

awaitable<Result<Bytes>> WorkloadClient::artifact(std::string sha256_hex) const {
  std::string target = "/artifacts/" + text::percent_encode(sha256_hex);
  Bytes none;
  auto body = co_await call("GET", std::move(target), std::move(none));
  if (!body) co_return fail(std::move(body).error());
  if (digest::sha256_hex(*body) != sha256_hex)
    co_return fail(Fault::corrupt, fmt::format("artifact {}: its bytes have another hash", sha256_hex));
  co_return std::move(body).value();
}

awaitable<Result<json::Value>> WorkloadClient::begin_upload(std::string blob_name) const {
  std::string target = "/files";
  const json::Object request{{"blobName", blob_name}};
  Bytes text = json::print(request);
  auto body = co_await call("POST", std::move(target), std::move(text));
  if (!body) co_return fail(std::move(body).error());
  co_return in(json::parse(*body), "upload grant");
}

awaitable<Result<>> WorkloadClient::end_upload(std::string correlation_id, bool success) const {
  std::string target = "/files/notifications";
  const json::Object request{{"correlationId", correlation_id},
                             {"isSuccess", success},
                             {"statusCode", success ? 201 : 500},
                             {"statusDescription", success ? "uploaded" : "failed"}};
  Bytes text = json::print(request);
  auto body = co_await call("POST", std::move(target), std::move(text));
  if (!body) co_return fail(std::move(body).error());
  co_return Result<>{};
}

}  // namespace nacelle::turbofan
