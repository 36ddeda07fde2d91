#pragma once
// Provisioning: enrolments and registrations in the hub's tables, and the devices that come of them (wire facts 4).

#include "domain/provisioning/enrollment.h"
#include "service/endpoint/registration.h"
#include "service/hub/disk.h"
#include "service/hub/registry.h"

namespace nacelle::hub {

struct Services;

/// What a service reads of one registration.
struct Registration {
  std::string id;
  std::string group;  ///< empty: of an individual enrolment
  json::Value state = json::Object{};
  std::int64_t etag = 1;
};

class Provisioning final : public endpoint::RegistrationBackend {
 public:
  /// Makes the id scope at the first start.
  static Result<std::unique_ptr<Provisioning>> open(storage::Database& tables, Registry& registry, Disk& disk, const Clock& clock,
                                                    std::string host);
  /// Once there is an endpoint: devices whose credentials change are cut off.
  void serve(Services& services) { services_ = &services; }

  const std::string& id_scope() const { return id_scope_; }  ///< any thread

  // -- Registrations; any thread
  awaitable<Result<endpoint::Registrant>> authenticate(std::string id_scope, std::string registration_id, std::string token,
                                                       Bytes certificates_der) override;
  awaitable<endpoint::RegistrationAnswer> begin(endpoint::Registrant who, Bytes body) override;
  awaitable<endpoint::RegistrationAnswer> status(endpoint::Registrant who, std::string operation_id) override;

  // -- Enrolments; tables strand
  Result<provisioning::Enrollment> find(provisioning::EnrollmentKind kind, const std::string& id) const;  ///< Fault::not_found
  Result<std::vector<provisioning::Enrollment>> list(provisioning::EnrollmentKind kind, const std::string& after,
                                                     std::size_t most) const;
  /// Makes it or puts it in place of the one there. Fault::exhausted beyond max_groups.
  Result<provisioning::Enrollment> put(provisioning::Enrollment enrollment);
  Result<> remove(provisioning::EnrollmentKind kind, const std::string& id);
  Result<Registration> registration(const std::string& id) const;
  Result<std::vector<Registration>> registrations_of(const std::string& group, const std::string& after, std::size_t most) const;
  Result<> forget_registration(const std::string& id);

  /// Each is tried for a device without an enrolment of its own.
  static constexpr std::size_t max_groups = 100;

 private:
  Provisioning(storage::Database& tables, Registry& registry, Disk& disk, const Clock& clock, std::string host)
      : tables_(tables), registry_(registry), disk_(disk), clock_(clock), host_(std::move(host)) {}
  Result<> load_id_scope();
  Result<> check_certificates(const provisioning::Enrollment& enrollment) const;
  Result<> check_chain(const provisioning::Enrollment& enrollment, const Bytes& certificates_der) const;
  Result<endpoint::Registrant> check(const std::string& registration_id, const std::string& token,
                                     const Bytes& certificates_der) const;
  Result<endpoint::Registrant> check_against(const provisioning::Enrollment& enrollment, const std::string& registration_id,
                                             const std::string& token, const Bytes& certificates_der) const;
  Result<json::Value> assign(const endpoint::Registrant& who, const Bytes& body);
  Result<device::Identity> make_device(const provisioning::Enrollment& enrollment, const endpoint::Registrant& who,
                                       const device::IdentityName& name);
  Result<> start_twin(const provisioning::Enrollment& enrollment, const device::IdentityName& name,
                      provisioning::Assignment assignment);
  endpoint::RegistrationAnswer refusal(const Error& error) const;

  storage::Database& tables_;
  Registry& registry_;
  Disk& disk_;
  const Clock& clock_;
  const std::string host_;
  std::string id_scope_;  // fixed once open
  Services* services_ = nullptr;
};

}  // namespace nacelle::hub
