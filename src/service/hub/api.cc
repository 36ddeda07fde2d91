#include "service/hub/api.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "service/hub/amqp.h"
#include "service/hub/console.h"
#include "service/hub/reach.h"

namespace nacelle::hub {

const std::vector<ApiCall>& api_calls() {
  using N = Need;
  constexpr std::nullopt_t own = std::nullopt;  // the handler checks the caller itself
  static const std::vector<ApiCall> calls{
      // Registry (wire facts 2.3)
      {"GET", "devices", N::registry_read, list_devices},
      {"POST", "devices", N::registry_write, bulk_devices},
      {"GET", "devices/{device}", N::registry_read, get_device},
      {"PUT", "devices/{device}", N::registry_write, put_device},
      {"DELETE", "devices/{device}", N::registry_write, delete_device},
      {"GET", "devices/{device}/modules", N::registry_read, list_modules},
      {"GET", "devices/{device}/modules/{module}", N::registry_read, get_device},
      {"PUT", "devices/{device}/modules/{module}", N::registry_write, put_device},
      {"DELETE", "devices/{device}/modules/{module}", N::registry_write, delete_device},
      {"GET", "statistics/devices", N::registry_read, device_statistics},
      {"GET", "statistics/service", N::registry_read, service_statistics},
      // Twins, methods and deployments (2.4, 2.6, 2.9)
      {"GET", "twins/{device}", N::service, get_twin},
      {"PATCH", "twins/{device}", N::service, patch_twin},
      {"PUT", "twins/{device}", N::service, put_twin},
      {"GET", "twins/{device}/modules/{module}", N::service, get_twin},
      {"PATCH", "twins/{device}/modules/{module}", N::service, patch_twin},
      {"PUT", "twins/{device}/modules/{module}", N::service, put_twin},
      {"POST", "twins/{device}/methods", N::service, invoke_method},
      {"POST", "twins/{device}/modules/{module}/methods", N::service, invoke_method},
      {"POST", "devices/{device}/applyConfigurationContent", N::registry_write, apply_configuration},
      // Many devices at once (2.5, 2.8, 2.9)
      {"POST", "devices/query", N::query, query_devices},
      {"GET", "configurations", N::registry_read, list_configurations},
      {"POST", "configurations/testQueries", N::registry_read, test_configuration_queries},
      {"GET", "configurations/{configuration}", N::registry_read, get_configuration},
      {"PUT", "configurations/{configuration}", N::registry_write, put_configuration},
      {"DELETE", "configurations/{configuration}", N::registry_write, delete_configuration},
      {"GET", "jobs/v2/query", N::service, query_jobs},
      {"GET", "jobs/v2/{job}", N::service, get_job},
      {"PUT", "jobs/v2/{job}", N::service, put_job},
      {"POST", "jobs/v2/{job}/cancel", N::service, cancel_job},
      {"POST", "jobs/create", N::registry_write, create_transfer},
      {"GET", "jobs", N::registry_write, list_transfers},
      {"GET", "jobs/{job}", N::registry_write, get_transfer},
      {"DELETE", "jobs/{job}", N::registry_write, cancel_transfer},
      {"POST", "containers/{container}", N::registry_write, grant_container},
      {"PUT", "containers/{blob...}", own, put_container_blob},  // signed in the query
      {"GET", "containers/{blob...}", own, get_container_blob},
      {"GET", "fleet/export", N::registry_read, export_devices},
      // Provisioning (4.2, 4.4)
      {"GET", "provisioning", N::enrollment_read, provisioning_facts},
      {"POST", "enrollments", N::enrollment_write, bulk_enrollments},
      {"POST", "enrollments/query", N::enrollment_read, query_enrollments},
      {"GET", "enrollments/{enrollment}", N::enrollment_read, get_enrollment},
      {"PUT", "enrollments/{enrollment}", N::enrollment_write, put_enrollment},
      {"DELETE", "enrollments/{enrollment}", N::enrollment_write, delete_enrollment},
      {"POST", "enrollments/{enrollment}/attestationmechanism", N::enrollment_write, enrollment_attestation},
      {"POST", "enrollmentGroups/query", N::enrollment_read, query_enrollment_groups},
      {"GET", "enrollmentGroups/{enrollment}", N::enrollment_read, get_enrollment_group},
      {"PUT", "enrollmentGroups/{enrollment}", N::enrollment_write, put_enrollment_group},
      {"DELETE", "enrollmentGroups/{enrollment}", N::enrollment_write, delete_enrollment_group},
      {"POST", "enrollmentGroups/{enrollment}/attestationmechanism", N::enrollment_write, enrollment_group_attestation},
      {"POST", "enrollmentgroups/{enrollment}/attestationmechanism", N::enrollment_write, enrollment_group_attestation},
      {"GET", "registrations/{registration}", N::registration_read, get_registration},
      {"DELETE", "registrations/{registration}", N::registration_write, delete_registration},
      {"POST", "registrations/{enrollment}/query", N::registration_read, query_registrations},
      {"PUT", "{scope}/registrations/{registration}/register", own, register_device},
      {"GET", "{scope}/registrations/{registration}/operations/{operation}", own, registration_operation},
      {"POST", "{scope}/registrations/{registration}", own, registration_state},
      // Certificates (docs/certificates.md)
      {"GET", "certificates", N::registry_read, list_certificates},
      {"GET", "certificates/{certificate}", N::registry_read, get_certificate},
      {"PUT", "certificates/{certificate}", N::registry_write, put_certificate},
      {"DELETE", "certificates/{certificate}", N::registry_write, delete_certificate},
      {"POST", "certificates/{certificate}/generateVerificationCode", N::registry_write, generate_verification_code},
      {"POST", "certificates/{certificate}/verify", N::registry_write, verify_certificate},
      {"GET", "authority", N::registry_read, get_authority},
      {"POST", "authority/issue", N::owner, issue_certificate},
      {"POST", "authority/rotate", N::owner, rotate_certificate},
      // Devices themselves (2.11, 3)
      {"POST", "devices/{device}/messages/events", N::identity, post_telemetry},
      {"POST", "devices/{device}/modules/{module}/messages/events", N::identity, post_telemetry},
      {"GET", "devices/{device}/messages/devicebound", N::identity, receive_message},
      {"DELETE", "devices/{device}/messages/devicebound/{lock}", N::identity, end_message},
      {"POST", "devices/{device}/messages/devicebound/{lock}/abandon", N::identity, abandon_message},
      {"POST", "devices/{device}/files", N::identity, begin_upload},
      {"POST", "devices/{device}/files/notifications", N::identity, end_upload},
      {"POST", "devices/{device}/files/notifications/{correlation}", N::identity, end_upload},
      {"PUT", "uploads/{blob...}", own, put_blob},  // signed in the query (3)
      {"GET", "uploads/{blob...}", own, get_blob},
      {"HEAD", "uploads/{blob...}", own, get_blob},
      // Messages to devices (2.7)
      {"DELETE", "devices/{device}/commands", N::service, purge_messages},
      {"GET", "messages/serviceBound/feedback", N::service, receive_for_service},
      {"DELETE", "messages/serviceBound/feedback/{lock}", N::service, complete_for_service},
      {"POST", "messages/serviceBound/feedback/{lock}/abandon", N::service, abandon_for_service},
      // Ours (docs/hub.md)
      {"POST", "devices/{device}/messages/devicebound", N::service, send_to_device},
      {"GET", "messages/serviceBound/filenotifications", N::service, receive_for_service},
      {"DELETE", "messages/serviceBound/filenotifications/{lock}", N::service, complete_for_service},
      {"POST", "messages/serviceBound/filenotifications/{lock}/abandon", N::service, abandon_for_service},
      {"GET", "files", N::service, list_files},
      {"DELETE", "files/{blob...}", N::service, delete_file},
      {"GET", "events", N::service, get_events},
      {"POST", "events/checkpoint", N::service, post_checkpoint},
      {"GET", "events/partitions", N::service, get_partitions},
      {"GET", "events/consumergroups", N::service, list_consumer_groups},
      {"GET", "events/consumergroups/{group}", N::service, get_consumer_group},
      {"DELETE", "events/consumergroups/{group}", N::service, delete_consumer_group},
      {"GET", "statistics/messages", N::registry_read, message_statistics},
      {"POST", "capture/flush", N::service, flush_capture},
      {"GET", "routes", N::service, get_routes},
      {"PUT", "routes", N::registry_write, put_routes},
      {"POST", "routes/test", N::service, test_routes},
      {"GET", "endpoints", N::service, get_endpoints},
      {"GET", "policies", N::owner, list_policies},
      {"GET", "policies/{policy}", N::owner, get_policy},
      {"PUT", "policies/{policy}", N::owner, put_policy},
      {"DELETE", "policies/{policy}", N::owner, delete_policy},
      {"GET", "policies/{policy}/keys", N::owner, get_policy_keys},
      {"POST", "policies/{policy}/keys/regenerate", N::owner, regenerate_policy_key},
      {"POST", "devices/{device}/keys/regenerate", N::registry_write, regenerate_key},
      {"POST", "devices/{device}/modules/{module}/keys/regenerate", N::registry_write, regenerate_key},
      {"PUT", "artifacts/{sha256}", N::registry_write, put_artifact},
      {"GET", "artifacts/{sha256}", N::artifact, get_artifact},
      {"POST", "devices/{device}/edge/ca", N::edge_device, edge_authority},
      {"GET", "devices/{device}/modules/$edgeHub/devicesAndModulesInDeviceScope", N::edge_scope, identities_in_scope},
  };
  return calls;
}

namespace {

/// Whether `segments` fit the pattern; fills in target and captures.
bool fits(std::string_view pattern, const std::vector<std::string>& segments, Call& call) {
  const auto parts = text::split(pattern, '/');
  call.captures.clear();
  call.target = {};
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const std::string_view part = parts[i];
    if (part.ends_with("...}")) {
      std::string rest;
      for (std::size_t j = i; j < segments.size(); ++j) rest += (rest.empty() ? "" : "/") + segments[j];
      call.captures.push_back(rest);
      return !rest.empty();
    }
    if (i >= segments.size()) return false;
    if (part == "{device}")
      call.target.device = device::DeviceId(segments[i]);
    else if (part == "{module}")
      call.target.module = device::ModuleId(segments[i]);
    else if (part.starts_with('{'))
      call.captures.push_back(segments[i]);
    else if (part != segments[i])
      return false;
  }
  return parts.size() == segments.size();
}

/// The line of the table; null if there is none. Fills in target and captures.
const ApiCall* find_call(std::string_view method, const std::vector<std::string>& segments, Call& call) {
  for (const ApiCall& candidate : api_calls())
    if (candidate.method == method && fits(candidate.pattern, segments, call)) return &candidate;
  return nullptr;
}

Result<> check_names(const device::IdentityName& target) {
  if (!target.device.empty()) TRY(device::parse_device_id(target.device.str()));
  if (!target.module.empty()) TRY(device::parse_module_id(target.module.str()));
  return {};
}

}  // namespace

