#pragma once
// MQTT control packets, 3.1.1 and 5.0: bytes <-> values. (OASIS Standards MQTT Version 3.1.1 and 5.0, chapters 2 and 3.)
// One struct a packet for both; what only MQTT 5 has (reasons, properties) is empty in 3.1.1. Publish borrows from the
// buffer it was decoded from; the rest owns its text.

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "codec/mqtt/properties.h"
#include "codec/mqtt/reason.h"
#include "foundation/bytes.h"
#include "foundation/result.h"

namespace nacelle::mqtt {

/// The protocol level in CONNECT.
enum class Version : std::uint8_t { v3_1_1 = 4, v5 = 5 };
enum class QoS : std::uint8_t { at_most_once = 0, at_least_once = 1, exactly_once = 2 };
using PacketId = std::uint16_t;

inline constexpr std::size_t max_text_bytes = 65'535;             ///< section 1.5.3
inline constexpr std::size_t max_packet_bytes = 268'435'455 + 5;  ///< section 2.2.3: largest remaining length, and its header

struct Will {
  std::string topic;
  Bytes payload;
  QoS qos = QoS::at_most_once;
  bool retain = false;
  PropertiesPtr properties{};
};

struct Connect {
  std::uint8_t protocol_level = 4;
  std::string client_id;
  bool clean_session = true;  ///< MQTT 5 calls it clean start
  std::uint16_t keep_alive_seconds = 0;
  std::optional<Will> will;
  std::optional<std::string> user_name;
  std::optional<std::string> password;
  PropertiesPtr properties{};

  bool v5() const { return protocol_level == static_cast<std::uint8_t>(Version::v5); }
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
  ConnectCode code = ConnectCode::accepted;  ///< 3.1.1
  Reason reason = Reason::success;           ///< MQTT 5
  PropertiesPtr properties{};
};

struct Publish {
  std::string_view topic;  ///< empty only with a topic alias
  BytesView payload;
  QoS qos = QoS::at_most_once;
  bool retain = false;
  bool duplicate = false;
  PacketId packet_id = 0;  ///< 0 with QoS 0
  PropertiesPtr properties{};
};
struct Puback {
  PacketId packet_id = 0;
  Reason reason = Reason::success;
  PropertiesPtr properties{};
};
struct Pubrec {
  PacketId packet_id = 0;
  Reason reason = Reason::success;
  PropertiesPtr properties{};
};
struct Pubrel {
  PacketId packet_id = 0;
  Reason reason = Reason::success;
  PropertiesPtr properties{};
};
struct Pubcomp {
  PacketId packet_id = 0;
  Reason reason = Reason::success;
  PropertiesPtr properties{};
};

/// MQTT 5.0 section 3.8.3.1.
enum class RetainHandling : std::uint8_t { send = 0, send_if_new = 1, do_not_send = 2 };
/// What beside the QoS a subscription asks for; all of it is MQTT 5.
struct SubscriptionOptions {
  bool no_local = false;             ///< not what this client published itself
  bool retain_as_published = false;  ///< RETAIN as it was published, not 0
  RetainHandling retain_handling = RetainHandling::send;
  std::uint32_t id = 0;  ///< the subscription identifier of its SUBSCRIBE; 0: none

  bool operator==(const SubscriptionOptions&) const = default;
};
struct Subscription {
  std::string filter;
  QoS qos = QoS::at_most_once;
  SubscriptionOptions options{};
};
struct Subscribe {
  PacketId packet_id = 0;
  std::vector<Subscription> subscriptions;
  PropertiesPtr properties{};
};
/// One code a subscription: the granted QoS, or 0x80 (MQTT 5: a reason from there on).
struct Suback {
  PacketId packet_id = 0;
  std::vector<std::uint8_t> codes;
  PropertiesPtr properties{};
};
inline constexpr std::uint8_t subscription_refused = 0x80;
struct Unsubscribe {
  PacketId packet_id = 0;
  std::vector<std::string> filters;
  PropertiesPtr properties{};
};
struct Unsuback {
  PacketId packet_id = 0;
  std::vector<Reason> codes{};  ///< MQTT 5: one a filter
  PropertiesPtr properties{};
};
struct Pingreq {};
struct Pingresp {};
struct Disconnect {
  Reason reason = Reason::success;
  PropertiesPtr properties{};
};
/// MQTT 5 only.
struct Auth {
  Reason reason = Reason::success;
  PropertiesPtr properties{};
};

using Packet = std::variant<Connect, Connack, Publish, Puback, Pubrec, Pubrel, Pubcomp, Subscribe, Suback, Unsubscribe, Unsuback,
                            Pingreq, Pingresp, Disconnect, Auth>;

/// How far the first packet in `buffer` reaches: its whole size, nothing if more bytes are needed to tell or to have it
/// whole. Fault::invalid_input for a malformed length; Fault::exhausted if it is above `max_bytes` (known from the
/// header alone: no length from the wire makes us allocate).
Result<std::optional<std::size_t>> frame_size(BytesView buffer, std::size_t max_bytes);

/// Exactly one whole packet. Fault::invalid_input names the packet and the field, and `reason` (if not null) is then what
/// MQTT 5 calls it. Publish points into `frame`. A CONNECT says its version itself; of one with another protocol level than 4
/// and 5 only the level is read, so that it can be answered.
Result<Packet> decode(BytesView frame, Version version = Version::v3_1_1, Reason* reason = nullptr);

/// Appends the packet's bytes to `out`; CONNECT in the version it says. The caller has checked what comes from outside: texts
/// hold at most max_text_bytes (valid_topic_name looks at that too), packets at most max_packet_bytes, ids are not 0.
void encode(Bytes& out, const Connect& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Connack& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Publish& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Puback& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Pubrec& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Pubrel& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Pubcomp& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Subscribe& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Suback& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Unsubscribe& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Unsuback& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Pingreq& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Pingresp& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Disconnect& packet, Version version = Version::v3_1_1);
void encode(Bytes& out, const Auth& packet, Version version = Version::v5);
/// Bytes of the whole packet: what a client's maximum packet size bounds.
std::size_t encoded_size(const Publish& packet, Version version);

/// Topic name rules (section 4.7): not empty, no wild cards, no NUL, valid UTF-8, at most 65535 bytes.
bool valid_topic_name(std::string_view topic);
bool valid_topic_filter(std::string_view filter);

/// `$share/{group}/{filter}` taken apart (MQTT 5.0 section 4.8.2); an empty group: not shared. Fault::invalid_input for one
/// that is shared and broken.
struct SharedFilter {
  std::string_view group;
  std::string_view filter;
};
Result<SharedFilter> parse_shared_filter(std::string_view filter);
/// Whether `filter` (with + and #) matches `topic`; a leading `$` is not matched by a leading wild card.
bool topic_matches(std::string_view filter, std::string_view topic);

}  // namespace nacelle::mqtt
