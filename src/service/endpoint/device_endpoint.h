#pragma once
// The IoT Hub topic rules as a policy over net/mqtt: what hub and edge have in common towards devices and modules
// (wire facts 1 and 5.6). It takes packets apart and calls a DeviceBackend; hub and edge each are one.

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "domain/device/identity.h"
#include "domain/telemetry/message.h"
#include "domain/telemetry/topic.h"
#include "domain/twin/twin.h"
#include "net/mqtt/server.h"
#include "service/endpoint/open_namespace.h"
#include "service/endpoint/registration.h"
#include "storage/log/event_log.h"

namespace nacelle::endpoint {

/// An answered twin call. On failure the endpoint makes the JSON error body (wire facts 1.8).
struct ReportedAnswer {
  std::int64_t version = 0;
};

class DeviceBackend {
 public:
  virtual ~DeviceBackend() = default;
  /// Checks the identity the client claims by its password or certificate; the time its credentials end.
  /// Fault::denied and a reason without secrets; Fault::unavailable: CONNACK 3.
  virtual awaitable<Result<Timestamp>> authenticate(device::IdentityName who, telemetry::UserName user_name, std::string password,
                                                    Bytes certificate_der) = 0;
  /// Checks a plain client's user name and password (or certificate): who it is. Asked only with an open namespace, and with
  /// a user name. Fault::denied and unavailable as above. Default: nobody is let in.
  virtual awaitable<Result<Principal>> authenticate_plain(std::string user_name, std::string password, Bytes certificate_der);
  /// The key of credentials just accepted, and later whether it still holds. `name`: a client id, or a plain client's user name.
  /// Default: what was accepted holds as long as the connection. Any thread; must not block.
  virtual Credential credential(const std::string& name, std::string_view password) {
    return static_cast<void>(name), static_cast<void>(password), Credential{};
  }
  virtual bool holds(const std::string& name, const Credential& credential) {
    return static_cast<void>(name), static_cast<void>(credential), true;
  }
  /// An attempt that was refused, to be counted: it is logged already. Any thread.
  enum class Attempt { connect, registration, publish, subscribe };
  virtual void refused(Attempt attempt, const Error& why) { static_cast<void>(attempt), static_cast<void>(why); }
  virtual void connected(const device::IdentityName& who) = 0;
  virtual void disconnected(const device::IdentityName& who) = 0;

  /// A telemetry message, fully stamped (connectionDeviceId, auth method, generation id, enqueuedTime; wire facts 1.6).
  /// `done` once durable. Any thread.
  virtual void telemetry(telemetry::Message message, std::function<void(Result<>)> done) = 0;
  /// A message of the open namespace, with how it was published (published.h) in Message::published. `done` once durable, with
  /// its place if it can be had again from there. Default: as telemetry, and it cannot.
  using Kept = std::function<void(Result<std::optional<net::MqttPlace>>)>;
  virtual void open_message(telemetry::Message message, const net::MqttKeptIdentifier& identifier, Kept done) {
    static_cast<void>(identifier);
    telemetry(std::move(message), [done = std::move(done)](Result<> stored) {
      done(stored ? Result<std::optional<net::MqttPlace>>(std::nullopt) : fail(std::move(stored).error()));
    });
  }
  /// A backend that keeps messages as records (docs/formats/message-record.md) takes those of one connection together; then
  /// telemetry() gets only what needs a closer look. `device_id` says the partition; `done` as in EventLog::append.
  virtual bool stores_batches() const { return false; }
  virtual void store(std::string_view device_id, storage::RecordBatch batch, storage::EventLog::BatchDone done) {
    static_cast<void>(device_id), done(fail(Fault::invalid_input, "this backend stores no batches"), std::move(batch));
  }
  /// Whether the connection of `connection` may publish telemetry as `who`: an edge's $edgeHub on behalf of its leaves and
  /// modules (docs/decisions/0041-on-behalf-publishing.md). Must not block. Default: only itself.
  virtual bool may_send_for(const device::IdentityName& connection, const device::IdentityName& who) { return connection == who; }
  /// Generation id for stamping; from the cache, must not block.
  virtual std::string generation_id(const device::IdentityName& who) = 0;
  /// How `who`, for whom another sends, proves itself: `sas` or `x509`. Must not block.
  virtual std::string_view authentication_of(const device::IdentityName& who) { return static_cast<void>(who), "sas"; }

  virtual awaitable<Result<json::Value>> get_twin(device::IdentityName who) = 0;  ///< the device's view
  virtual awaitable<Result<ReportedAnswer>> patch_reported(device::IdentityName who, json::Value patch,
                                                           std::optional<std::int64_t> base_version) = 0;
  /// The reply to a method call the backend sent earlier with `request_id`.
  virtual void method_response(const device::IdentityName& who, const std::string& request_id, int status, Bytes body) = 0;
  /// The client has just subscribed to something new (or come back with a kept session): time to deliver what waits.
  virtual void subscriptions_changed(const device::IdentityName& who) = 0;
};

/// MQTT for devices and modules. Listeners are added by the owner.
class DeviceEndpoint {
 public:
  struct Options {
    std::vector<std::string> hub_names;  ///< accepted in user names: name and aliases, with and without port
    /// Not there: IoT Hub's topics only. With it, clients whose user name is not IoT Hub's are plain MQTT clients.
    std::optional<OpenNamespace> open_namespace;
    net::MqttServer::Options server;
    RegistrationBackend* registrations = nullptr;  ///< outlives the endpoint; null: nobody may register
  };
  static std::unique_ptr<DeviceEndpoint> make(Executor executor, DeviceBackend& backend, const Clock& clock, Options options);
  virtual ~DeviceEndpoint() = default;

  virtual Result<std::uint16_t> listen(const net::Endpoint& at, std::shared_ptr<net::TlsServerContext> tls) = 0;
  virtual bool connected(const device::IdentityName& who) const = 0;
  /// Its own connection, and those of plain clients that are it.
  virtual void disconnect(const device::IdentityName& who, std::string reason) = 0;
  /// Ends those connections of `who`, or with nobody named of all, whose credentials the backend no longer holds good.
  virtual void recheck(const std::optional<device::IdentityName>& who, const std::string& reason) = 0;
  virtual void forget(const device::IdentityName& who) = 0;

  using Delivered = net::MqttServer::Delivered;
  /// To a module's input, QoS 1; done when acknowledged.
  virtual void deliver_input(const device::IdentityName& module, const std::string& input, const telemetry::Message& message,
                             Delivered done) = 0;
  virtual bool accepts_input(const device::IdentityName& module, const std::string& input) const = 0;
  /// To a device, QoS 1.
  virtual void deliver_cloud_to_device(const device::IdentityName& device, const telemetry::Message& message, Delivered done) = 0;
  virtual bool accepts_cloud_to_device(const device::IdentityName& device) const = 0;
  /// Desired properties changed; QoS 0, never queued.
  virtual void notify_desired(const device::IdentityName& who, const json::Value& notification, std::int64_t version) = 0;
  /// A method request; false if the client is not connected and subscribed.
  virtual bool call_method(const device::IdentityName& who, const std::string& method, const std::string& request_id,
                           Bytes payload) = 0;

  virtual std::size_t connections() const = 0;
  virtual net::MqttServer& server() = 0;
  virtual awaitable<void> close() = 0;
};

}  // namespace nacelle::endpoint
