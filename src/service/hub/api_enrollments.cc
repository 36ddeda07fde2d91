// Enrolments and registrations over REST (wire facts 4.2, 4.4): for services, and for devices that register over HTTPS.
#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "foundation/random.h"
#include "service/hub/api.h"
#include "service/hub/provisioning.h"

namespace nacelle::hub {
namespace {

using provisioning::Enrollment;
using provisioning::EnrollmentKind;

constexpr std::size_t most_in_bulk = 100;

net::HttpResponse with_etag(net::HttpResponse response, std::int64_t etag) {
  response.headers.set("etag", fmt::format("\"{}\"", twin::etag_text(etag)));
  return response;
}

net::HttpResponse refused(const Services& services, const Error& error) {
  if (error.fault == Fault::not_found) return services.error(kinds::enrollment_not_found, error.message);
  return services.error(error);
}

/// A service that read an enrolment, without its keys, and puts it back keeps them.
Result<Enrollment> read_enrollment(const Provisioning& provisioning, const json::Value& document, EnrollmentKind kind,
                                   const std::string& id) {
  TRY_LET(Enrollment enrollment, provisioning::parse_enrollment(document, kind, id));
  const auto old = provisioning.find(kind, id);
  if (!old || old->attestation != enrollment.attestation) return enrollment;
  const auto given = [&](std::string_view key) {
    const json::Value* value = document.at_path({"attestation", "symmetricKey", key});
    return value && value->is_string() && !value->as_string().empty();
  };
  if (!given("primaryKey")) enrollment.primary_key = old->primary_key;
  if (!given("secondaryKey")) enrollment.secondary_key = old->secondary_key;
  return enrollment;
}

net::HttpResponse put(Services& services, const Call& call, EnrollmentKind kind) {
  Provisioning& provisioning = *services.fleet.provisioning;
  const auto document = call.json();
  if (!document) return services.error(document.error());
  const std::string& id = call.captures[0];
  auto enrollment = read_enrollment(provisioning, *document, kind, id);
  if (!enrollment) return services.error(enrollment.error());
  if (const auto wanted = call.request.headers.get("if-match"); !wanted.empty()) {
    const auto old = provisioning.find(kind, id);
    if (!old) return refused(services, old.error());
    if (!twin::etag_matches(wanted, old->etag))
      return services.error(kinds::precondition_failed, "the enrolment has another etag by now");
  }
  const auto stored = provisioning.put(std::move(*enrollment));
  if (!stored) return refused(services, stored.error());
  return with_etag(json_answer(200, provisioning::to_json(*stored, false)), stored->etag);
}

net::HttpResponse get(Services& services, const Call& call, EnrollmentKind kind) {
  const auto found = services.fleet.provisioning->find(kind, call.captures[0]);
  if (!found) return refused(services, found.error());
  return with_etag(json_answer(200, provisioning::to_json(*found, false)), found->etag);
}

net::HttpResponse remove(Services& services, const Call& call, EnrollmentKind kind) {
  Provisioning& provisioning = *services.fleet.provisioning;
  const auto found = provisioning.find(kind, call.captures[0]);
  if (!found) return refused(services, found.error());
  if (!twin::etag_matches(call.request.headers.get("if-match"), found->etag))
    return services.error(kinds::precondition_failed, "the enrolment has another etag by now");
  if (const auto removed = provisioning.remove(kind, call.captures[0]); !removed) return refused(services, removed.error());
  return {204, {}, {}};
}

net::HttpResponse attestation(Services& services, const Call& call, EnrollmentKind kind) {
  const auto found = services.fleet.provisioning->find(kind, call.captures[0]);
  if (!found) return refused(services, found.error());
  return json_answer(200, provisioning::attestation_json(*found, true));
}

/// Only `SELECT * FROM {what}`: conditions are not part of what is offered here.
Result<> check_query(const Call& call, std::string_view what) {
  TRY_LET(const json::Value body, call.json());
  TRY_LET(const std::string text, json::get_string(body, "query", "request body"));
  std::string words;
  for (const std::string_view word : text::split(text::trim(text), ' '))
    if (!word.empty()) words += (words.empty() ? "" : " ") + text::to_lower(word);
  if (words == "select *" || words == "select * from " + text::to_lower(what)) return {};
  return fail(Fault::invalid_input, fmt::format("query: expected SELECT * FROM {}; conditions are not offered here", what));
}

/// The place behind which a page begins is the last id of the one before.
net::HttpResponse query(Services& services, const Call& call, EnrollmentKind kind) {
  const bool group = kind == EnrollmentKind::group;
  if (const auto good = check_query(call, group ? "enrollmentGroups" : "enrollments"); !good) return services.error(good.error());
  const auto size = page_size_of(call);
  if (!size) return services.error(size.error());
  const auto found = services.fleet.provisioning->list(kind, std::string(call.request.headers.get("x-ms-continuation")), *size + 1);
  if (!found) return services.error(found.error());
  json::Array rows;
  for (std::size_t i = 0; i < std::min(found->size(), *size); ++i) rows.push_back(provisioning::to_json((*found)[i], false));
  const std::string next = found->size() > *size ? (*found)[*size - 1].id : std::string();
  return page_answer(std::move(rows), group ? "enrollmentGroup" : "enrollment", next);
}

json::Value state_document(const Registration& registration) {
  json::Object state = registration.state.as_object();
  state.erase("operationId");
  return state;
}

net::HttpResponse registration_answer(const endpoint::RegistrationAnswer& answer) {
  net::HttpResponse response = net::json_response(answer.status, answer.body);
  if (answer.retry_after_seconds > 0) response.headers.set("retry-after", std::to_string(answer.retry_after_seconds));
  return response;
}

awaitable<Result<endpoint::Registrant>> registrant_of(Services& services, const Call& call) {
  const std::string token(call.request.headers.get("authorization"));
  auto who = co_await services.fleet.provisioning->authenticate(call.captures[0], call.captures[1], token,
                                                                call.request.peer_certificates_der);
  co_return who;
}

/// A stranger learns nothing about which registrations there are; the log does.
net::HttpResponse refuse_registrant(Services& services, const Call& call, const Error& error) {
  note_refusal(services, Way::registration, call.request, {}, error);
  const bool malformed = error.fault == Fault::invalid_input;
  const json::Value body = json::Object{{"errorCode", malformed ? 400004 : 401002},
                                        {"trackingId", random_uuid()},
                                        {"message", malformed ? error.message : std::string("Unauthorized")},
                                        {"timestampUtc", format_iso8601(services.clock.now())}};
  return json_answer(malformed ? 400 : 401, body);
}

}  // namespace

net::HttpResponse put_enrollment(Services& services, const Call& call) { return put(services, call, EnrollmentKind::individual); }
net::HttpResponse get_enrollment(Services& services, const Call& call) { return get(services, call, EnrollmentKind::individual); }
net::HttpResponse delete_enrollment(Services& services, const Call& call) {
  return remove(services, call, EnrollmentKind::individual);
}
net::HttpResponse enrollment_attestation(Services& services, const Call& call) {
  return attestation(services, call, EnrollmentKind::individual);
}
net::HttpResponse query_enrollments(Services& services, const Call& call) {
  return query(services, call, EnrollmentKind::individual);
}
net::HttpResponse put_enrollment_group(Services& services, const Call& call) { return put(services, call, EnrollmentKind::group); }
net::HttpResponse get_enrollment_group(Services& services, const Call& call) { return get(services, call, EnrollmentKind::group); }
net::HttpResponse delete_enrollment_group(Services& services, const Call& call) {
  return remove(services, call, EnrollmentKind::group);
}
net::HttpResponse enrollment_group_attestation(Services& services, const Call& call) {
  return attestation(services, call, EnrollmentKind::group);
}
net::HttpResponse query_enrollment_groups(Services& services, const Call& call) {
  return query(services, call, EnrollmentKind::group);
}

/// `{"mode":"create","enrollments":[..]}`: each by itself, with a list of what failed.
net::HttpResponse bulk_enrollments(Services& services, const Call& call) {
  Provisioning& provisioning = *services.fleet.provisioning;
  const auto body = call.json();
  if (!body) return services.error(body.error());
  const auto mode_text = json::get_string(*body, "mode", "request body");
  if (!mode_text) return services.error(mode_text.error());
  const std::string mode = text::to_lower(*mode_text);
  const json::Value* items = body->find("enrollments");
  if (!items || !items->is_array() || items->as_array().empty() || items->as_array().size() > most_in_bulk)
    return services.error(kinds::argument_invalid,
                          fmt::format("request body: enrollments: expected 1 to {} of them", most_in_bulk));
  if (mode != "create" && mode != "update" && mode != "updateifmatchetag" && mode != "delete")
    return services.error(kinds::argument_invalid, fmt::format("request body: mode '{}' is not known", mode));

  const auto run = [&](const json::Value& item, const std::string& id) -> Result<> {
    const auto old = provisioning.find(EnrollmentKind::individual, id);
    if (mode == "create" && old) return fail(Fault::conflict, "the enrolment exists");
    if (mode == "delete") return provisioning.remove(EnrollmentKind::individual, id);
    if (mode.starts_with("update") && !old) return fail(Fault::not_found, "the enrolment is not there");
    TRY_LET(const std::string etag, json::get_string_or(item, "etag", "", "enrollment"));
    if (mode == "updateifmatchetag" && !twin::etag_matches(etag, old->etag))
      return fail(Fault::conflict, "the enrolment has another etag by now");
    TRY_LET(Enrollment enrollment, read_enrollment(provisioning, item, EnrollmentKind::individual, id));
    TRY(provisioning.put(std::move(enrollment)));
    return {};
  };
  json::Array errors;
  for (const json::Value& item : items->as_array()) {
    const auto id = json::get_string(item, "registrationId", "enrollment");
    const Result<> done = id ? run(item, *id) : Result<>(fail(id.error()));
    if (!done)
      errors.push_back(json::Object{{"registrationId", id ? *id : std::string()},
                                    {"errorCode", kind_of(done.error().fault).code},
                                    {"errorStatus", done.error().message}});
  }
  const bool well = errors.empty();
  return json_answer(200, json::Object{{"isSuccessful", well}, {"errors", std::move(errors)}});
}

net::HttpResponse get_registration(Services& services, const Call& call) {
  const auto found = services.fleet.provisioning->registration(call.captures[0]);
  if (!found) return refused(services, found.error());
  return with_etag(json_answer(200, state_document(*found)), found->etag);
}

net::HttpResponse delete_registration(Services& services, const Call& call) {
  const auto found = services.fleet.provisioning->registration(call.captures[0]);
  if (!found) return refused(services, found.error());
  if (!twin::etag_matches(call.request.headers.get("if-match"), found->etag))
    return services.error(kinds::precondition_failed, "the registration has another etag by now");
  if (const auto removed = services.fleet.provisioning->forget_registration(call.captures[0]); !removed)
    return refused(services, removed.error());
  return {204, {}, {}};
}

net::HttpResponse query_registrations(Services& services, const Call& call) {
  if (const auto good = check_query(call, "registrations"); !good) return services.error(good.error());
  const auto size = page_size_of(call);
  if (!size) return services.error(size.error());
  const auto found = services.fleet.provisioning->registrations_of(
      call.captures[0], std::string(call.request.headers.get("x-ms-continuation")), *size + 1);
  if (!found) return services.error(found.error());
  json::Array rows;
  for (std::size_t i = 0; i < std::min(found->size(), *size); ++i) rows.push_back(state_document((*found)[i]));
  return page_answer(std::move(rows), "deviceRegistration", found->size() > *size ? (*found)[*size - 1].id : std::string());
}

net::HttpResponse provisioning_facts(Services& services, const Call&) {
  return json_answer(200, json::Object{{"idScope", services.fleet.provisioning->id_scope()}, {"host", services.host}});
}

awaitable<net::HttpResponse> register_device(Services& services, Call call) {
  const auto who = co_await registrant_of(services, call);
  if (!who) co_return refuse_registrant(services, call, who.error());
  const auto answer = co_await services.fleet.provisioning->begin(*who, call.request.body);
  net::HttpResponse response = registration_answer(answer);
  const auto document = json::parse(answer.body);
  const json::Value* operation = document ? document->find("operationId") : nullptr;
  if (answer.status == 202 && operation && operation->is_string())  // where to ask what became of it (wire facts 4.2)
    response.headers.set("location", fmt::format("https://{}/{}/registrations/{}/operations/{}", call.request.headers.get("host"),
                                                 call.captures[0], call.captures[1], operation->as_string()));
  co_return response;
}

awaitable<net::HttpResponse> registration_operation(Services& services, Call call) {
  const auto who = co_await registrant_of(services, call);
  if (!who) co_return refuse_registrant(services, call, who.error());
  const auto answer = co_await services.fleet.provisioning->status(*who, call.captures[2]);
  co_return registration_answer(answer);
}

/// The look-up of a device that has registered: its state as it is.
awaitable<net::HttpResponse> registration_state(Services& services, Call call) {
  const auto who = co_await registrant_of(services, call);
  if (!who) co_return refuse_registrant(services, call, who.error());
  auto work = [&services, id = who->id] { return services.fleet.provisioning->registration(id); };
  const auto found = co_await run_on(services.disk.tables(), work);
  if (!found) co_return refused(services, found.error());
  co_return json_answer(200, state_document(*found));
}

}  // namespace nacelle::hub
