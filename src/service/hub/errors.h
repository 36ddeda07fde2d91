#pragma once
// Error answers as IoT Hub's clients expect them (wire facts 2.10).

#include <string_view>

#include "foundation/clock.h"
#include "net/http/message.h"

namespace nacelle::hub {

struct ErrorKind {
  int code;
  std::string_view name;
  int status;
};

namespace kinds {
inline constexpr ErrorKind argument_invalid{400004, "ArgumentInvalid", 400};
inline constexpr ErrorKind deserialization{400012, "DeserializationError", 400};
inline constexpr ErrorKind bulk_failure{400013, "BulkRegistryOperationFailure", 400};
inline constexpr ErrorKind unauthorized{401002, "IotHubUnauthorizedAccess", 401};
inline constexpr ErrorKind too_many_uploads{403006, "DeviceMaximumActiveFileUploadLimitExceeded", 403};
inline constexpr ErrorKind quota_exceeded{403002, "IotHubQuotaExceeded", 403};
inline constexpr ErrorKind queue_full{403004, "DeviceMaximumQueueDepthExceeded", 403};
inline constexpr ErrorKind device_not_found{404001, "DeviceNotFound", 404};
inline constexpr ErrorKind module_not_found{404010, "ModuleNotFound", 404};
inline constexpr ErrorKind job_not_found{404002, "JobNotFound", 404};
inline constexpr ErrorKind enrollment_not_found{404204, "EnrollmentNotFound", 404};
inline constexpr ErrorKind configuration_not_found{404000, "ConfigurationNotFound", 404};
inline constexpr ErrorKind certificate_not_found{404000, "CertificateNotFound", 404};
inline constexpr ErrorKind certificate_exists{409000, "CertificateAlreadyExists", 409};
inline constexpr ErrorKind too_many_certificates{403000, "CertificateQuotaExceeded", 403};
inline constexpr ErrorKind policy_not_found{404000, "PolicyNotFound", 404};
inline constexpr ErrorKind policy_exists{409000, "PolicyAlreadyExists", 409};
inline constexpr ErrorKind too_many_jobs{403003, "JobQuotaExceeded", 403};
inline constexpr ErrorKind too_many_configurations{403000, "ConfigurationQuotaExceeded", 403};
inline constexpr ErrorKind job_exists{409000, "JobAlreadyExists", 409};
inline constexpr ErrorKind configuration_exists{409000, "ConfigurationAlreadyExists", 409};
inline constexpr ErrorKind not_found{404000, "NotFound", 404};
inline constexpr ErrorKind method_not_allowed{405000, "MethodNotAllowed", 405};
inline constexpr ErrorKind device_not_online{404103, "DeviceNotOnline", 404};
inline constexpr ErrorKind device_exists{409001, "DeviceAlreadyExists", 409};
inline constexpr ErrorKind module_exists{409301, "ModuleAlreadyExistsOnDevice", 409};
inline constexpr ErrorKind precondition_failed{412001, "PreconditionFailed", 412};
inline constexpr ErrorKind lock_lost{412002, "DeviceMessageLockLost", 412};
inline constexpr ErrorKind message_too_large{413001, "MessageTooLarge", 413};
inline constexpr ErrorKind too_many_modules{413003, "TooManyModulesOnDevice", 413};
inline constexpr ErrorKind throttled{429001, "ThrottlingException", 429};
inline constexpr ErrorKind server_error{500001, "ServerError", 500};
inline constexpr ErrorKind bad_device_reply{502000, "BadDeviceReply", 502};  // name and code are ours
inline constexpr ErrorKind unavailable{503001, "ServiceUnavailable", 503};
inline constexpr ErrorKind timed_out{504101, "GatewayTimeout", 504};
}  // namespace kinds

/// The kind for a fault that no handler knows more about.
const ErrorKind& kind_of(Fault fault);

/// `{"Message":"ErrorCode:{Name};{text}","ExceptionMessage":"Tracking ID:..-TimeStamp:.."}` and header iothub-errorcode.
net::HttpResponse error_response(const ErrorKind& kind, std::string_view text, Timestamp now);

}  // namespace nacelle::hub
