#include "service/hub/ingest.h"

#include "foundation/log.h"
#include "service/hub/reach.h"

namespace nacelle::hub {

using device::IdentityName;

awaitable<Result<Timestamp>> Ingest::authenticate(IdentityName who, telemetry::UserName user_name, std::string password,
                                                  Bytes certificate_der) {
  auto until = access_.check_device(who, password, certificate_der);
  if (until) note_model(who, user_name.model_id);
  co_return until;
}

/// A device says its model with each connection; most say none, or the one that is known.
void Ingest::note_model(const IdentityName& who, const std::string& model) {
  const IdentityPtr identity = registry_.identities().find(who);
  if (model.empty() || !identity || identity->model == model) return;
  asio::post(disk_.tables(), [&registry = registry_, who, model] {
    if (const auto noted = registry.note_model(who, model); !noted)
      log::warn("hub", "the model of '{}' was not noted: {}", who.client_id(), noted.error().message);
  });
}

awaitable<Result<endpoint::Principal>> Ingest::authenticate_plain(std::string user_name, std::string password,
                                                                  Bytes certificate_der) {
  co_return access_.check_plain(user_name, password, certificate_der);
}

void Ingest::refused(Attempt attempt, const Error& why) {
  switch (attempt) {
    case Attempt::connect: return counters_.refusals.count(Way::connect, why);
    case Attempt::registration: return counters_.refusals.count(Way::registration, why);
    case Attempt::publish: return counters_.refusals.count(Way::publish, why);
    case Attempt::subscribe: return counters_.refusals.count(Way::subscribe, why);
  }
}

void Ingest::connected(const IdentityName& who) { came(who, Protocol::mqtt); }
void Ingest::disconnected(const IdentityName& who) { left(who, Protocol::mqtt); }

void Ingest::came(const IdentityName& who, Protocol way) {
  reach_.came(who, way);
  asio::post(disk_.tables(), [this, who] {
    registry_.note_connection(who, true);
    access_.authorities().connected(who);
  });
}

void Ingest::left(const IdentityName& who, Protocol way) {
  asio::post(disk_.tables(), [&registry = registry_, &reach = reach_, who, way] {
    // Its MQTT server tells of its own connections in order.
    const bool there = reach.connected(who, Protocol::amqp) || (way == Protocol::amqp && reach.connected(who, Protocol::mqtt));
    if (!there) registry.note_connection(who, false);
  });
}

void Ingest::telemetry(telemetry::Message message, std::function<void(Result<>)> done) {
  ++counters_.received;
  log_.append(partition_of(message), telemetry::encode_record(message),
              [&counters = counters_, done = std::move(done)](Result<storage::Offset> at) {
                counters.note_stored(at ? nullptr : &at.error(), 1);
                if (at)
                  done({});
                else
                  done(fail(std::move(at).error()));
              });
}

/// All of one sender in one partition: that keeps their order. Plain MQTT clients may be nobody's device.
storage::Partition Ingest::partition_of(const telemetry::Message& message) const {
  const std::string_view sender = message.device_id().empty() ? message.system.get("mqttClientId") : message.device_id();
  return storage::partition_of(sender, log_.partitions());
}

void Ingest::open_message(telemetry::Message message, const net::MqttKeptIdentifier& identifier, Kept done) {
  if (!kept_) return DeviceBackend::open_message(std::move(message), identifier, std::move(done));
  ++counters_.received;
  const auto partition = partition_of(message);
  kept_->begin(partition);
  log_.append(partition, telemetry::encode_record(message),
              [&counters = counters_, kept = kept_, partition, identifier, done = std::move(done)](Result<storage::Offset> at) {
                ++(at ? counters.acked : counters.refused_messages);
                if (!at) {
                  kept->refused(partition);
                  return done(fail(std::move(at).error()));
                }
                const net::MqttPlace place{partition, *at};
                kept->stored(identifier, place);
                done(std::optional(place));
              });
}

void Ingest::store(std::string_view device_id, storage::RecordBatch batch, storage::EventLog::BatchDone done) {
  const std::size_t count = batch.records();
  counters_.received += count;
  log_.append(storage::partition_of(device_id, log_.partitions()), std::move(batch),
              [&counters = counters_, count, done = std::move(done)](Result<storage::Offset> at, storage::RecordBatch back) {
                counters.note_stored(at ? nullptr : &at.error(), count);
                done(std::move(at), std::move(back));
              });
}

bool Ingest::may_send_for(const IdentityName& connection, const IdentityName& who) {
  if (connection == who) return true;
  if (connection.module.str() != "$edgeHub") return false;
  const Identities& identities = registry_.identities();
  const IdentityPtr edge = identities.find({connection.device, {}});
  const IdentityPtr sender = identities.find(who);
  const IdentityPtr device = identities.find({who.device, {}});
  if (!edge || !edge->edge || !sender || !device || !identities.enabled(*sender)) return false;
  return who.device == connection.device || (!edge->scope.empty() && device->scope == edge->scope);
}

std::string Ingest::generation_id(const IdentityName& who) {
  const IdentityPtr identity = registry_.identities().find(who);
  return identity ? identity->generation_id : std::string();
}

void Ingest::subscriptions_changed(const IdentityName& who) {
  methods_.ready(who);
  if (who.is_module()) return;
  asio::post(disk_.tables(), [&messages = cloud_to_device_, device = who.device] { messages.deliver(device); });
}

std::string_view Ingest::authentication_of(const IdentityName& who) {
  const IdentityPtr identity = registry_.identities().find(who);
  return identity && identity->by_certificate() ? "x509" : "sas";
}

awaitable<Result<json::Value>> Ingest::get_twin(IdentityName who) {
  auto read = [&registry = registry_, who]() -> Result<json::Value> {
    registry.note_activity(who);
    TRY_LET(const twin::Twin twin, registry.twin(who));
    return twin::device_view(twin);
  };
  auto answer = co_await run_on(disk_.tables(), read);
  co_return answer;
}

awaitable<Result<endpoint::ReportedAnswer>> Ingest::patch_reported(IdentityName who, json::Value patch,
                                                                   std::optional<std::int64_t> base_version) {
  auto write = [&registry = registry_, &clock = clock_, who, patch = std::move(patch),
                base_version]() -> Result<endpoint::ReportedAnswer> {
    registry.note_activity(who);
    TRY_LET(twin::Twin twin, registry.twin(who));
    TRY_LET(const twin::Twin next, twin::apply_reported(std::move(twin), patch, base_version, clock.now()));
    TRY(registry.put_twin(who, next));
    return endpoint::ReportedAnswer{next.reported.version};
  };
  auto answer = co_await run_on(disk_.tables(), write);
  co_return answer;
}

}  // namespace nacelle::hub
