#pragma once
// Enrolments: which devices may register themselves, how they prove who they are, and what they become (wire facts 4.3, 4.4).
// Pure rules; the hub keeps them and makes the devices.

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "codec/json/value.h"
#include "domain/twin/twin.h"
#include "foundation/clock.h"

namespace nacelle::provisioning {

enum class EnrollmentKind { individual, group };
enum class Attestation { symmetric_key, x509 };
/// All but `custom`: with one hub they come to the same (wire facts 4.3).
enum class Allocation { hashed, static_hub, geo_latency };

struct Enrollment {
  EnrollmentKind kind = EnrollmentKind::individual;
  std::string id;         ///< registrationId, or enrollmentGroupId
  std::string device_id;  ///< individual; empty: the registration id
  Attestation attestation = Attestation::symmetric_key;
  std::string primary_key;  ///< base64
  std::string secondary_key;
  /// PEM: the device's own certificate (matched by thumbprint; individual), or an authority's. The second may be empty.
  std::string primary_certificate;
  std::string secondary_certificate;
  bool own_certificate = false;
  /// Instead of certificates: names of authorities that were uploaded to the hub. The second may be empty.
  std::string primary_reference;
  std::string secondary_reference;
  bool enabled = true;
  bool edge = false;  ///< capabilities.iotEdge
  Allocation allocation = Allocation::hashed;
  std::string hub;  ///< iotHubHostName
  twin::ServicePatch initial_twin;
  bool update_assignment = true;  ///< reprovisionPolicy
  bool migrate_data = true;       ///< false: the twin is begun anew
  std::int64_t etag = 1;
  std::string created_at;
  std::string updated_at;
};

/// Reads a document as a service puts it. Missing keys are generated. Fault::invalid_input names the member.
Result<Enrollment> parse_enrollment(const json::Value& document, EnrollmentKind kind, const std::string& id);
/// The document; keys are shown only `with_keys` (attestationmechanism), and so is what is stored.
json::Value to_json(const Enrollment& enrollment, bool with_keys);
/// `{"type":"symmetricKey","symmetricKey":{..}}`, or `{"type":"x509","x509":{..}}` with `clientCertificates`, `signingCertificates`
/// or `caReferences`.
json::Value attestation_json(const Enrollment& enrollment, bool with_keys);

/// 1 to 128 letters, digits and `-._:`, ending in a letter, digit or dash. Fault::invalid_input.
Result<> check_registration_id(std::string_view id);

/// The keys that a registration proves itself with and its device then has: the enrolment's own, or derived from the group's.
struct Keys {
  std::string primary;
  std::string secondary;
};
Result<Keys> keys_of(const Enrollment& enrollment, std::string_view registration_id);

/// The token of a registration: `sr` = `{idScope}/registrations/{id}` (encoded or not), signed with either key. Answers with the
/// time it ends. Fault::denied says which check failed, without secrets.
Result<Timestamp> check_token(const Keys& keys, std::string_view id_scope, std::string_view registration_id, std::string_view token,
                              Timestamp now);

/// What a registration does to the registry.
enum class Assignment {
  first,      ///< the device is made (or one that is there is taken), with the initial twin
  keep,       ///< the same device as before, its keys as they now are
  start_over  ///< the same, with a fresh twin
};
/// `registered`: this registration was assigned before, and its device is still there.
Assignment decide(const Enrollment& enrollment, bool registered);
/// The protocol's name for what was done: `initialAssignment`, `deviceDataMigrated`, `deviceDataReset`, ...
std::string_view substatus(Assignment assignment);

}  // namespace nacelle::provisioning
