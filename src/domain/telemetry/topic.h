#pragma once
// The IoT Hub topics a client may publish to, taken apart (wire facts 1.5), and those the server sends on, made.

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>

#include "foundation/result.h"

namespace nacelle::telemetry {

/// `devices/D/messages/events/BAG` or `devices/D/modules/M/messages/events/BAG`.
struct EventTopic {
  std::string device_id;
  std::string module_id;  ///< empty for a device
  std::string bag;        ///< still encoded
};
struct TwinGetTopic {
  std::string request_id;
};
struct TwinPatchTopic {
  std::string request_id;
  std::string base_version;
};  ///< base_version empty if absent
struct MethodResponseTopic {
  int status = 0;
  std::string request_id;
};

using PublishTopic = std::variant<EventTopic, TwinGetTopic, TwinPatchTopic, MethodResponseTopic>;

/// Fault::invalid_input names what was expected; an unknown topic closes the connection.
Result<PublishTopic> parse_publish_topic(std::string_view topic);

/// What a client may subscribe to.
enum class SubscribeKind { cloud_to_device, module_inputs, twin_responses, desired_changes, methods };
struct SubscribeTopic {
  SubscribeKind kind;
  std::string device_id;  ///< of cloud_to_device and module_inputs
  std::string module_id;  ///< of module_inputs
};
Result<SubscribeTopic> parse_subscribe_topic(std::string_view filter);

std::string event_topic(std::string_view device, std::string_view module, std::string_view bag);
std::string twin_response_topic(int status, std::string_view request_id, std::string_view version = {});
std::string desired_change_topic(std::int64_t version);
std::string method_topic(std::string_view method, std::string_view request_id);
std::string input_topic(std::string_view device, std::string_view module, std::string_view input, std::string_view bag);
std::string cloud_to_device_topic(std::string_view device, std::string_view bag);

/// The user name of CONNECT (wire facts 1.2): `{HUB}/{device}[/{module}]/?api-version=..&DeviceClientType=..&model-id=..`.
struct UserName {
  std::string hub;
  std::string device_id;
  std::string module_id;
  std::string api_version;
  std::string client_type;
  std::string model_id;
};
Result<UserName> parse_user_name(std::string_view text);
std::string print_user_name(const UserName& name);

}  // namespace nacelle::telemetry
