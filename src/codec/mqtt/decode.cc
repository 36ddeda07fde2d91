// Bytes to packets. Section numbers are those of MQTT 5.0 where it has more to say, else of 3.1.1.

#include <fmt/format.h>
#include <algorithm>

#include "codec/mqtt/detail/property_codec.h"

namespace nacelle::mqtt {
namespace {

constexpr std::string_view type_names[] = {"",        "CONNECT",  "CONNACK",    "PUBLISH", "PUBACK",      "PUBREC",
                                           "PUBREL",  "PUBCOMP",  "SUBSCRIBE",  "SUBACK",  "UNSUBSCRIBE", "UNSUBACK",
                                           "PINGREQ", "PINGRESP", "DISCONNECT", "AUTH"};

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

/// The two QoS bits of CONNECT's and PUBLISH's flags.
Result<QoS> qos_of(unsigned bits, std::string_view field, const Fields& fields) {
  if (bits > 2) return fields.refuse(field, fmt::format("expected 0, 1 or 2, found {}", bits));
  return static_cast<QoS>(bits);
}

/// Reason codes that may stand in each packet (section 2.4 and the tables of chapter 3).
using R = Reason;
constexpr R connack_reasons[] = {R::success,
                                 R::unspecified_error,
                                 R::malformed_packet,
                                 R::protocol_error,
                                 R::implementation_specific_error,
                                 R::unsupported_protocol_version,
                                 R::client_identifier_not_valid,
                                 R::bad_user_name_or_password,
                                 R::not_authorized,
                                 R::server_unavailable,
                                 R::server_busy,
                                 R::banned,
                                 R::bad_authentication_method,
                                 R::topic_name_invalid,
                                 R::packet_too_large,
                                 R::quota_exceeded,
                                 R::payload_format_invalid,
                                 R::retain_not_supported,
                                 R::qos_not_supported,
                                 R::use_another_server,
                                 R::server_moved,
                                 R::connection_rate_exceeded};
constexpr R puback_reasons[] = {R::success,
                                R::no_matching_subscribers,
                                R::unspecified_error,
                                R::implementation_specific_error,
                                R::not_authorized,
                                R::topic_name_invalid,
                                R::packet_identifier_in_use,
                                R::quota_exceeded,
                                R::payload_format_invalid};
constexpr R pubrel_reasons[] = {R::success, R::packet_identifier_not_found};
constexpr R suback_reasons[] = {R::success,
                                R::granted_qos_1,
                                R::granted_qos_2,
                                R::unspecified_error,
                                R::implementation_specific_error,
                                R::not_authorized,
                                R::topic_filter_invalid,
                                R::packet_identifier_in_use,
                                R::quota_exceeded,
                                R::shared_subscriptions_not_supported,
                                R::subscription_identifiers_not_supported,
                                R::wildcard_subscriptions_not_supported};
constexpr R unsuback_reasons[] = {
    R::success,        R::no_subscription_existed, R::unspecified_error,       R::implementation_specific_error,
    R::not_authorized, R::topic_filter_invalid,    R::packet_identifier_in_use};
constexpr R disconnect_reasons[] = {R::success,
                                    R::disconnect_with_will,
                                    R::unspecified_error,
                                    R::malformed_packet,
                                    R::protocol_error,
                                    R::implementation_specific_error,
                                    R::not_authorized,
                                    R::server_busy,
                                    R::server_shutting_down,
                                    R::keep_alive_timeout,
                                    R::session_taken_over,
                                    R::topic_filter_invalid,
                                    R::topic_name_invalid,
                                    R::receive_maximum_exceeded,
                                    R::topic_alias_invalid,
                                    R::packet_too_large,
                                    R::message_rate_too_high,
                                    R::quota_exceeded,
                                    R::administrative_action,
                                    R::payload_format_invalid,
                                    R::retain_not_supported,
                                    R::qos_not_supported,
                                    R::use_another_server,
                                    R::server_moved,
                                    R::shared_subscriptions_not_supported,
                                    R::connection_rate_exceeded,
                                    R::maximum_connect_time,
                                    R::subscription_identifiers_not_supported,
                                    R::wildcard_subscriptions_not_supported};
constexpr R auth_reasons[] = {R::success, R::continue_authentication, R::re_authenticate};

template <std::size_t N>
Result<Reason> read_reason(Fields& fields, const Reason (&allowed)[N]) {
  TRY_LET(const std::uint8_t code, fields.byte("reason code"));
  const auto reason = static_cast<Reason>(code);
  if (std::find(std::begin(allowed), std::end(allowed), reason) == std::end(allowed))
    return fields.refuse("reason code", fmt::format("{:#04x} may not stand in this packet", code), Reason::protocol_error);
  return reason;
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
  if (flags.password && !flags.user_name && !fields.v5()) return fields.refuse("flags", "a password without a user name");
  return flags;
}

Result<Will> read_will(Fields& fields, const ConnectFlags& flags) {
  Will will;
  will.qos = flags.will_qos;
  will.retain = flags.will_retain;
  if (fields.v5()) {
    TRY_LET(will.properties, read_properties(fields, will_place));
  }
  TRY_LET(will.topic, fields.topic_name("will topic"));
  TRY_LET(will.payload, fields.binary("will message"));
  return will;
}

Result<Packet> read_connect(Fields fields) {
  Connect packet;
  TRY_LET(const std::string_view name, fields.text("protocol name"));
  if (name != "MQTT" && name != "MQIsdp")  // MQIsdp: version 3.1
    return fields.refuse("protocol name", "expected 'MQTT'", Reason::unsupported_protocol_version);
  TRY_LET(packet.protocol_level, fields.byte("protocol level"));
  const auto version = static_cast<Version>(packet.protocol_level);
  if (version != Version::v3_1_1 && version != Version::v5) return Packet{packet};
  if (name != "MQTT") return fields.refuse("protocol name", "expected 'MQTT'", Reason::unsupported_protocol_version);
  fields.set_version(version);
  TRY_LET(const ConnectFlags flags, read_connect_flags(fields));
  packet.clean_session = flags.clean_session;
  TRY_LET(packet.keep_alive_seconds, fields.number("keep alive"));
  if (fields.v5()) {
    TRY_LET(packet.properties, read_properties(fields, connect));
  }
  TRY_LET(packet.client_id, fields.text("client identifier"));
  if (flags.will) {
    TRY_LET(packet.will, read_will(fields, flags));
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
  Connack packet;
  TRY_LET(const unsigned flags, fields.byte("flags"));
  if (flags > 1) return fields.refuse("flags", "a reserved bit is set");
  packet.session_present = flags == 1;
  if (fields.v5()) {
    TRY_LET(packet.reason, read_reason(fields, connack_reasons));
    TRY_LET(packet.properties, read_properties(fields, connack));
  } else {
    TRY_LET(const unsigned code, fields.byte("return code"));
    if (code > 5) return fields.refuse("return code", fmt::format("expected at most 5, found {}", code));
    packet.code = static_cast<ConnectCode>(code);
  }
  if (packet.session_present && (packet.code != ConnectCode::accepted || packet.reason != Reason::success))
    return fields.refuse("flags", "a session is present though the connection was refused");
  TRY(fields.end());
  return Packet{std::move(packet)};
}

Result<Packet> read_publish(Fields fields, unsigned flags) {
  Publish packet;
  packet.duplicate = (flags & 0x08) != 0;
  packet.retain = (flags & 0x01) != 0;
  TRY_LET(packet.qos, qos_of(flags >> 1 & 3, "QoS", fields));
  if (packet.duplicate && packet.qos == QoS::at_most_once)
    return fields.refuse("flags", "a duplicate of QoS 0");  // section 3.3.1.1
  TRY_LET(packet.topic, fields.text("topic"));
  if (packet.topic.empty() ? !fields.v5() : !valid_topic_name(packet.topic))
    return fields.refuse("topic", packet.topic.empty() ? "is empty" : "has a wild card");
  if (packet.qos != QoS::at_most_once) {
    TRY_LET(packet.packet_id, fields.packet_id());
  }
  if (fields.v5()) {
    TRY_LET(packet.properties, read_properties(fields, publish));
    if (packet.topic.empty() && !(packet.properties && packet.properties->topic_alias))
      return fields.refuse("topic", "is empty, and there is no alias", Reason::protocol_error);  // section 3.3.2.3.4
  }
  packet.payload = fields.rest();
  return Packet{std::move(packet)};
}

/// PUBACK, PUBREC, PUBREL, PUBCOMP: in MQTT 5 the reason may be left out, and the properties after it (section 3.4.2.1).
template <class Ack, std::size_t N>
Result<Packet> read_ack(Fields fields, std::uint8_t type, const Reason (&allowed)[N]) {
  Ack packet;
  TRY_LET(packet.packet_id, fields.packet_id());
  if (fields.v5() && !fields.at_end()) {
    TRY_LET(packet.reason, read_reason(fields, allowed));
    if (!fields.at_end()) {
      TRY_LET(packet.properties, read_properties(fields, type));
    }
  }
  TRY(fields.end());
  return Packet{std::move(packet)};
}

/// DISCONNECT and AUTH: the reason may be left out, and the properties after it (section 3.14.2.1).
template <class Last, std::size_t N>
Result<Packet> read_reasoned(Fields fields, std::uint8_t type, const Reason (&allowed)[N]) {
  Last packet;
  if (fields.v5() && !fields.at_end()) {
    TRY_LET(packet.reason, read_reason(fields, allowed));
    if (!fields.at_end()) {
      TRY_LET(packet.properties, read_properties(fields, type));
    }
  }
  TRY(fields.end());
  return Packet{std::move(packet)};
}

template <class Empty>
Result<Packet> read_empty(const Fields& fields) {
  TRY(fields.end());
  return Packet{Empty{}};
}

/// Section 3.8.3.1. In 3.1.1 all but the QoS is reserved.
Result<Subscription> read_subscription(Fields& fields, std::uint32_t id) {
  TRY_LET(const std::string_view filter, fields.topic_filter());
  TRY_LET(const unsigned bits, fields.byte("requested QoS"));
  if (!fields.v5()) {
    TRY_LET(const QoS qos, qos_of(bits, "requested QoS", fields));
    return Subscription{std::string(filter), qos, {}};
  }
  if (bits & 0xc0) return fields.refuse("subscription options", "a reserved bit is set");
  const unsigned retain_handling = bits >> 4 & 3;
  if ((bits & 3) == 3 || retain_handling == 3)
    return fields.refuse("subscription options", "expected at most 2, found 3", Reason::protocol_error);
  Subscription wanted{std::string(filter), static_cast<QoS>(bits & 3), {}};
  wanted.options = {(bits & 0x04) != 0, (bits & 0x08) != 0, static_cast<RetainHandling>(retain_handling), id};
  if (filter.starts_with("$share/")) {
    if (!parse_shared_filter(filter)) return fields.refuse("topic filter", "expected $share/GROUP/FILTER");
    if (wanted.options.no_local)  // [MQTT-3.8.3-4]
      return fields.refuse("subscription options", "no local on a shared subscription", Reason::protocol_error);
  }
  return wanted;
}

Result<Packet> read_subscribe(Fields fields) {
  Subscribe packet;
  TRY_LET(packet.packet_id, fields.packet_id());
  if (fields.v5()) {
    TRY_LET(packet.properties, read_properties(fields, subscribe));
  }
  const bool has_id = packet.properties && !packet.properties->subscription_ids.empty();
  const std::uint32_t id = has_id ? packet.properties->subscription_ids.front() : 0;
  if (fields.at_end()) return fields.refuse("topic filter", "expected at least one", Reason::protocol_error);
  do {
    TRY_LET(Subscription wanted, read_subscription(fields, id));
    packet.subscriptions.push_back(std::move(wanted));
  } while (!fields.at_end());
  return Packet{std::move(packet)};
}

Result<Packet> read_suback(Fields fields) {
  Suback packet;
  TRY_LET(packet.packet_id, fields.packet_id());
  if (fields.v5()) {
    TRY_LET(packet.properties, read_properties(fields, suback));
  }
  do {
    if (fields.v5()) {
      TRY_LET(const Reason reason, read_reason(fields, suback_reasons));
      packet.codes.push_back(static_cast<std::uint8_t>(reason));
      continue;
    }
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
  if (fields.v5()) {
    TRY_LET(packet.properties, read_properties(fields, unsubscribe));
  }
  if (fields.at_end()) return fields.refuse("topic filter", "expected at least one", Reason::protocol_error);
  do {
    TRY_LET(const std::string_view filter, fields.topic_filter());
    packet.filters.emplace_back(filter);
  } while (!fields.at_end());
  return Packet{std::move(packet)};
}

Result<Packet> read_unsuback(Fields fields) {
  Unsuback packet;
  TRY_LET(packet.packet_id, fields.packet_id());
  if (fields.v5()) {
    TRY_LET(packet.properties, read_properties(fields, unsuback));
    do {
      TRY_LET(const Reason reason, read_reason(fields, unsuback_reasons));
      packet.codes.push_back(reason);
    } while (!fields.at_end());
  }
  TRY(fields.end());
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

Result<Packet> decode(BytesView frame, Version version, Reason* why) {
  Reason ignored;
  Reason& reason = why != nullptr ? *why : ignored;
  reason = Reason::malformed_packet;
  if (frame.empty()) return fail(Fault::invalid_input, "MQTT packet: expected a first byte, found none");
  const auto first = static_cast<unsigned char>(frame[0]);
  const unsigned type = first >> 4;
  const unsigned flags = first & 0x0f;
  const unsigned last_type = version == Version::v5 ? auth : disconnect;
  if (type < connect || type > last_type) return fail(Fault::invalid_input, fmt::format("MQTT packet: type {} is reserved", type));
  TRY_LET(const Length length, read_length(frame.substr(1)));
  if (length.bytes == 0 || frame.size() != 1 + length.bytes + length.value)
    return fail(Fault::invalid_input, fmt::format("MQTT {}: the packet is not as long as it says", type_names[type]));
  Fields fields(type_names[type], frame.substr(1 + length.bytes), version, reason);
  // Table 2.2: the flags of all but PUBLISH are fixed.
  const unsigned fixed_flags = type == pubrel || type == subscribe || type == unsubscribe ? 2 : 0;
  if (type != publish && flags != fixed_flags)
    return fields.refuse("flags", fmt::format("expected {}, found {}", fixed_flags, flags));
  switch (type) {
    case connect: return read_connect(fields);
    case connack: return read_connack(fields);
    case publish: return read_publish(fields, flags);
    case puback: return read_ack<Puback>(fields, puback, puback_reasons);
    case pubrec: return read_ack<Pubrec>(fields, pubrec, puback_reasons);
    case pubrel: return read_ack<Pubrel>(fields, pubrel, pubrel_reasons);
    case pubcomp: return read_ack<Pubcomp>(fields, pubcomp, pubrel_reasons);
    case subscribe: return read_subscribe(fields);
    case suback: return read_suback(fields);
    case unsubscribe: return read_unsubscribe(fields);
    case unsuback: return read_unsuback(fields);
    case pingreq: return read_empty<Pingreq>(fields);
    case pingresp: return read_empty<Pingresp>(fields);
    case disconnect: return read_reasoned<Disconnect>(fields, disconnect, disconnect_reasons);
    default: return read_reasoned<Auth>(fields, auth, auth_reasons);
  }
}

}  // namespace nacelle::mqtt
