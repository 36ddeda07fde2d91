#pragma once
// Ingest: the hub as seen by its devices: credentials, telemetry into the event log, twins.

#include <functional>

#include "service/endpoint/device_endpoint.h"
#include "service/hub/access.h"
#include "service/hub/cloud_to_device.h"
#include "service/hub/counters.h"
#include "service/hub/disk.h"
#include "service/hub/kept_messages.h"
#include "service/hub/methods.h"
#include "storage/log/event_log.h"

namespace nacelle::hub {

class Reach;
enum class Protocol;

/// Borrows everything; outlived by the event log last of all, whose thread calls back into it.
class Ingest final : public endpoint::DeviceBackend {
 public:
  Ingest(Registry& registry, const Access& access, storage::EventLog& log, Disk& disk, Methods& methods,
         CloudToDevice& cloud_to_device, Reach& reach, Counters& counters, const Clock& clock)
      : registry_(registry),
        access_(access),
        log_(log),
        disk_(disk),
        methods_(methods),
        cloud_to_device_(cloud_to_device),
        reach_(reach),
        counters_(counters),
        clock_(clock) {}

  awaitable<Result<Timestamp>> authenticate(device::IdentityName who, telemetry::UserName user_name, std::string password,
                                            Bytes certificate_der) override;
  awaitable<Result<endpoint::Principal>> authenticate_plain(std::string user_name, std::string password,
                                                            Bytes certificate_der) override;
  endpoint::Credential credential(const std::string& name, std::string_view password) override {
    return access_.credential(name, password);
  }
  bool holds(const std::string& name, const endpoint::Credential& credential) override { return access_.holds(name, credential); }
  void refused(Attempt attempt, const Error& why) override;
  void connected(const device::IdentityName& who) override;
  void disconnected(const device::IdentityName& who) override;
  /// Over MQTT or AMQP: a device that has come by another way meanwhile has not left. Any thread.
  void came(const device::IdentityName& who, Protocol way);
  void left(const device::IdentityName& who, Protocol way);

  /// To the event log; `done` after the sync. Also the way in for telemetry over HTTPS.
  void telemetry(telemetry::Message message, std::function<void(Result<>)> done) override;
  /// Where what the open namespace's broker must not forget is kept; none: it forgets. Before the first connection.
  void keep_in(std::shared_ptr<KeptMessages> kept) { kept_ = std::move(kept); }
  void open_message(telemetry::Message message, const net::MqttKeptIdentifier& identifier, Kept done) override;
  bool stores_batches() const override { return true; }
  void store(std::string_view device_id, storage::RecordBatch batch, storage::EventLog::BatchDone done) override;
  /// Itself; and an edge's $edgeHub for the edge's modules and for the devices in its scope.
  bool may_send_for(const device::IdentityName& connection, const device::IdentityName& who) override;
  std::string generation_id(const device::IdentityName& who) override;
  std::string_view authentication_of(const device::IdentityName& who) override;

  awaitable<Result<json::Value>> get_twin(device::IdentityName who) override;
  awaitable<Result<endpoint::ReportedAnswer>> patch_reported(device::IdentityName who, json::Value patch,
                                                             std::optional<std::int64_t> base_version) override;
  void method_response(const device::IdentityName& who, const std::string& request_id, int status, Bytes body) override {
    methods_.answered(who, request_id, status, std::move(body));
  }
  void subscriptions_changed(const device::IdentityName& who) override;

 private:
  storage::Partition partition_of(const telemetry::Message& message) const;
  void note_model(const device::IdentityName& who, const std::string& model);

  Registry& registry_;
  const Access& access_;
  storage::EventLog& log_;
  Disk& disk_;
  Methods& methods_;
  CloudToDevice& cloud_to_device_;
  Reach& reach_;
  Counters& counters_;
  const Clock& clock_;
  std::shared_ptr<KeptMessages> kept_;
};

}  // namespace nacelle::hub
