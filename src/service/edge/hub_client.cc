#include "service/edge/hub_client.h"

#include <fmt/format.h>

#include "codec/digest/digest.h"
#include "codec/sas/token.h"
#include "codec/text/encoding.h"
#include "net/http/client.h"

namespace nacelle::edge {

namespace {

constexpr std::string_view api = "api-version=2021-04-12";

Fault fault_of(int status) {
  if (status == 401 || status == 403) return Fault::denied;
  if (status == 404) return Fault::not_found;
  if (status >= 500 || status == 429) return Fault::unavailable;
  return Fault::invalid_input;
}

}  // namespace

std::vector<std::string> HubAddress::names() const {
  std::vector<std::string> all{name};
  for (const std::string& other : {host, fmt::format("{}:{}", host, https), fmt::format("{}:{}", host, mqtts)})
    if (other != name) all.push_back(other);
  return all;
}

Result<HubAddress> parse_hub_address(const std::string& host_name, std::uint16_t mqtts) {
  TRY_LET(const net::Endpoint endpoint, in(net::parse_endpoint(host_name, 443), "connection string, HostName"));
  if (!endpoint.unix_path.empty() || endpoint.host.empty())
    return fail(Fault::invalid_input, "connection string: expected HostName as host or host:port");
  HubAddress hub;
  hub.name = host_name;
  hub.host = endpoint.host;
  hub.https = endpoint.port;
  if (mqtts != 0) hub.mqtts = mqtts;
  return hub;
}

awaitable<Result<Bytes>> HubClient::call(std::string_view method, std::string target, Bytes body, ByteCount max_body,
                                         std::chrono::seconds timeout) const {
  const std::string resource = sas::device_resource(hub_.name, edge_.str());
  CO_TRY_LET(const std::string token, sas::make_token(resource, device_key_, clock_.now() + token_lifetime));
  net::HttpClientOptions options;
  options.endpoint.host = hub_.host;
  options.endpoint.port = hub_.https;
  options.tls = tls_;
  options.server_name = hub_.host;
  options.max_body_bytes = max_body;
  options.timeout = timeout;
  net::HttpClient client(std::move(options));
  net::HttpRequest request;
  request.method = method;
  request.target = target;
  request.body = std::move(body);
  request.headers.set("Authorization", token);
  if (method != "GET") request.headers.set("Content-Type", "application/json");
  auto response = co_await client.send(std::move(request));
  if (!response) co_return fail(std::move(response).error().in(fmt::format("hub {}", hub_.name)));
  if (response->status / 100 != 2)
    co_return fail(fault_of(response->status),
                   fmt::format("hub {}: {} {} answered {}: {}", hub_.name, method, target.substr(0, target.find('?')),
                               response->status, std::string_view(response->body).substr(0, 300)));
  co_return std::move(response->body);
}

awaitable<Result<json::Value>> HubClient::scope(std::chrono::seconds timeout) const {
  std::string target =
      fmt::format("/devices/{}/modules/{}/devicesAndModulesInDeviceScope?{}", text::percent_encode(edge_.str()), "$edgeHub", api);
  Bytes none;
  auto body = co_await call("GET", std::move(target), std::move(none), 256_MiB, timeout);
  if (!body) co_return fail(std::move(body).error());
  co_return in(json::parse(*body, {.max_bytes = 256_MiB}), "the hub's scope document");
}

awaitable<Result<json::Value>> HubClient::edge_authority() const {
  std::string target = fmt::format("/devices/{}/edge/ca?{}", text::percent_encode(edge_.str()), api);
  Bytes none;
  auto body = co_await call("POST", std::move(target), std::move(none), 1_MiB, std::chrono::seconds(30));
  if (!body) co_return fail(std::move(body).error());
  co_return in(json::parse(*body), "the hub's edge CA document");
}

awaitable<Result<Bytes>> HubClient::artifact(std::string sha256_hex) const {
  std::string target = fmt::format("/artifacts/{}?{}", text::percent_encode(sha256_hex), api);
  Bytes none;
  auto body = co_await call("GET", std::move(target), std::move(none), 1_GiB, std::chrono::seconds(300));
  if (!body) co_return fail(std::move(body).error());
  if (const std::string found = digest::sha256_hex(*body); found != sha256_hex)
    co_return fail(Fault::corrupt, fmt::format("artifact {}: the hub sent bytes with hash {}", sha256_hex, found));
  co_return std::move(body).value();
}

awaitable<Result<json::Value>> HubClient::begin_upload(std::string blob_name) const {
  std::string target = fmt::format("/devices/{}/files?{}", text::percent_encode(edge_.str()), api);
  Bytes request = json::print(json::Object{{"blobName", blob_name}});
  auto body = co_await call("POST", std::move(target), std::move(request), 1_MiB, std::chrono::seconds(30));
  if (!body) co_return fail(std::move(body).error());
  co_return in(json::parse(*body), "the hub's upload grant");
}

awaitable<Result<>> HubClient::end_upload(json::Value notification) const {
  std::string target = fmt::format("/devices/{}/files/notifications?{}", text::percent_encode(edge_.str()), api);
  Bytes request = json::print(notification);
  auto body = co_await call("POST", std::move(target), std::move(request), 1_MiB, std::chrono::seconds(30));
  if (!body) co_return fail(std::move(body).error());
  co_return Result<>{};
}

}  // namespace nacelle::edge
