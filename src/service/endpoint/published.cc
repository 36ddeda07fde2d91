#include "service/endpoint/published.h"

#include <algorithm>

#include "foundation/binary.h"

namespace nacelle::endpoint {

Bytes print_published(const mqtt::Publish& publish, const std::string& session, std::optional<Timestamp> since) {
  Bytes out;
  binary::put(out, static_cast<std::uint16_t>(std::min(session.size(), mqtt::max_text_bytes)));
  out += BytesView(session).substr(0, mqtt::max_text_bytes);
  binary::put(out, since ? since->time_since_epoch().count() : std::int64_t{0});
  mqtt::Publish kept;  // the payload is the record's body
  kept.topic = publish.topic;
  kept.qos = publish.qos;
  kept.retain = publish.retain;
  if (publish.qos != mqtt::QoS::at_most_once) kept.packet_id = std::max<mqtt::PacketId>(publish.packet_id, 1);  // a will has none
  if (publish.properties) {
    mqtt::Properties properties;
    if (const auto passed = net::passed_on(*publish.properties)) properties = *passed;
    properties.message_expiry = publish.properties->message_expiry;
    kept.properties = std::make_shared<const mqtt::Properties>(std::move(properties));
  }
  mqtt::encode(out, kept, mqtt::Version::v5);
  return out;
}

Result<Published> read_published(const telemetry::Message& message) {
  const auto broken = [](const char* what) { return fail(Fault::corrupt, std::string("how a message was published: ") + what); };
  binary::Reader in{message.published};
  const BytesView session = in.take_bytes(in.take<std::uint16_t>());
  const auto since = in.take<std::int64_t>();
  if (!in.good) return broken("the session is cut off");
  const BytesView rest = in.rest;
  Published published;
  published.identifier.session = session;
  published.identifier.since = Timestamp{std::chrono::microseconds{since}};
  TRY_LET(const auto whole, mqtt::frame_size(rest, mqtt::max_packet_bytes));
  if (!whole || *whole != rest.size()) return broken("not one whole packet");
  auto packet = mqtt::decode(rest, mqtt::Version::v5);
  if (!packet) return fail(Fault::corrupt, packet.error().message);
  auto* publish = std::get_if<mqtt::Publish>(&*packet);
  if (publish == nullptr || publish->topic.empty()) return broken("no PUBLISH with a topic");
  if (since != 0 && publish->qos == mqtt::QoS::exactly_once) published.identifier.packet_id = publish->packet_id;
  publish->payload = message.body;
  published.message = net::make_message(*publish, message.enqueued_at);
  return published;
}

}  // namespace nacelle::endpoint
