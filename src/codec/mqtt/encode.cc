// Packets to bytes. Section numbers are those of MQTT 3.1.1.

#include "codec/mqtt/detail/property_codec.h"

namespace nacelle::mqtt {
namespace {

void put_byte(Bytes& out, unsigned value) { out += static_cast<char>(value); }

void put_number(Bytes& out, std::size_t value) {
  put_byte(out, static_cast<unsigned>(value >> 8 & 0xff));
  put_byte(out, static_cast<unsigned>(value & 0xff));
}

std::size_t text_size(std::string_view text) { return 2 + text.size(); }

void put_text(Bytes& out, std::string_view text) {
  INVARIANT(text.size() <= max_text_bytes, "the caller checks the length of texts");
  put_number(out, text.size());
  out += text;
}

void put_packet_id(Bytes& out, PacketId id) {
  INVARIANT(id != 0, "packet identifiers begin with 1");
  put_number(out, id);
}

/// Section 2.2.
void put_header(Bytes& out, unsigned type, unsigned flags, std::size_t remaining) {
  INVARIANT(remaining <= max_packet_bytes - 5, "the caller checks the size of packets");
  out.reserve(out.size() + remaining + 5);
  put_byte(out, type << 4 | flags);
  do {
    const auto low = static_cast<unsigned>(remaining & 0x7f);
    remaining >>= 7;
    put_byte(out, remaining ? low | 0x80 : low);
  } while (remaining);
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP: success without properties is left out (MQTT 5.0 section 3.4.2.1).
template <class Ack>
void put_ack(Bytes& out, unsigned type, unsigned flags, const Ack& packet, Version version) {
  const bool long_form = version == Version::v5 && (packet.reason != Reason::success || packet.properties);
  const std::size_t properties = long_form && packet.properties ? properties_size(packet.properties) : 0;
  put_header(out, type, flags, 2 + (long_form ? 1 + properties : 0));
  put_packet_id(out, packet.packet_id);
  if (!long_form) return;
  put_byte(out, static_cast<unsigned>(packet.reason));
  if (packet.properties) put_properties(out, packet.properties);
}

/// DISCONNECT and AUTH.
template <class Last>
void put_reasoned(Bytes& out, unsigned type, const Last& packet, Version version) {
  const bool long_form = version == Version::v5 && (packet.reason != Reason::success || packet.properties);
  const std::size_t properties = long_form && packet.properties ? properties_size(packet.properties) : 0;
  put_header(out, type, 0, long_form ? 1 + properties : 0);
  if (!long_form) return;
  put_byte(out, static_cast<unsigned>(packet.reason));
  if (packet.properties) put_properties(out, packet.properties);
}

unsigned bits(QoS qos) { return static_cast<unsigned>(qos); }

/// Size of the properties and of the length before them: none in 3.1.1.
std::size_t size_in(Version version, const PropertiesPtr& properties) {
  return version == Version::v5 ? properties_size(properties) : 0;
}

void put_in(Version version, Bytes& out, const PropertiesPtr& properties) {
  if (version == Version::v5) put_properties(out, properties);
}

std::size_t remaining_size(const Publish& packet, Version version) {
  const bool has_id = packet.qos != QoS::at_most_once;
  return text_size(packet.topic) + (has_id ? 2 : 0) + size_in(version, packet.properties) + packet.payload.size();
}

unsigned option_bits(const Subscription& subscription, Version version) {
  if (version != Version::v5) return bits(subscription.qos);
  const SubscriptionOptions& options = subscription.options;
  return bits(subscription.qos) | (options.no_local ? 0x04 : 0) | (options.retain_as_published ? 0x08 : 0) |
         static_cast<unsigned>(options.retain_handling) << 4;
}

}  // namespace

void encode(Bytes& out, const Connect& packet, Version) {
  const auto version = static_cast<Version>(packet.protocol_level);
  INVARIANT(packet.user_name || !packet.password || version == Version::v5, "section 3.1.2.9: a password needs a user name");
  std::size_t remaining = 10 + size_in(version, packet.properties) + text_size(packet.client_id);
  unsigned flags = packet.clean_session ? 0x02 : 0;
  if (packet.will) {
    remaining += size_in(version, packet.will->properties) + text_size(packet.will->topic) + text_size(packet.will->payload);
    flags |= 0x04 | bits(packet.will->qos) << 3 | (packet.will->retain ? 0x20 : 0);
  }
  if (packet.user_name) {
    remaining += text_size(*packet.user_name);
    flags |= 0x80;
  }
  if (packet.password) {
    remaining += text_size(*packet.password);
    flags |= 0x40;
  }
  put_header(out, connect, 0, remaining);
  put_text(out, "MQTT");
  put_byte(out, packet.protocol_level);
  put_byte(out, flags);
  put_number(out, packet.keep_alive_seconds);
  put_in(version, out, packet.properties);
  put_text(out, packet.client_id);
  if (packet.will) {
    put_in(version, out, packet.will->properties);
    put_text(out, packet.will->topic);
    put_text(out, packet.will->payload);
  }
  if (packet.user_name) put_text(out, *packet.user_name);
  if (packet.password) put_text(out, *packet.password);
}

void encode(Bytes& out, const Connack& packet, Version version) {
  put_header(out, connack, 0, 2 + size_in(version, packet.properties));
  put_byte(out, packet.session_present ? 1 : 0);
  put_byte(out, version == Version::v5 ? static_cast<unsigned>(packet.reason) : static_cast<unsigned>(packet.code));
  put_in(version, out, packet.properties);
}

void encode(Bytes& out, const Publish& packet, Version version) {
  const bool has_id = packet.qos != QoS::at_most_once;
  const unsigned flags = (packet.duplicate ? 0x08 : 0) | bits(packet.qos) << 1 | (packet.retain ? 0x01 : 0);
  put_header(out, publish, flags, remaining_size(packet, version));
  put_text(out, packet.topic);
  if (has_id) put_packet_id(out, packet.packet_id);
  put_in(version, out, packet.properties);
  out += packet.payload;
}

std::size_t encoded_size(const Publish& packet, Version version) {
  const std::size_t remaining = remaining_size(packet, version);
  return 1 + varint_size(static_cast<std::uint32_t>(std::min<std::size_t>(remaining, max_varint))) + remaining;
}

void encode(Bytes& out, const Puback& packet, Version version) { put_ack(out, puback, 0, packet, version); }
void encode(Bytes& out, const Pubrec& packet, Version version) { put_ack(out, pubrec, 0, packet, version); }
void encode(Bytes& out, const Pubrel& packet, Version version) { put_ack(out, pubrel, 2, packet, version); }
void encode(Bytes& out, const Pubcomp& packet, Version version) { put_ack(out, pubcomp, 0, packet, version); }

void encode(Bytes& out, const Subscribe& packet, Version version) {
  std::size_t remaining = 2 + size_in(version, packet.properties);
  for (const auto& subscription : packet.subscriptions) remaining += text_size(subscription.filter) + 1;
  put_header(out, subscribe, 2, remaining);
  put_packet_id(out, packet.packet_id);
  put_in(version, out, packet.properties);
  for (const auto& subscription : packet.subscriptions) {
    put_text(out, subscription.filter);
    put_byte(out, option_bits(subscription, version));
  }
}

void encode(Bytes& out, const Suback& packet, Version version) {
  put_header(out, suback, 0, 2 + size_in(version, packet.properties) + packet.codes.size());
  put_packet_id(out, packet.packet_id);
  put_in(version, out, packet.properties);
  for (const auto code : packet.codes) put_byte(out, code);
}

void encode(Bytes& out, const Unsubscribe& packet, Version version) {
  std::size_t remaining = 2 + size_in(version, packet.properties);
  for (const auto& filter : packet.filters) remaining += text_size(filter);
  put_header(out, unsubscribe, 2, remaining);
  put_packet_id(out, packet.packet_id);
  put_in(version, out, packet.properties);
  for (const auto& filter : packet.filters) put_text(out, filter);
}

void encode(Bytes& out, const Unsuback& packet, Version version) {
  const bool v5 = version == Version::v5;
  put_header(out, unsuback, 0, 2 + size_in(version, packet.properties) + (v5 ? packet.codes.size() : 0));
  put_packet_id(out, packet.packet_id);
  put_in(version, out, packet.properties);
  if (!v5) return;
  for (const Reason code : packet.codes) put_byte(out, static_cast<unsigned>(code));
}

void encode(Bytes& out, const Pingreq&, Version) { put_header(out, pingreq, 0, 0); }
void encode(Bytes& out, const Pingresp&, Version) { put_header(out, pingresp, 0, 0); }
void encode(Bytes& out, const Disconnect& packet, Version version) { put_reasoned(out, disconnect, packet, version); }
void encode(Bytes& out, const Auth& packet, Version) { put_reasoned(out, auth, packet, Version::v5); }

}  // namespace nacelle::mqtt
