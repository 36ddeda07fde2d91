#pragma once
// Who may connect: devices and modules with their keys, and the check of a token against them. Hub and edge share it.

#include <chrono>
#include <compare>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json/value.h"
#include "codec/sas/token.h"
#include "foundation/clock.h"
#include "foundation/named.h"
#include "foundation/result.h"

namespace nacelle::device {

using DeviceId = Named<struct DeviceIdTag>;
using ModuleId = Named<struct ModuleIdTag>;

/// A device, or one of its modules (`module` not empty).
struct IdentityName {
  DeviceId device;
  ModuleId module;
  bool is_module() const { return !module.empty(); }
  /// `dev1` or `dev1/filter`: the MQTT client id.
  std::string client_id() const;
  auto operator<=>(const IdentityName&) const = default;
};
Result<IdentityName> parse_client_id(std::string_view client_id);

/// Up to 128 of ASCII alphanumerics and `- : . + % _ # * ? ! ( ) , = @ $ '` (wire facts 1.2); modules likewise.
Result<DeviceId> parse_device_id(std::string_view text);
Result<ModuleId> parse_module_id(std::string_view text);

enum class Authentication { sas, self_signed, certificate_authority, none };

/// One row of the registry.
struct Identity {
  IdentityName name;
  std::string generation_id;
  std::int64_t etag = 1;
  bool enabled = true;
  std::string status_reason;
  Authentication authentication = Authentication::sas;
  std::string primary_key;  ///< base64
  std::string secondary_key;
  std::string primary_thumbprint;
  std::string secondary_thumbprint;
  bool edge = false;  ///< capabilities.iotEdge
  std::string scope;  ///< deviceScope
  std::vector<std::string> parent_scopes;
  std::string managed_by;         ///< modules
  std::string status_changed_at;  ///< ISO 8601; empty: never
  std::string model;              ///< as it last said when it connected (`model-id`)

  bool by_certificate() const {
    return authentication == Authentication::self_signed || authentication == Authentication::certificate_authority;
  }
};

/// `ms-azure-iot-edge://{device}-{generation}`.
std::string edge_scope(const Identity& edge_device);

struct ConnectionFacts {
  bool connected = false;
  Timestamp changed_at{};
  Timestamp last_activity{};
  int cloud_to_device_messages = 0;
};

/// The REST document of a device or a module (wire facts 2.3), keys included. Its etag has the form of twin::etag_text.
json::Value to_json(const Identity& identity, const ConnectionFacts& facts = {});

/// Reads a document as a client PUTs it. Missing keys are generated; `name` is what the path said and must agree with
/// the document. Unknown members are ignored, and so are those the registry sets (generationId, etag). Fault::invalid_input
/// names the member.
Result<Identity> from_json(const json::Value& document, const IdentityName& name);

// -- Tokens against identities -------------------------------------------------------------------------------------

/// Rights of a shared access policy (wire facts 2.12), and those of the provisioning service. A right to write is one to read.
struct Rights {
  bool registry_read = false;
  bool registry_write = false;
  bool service_connect = false;
  bool device_connect = false;
  bool enrollment_read = false;
  bool enrollment_write = false;
  bool registration_read = false;
  bool registration_write = false;
  bool operator==(const Rights&) const = default;
};
Rights all_rights();
/// `["RegistryRead","ServiceConnect",..]`.
json::Value rights_json(const Rights& rights);
/// The same read, in any order and case; writing brings reading with it. Fault::invalid_input names an unknown one.
Result<Rights> parse_rights(const json::Value& list, std::string_view where);
struct Policy {
  std::string name;
  std::string primary_key;
  std::string secondary_key;
  Rights rights;
};

/// 1 to 64 of letters, digits, `-`, `.` and `_`.
Result<> check_policy_name(std::string_view name);

/// What may be done to a pair of keys, so that clients can be moved from one to the other.
enum class KeyChange { primary, secondary, swap };
/// `primary`, `secondary` or `swap`. Fault::invalid_input.
Result<KeyChange> parse_key_change(std::string_view text);
/// A new random key in the place named, or the two exchanged.
void change_keys(KeyChange change, std::string& primary, std::string& secondary);

/// Does `resource` (a token's decoded `sr`) cover `HUB/devices/{device}[/modules/{module}]`? `hub_names`: the hub's name
/// and its aliases; compared without case and with or without a port, the path exactly. `HUB` and `HUB/devices` cover
/// everything, which counts for policies only: authenticate() wants the identity's own path. `HUB/devices/d` does not
/// cover d's modules.
bool resource_covers(std::string_view resource, const std::vector<std::string>& hub_names, const IdentityName& name);
bool resource_covers_hub(std::string_view resource, const std::vector<std::string>& hub_names);
/// Whether `host` is one of the names, without case and with or without a port.
bool is_hub_name(std::string_view host, const std::vector<std::string>& hub_names);

/// How far a client's clock may be behind ours.
inline constexpr std::chrono::seconds allowed_skew{300};

/// The time from which a token is no longer taken: its expiry plus allowed_skew.
Timestamp taken_until(const sas::Token& token);

/// Checks a device's or module's own token: enabled, signature with either key, expiry (with allowed_skew), resource.
/// Fault::denied says which check failed, without secrets. Answers with the time from which the token is no longer
/// taken: its expiry plus allowed_skew.
Result<Timestamp> authenticate(const Identity& identity, std::string_view token, const std::vector<std::string>& hub_names,
                               Timestamp now);

/// The same with a policy's key (`skn`): the policy must have device_connect.
Result<Timestamp> authenticate_with_policy(const Policy& policy, const IdentityName& name, std::string_view token,
                                           const std::vector<std::string>& hub_names, Timestamp now);

/// A service call's token: the policy must be the one `skn` names; rights are then the caller's business.
Result<Timestamp> authenticate_service(const Policy& policy, std::string_view token, const std::vector<std::string>& hub_names,
                                       Timestamp now);

}  // namespace nacelle::device
