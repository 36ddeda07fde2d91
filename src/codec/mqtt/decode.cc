// Bytes to packets. Section numbers are those of MQTT 3.1.1.

#include <fmt/format.h>

#include "codec/mqtt/packet.h"
#include "codec/text/encoding.h"

namespace nacelle::mqtt {
namespace {

/// Control packet types, section 2.2.1.
enum Type : std::uint8_t {
  connect = 1,
  connack,
  publish,
  puback,
  pubrec,
  pubrel,
  pubcomp,
  subscribe,
  suback,
  unsubscribe,
  unsuback,
  pingreq,
  pingresp,
  disconnect
};

constexpr std::string_view type_names[] = {"",        "CONNECT",  "CONNACK",   "PUBLISH", "PUBACK",      "PUBREC",
                                           "PUBREL",  "PUBCOMP",  "SUBSCRIBE", "SUBACK",  "UNSUBSCRIBE", "UNSUBACK",
                                           "PINGREQ", "PINGRESP", "DISCONNECT"};

constexpr std::uint8_t supported_level = 4;

struct Length {
  std::uint32_t value = 0;
  std::size_t bytes = 0;  ///< of the field itself; 0 if it is not all there yet
};

/// The remaining length, section 2.2.3: seven bits a byte, at most four bytes. A longer form than needed is taken: 3.1.1
/// does not forbid it, and small clients write fixed-width lengths.
Result<Length> read_length(BytesView after_type) {
  Length length;
  for (std::size_t i = 0; i < 4 && i < after_type.size(); ++i) {
    const auto byte = static_cast<unsigned char>(after_type[i]);
    length.value |= static_cast<std::uint32_t>(byte & 0x7f) << (7 * i);
    if (byte & 0x80) continue;
    length.bytes = i + 1;
    return length;
  }
  if (after_type.size() >= 4)
    return fail(Fault::invalid_input, "MQTT remaining length: expected at most four bytes, found a fifth");
  return Length{};
}

/// Reads the fields of one packet in order; faults name packet and field.
class Fields {
 public:
  Fields(std::string_view packet, BytesView body) : packet_(packet), body_(body) {}

  Failure refuse(std::string_view field, std::string_view why) const {
    return fail(Fault::invalid_input, fmt::format("MQTT {}: {}: {}", packet_, field, why));
  }

  Result<std::uint8_t> byte(std::string_view field) {
    if (body_.empty()) return refuse(field, "the packet ends before it");
    const auto value = static_cast<std::uint8_t>(body_[0]);
    body_.remove_prefix(1);
    return value;
  }

  Result<std::uint16_t> number(std::string_view field) {
    TRY_LET(const unsigned high, byte(field));
    TRY_LET(const unsigned low, byte(field));
    return static_cast<std::uint16_t>(high << 8 | low);
  }

  /// Section 2.3.1: not 0.
  Result<PacketId> packet_id() {
    TRY_LET(const PacketId id, number("packet identifier"));
    if (id == 0) return refuse("packet identifier", "expected above 0, found 0");
    return id;
  }

  /// Bytes after a length of two bytes.
  Result<BytesView> binary(std::string_view field) {
    TRY_LET(const std::size_t size, number(field));
    if (size > body_.size()) return refuse(field, fmt::format("expected {} bytes, found {}", size, body_.size()));
    const BytesView value = body_.substr(0, size);
    body_.remove_prefix(size);
    return value;
  }

  /// Section 1.5.3: UTF-8, without U+0000.
  Result<std::string_view> text(std::string_view field) {
    TRY_LET(const BytesView value, binary(field));
    if (!text::valid_utf8(value)) return refuse(field, "expected UTF-8");
    if (value.find('\0') != BytesView::npos) return refuse(field, "has the character U+0000");
    return value;
  }

  Result<std::string_view> topic_name(std::string_view field) {
    TRY_LET(const std::string_view topic, text(field));
    if (!valid_topic_name(topic)) return refuse(field, topic.empty() ? "is empty" : "has a wild card");
    return topic;
  }

  Result<std::string_view> topic_filter() {
    TRY_LET(const std::string_view filter, text("topic filter"));
    if (!valid_topic_filter(filter)) return refuse("topic filter", filter.empty() ? "is empty" : "has a wild card out of place");
    return filter;
  }

