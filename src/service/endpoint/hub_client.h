#pragma once
// HubClient: the hub's REST calls, as commands, simulator and demo make them. It signs each call with the policy in
// hub.json, checks the hub's certificate against its own root, and turns error answers into faults.
//
//   TRY_LET(const HubFile file, read_hub_file(path));
//   TRY_LET(auto hub, HubClient::make(file, clock));
//   const auto devices = co_await hub.get("/devices");

#include <memory>
#include <optional>
#include <string>

#include "codec/json/value.h"
#include "domain/device/identity.h"
#include "foundation/clock.h"
#include "net/http/client.h"
#include "service/endpoint/hub_file.h"

namespace nacelle::endpoint {

/// Use it from one coroutine at a time: it is one connection.
class HubClient {
 public:
  /// Reads the CA file. Fault::invalid_input if hub.json's connection string is none of a service.
  static Result<HubClient> make(const HubFile& file, const Clock& clock);
  /// Of a service connection string; the hub is found at its HostName's port, else `https`. `ca_pem` empty: the system's roots.
  static Result<HubClient> make(const std::string& connection_string, std::uint16_t https, const std::string& ca_pem,
                                const Clock& clock);
  ~HubClient();
  HubClient(HubClient&&) noexcept;
  HubClient& operator=(HubClient&&) noexcept;

  /// The answer's JSON (null if it has none). An error answer is a fault with the hub's own sentence: 400 invalid_input,
  /// 401 and 403 denied, 404 not_found, 409 and 412 conflict, 413 exhausted, else unavailable.
  awaitable<Result<json::Value>> get(std::string target);
  awaitable<Result<json::Value>> put(std::string target, json::Value body, std::string if_match = {});
  awaitable<Result<json::Value>> patch(std::string target, json::Value body, std::string if_match = {});
  awaitable<Result<json::Value>> post(std::string target, json::Value body);
  awaitable<Result<json::Value>> remove(std::string target);

  /// Any call; the Authorization header is added. Any status is a success of the exchange.
  awaitable<Result<net::HttpResponse>> send(net::HttpRequest request);

  /// The device, made if it is not there yet.
  awaitable<Result<device::Identity>> ensure_device(device::DeviceId id, bool edge = false, std::string scope = {});
  /// Uploads a model artifact under its hash; answers with the hash.
  awaitable<Result<std::string>> put_artifact(Bytes bytes);

  const std::string& host_name() const;  ///< the hub's name, for device connection strings

 private:
  struct State;
  explicit HubClient(std::unique_ptr<State> state);
  awaitable<Result<json::Value>> call(std::string method, std::string target, json::Value body, std::string if_match);
  std::unique_ptr<State> state_;
};

/// `/devices/{id}[/modules/{m}]`, encoded.
std::string device_path(const device::IdentityName& name);
std::string twin_path(const device::IdentityName& name);

/// `HostName=..;DeviceId=..;SharedAccessKey=..` of an identity with keys: a secret. With a certificate: `..;x509=true`.
std::string connection_string_of(const std::string& host_name, const device::Identity& identity);

/// The fault that an error answer stands for, with the hub's sentence.
Error fault_of(const net::HttpResponse& response, std::string_view method, std::string_view target);

}  // namespace nacelle::endpoint
