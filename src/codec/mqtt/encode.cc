// Packets to bytes. Section numbers are those of MQTT 3.1.1.

#include "codec/mqtt/packet.h"

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

void put_ack(Bytes& out, unsigned type, unsigned flags, PacketId id) {
  put_header(out, type, flags, 2);
  put_packet_id(out, id);
}

unsigned bits(QoS qos) { return static_cast<unsigned>(qos); }

}  // namespace

void encode(Bytes& out, const Connect& packet) {
  INVARIANT(packet.user_name || !packet.password, "section 3.1.2.9: a password needs a user name");
  std::size_t remaining = 10 + text_size(packet.client_id);
  unsigned flags = packet.clean_session ? 0x02 : 0;
  if (packet.will) {
    remaining += text_size(packet.will->topic) + text_size(packet.will->payload);
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
  put_header(out, 1, 0, remaining);
  put_text(out, "MQTT");
  put_byte(out, packet.protocol_level);
  put_byte(out, flags);
  put_number(out, packet.keep_alive_seconds);
  put_text(out, packet.client_id);
  if (packet.will) {
    put_text(out, packet.will->topic);
    put_text(out, packet.will->payload);
  }
  if (packet.user_name) put_text(out, *packet.user_name);
  if (packet.password) put_text(out, *packet.password);
}

void encode(Bytes& out, const Connack& packet) {
  put_header(out, 2, 0, 2);
  put_byte(out, packet.session_present ? 1 : 0);
  put_byte(out, static_cast<unsigned>(packet.code));
}

void encode(Bytes& out, const Publish& packet) {
  const bool has_id = packet.qos != QoS::at_most_once;
  const unsigned flags = (packet.duplicate ? 0x08 : 0) | bits(packet.qos) << 1 | (packet.retain ? 0x01 : 0);
  put_header(out, 3, flags, text_size(packet.topic) + (has_id ? 2 : 0) + packet.payload.size());
  put_text(out, packet.topic);
  if (has_id) put_packet_id(out, packet.packet_id);
  out += packet.payload;
}

void encode(Bytes& out, const Puback& packet) { put_ack(out, 4, 0, packet.packet_id); }
void encode(Bytes& out, const Pubrec& packet) { put_ack(out, 5, 0, packet.packet_id); }
void encode(Bytes& out, const Pubrel& packet) { put_ack(out, 6, 2, packet.packet_id); }
void encode(Bytes& out, const Pubcomp& packet) { put_ack(out, 7, 0, packet.packet_id); }

void encode(Bytes& out, const Subscribe& packet) {
  std::size_t remaining = 2;
  for (const auto& subscription : packet.subscriptions) remaining += text_size(subscription.filter) + 1;
  put_header(out, 8, 2, remaining);
  put_packet_id(out, packet.packet_id);
  for (const auto& subscription : packet.subscriptions) {
    put_text(out, subscription.filter);
    put_byte(out, bits(subscription.qos));
  }
}

void encode(Bytes& out, const Suback& packet) {
  put_header(out, 9, 0, 2 + packet.codes.size());
  put_packet_id(out, packet.packet_id);
  for (const auto code : packet.codes) put_byte(out, code);
}

void encode(Bytes& out, const Unsubscribe& packet) {
  std::size_t remaining = 2;
  for (const auto& filter : packet.filters) remaining += text_size(filter);
  put_header(out, 10, 2, remaining);
  put_packet_id(out, packet.packet_id);
  for (const auto& filter : packet.filters) put_text(out, filter);
}

void encode(Bytes& out, const Unsuback& packet) { put_ack(out, 11, 0, packet.packet_id); }
void encode(Bytes& out, const Pingreq&) { put_header(out, 12, 0, 0); }
void encode(Bytes& out, const Pingresp&) { put_header(out, 13, 0, 0); }
void encode(Bytes& out, const Disconnect&) { put_header(out, 14, 0, 0); }

}  // namespace nacelle::mqtt