Result<json::Value> Call::json() const {
  if (request.body.empty()) return json::Value();
  return in(json::parse(request.body), "request body");
}

awaitable<net::HttpResponse> Api::answer(net::HttpRequest request) {
  if (auto page = answer_console(request)) co_return *std::move(page);
  const auto segments = request.segments();
  if (!segments) co_return services_.error(segments.error());
  Call call;
  call.request = std::move(request);
  const ApiCall* entry = find_call(call.request.method, *segments, call);
  if (!entry) co_return unknown(*segments, call.request);
  if (auto refused = refuse(*entry, call)) co_return *std::move(refused);

  if (const auto* waiting = std::get_if<WaitingHandler>(&entry->handler)) {
    auto response = co_await (*waiting)(services_, std::move(call));
    co_return response;
  }
  const TablesHandler handler = std::get<TablesHandler>(entry->handler);
  auto work = [&services = services_, handler, held = std::make_shared<const Call>(std::move(call))] {
    return handler(services, *held);
  };
  auto response = co_await run_on(services_.disk.tables(), work);
  co_return response;
}

std::optional<net::HttpResponse> Api::refuse_by_head(const net::HttpRequest& head) {
  const auto segments = head.segments();
  if (!segments) return services_.error(segments.error());
  Call call;
  call.request = head;
  const ApiCall* entry = find_call(head.method, *segments, call);
  if (!entry) return unknown(*segments, head);
  if (entry->need) return refuse(*entry, call);
  const bool container = entry->pattern.starts_with("containers/");
  if (!container && !entry->pattern.starts_with("uploads/"))
    return services_.error(kinds::message_too_large, "the body is larger than any of this call");  // a registration's
  const auto granted = container ? check_container_grant(services_, call) : check_blob_grant(services_, call);
  if (granted) return std::nullopt;
  note_refusal(services_, Way::blob, head, {}, granted.error());
  return blob_error(granted.error());
}

