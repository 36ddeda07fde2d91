#include "service/endpoint/published.h"

#include <algorithm>

namespace nacelle::endpoint {
namespace {

constexpr std::size_t size_bytes = 2;
constexpr std::size_t since_bytes = 8;

template <class Number>
void put(Bytes& out, Number value) {
  for (std::size_t i = 0; i < sizeof value; ++i) out += static_cast<char>(static_cast<std::uint64_t>(value) >> (8 * i));
}

std::uint64_t get(BytesView bytes) {
  std::uint64_t value = 0;
  for (std::size_t i = 0; i < bytes.size(); ++i) value |= std::uint64_t{static_cast<std::uint8_t>(bytes[i])} << (8 * i);
  return value;
}

}  // namespace

Bytes print_published(const mqtt::Publish& publish, const std::string& session, std::optional<Timestamp> since) {
  Bytes out;
  put(out, static_cast<std::uint16_t>(std::min(session.size(), mqtt::max_text_bytes)));
  out += BytesView(session).substr(0, mqtt::max_text_bytes);
  put(out, since ? since->time_since_epoch().count() : std::int64_t{0});
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
  BytesView rest = message.published;
  if (rest.size() < size_bytes) return broken("no session");
  const std::size_t size = get(rest.substr(0, size_bytes));
  rest.remove_prefix(size_bytes);
  if (rest.size() < size + since_bytes) return broken("the session is cut off");
  Published published;
  published.identifier.session = rest.substr(0, size);
  const auto since = static_cast<std::int64_t>(get(rest.substr(size, since_bytes)));
  published.identifier.since = Timestamp{std::chrono::microseconds{since}};
  rest.remove_prefix(size + since_bytes);
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
