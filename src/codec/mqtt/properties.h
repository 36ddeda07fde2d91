#pragma once
// Properties of MQTT 5 packets (MQTT Version 5.0, section 2.2.2), each with its type. One struct for all packets; which
// property may stand in which packet is a table in properties.cc, held by the decoder.

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "foundation/bytes.h"

namespace nacelle::mqtt {

/// Times are in seconds.
struct Properties {
  std::optional<std::uint8_t> payload_format;  ///< 0x01: 1 says that the payload is UTF-8
  std::optional<std::uint32_t> message_expiry;
  std::optional<std::string> content_type;
  std::optional<std::string> response_topic;
  std::optional<Bytes> correlation_data;
  std::vector<std::uint32_t> subscription_ids;  ///< 0x0b: at most one in SUBSCRIBE
  std::optional<std::uint32_t> session_expiry;
  std::optional<std::string> assigned_client_id;
  std::optional<std::uint16_t> server_keep_alive;
  std::optional<std::string> authentication_method;
  std::optional<Bytes> authentication_data;
  std::optional<std::uint8_t> request_problem_information;
  std::optional<std::uint32_t> will_delay;
  std::optional<std::uint8_t> request_response_information;
  std::optional<std::string> response_information;
  std::optional<std::string> server_reference;
  std::optional<std::string> reason_string;
  std::optional<std::uint16_t> receive_maximum;
  std::optional<std::uint16_t> topic_alias_maximum;
  std::optional<std::uint16_t> topic_alias;
  std::optional<std::uint8_t> maximum_qos;
  std::optional<std::uint8_t> retain_available;
  std::vector<std::pair<std::string, std::string>> user;  ///< 0x26, in the order they came
  std::optional<std::uint32_t> maximum_packet_size;
  std::optional<std::uint8_t> wildcard_subscriptions_available;
  std::optional<std::uint8_t> subscription_ids_available;
  std::optional<std::uint8_t> shared_subscriptions_available;

  bool operator==(const Properties&) const = default;
};

/// Null: no properties; so that packets of MQTT 3.1.1 carry no weight. Shared by all to whom a message goes.
using PropertiesPtr = std::shared_ptr<const Properties>;

inline constexpr std::uint32_t max_varint = 268'435'455;    ///< MQTT 5.0 section 1.5.5
inline constexpr std::uint32_t never_expires = 0xffffffff;  ///< as a session's expiry (section 3.1.2.11.2)
/// Our own bound: each costs memory far beyond its bytes on the wire.
inline constexpr std::size_t max_user_properties = 1000;

}  // namespace nacelle::mqtt
