#pragma once
// MQTT 3.1.1 control packets: bytes <-> values. (MQTT Version 3.1.1, OASIS Standard, chapter 2 and 3.)
// Publish borrows from the buffer it was decoded from; the rest owns its text.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::mqtt {

enum class QoS : std::uint8_t { at_most_once = 0, at_least_once = 1, exactly_once = 2 };
using PacketId = std::uint16_t;

inline constexpr std::size_t max_text_bytes = 65'535;             ///< section 1.5.3
inline constexpr std::size_t max_packet_bytes = 268'435'455 + 5;  ///< section 2.2.3: largest remaining length, and its header

struct Will {
  std::string topic;
  Bytes payload;
  QoS qos = QoS::at_most_once;
  bool retain = false;
};

struct Connect {
  std::uint8_t protocol_level = 4;
  std::string client_id;
  bool clean_session = true;
  std::uint16_t keep_alive_seconds = 0;
  std::optional<Will> will;
  std::optional<std::string> user_name;
  std::optional<std::string> password;
};

/// MQTT 3.1.1 section 3.2.2.3.
enum class ConnectCode : std::uint8_t {
  accepted = 0,
  unacceptable_protocol = 1,
  identifier_rejected = 2,
  server_unavailable = 3,
  bad_user_name = 4,
  not_authorized = 5
};
struct Connack {
  bool session_present = false;
  ConnectCode code = ConnectCode::accepted;
};

struct Publish {
  std::string_view topic;
  BytesView payload;
  QoS qos = QoS::at_most_once;
  bool retain = false;
  bool duplicate = false;
  PacketId packet_id = 0;  ///< 0 with QoS 0
};
struct Puback {
  PacketId packet_id = 0;
};
struct Pubrec {
  PacketId packet_id = 0;
};
struct Pubrel {
  PacketId packet_id = 0;
};
struct Pubcomp {
  PacketId packet_id = 0;
};

struct Subscription {
  std::string filter;
  QoS qos = QoS::at_most_once;
};
struct Subscribe {
  PacketId packet_id = 0;
  std::vector<Subscription> subscriptions;
};
/// One code a subscription: the granted QoS, or 0x80.
struct Suback {
  PacketId packet_id = 0;
  std::vector<std::uint8_t> codes;
};
inline constexpr std::uint8_t subscription_refused = 0x80;
struct Unsubscribe {
  PacketId packet_id = 0;
  std::vector<std::string> filters;
};
struct Unsuback {
  PacketId packet_id = 0;
};
struct Pingreq {};
struct Pingresp {};
struct Disconnect {};

using Packet = std::variant<Connect, Connack, Publish, Puback, Pubrec, Pubrel, Pubcomp, Subscribe, Suback, Unsubscribe, Unsuback,
                            Pingreq, Pingresp, Disconnect>;

/// How far the first packet in `buffer` reaches: its whole size, nothing if more bytes are needed to tell or to have it
/// whole. Fault::invalid_input for a malformed length; Fault::exhausted if it is above `max_bytes` (known from the
/// header alone: no length from the wire makes us allocate).
Result<std::optional<std::size_t>> frame_size(BytesView buffer, std::size_t max_bytes);

/// Exactly one whole packet. Fault::invalid_input names the packet and the field. Publish points into `frame`. Of a CONNECT
/// with another protocol level than 4 only the level is read, so that it can be answered (section 3.1.2.2).
Result<Packet> decode(BytesView frame);

/// Appends the packet's bytes to `out`. The caller has checked what comes from outside: texts hold at most
/// max_text_bytes (valid_topic_name looks at that too), packets at most max_packet_bytes, and ids are not 0.
void encode(Bytes& out, const Connect& packet);
void encode(Bytes& out, const Connack& packet);
void encode(Bytes& out, const Publish& packet);
void encode(Bytes& out, const Puback& packet);
void encode(Bytes& out, const Pubrec& packet);
void encode(Bytes& out, const Pubrel& packet);
void encode(Bytes& out, const Pubcomp& packet);
void encode(Bytes& out, const Subscribe& packet);
void encode(Bytes& out, const Suback& packet);
void encode(Bytes& out, const Unsubscribe& packet);
void encode(Bytes& out, const Unsuback& packet);
void encode(Bytes& out, const Pingreq& packet);
void encode(Bytes& out, const Pingresp& packet);
void encode(Bytes& out, const Disconnect& packet);

/// Topic name rules (section 4.7): not empty, no wild cards, no NUL, valid UTF-8, at most 65535 bytes.
bool valid_topic_name(std::string_view topic);
bool valid_topic_filter(std::string_view filter);
/// Whether `filter` (with + and #) matches `topic`; a leading `$` is not matched by a leading wild card.
bool topic_matches(std::string_view filter, std::string_view topic);

}  // namespace nacelle::mqtt
