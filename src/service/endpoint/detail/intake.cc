#include "service/endpoint/detail/intake.h"

#include "service/endpoint/published.h"

namespace nacelle::endpoint {
namespace {

using device::IdentityName;

void mark_as_will(telemetry::Message& message) { message.application.set("iothub-MessageType", "Will"); }

}  // namespace

void refuse_publish(DeviceBackend& backend, Error why, const Done& done) {
  backend.refused(DeviceBackend::Attempt::publish, why);
  done(fail(std::move(why)));
}

// -- Telemetry -------------------------------------------------------------------------------------------------------------

bool TelemetryIntake::gather(Client& client, const mqtt::Publish& packet) {
  return client.batcher && client.batcher->add(packet, clock_, *pool_);
}

void TelemetryIntake::settle(Client& client, Done done) {
  auto answer = [pool = pool_, done = std::move(done)](Result<storage::Offset> at, storage::RecordBatch batch) {
    pool->give(std::move(batch));
    if (at)
      done({});
    else
      done(fail(std::move(at).error()));
  };
  backend_.store(client.who.device.str(), client.batcher->take(), std::move(answer));
}

void TelemetryIntake::accept(const Client& client, const telemetry::EventTopic& topic, const mqtt::Publish& packet, bool is_will,
                             Done done) {
  auto message = read(client, topic, packet);
  if (!message) return refuse_publish(backend_, std::move(message).error(), done);
  if (is_will) mark_as_will(*message);
  backend_.telemetry(*std::move(message), std::move(done));
}

Result<telemetry::Message> TelemetryIntake::read(const Client& client, const telemetry::EventTopic& topic,
                                                 const mqtt::Publish& packet) const {
  const bool own = topic.device_id == client.who.device.str() && topic.module_id == client.who.module.str();
  IdentityName other;
  if (!own) {
    TRY_LET(other.device, device::parse_device_id(topic.device_id));
    if (!topic.module_id.empty()) {
      TRY_LET(other.module, device::parse_module_id(topic.module_id));
    }
  }
  TRY_LET(telemetry::Message message, read_message(topic, packet));
  TRY(stamp_for(message, client, own ? client.who : other));
  return message;
}

Result<> TelemetryIntake::stamp_for(telemetry::Message& message, const Client& client, const IdentityName& who) const {
  if (who == client.who) {
    stamp(message, sender_of(client), clock_.now());
    return {};
  }
  if (!backend_.may_send_for(client.who, who)) return fail(Fault::denied, "telemetry for another identity");
  const std::string generation = backend_.generation_id(who);
  stamp(message, Sender{who, generation, backend_.authentication_of(who)}, clock_.now());
  return {};
}

// -- The open namespace --------------------------------------------------------------------------------------------------------

void OpenIntake::accept(const net::MqttConnectionPtr& connection, const AccessRules& rules,
                        const std::weak_ptr<net::MqttServer>& server, const mqtt::Publish& packet, bool is_will, Done done) {
  const Client& client = *client_of(connection);
  if (!rules.may_publish(client.principal, packet.topic))
    return refuse_publish(backend_, {Fault::denied, "no rule allows publishing to this topic"}, done);
  const Timestamp now = clock_.now();
  auto message = read_open_message(client, packet, now);
  if (!message) return refuse_publish(backend_, std::move(message).error(), done);
  if (is_will) mark_as_will(*message);
  const auto since = is_will ? std::nullopt : connection->kept_since();
  message->published = print_published(packet, client.client_id, since);
  net::MqttKeptIdentifier identifier{client.client_id, since.value_or(Timestamp{}), 0};
  if (since && packet.qos == mqtt::QoS::exactly_once) identifier.packet_id = packet.packet_id;
  // Not on the log's thread, which everyone's messages wait for; and the log may answer after the endpoint has gone.
  backend_.open_message(*std::move(message), identifier,
                        [server, strand = fan_out_, shared = net::make_message(packet, now), from = client.client_id,
                         done = std::move(done)](Result<std::optional<net::MqttPlace>> kept) {
                          if (!kept) return done(fail(std::move(kept).error()));
                          shared->kept_at = *kept;
                          asio::post(strand, [server, shared, from] {
                            if (const auto there = server.lock()) there->publish(shared, from);
                          });
                          done({});
                        });
}

}  // namespace nacelle::endpoint