  BytesView rest() { return std::exchange(body_, {}); }
  bool at_end() const { return body_.empty(); }

  Result<> end() const {
    if (body_.empty()) return {};
    return refuse("end", fmt::format("{} bytes too many", body_.size()));
  }

 private:
  std::string_view packet_;
  BytesView body_;
};

/// The two QoS bits of CONNECT's and PUBLISH's flags.
Result<QoS> qos_of(unsigned bits, std::string_view field, const Fields& fields) {
  if (bits > 2) return fields.refuse(field, fmt::format("expected 0, 1 or 2, found {}", bits));
  return static_cast<QoS>(bits);
}

/// Section 3.1.2.3 and following.
struct ConnectFlags {
  bool user_name, password, will_retain, will, clean_session;
  QoS will_qos;
};

Result<ConnectFlags> read_connect_flags(Fields& fields) {
  TRY_LET(const unsigned bits, fields.byte("flags"));
  if (bits & 0x01) return fields.refuse("flags", "the reserved bit is set");
  TRY_LET(const QoS will_qos, qos_of(bits >> 3 & 3, "will QoS", fields));
  const ConnectFlags flags{(bits & 0x80) != 0, (bits & 0x40) != 0, (bits & 0x20) != 0,
                           (bits & 0x04) != 0, (bits & 0x02) != 0, will_qos};
  if (!flags.will && (flags.will_retain || will_qos != QoS::at_most_once))
    return fields.refuse("flags", "speak of a will that is not there");
  if (flags.password && !flags.user_name) return fields.refuse("flags", "a password without a user name");
  return flags;
}

Result<Packet> read_connect(Fields fields) {
  Connect packet;
  TRY_LET(const std::string_view name, fields.text("protocol name"));
  if (name != "MQTT" && name != "MQIsdp") return fields.refuse("protocol name", "expected 'MQTT'");  // MQIsdp: version 3.1
  TRY_LET(packet.protocol_level, fields.byte("protocol level"));
  if (packet.protocol_level != supported_level) return Packet{packet};
  if (name != "MQTT") return fields.refuse("protocol name", "expected 'MQTT'");
  TRY_LET(const ConnectFlags flags, read_connect_flags(fields));
  packet.clean_session = flags.clean_session;
  TRY_LET(packet.keep_alive_seconds, fields.number("keep alive"));
  TRY_LET(packet.client_id, fields.text("client identifier"));
  if (flags.will) {
    TRY_LET(const std::string_view topic, fields.topic_name("will topic"));
    TRY_LET(const BytesView payload, fields.binary("will message"));
    packet.will = Will{std::string(topic), Bytes(payload), flags.will_qos, flags.will_retain};
  }
  if (flags.user_name) {
    TRY_LET(packet.user_name, fields.text("user name"));
  }
  if (flags.password) {
    TRY_LET(packet.password, fields.binary("password"));
  }
  TRY(fields.end());
  return Packet{std::move(packet)};
}

Result<Packet> read_connack(Fields fields) {
  TRY_LET(const unsigned flags, fields.byte("flags"));
  if (flags > 1) return fields.refuse("flags", "a reserved bit is set");
  TRY_LET(const unsigned code, fields.byte("return code"));
  if (code > 5) return fields.refuse("return code", fmt::format("expected at most 5, found {}", code));
  if (flags == 1 && code != 0) return fields.refuse("flags", "a session is present though the connection was refused");
  TRY(fields.end());
  return Packet{Connack{flags == 1, static_cast<ConnectCode>(code)}};
}

Result<Packet> read_publish(Fields fields, unsigned flags) {
  Publish packet;
  packet.duplicate = (flags & 0x08) != 0;
  packet.retain = (flags & 0x01) != 0;
  TRY_LET(packet.qos, qos_of(flags >> 1 & 3, "QoS", fields));
  if (packet.duplicate && packet.qos == QoS::at_most_once)
    return fields.refuse("flags", "a duplicate of QoS 0");  // section 3.3.1.1
  TRY_LET(packet.topic, fields.topic_name("topic"));
  if (packet.qos != QoS::at_most_once) {
    TRY_LET(packet.packet_id, fields.packet_id());
  }
  packet.payload = fields.rest();
  return Packet{packet};
}

template <class Ack>
Result<Packet> read_ack(Fields fields) {
  TRY_LET(const PacketId id, fields.packet_id());
  TRY(fields.end());
  return Packet{Ack{id}};
}

template <class Empty>
Result<Packet> read_empty(const Fields& fields) {
  TRY(fields.end());
  return Packet{Empty{}};
}

Result<Packet> read_subscribe(Fields fields) {
  Subscribe packet;
  TRY_LET(packet.packet_id, fields.packet_id());
  do {
    TRY_LET(const std::string_view filter, fields.topic_filter());
    TRY_LET(const unsigned bits, fields.byte("requested QoS"));
    TRY_LET(const QoS qos, qos_of(bits, "requested QoS", fields));
    packet.subscriptions.push_back({std::string(filter), qos});
  } while (!fields.at_end());
  return Packet{std::move(packet)};
}

Result<Packet> read_suback(Fields fields) {
  Suback packet;
  TRY_LET(packet.packet_id, fields.packet_id());
  do {
    TRY_LET(const std::uint8_t code, fields.byte("return code"));
    if (code > 2 && code != subscription_refused)
      return fields.refuse("return code", fmt::format("expected 0, 1, 2 or 128, found {}", code));
    packet.codes.push_back(code);
  } while (!fields.at_end());
  return Packet{std::move(packet)};
}

Result<Packet> read_unsubscribe(Fields fields) {
  Unsubscribe packet;
  TRY_LET(packet.packet_id, fields.packet_id());
  do {
    TRY_LET(const std::string_view filter, fields.topic_filter());
    packet.filters.emplace_back(filter);
  } while (!fields.at_end());
  return Packet{std::move(packet)};
}

}  // namespace

Result<std::optional<std::size_t>> frame_size(BytesView buffer, std::size_t max_bytes) {
  if (buffer.empty()) return std::optional<std::size_t>{};
  TRY_LET(const Length length, read_length(buffer.substr(1)));
  if (length.bytes == 0) return std::optional<std::size_t>{};
  const std::size_t whole = 1 + length.bytes + length.value;
  if (whole > max_bytes)
    return fail(Fault::exhausted, fmt::format("MQTT packet of {} bytes is above the limit of {}", whole, max_bytes));
  return buffer.size() >= whole ? std::optional(whole) : std::nullopt;
}

Result<Packet> decode(BytesView frame) {
  if (frame.empty()) return fail(Fault::invalid_input, "MQTT packet: expected a first byte, found none");
  const auto first = static_cast<unsigned char>(frame[0]);
  const unsigned type = first >> 4;
  const unsigned flags = first & 0x0f;
  if (type < connect || type > disconnect) return fail(Fault::invalid_input, fmt::format("MQTT packet: type {} is reserved", type));
  TRY_LET(const Length length, read_length(frame.substr(1)));
  if (length.bytes == 0 || frame.size() != 1 + length.bytes + length.value)
    return fail(Fault::invalid_input, fmt::format("MQTT {}: the packet is not as long as it says", type_names[type]));
  Fields fields(type_names[type], frame.substr(1 + length.bytes));
  // Table 2.2: the flags of all but PUBLISH are fixed.
  const unsigned fixed_flags = type == pubrel || type == subscribe || type == unsubscribe ? 2 : 0;
  if (type != publish && flags != fixed_flags)
    return fields.refuse("flags", fmt::format("expected {}, found {}", fixed_flags, flags));
  switch (type) {
    case connect: return read_connect(fields);
    case connack: return read_connack(fields);
    case publish: return read_publish(fields, flags);
    case puback: return read_ack<Puback>(fields);
    case pubrec: return read_ack<Pubrec>(fields);
    case pubrel: return read_ack<Pubrel>(fields);
    case pubcomp: return read_ack<Pubcomp>(fields);
    case subscribe: return read_subscribe(fields);
    case suback: return read_suback(fields);
    case unsubscribe: return read_unsubscribe(fields);
    case unsuback: return read_ack<Unsuback>(fields);
    case pingreq: return read_empty<Pingreq>(fields);
    case pingresp: return read_empty<Pingresp>(fields);
    default: return read_empty<Disconnect>(fields);
  }
}

}  // namespace nacelle::mqtt
