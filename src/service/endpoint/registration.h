#pragma once
// Devices that register themselves before they have an identity at the hub (wire facts 4.1): their side of the MQTT endpoint.

#include <optional>
#include <string>

#include "foundation/async.h"
#include "foundation/bytes.h"
#include "foundation/clock.h"

namespace nacelle::endpoint {

/// Who registers, as its credentials have shown.
struct Registrant {
  std::string id;          ///< registration id
  std::string enrollment;  ///< that it was let in by
  bool group = false;
  std::string thumbprint;   ///< SHA-256 of its certificate; empty with keys
  bool at_the_hub = false;  ///< its certificate comes from an authority that the hub itself trusts
  Timestamp until{};        ///< its credentials end
};

struct RegistrationAnswer {
  int status = 500;
  std::string body;             ///< JSON, ASCII
  int retry_after_seconds = 0;  ///< 0: none
};

class RegistrationBackend {
 public:
  virtual ~RegistrationBackend() = default;
  /// Fault::denied and a reason without secrets.
  virtual awaitable<Result<Registrant>> authenticate(std::string id_scope, std::string registration_id, std::string token,
                                                     Bytes certificates_der) = 0;
  /// Registers: 202 with an operation to ask about, or an error.
  virtual awaitable<RegistrationAnswer> begin(Registrant who, Bytes body) = 0;
  virtual awaitable<RegistrationAnswer> status(Registrant who, std::string operation_id) = 0;
};

/// `{idScope}/registrations/{registrationId}/api-version=..`, as in a user name.
struct RegistrationName {
  std::string id_scope;
  std::string registration_id;
};
/// Nothing if the user name is of another kind.
std::optional<RegistrationName> parse_registration_name(std::string_view user_name);

/// A publish of a registrant; nothing for any other topic. Without an operation it registers.
struct RegistrationRequest {
  std::string request_id;
  std::optional<std::string> operation_id;
};
std::optional<RegistrationRequest> parse_registration_topic(std::string_view topic);
std::string registration_response_topic(const RegistrationAnswer& answer, const std::string& request_id);

inline constexpr std::string_view registration_filter = "$dps/registrations/res/#";

}  // namespace nacelle::endpoint