net::HttpResponse Api::unknown(const std::vector<std::string>& segments, const net::HttpRequest& request) const {
  if (segments == std::vector<std::string>{"$iothub", "websocket"}) {
    const Error why{Fault::invalid_input, "expected an upgrade to a WebSocket with the sub-protocol mqtt or AMQPWSB10"};
    note_refusal(services_, Way::websocket, request, {}, why);
    return services_.error(kinds::argument_invalid, why.message);
  }
  Call ignored;
  for (const ApiCall& candidate : api_calls())
    if (fits(candidate.pattern, segments, ignored))
      return services_.error(kinds::method_not_allowed, fmt::format("{} is not a method of this path", request.method));
  return services_.error(kinds::not_found, "the hub has no such call");
}

/// The answer to a caller who may not, or nothing.
std::optional<net::HttpResponse> Api::refuse(const ApiCall& entry, Call& call) {
  if (const auto named = check_names(call.target); !named) return services_.error(named.error());
  if (!entry.need) return std::nullopt;
  auto caller =
      services_.access.identify(call.request.headers.get("authorization"), call.target, call.request.peer_certificates_der);
  if (caller && allowed(*entry.need, *caller, call.target)) {
    call.caller = std::move(*caller);
    return std::nullopt;
  }
  const Error why = caller ? Error{Fault::denied, "the caller has no right to this call"} : std::move(caller).error();
  const std::string who = !caller ? std::string() : caller->service ? "policy " + caller->policy : caller->name.client_id();
  note_refusal(services_, Way::https, call.request, who, why);
  return services_.error(kinds::unauthorized, why.message);
}

