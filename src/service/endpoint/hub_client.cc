#include "service/endpoint/hub_client.h"

#include <fmt/format.h>

#include <fstream>
#include <iterator>

#include "codec/digest/digest.h"
#include "codec/sas/connection_string.h"
#include "codec/text/encoding.h"
#include "net/tls/context.h"

namespace nacelle::endpoint {
namespace {

constexpr std::chrono::minutes token_life{60};
constexpr std::string_view api_version = "api-version=2021-04-12";

Result<std::string> read_text(const std::filesystem::path& path) {
  std::ifstream stream(path, std::ios::binary);
  if (!stream) return fail(Fault::not_found, fmt::format("{} cannot be read", path.string()));
  return std::string{std::istreambuf_iterator<char>(stream), {}};
}

Fault fault_of_status(int status) {
  if (status == 400) return Fault::invalid_input;
  if (status == 401 || status == 403) return Fault::denied;
  if (status == 404 || status == 405) return Fault::not_found;
  if (status == 409 || status == 412) return Fault::conflict;
  if (status == 413) return Fault::exhausted;
  return status == 504 ? Fault::timed_out : Fault::unavailable;
}

std::string with_version(std::string target) {
  target += target.find('?') == std::string::npos ? '?' : '&';
  target += api_version;
  return target;
}

Result<> check_service(const sas::ConnectionString& parts) {
  if (parts.is_service()) return {};
  return fail(Fault::invalid_input, "connection string: expected SharedAccessKeyName, as in the hub's own, found that of a device");
}

}  // namespace

struct HubClient::State {
  State(net::HttpClientOptions options, sas::ConnectionString parts, const Clock& time)
      : http(std::move(options)), connection(std::move(parts)), clock(&time) {}
  net::HttpClient http;
  sas::ConnectionString connection;
  const Clock* clock;
};

HubClient::HubClient(std::unique_ptr<State> state) : state_(std::move(state)) {}
HubClient::~HubClient() = default;
HubClient::HubClient(HubClient&&) noexcept = default;
HubClient& HubClient::operator=(HubClient&&) noexcept = default;

Result<HubClient> HubClient::make(const HubFile& file, const Clock& clock) {
  TRY_LET(const std::string ca_pem, in(read_text(file.ca_path), "the hub's root certificate"));
  TRY_LET(sas::ConnectionString parts, sas::parse_connection_string(file.connection_string));
  TRY(check_service(parts));
  // hub.json lies on the hub's own machine, where its host name need not resolve.
  net::HttpClientOptions options;
  options.endpoint = {"127.0.0.1", file.https, {}};
  options.server_name = file.host;
  TRY_LET(options.tls, net::TlsClientContext::make(ca_pem));
  return HubClient(std::make_unique<State>(std::move(options), std::move(parts), clock));
}

Result<HubClient> HubClient::make(const std::string& connection_string, std::uint16_t https, const std::string& ca_pem,
                                  const Clock& clock) {
  TRY_LET(sas::ConnectionString parts, sas::parse_connection_string(connection_string));
  TRY(check_service(parts));
  net::HttpClientOptions options;
  TRY_LET(options.endpoint, net::parse_endpoint(parts.host_name, https));
  TRY_LET(options.tls, net::TlsClientContext::make(ca_pem));
  parts.host_name = options.endpoint.host;
  return HubClient(std::make_unique<State>(std::move(options), std::move(parts), clock));
}

const std::string& HubClient::host_name() const { return state_->connection.host_name; }

awaitable<Result<net::HttpResponse>> HubClient::send(net::HttpRequest request) {
  const auto& connection = state_->connection;
  const Timestamp expires = state_->clock->now() + token_life;
  CO_TRY_LET(const std::string token,
             sas::make_token(connection.host_name, connection.shared_access_key, expires, connection.policy_name));
  request.headers.set("authorization", token);
  auto response = co_await state_->http.send(std::move(request));
  co_return response;
}

awaitable<Result<json::Value>> HubClient::call(std::string method, std::string target, json::Value body, std::string if_match) {
  net::HttpRequest request;
  request.method = method;
  request.target = with_version(target);
  if (!body.is_null()) {
    request.body = json::print(body);
    request.headers.set("content-type", "application/json; charset=utf-8");
  }
  if (!if_match.empty()) request.headers.set("if-match", if_match);
  CO_TRY_LET(const net::HttpResponse response, co_await send(std::move(request)));
  if (response.status >= 300) co_return fail(fault_of(response, method, target));
  if (response.body.empty()) co_return json::Value();
  auto answer = in(json::parse(response.body), fmt::format("the hub's answer to {} {}", method, target));
  co_return answer;
}

awaitable<Result<json::Value>> HubClient::get(std::string target) { return call("GET", std::move(target), {}, {}); }
awaitable<Result<json::Value>> HubClient::put(std::string target, json::Value body, std::string if_match) {
  return call("PUT", std::move(target), std::move(body), std::move(if_match));
}
awaitable<Result<json::Value>> HubClient::patch(std::string target, json::Value body, std::string if_match) {
  return call("PATCH", std::move(target), std::move(body), std::move(if_match));
}
awaitable<Result<json::Value>> HubClient::post(std::string target, json::Value body) {
  return call("POST", std::move(target), std::move(body), {});
}
awaitable<Result<json::Value>> HubClient::remove(std::string target) { return call("DELETE", std::move(target), {}, "*"); }

awaitable<Result<device::Identity>> HubClient::ensure_device(device::DeviceId id, bool edge, std::string scope) {
  const device::IdentityName name{id, {}};
  const std::string path = device_path(name);
  auto found = co_await get(path);
  if (!found && found.error().fault != Fault::not_found) co_return fail(std::move(found).error());
  if (!found) {
    json::Object document{{"deviceId", id.str()}, {"capabilities", json::Object{{"iotEdge", edge}}}};
    if (!scope.empty()) document.set("deviceScope", scope);
    json::Value body(std::move(document));
    found = co_await put(path, std::move(body));
    // Someone else made it between our two calls: then it is there.
    if (!found && found.error().fault == Fault::conflict) found = co_await get(path);
    if (!found) co_return fail(std::move(found).error());
  }
  CO_TRY_LET(device::Identity identity, device::from_json(*found, name));
  // The hub's own members, which from_json leaves to the hub.
  CO_TRY_LET(identity.generation_id, json::get_string_or(*found, "generationId", "", path));
  co_return identity;
}

awaitable<Result<std::string>> HubClient::put_artifact(Bytes bytes) {
  const std::string sha256 = digest::sha256_hex(bytes);
  net::HttpRequest request;
  request.method = "PUT";
  request.target = with_version("/artifacts/" + sha256);
  request.headers.set("content-type", "application/octet-stream");
  request.body = std::move(bytes);
  CO_TRY_LET(const net::HttpResponse response, co_await send(std::move(request)));
  if (response.status >= 300) co_return fail(fault_of(response, "PUT", "/artifacts"));
  co_return sha256;
}

std::string device_path(const device::IdentityName& name) {
  std::string path = "/devices/" + text::percent_encode(name.device.str());
  if (name.is_module()) path += "/modules/" + text::percent_encode(name.module.str());
  return path;
}

std::string twin_path(const device::IdentityName& name) {
  return "/twins" + device_path(name).substr(std::string_view("/devices").size());
}

std::string connection_string_of(const std::string& host_name, const device::Identity& identity) {
  sas::ConnectionString parts;
  parts.host_name = host_name;
  parts.device_id = identity.name.device.str();
  parts.module_id = identity.name.module.str();
  using device::Authentication;
  parts.x509 =
      identity.authentication == Authentication::self_signed || identity.authentication == Authentication::certificate_authority;
  if (!parts.x509) parts.shared_access_key = identity.primary_key;
  return sas::print_connection_string(parts);
}

Error fault_of(const net::HttpResponse& response, std::string_view method, std::string_view target) {
  std::string message = fmt::format("the hub answered {}", response.status);
  if (const auto document = json::parse(response.body)) {
    const json::Value* text = document->find("Message");
    if (text && text->is_string()) {
      message = text->as_string();
      // `ErrorCode:{Name};{text}`: the text is the sentence for people.
      if (const auto at = message.find(';'); message.starts_with("ErrorCode:") && at != std::string::npos) message.erase(0, at + 1);
    }
  }
  return {fault_of_status(response.status), fmt::format("{} {}: {}", method, target.substr(0, target.find('?')), message)};
}

}  // namespace nacelle::endpoint
