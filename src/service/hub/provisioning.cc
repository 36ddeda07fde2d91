#include "service/hub/provisioning.h"

#include <fmt/format.h>

#include "codec/digest/digest.h"
#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "foundation/random.h"
#include "net/tls/chain.h"
#include "service/hub/api.h"

namespace nacelle::hub {
namespace {

using endpoint::Registrant;
using endpoint::RegistrationAnswer;
using provisioning::Assignment;
using provisioning::Attestation;
using provisioning::Enrollment;
using provisioning::EnrollmentKind;

// A timer of nanoseconds cannot count to the year 9999, which certificates without an end carry.
constexpr std::chrono::hours longest_registration{24};
constexpr int retry_after_seconds = 1;  // the answer is there by then: assigning takes one transaction

std::string_view kind_name(EnrollmentKind kind) { return kind == EnrollmentKind::group ? "group" : "individual"; }

Result<Enrollment> read_enrollment(const storage::Row& row, EnrollmentKind kind) {
  TRY_LET(const json::Value document, json::parse(storage::text(row[1])));
  TRY_LET(Enrollment enrollment, in(provisioning::parse_enrollment(document, kind, storage::text(row[0])), "stored enrolment"));
  enrollment.etag = storage::integer(row[2]);
  enrollment.created_at = storage::text(row[3]);
  enrollment.updated_at = storage::text(row[4]);
  return enrollment;
}

Result<Registration> read_registration(const storage::Row& row) {
  TRY_LET(json::Value state, json::parse(storage::text(row[2])));
  return Registration{storage::text(row[0]), storage::text(row[1]), std::move(state), storage::integer(row[3])};
}

}  // namespace

Result<std::unique_ptr<Provisioning>> Provisioning::open(storage::Database& tables, Registry& registry, Disk& disk,
                                                         const Clock& clock, std::string host) {
  std::unique_ptr<Provisioning> made(new Provisioning(tables, registry, disk, clock, std::move(host)));
  TRY(made->load_id_scope());
  return made;
}

Result<> Provisioning::load_id_scope() {
  TRY_LET(auto rows, tables_.query("SELECT value FROM meta WHERE name = 'id_scope'"));
  if (rows.empty()) {
    std::string scope = "0ne" + text::hex_encode(secure_random(4));
    std::transform(scope.begin() + 3, scope.end(), scope.begin() + 3,
                   [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
    TRY(tables_.run("INSERT INTO meta VALUES ('id_scope', ?)", storage::Blob{scope}));
    TRY_LET(rows, tables_.query("SELECT value FROM meta WHERE name = 'id_scope'"));
  }
  id_scope_ = storage::blob(rows[0][0]);
  return {};
}

// -- Enrolments ------------------------------------------------------------------------------------------------------------

Result<Enrollment> Provisioning::find(EnrollmentKind kind, const std::string& id) const {
  TRY_LET(const auto rows,
          tables_.query("SELECT id, document, etag, created_at, updated_at FROM enrollment WHERE kind = ? AND id = ?",
                        kind_name(kind), id));
  if (rows.empty()) return fail(Fault::not_found, fmt::format("enrolment '{}' is not there", id));
  return read_enrollment(rows[0], kind);
}

Result<std::vector<Enrollment>> Provisioning::list(EnrollmentKind kind, const std::string& after, std::size_t most) const {
  TRY_LET(const auto rows,
          tables_.query(
              "SELECT id, document, etag, created_at, updated_at FROM enrollment WHERE kind = ? AND id > ? ORDER BY id LIMIT ?",
              kind_name(kind), after, most));
  std::vector<Enrollment> found;
  for (const storage::Row& row : rows) {
    TRY_LET(Enrollment one, read_enrollment(row, kind));
    found.push_back(std::move(one));
  }
  return found;
}

/// Certificates are read now, so that a mistake is told to who made it and not to a device.
Result<> Provisioning::check_certificates(const Enrollment& enrollment) const {
  constexpr std::string_view where = "enrollment: attestation.x509";
  for (const std::string* pem : {&enrollment.primary_certificate, &enrollment.secondary_certificate}) {
    if (pem->empty()) continue;
    TRY_LET(const auto facts, in(net::inspect(*pem), where));
    if (!enrollment.own_certificate && !facts.authority)
      return fail(Fault::invalid_input, fmt::format("{}.signingCertificates: '{}' is not an authority's certificate: its basic "
                                                    "constraints do not say CA:TRUE",
                                                    where, facts.subject));
  }
  if (!enrollment.primary_reference.empty() && !enrollment.device_id.empty() && enrollment.device_id != enrollment.id)
    return fail(Fault::invalid_input,
                fmt::format("{}.caReferences: deviceId must be the registration id: at the hub the device is known by "
                            "its certificate's common name",
                            where));
  for (const std::string* name : {&enrollment.primary_reference, &enrollment.secondary_reference})
    if (!name->empty() && !(services_ && services_->device_authorities.anchors(*name)))
      return fail(Fault::invalid_input, fmt::format("{}.caReferences: the hub has no verified certificate '{}'", where, *name));
  return {};
}

Result<Enrollment> Provisioning::put(Enrollment enrollment) {
  TRY(check_certificates(enrollment));
  const auto old = find(enrollment.kind, enrollment.id);
  if (!old && old.error().fault != Fault::not_found) return old;
  if (!old && enrollment.kind == EnrollmentKind::group) {
    TRY_LET(const auto groups, list(EnrollmentKind::group, {}, max_groups));
    if (groups.size() >= max_groups)
      return fail(Fault::exhausted, fmt::format("there are {} enrolment groups, the most there may be", max_groups));
  }
  enrollment.updated_at = format_iso8601(clock_.now());
  enrollment.created_at = old ? old->created_at : enrollment.updated_at;
  enrollment.etag = old ? old->etag + 1 : 1;
  if (enrollment.hub.empty()) enrollment.hub = host_;
  TRY(tables_.run("INSERT OR REPLACE INTO enrollment VALUES (?, ?, ?, ?, ?, ?)", kind_name(enrollment.kind), enrollment.id,
                  json::print(provisioning::to_json(enrollment, true)), enrollment.etag, enrollment.created_at,
                  enrollment.updated_at));
  return enrollment;
}

Result<> Provisioning::remove(EnrollmentKind kind, const std::string& id) {
  TRY_LET(const auto removed, tables_.run("DELETE FROM enrollment WHERE kind = ? AND id = ?", kind_name(kind), id));
  if (removed == 0) return fail(Fault::not_found, fmt::format("enrolment '{}' is not there", id));
  return {};
}

Result<Registration> Provisioning::registration(const std::string& id) const {
  TRY_LET(const auto rows, tables_.query("SELECT id, enrollment_group, document, etag FROM registration WHERE id = ?", id));
  if (rows.empty()) return fail(Fault::not_found, fmt::format("registration '{}' is not there", id));
  return read_registration(rows[0]);
}

Result<std::vector<Registration>> Provisioning::registrations_of(const std::string& group, const std::string& after,
                                                                 std::size_t most) const {
  TRY_LET(
      const auto rows,
      tables_.query(
          "SELECT id, enrollment_group, document, etag FROM registration WHERE enrollment_group = ? AND id > ? ORDER BY id LIMIT ?",
          group, after, most));
  std::vector<Registration> found;
  for (const storage::Row& row : rows) {
    TRY_LET(Registration one, read_registration(row));
    found.push_back(std::move(one));
  }
  return found;
}

Result<> Provisioning::forget_registration(const std::string& id) {
  TRY_LET(const auto removed, tables_.run("DELETE FROM registration WHERE id = ?", id));
  if (removed == 0) return fail(Fault::not_found, fmt::format("registration '{}' is not there", id));
  return {};
}

// -- Who registers -------------------------------------------------------------------------------------------------------------

Result<Registrant> Provisioning::check_against(const Enrollment& enrollment, const std::string& id, const std::string& token,
                                               const Bytes& certificates_der) const {
  if (!enrollment.enabled) return fail(Fault::denied, "the enrolment is disabled");
  Registrant who;
  who.id = id;
  who.enrollment = enrollment.id;
  who.group = enrollment.kind == EnrollmentKind::group;
  if (enrollment.attestation == Attestation::symmetric_key) {
    TRY_LET(const provisioning::Keys keys, provisioning::keys_of(enrollment, id));
    TRY_LET(who.until, provisioning::check_token(keys, id_scope_, id, token, clock_.now()));
    return who;
  }
  if (certificates_der.empty()) return fail(Fault::denied, "the enrolment attests by certificate, and none was shown");
  const auto proof = net::inspect_der(certificates_der);
  if (!proof) return fail(Fault::denied, "the certificate cannot be read");
  if (proof->common_name != id) return fail(Fault::denied, "the certificate's common name is not the registration id");
  if (clock_.now() < proof->not_before || clock_.now() > proof->not_after)
    return fail(Fault::denied, "the certificate is not valid now");
  who.thumbprint = proof->sha256_thumbprint;
  who.until = std::min<Timestamp>(proof->not_after, clock_.now() + longest_registration);
  if (!enrollment.own_certificate) {
    TRY(check_chain(enrollment, certificates_der));
    who.at_the_hub = !enrollment.primary_reference.empty();
    return who;
  }
  for (const std::string* pem : {&enrollment.primary_certificate, &enrollment.secondary_certificate}) {
    if (pem->empty()) continue;
    const auto facts = net::inspect(*pem);
    if (facts && text::equal_ignoring_case(facts->sha256_thumbprint, proof->sha256_thumbprint)) return who;
  }
  return fail(Fault::denied, "the certificate is not the enrolled one");
}

/// Whether it leads up to one of the enrolment's authorities.
Result<> Provisioning::check_chain(const Enrollment& enrollment, const Bytes& certificates_der) const {
  std::vector<std::shared_ptr<const net::TrustAnchors>> all;
  for (const std::string* pem : {&enrollment.primary_certificate, &enrollment.secondary_certificate}) {
    if (pem->empty()) continue;
    TRY_LET(auto anchors, net::TrustAnchors::make({*pem}));
    all.push_back(std::move(anchors));
  }
  for (const std::string* name : {&enrollment.primary_reference, &enrollment.secondary_reference})
    if (!name->empty() && services_)
      if (auto anchors = services_->device_authorities.anchors(*name)) all.push_back(std::move(anchors));
  Error why{Fault::denied, "the hub has no verified certificate of the names that the enrolment gives"};
  for (const auto& anchors : all) {
    const auto proof = anchors->check(certificates_der, clock_.now());
    if (proof) return {};
    why = proof.error();
  }
  return fail(std::move(why));
}

Result<Registrant> Provisioning::check(const std::string& id, const std::string& token, const Bytes& certificates_der) const {
  TRY(provisioning::check_registration_id(id));
  const auto own = find(EnrollmentKind::individual, id);
  if (own) return check_against(*own, id, token, certificates_der);
  if (own.error().fault != Fault::not_found) return fail(own.error());
  TRY_LET(const auto groups, list(EnrollmentKind::group, {}, max_groups));
  for (const Enrollment& group : groups)
    if (auto who = check_against(group, id, token, certificates_der)) return who;
  return fail(Fault::denied, "no enrolment lets this registration in");
}

awaitable<Result<Registrant>> Provisioning::authenticate(std::string id_scope, std::string id, std::string token,
                                                         Bytes certificates_der) {
  if (id_scope != id_scope_) co_return fail(Fault::denied, "the id scope is another");
  auto work = [this, id, token, certificates_der] { return check(id, token, certificates_der); };
  auto who = co_await run_on(disk_.tables(), work);
  co_return who;
}

// -- What becomes of it -----------------------------------------------------------------------------------------------------------

awaitable<RegistrationAnswer> Provisioning::begin(Registrant who, Bytes body) {
  auto work = [this, who, body] { return assign(who, body); };
  const auto state = co_await run_on(disk_.tables(), work);
  if (!state) co_return refusal(state.error());
  const json::Value answer = json::Object{{"operationId", *state->find("operationId")}, {"status", "assigning"}};
  co_return RegistrationAnswer{202, json::print(answer), retry_after_seconds};
}

awaitable<RegistrationAnswer> Provisioning::status(Registrant who, std::string operation_id) {
  auto work = [this, id = who.id] { return registration(id); };
  auto found = co_await run_on(disk_.tables(), work);
  if (!found) co_return refusal(found.error());
  const json::Value* operation = found->state.find("operationId");
  if (!operation || *operation != json::Value(operation_id)) {
    const Error unknown{Fault::not_found, "there is no such operation"};
    co_return refusal(unknown);
  }
  json::Object state = found->state.as_object();
  state.erase("operationId");
  const json::Value answer =
      json::Object{{"operationId", operation_id}, {"status", "assigned"}, {"registrationState", std::move(state)}};
  co_return RegistrationAnswer{200, json::print(answer), 0};
}

/// Each step may be repeated after a kill: the registration, which the device waits for, is written last.
Result<json::Value> Provisioning::assign(const Registrant& who, const Bytes& body) {
  const std::string_view trimmed = text::trim(body);
  if (!trimmed.empty()) {
    TRY_LET(const json::Value document, in(json::parse(trimmed), "registration"));
    TRY_LET(const std::string named, json::get_string_or(document, "registrationId", who.id, "registration"));
    if (named != who.id) return fail(Fault::invalid_input, "registration: registrationId: expected the one that was authenticated");
  }
  const EnrollmentKind kind = who.group ? EnrollmentKind::group : EnrollmentKind::individual;
  TRY_LET(const Enrollment enrollment, find(kind, who.enrollment));
  if (!enrollment.enabled) return fail(Fault::denied, "the enrolment is disabled");
  TRY_LET(device::DeviceId device, device::parse_device_id(enrollment.device_id.empty() ? who.id : enrollment.device_id));
  const device::IdentityName name{std::move(device), {}};

  const auto before = registration(who.id);
  const bool registered = before && registry_.identities().find(name);
  const Assignment assignment = provisioning::decide(enrollment, registered);
  TRY(make_device(enrollment, who, name));
  TRY(start_twin(enrollment, name, assignment));

  const std::string now = format_iso8601(clock_.now());
  const std::int64_t etag = before ? before->etag + 1 : 1;
  json::Object state{
      {"registrationId", who.id},
      {"createdDateTimeUtc",
       before && before->state.find("createdDateTimeUtc") ? *before->state.find("createdDateTimeUtc") : json::Value(now)},
      {"assignedHub", host_},
      {"deviceId", name.device.str()},
      {"status", "assigned"},
      {"substatus", provisioning::substatus(assignment)},
      {"lastUpdatedDateTimeUtc", now},
      {"etag", twin::etag_text(etag)},
      {"payload", nullptr}};
  const json::Value group =
      who.group ? json::Value(json::Object{{"enrollmentGroupId", who.enrollment}}) : json::Value(json::Object{});
  state.set(enrollment.attestation == Attestation::symmetric_key ? "symmetricKey" : "x509", group);
  state.set("operationId", "4." + text::hex_encode(secure_random(8)) + "." + text::hex_encode(secure_random(8)));
  const json::Value stored(state);
  TRY(tables_.run("INSERT OR REPLACE INTO registration VALUES (?, ?, ?, ?)", who.id, who.group ? who.enrollment : std::string(),
                  json::print(stored), etag));
  log::info("hub", "registration '{}' was assigned device '{}' ({})", who.id, name.device.str(),
            provisioning::substatus(assignment));
  return stored;
}

Result<device::Identity> Provisioning::make_device(const Enrollment& enrollment, const Registrant& who,
                                                   const device::IdentityName& name) {
  const IdentityPtr old = registry_.identities().find(name);
  device::Identity wanted = old ? *old : device::Identity{};
  wanted.name = name;
  wanted.edge = wanted.edge || enrollment.edge;
  if (enrollment.attestation == Attestation::symmetric_key) {
    TRY_LET(const provisioning::Keys keys, provisioning::keys_of(enrollment, who.id));
    wanted.authentication = device::Authentication::sas;
    wanted.primary_key = keys.primary;
    wanted.secondary_key = keys.secondary;
    wanted.primary_thumbprint = wanted.secondary_thumbprint = {};
  } else {
    // docs/decisions/0211-what-an-x509-group-makes.md
    wanted.authentication = who.at_the_hub ? device::Authentication::certificate_authority : device::Authentication::self_signed;
    wanted.primary_thumbprint = who.at_the_hub ? std::string() : who.thumbprint;
    wanted.secondary_thumbprint = {};
    wanted.primary_key = wanted.secondary_key = {};
  }
  if (!old) return registry_.create(std::move(wanted));
  const bool same = old->authentication == wanted.authentication && old->primary_key == wanted.primary_key &&
                    old->secondary_key == wanted.secondary_key && old->primary_thumbprint == wanted.primary_thumbprint &&
                    old->edge == wanted.edge;
  if (same) return *old;  // its connection, if it has one, goes on
  TRY_LET(device::Identity made, registry_.update(std::move(wanted)));
  if (services_) cut_off(*services_, {name}, false, "its credentials were changed by a registration");
  return made;
}

Result<> Provisioning::start_twin(const Enrollment& enrollment, const device::IdentityName& name, Assignment assignment) {
  TRY_LET(twin::Twin twin, registry_.twin(name));
  const bool untouched = twin.version == 1;  // also after a kill between making the device and this
  if (assignment == Assignment::start_over) twin = twin::make_twin(clock_.now());
  if (assignment != Assignment::start_over && !untouched) return {};
  TRY_LET(const twin::Twin next, twin::apply(std::move(twin), enrollment.initial_twin, true, clock_.now()));
  if (!services_) return registry_.put_twin(name, next);
  return store_desired(*services_, name, next, next.desired.values);
}

RegistrationAnswer Provisioning::refusal(const Error& error) const {
  struct Code {
    int status;
    int code;
  };
  Code code{500, 500001};
  if (error.fault == Fault::invalid_input) code = {400, 400004};
  if (error.fault == Fault::denied) code = {401, 401002};
  if (error.fault == Fault::not_found) code = {404, 404201};
  if (error.fault == Fault::exhausted || error.fault == Fault::unavailable) code = {503, 503001};
  const json::Value body = json::Object{{"errorCode", code.code},
                                        {"trackingId", random_uuid()},
                                        {"message", error.message},
                                        {"timestampUtc", format_iso8601(clock_.now())}};
  return {code.status, json::print(body), code.status >= 500 ? retry_after_seconds : 0};
}

}  // namespace nacelle::hub