void note_refusal(Services& services, Way way, const net::HttpRequest& request, std::string_view who, const Error& why) {
  constexpr std::size_t longest_logged_path = 200;
  services.counters.refusals.count(way, why);
  log::warn("hub", "refused {} {} from {}{}{}: {}", request.method.substr(0, 16), request.path().substr(0, longest_logged_path),
            request.peer, who.empty() ? "" : " as ", who, why.message);
}

net::HttpResponse json_answer(int status, const json::Value& document) { return net::json_response(status, json::print(document)); }

std::optional<net::HttpResponse> missing(const Services& services, const device::IdentityName& name) {
  const Identities& identities = services.registry.identities();
  if (!identities.find({name.device, {}}))
    return services.error(kinds::device_not_found, fmt::format("E2E: Device {} not registered", name.device.str()));
  if (!identities.find(name))
    return services.error(kinds::module_not_found,
                          fmt::format("E2E: Module {} not registered on device {}", name.module.str(), name.device.str()));
  return std::nullopt;
}

std::vector<device::IdentityName> with_modules(const Services& services, const device::IdentityName& name) {
  std::vector<device::IdentityName> names{name};
  if (name.is_module()) return names;
  for (const auto& module : services.registry.identities().modules_of(name.device)) names.push_back(module->name);
  return names;
}

void recheck(Services& services, const std::optional<device::IdentityName>& who, const std::string& reason) {
  services.endpoint.recheck(who, reason);
  if (services.amqp) services.amqp->recheck();
}

void cut_off(Services& services, const std::vector<device::IdentityName>& names, bool forget, const std::string& reason) {
  for (const auto& name : names) {
    services.reach.disconnect(name, reason);
    if (!forget) continue;
    services.endpoint.forget(name);
    services.device_authorities.forget(name);
    if (!name.is_module()) services.cloud_to_device.forget(name.device);
  }
  if (services.amqp) services.amqp->recheck();
}

Result<> store_desired(Services& services, const device::IdentityName& name, const twin::Twin& next,
                       const json::Value& notification_values) {
  TRY(services.registry.put_twin(name, next));
  services.reach.notify_desired(name, twin::desired_notification(notification_values, next.desired.version), next.desired.version);
  return {};
}

}  // namespace nacelle::hub
