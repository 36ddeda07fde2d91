#pragma once
// LocalHub: the edge's own hub for modules and leaf devices: checks them against the scope cache, routes what they say into
// the store, and pumps the store into module inputs and upstream. A DeviceBackend over service/endpoint; its work is done
// on the edge's strand, whatever thread it is called on.

#include <functional>
#include <map>
#include <memory>

#include "foundation/snapshot.h"
#include "service/edge/message_store.h"
#include "service/edge/pump.h"
#include "service/edge/scope_cache.h"
#include "service/edge/twin_link.h"
#include "service/endpoint/device_endpoint.h"

namespace nacelle::edge {

struct LocalHubCounts {
  std::uint64_t received = 0;
  std::uint64_t unrouted = 0;
  std::uint64_t refused = 0;
};

class LocalHub final : public endpoint::DeviceBackend, public std::enable_shared_from_this<LocalHub> {
 public:
  struct Parts {
    Executor core;
    const Clock* clock = nullptr;
    const EdgeFiles* files = nullptr;
    ScopeCache* scope = nullptr;
    MessageStore* store = nullptr;
    device::DeviceId edge;
    HubAddress hub;
    std::shared_ptr<net::TlsClientContext> hub_tls;  ///< for twin connections upstream
    std::shared_ptr<TwinLink> upstream;              ///< of {edge}/$edgeHub; null: nothing is sent upstream (tests)
  };
  /// All parts outlive close().
  static std::shared_ptr<LocalHub> make(Parts parts);

  /// The endpoint that serves this backend; told once, before listening.
  void serve_on(endpoint::DeviceEndpoint& endpoint);
  /// New routes; what is queued stays where it is.
  void set_routes(RouteTable routes);
  /// On the core strand.
  awaitable<void> close();

  LocalHubCounts counts() const { return counts_; }
  /// Clients as $edgeHub reports them (wire facts 5.5): modules, then leaf devices, as many as fit reported properties.
  json::Object clients_report() const;

  awaitable<Result<Timestamp>> authenticate(device::IdentityName who, telemetry::UserName user_name, std::string password,
                                            Bytes certificate_der) override;
  void connected(const device::IdentityName& who) override;
  void disconnected(const device::IdentityName& who) override;
  void telemetry(telemetry::Message message, std::function<void(Result<>)> done) override;
  std::string generation_id(const device::IdentityName& who) override;
  std::string_view authentication_of(const device::IdentityName& who) override;
  awaitable<Result<json::Value>> get_twin(device::IdentityName who) override;
  awaitable<Result<endpoint::ReportedAnswer>> patch_reported(device::IdentityName who, json::Value patch,
                                                             std::optional<std::int64_t> base_version) override;
  void method_response(const device::IdentityName& who, const std::string& request_id, int status, Bytes body) override;
  void subscriptions_changed(const device::IdentityName& who) override;

 private:
  struct Client {
    bool connected = false;
    Timestamp connected_at{}, disconnected_at{};
  };
  explicit LocalHub(Parts parts) : parts_(std::move(parts)) {}
  void store(telemetry::Message message, std::function<void(Result<>)> done);
  void add_pump(const EndpointName& endpoint);
  void wake_pumps(const device::IdentityName& who);
  std::shared_ptr<TwinLink> twin_of(const device::IdentityName& who);
  Result<> check_twin_of(const device::IdentityName& who) const;
  awaitable<Result<Timestamp>> authenticate_here(device::IdentityName who, std::string password, Bytes certificates_der);
  awaitable<Result<json::Value>> get_twin_here(device::IdentityName who);
  awaitable<Result<endpoint::ReportedAnswer>> report_here(device::IdentityName who, json::Value patch,
                                                          std::optional<std::int64_t> base);

  Parts parts_;
  endpoint::DeviceEndpoint* endpoint_ = nullptr;
  RouteTable routes_;
  std::map<EndpointName, std::shared_ptr<Pump>> pumps_;
  std::map<device::IdentityName, std::shared_ptr<TwinLink>> twins_;
  std::map<device::IdentityName, Client> clients_;
  LocalHubCounts counts_;
  bool closed_ = false;
};

}  // namespace nacelle::edge
