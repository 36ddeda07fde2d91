#pragma once
// Fields: reads the fields of one packet in order; faults name packet and field, and the MQTT 5 reason. Private to codec/mqtt.

#include <fmt/format.h>

#include "codec/mqtt/packet.h"
#include "codec/text/encoding.h"

namespace nacelle::mqtt {

/// Packet types, MQTT 5.0 section 2.1.2 (3.1.1: 2.2.1).
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
  disconnect,
  auth
};
/// Where a will's properties stand is a place of its own.
inline constexpr std::uint8_t will_place = 0;

class Fields {
 public:
  Fields(std::string_view packet, BytesView body, Version version, Reason& reason)
      : packet_(packet), body_(body), version_(version), reason_(reason) {}

  Failure refuse(std::string_view field, std::string_view why, Reason reason = Reason::malformed_packet) const {
    reason_ = reason;
    return fail(Fault::invalid_input, fmt::format("MQTT {}: {}: {}", packet_, field, why));
  }

  /// What the packet is read as; CONNECT says so itself.
  Version version() const { return version_; }
  bool v5() const { return version_ == Version::v5; }
  void set_version(Version version) { version_ = version; }

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

  Result<std::uint32_t> long_number(std::string_view field) {
    TRY_LET(const std::uint32_t high, number(field));
    TRY_LET(const std::uint32_t low, number(field));
    return high << 16 | low;
  }

  /// A variable byte integer (MQTT 5.0 section 1.5.5), in its shortest form.
  Result<std::uint32_t> varint(std::string_view field) {
    std::uint32_t value = 0;
    for (int i = 0; i < 4; ++i) {
      TRY_LET(const std::uint32_t piece, byte(field));
      value |= (piece & 0x7f) << (7 * i);
      if (piece & 0x80) continue;
      if (i > 0 && piece == 0) return refuse(field, "a number is longer than it need be");
      return value;
    }
    return refuse(field, "a number has more than four bytes");
  }

  /// Not 0 (MQTT 5.0 section 2.2.1).
  Result<PacketId> packet_id() {
    TRY_LET(const PacketId id, number("packet identifier"));
    if (id == 0) return refuse("packet identifier", "expected above 0, found 0", Reason::protocol_error);
    return id;
  }

  /// Bytes after a length of two bytes.
  Result<BytesView> binary(std::string_view field) {
    TRY_LET(const std::size_t size, number(field));
    return take(field, size);
  }

  Result<BytesView> take(std::string_view field, std::size_t size) {
    if (size > body_.size()) return refuse(field, fmt::format("expected {} bytes, found {}", size, body_.size()));
    const BytesView value = body_.substr(0, size);
    body_.remove_prefix(size);
    return value;
  }

  /// UTF-8 without U+0000 (section 1.5.4; 3.1.1: 1.5.3).
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

  /// A part of the packet, to be read to its own end.
  Fields part(BytesView bytes) const { return {packet_, bytes, version_, reason_}; }
  BytesView rest() { return std::exchange(body_, {}); }
  bool at_end() const { return body_.empty(); }

  Result<> end() const {
    if (body_.empty()) return {};
    return refuse("end", fmt::format("{} bytes too many", body_.size()));
  }

 private:
  std::string_view packet_;
  BytesView body_;
  Version version_;
  Reason& reason_;
};

}  // namespace nacelle::mqtt
