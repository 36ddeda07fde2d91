#pragma once
// The hub's HTTPS face: a table of calls, who may make them, and the functions that answer (wire facts 2, 3).

#include <string>
#include <variant>
#include <vector>

#include "codec/json/value.h"
#include "net/http/message.h"
#include "service/endpoint/device_endpoint.h"
#include "service/hub/access.h"
#include "service/hub/authority.h"
#include "service/hub/capture.h"
#include "service/hub/cloud_to_device.h"
#include "service/hub/counters.h"
#include "service/hub/disk.h"
#include "service/hub/errors.h"
#include "service/hub/events.h"
#include "service/hub/fleet.h"
#include "service/hub/ingest.h"
#include "service/hub/methods.h"
#include "service/hub/registry.h"
#include "service/hub/uploads.h"
#include "service/hub/webhook.h"

namespace nacelle::hub {

class Amqp;
class Reach;

/// The parts of a running hub that calls use; all of them outlive the HTTP server.
struct Services {
  const Clock& clock;
  std::string host;              ///< the hub's name
  std::uint16_t https_port = 0;  ///< set once it listens
  storage::fs::path directory;
  storage::FileSystem& files;
  Disk& disk;
  storage::Database& tables;
  Registry& registry;
  const Access& access;
  Authority& authority;
  DeviceAuthorities& device_authorities;
  storage::EventLog& log;
  storage::ObjectStore& objects;
  Ingest& ingest;
  Methods& methods;
  CloudToDevice& cloud_to_device;
  ServiceQueue& service_queue;
  endpoint::DeviceEndpoint& endpoint;  ///< MQTT only
  Reach& reach;                        ///< devices, over whatever they speak
  Capture& capture;
  Webhooks& webhooks;
  Events& events;
  Uploads& uploads;
  Snapshot<Routes>& routes;
  Fleet& fleet;
  const Executor executor;
  Counters& counters;
  std::function<Result<>()> write_hub_file;  ///< again, when what it says has changed; tables strand
  Amqp* amqp = nullptr;                      ///< set once it listens

  net::HttpResponse error(const ErrorKind& kind, std::string_view text) const { return error_response(kind, text, clock.now()); }
  net::HttpResponse error(const Error& found) const { return error_response(kind_of(found.fault), found.message, clock.now()); }
};

/// One call on its way through the table.
struct Call {
  net::HttpRequest request;
  std::vector<std::string> captures;  ///< what the pattern's `{..}` took, in order
  device::IdentityName target;        ///< from `{device}` and `{module}`
  Caller caller;

  /// The body as JSON; an empty body is null. Fault::invalid_input.
  Result<json::Value> json() const;
};

/// Answers on the tables strand: may use the registry, must not wait for anything else.
using TablesHandler = net::HttpResponse (*)(Services&, const Call&);
/// Answers wherever it likes.
using WaitingHandler = awaitable<net::HttpResponse> (*)(Services&, Call);

/// One line of the table. `pattern`: segments; `{device}` and `{module}` name the target, other `{name}`s are captured,
/// a last `{name...}` takes the rest. Without a need the handler checks the caller itself.
struct ApiCall {
  std::string_view method;
  std::string_view pattern;
  std::optional<Need> need;
  std::variant<TablesHandler, WaitingHandler> handler;
};
const std::vector<ApiCall>& api_calls();

class Api {
 public:
  explicit Api(Services& services) : services_(services) {}
  /// Answers one request: finds the call, checks the caller, runs the handler. Any strand.
  awaitable<net::HttpResponse> answer(net::HttpRequest request);
  /// The answer to a request whose body need not be read: no such call, or the caller may not. Any strand.
  std::optional<net::HttpResponse> refuse_by_head(const net::HttpRequest& head);

 private:
  net::HttpResponse unknown(const std::vector<std::string>& segments, const net::HttpRequest& request) const;
  std::optional<net::HttpResponse> refuse(const ApiCall& entry, Call& call);

  Services& services_;
};

// -- Handlers, by the file that holds them

// api_registry.cc
net::HttpResponse put_device(Services&, const Call&);
net::HttpResponse get_device(Services&, const Call&);
net::HttpResponse list_devices(Services&, const Call&);
net::HttpResponse delete_device(Services&, const Call&);
net::HttpResponse list_modules(Services&, const Call&);
net::HttpResponse device_statistics(Services&, const Call&);
net::HttpResponse service_statistics(Services&, const Call&);
net::HttpResponse regenerate_key(Services&, const Call&);
// api_transfers.cc
net::HttpResponse create_transfer(Services&, const Call&);
net::HttpResponse list_transfers(Services&, const Call&);
net::HttpResponse get_transfer(Services&, const Call&);
net::HttpResponse cancel_transfer(Services&, const Call&);
net::HttpResponse grant_container(Services&, const Call&);
awaitable<net::HttpResponse> put_container_blob(Services&, Call);
awaitable<net::HttpResponse> get_container_blob(Services&, Call);
// api_policies.cc
net::HttpResponse list_policies(Services&, const Call&);
net::HttpResponse get_policy(Services&, const Call&);
net::HttpResponse put_policy(Services&, const Call&);
net::HttpResponse delete_policy(Services&, const Call&);
net::HttpResponse get_policy_keys(Services&, const Call&);
net::HttpResponse regenerate_policy_key(Services&, const Call&);
// api_bulk.cc
net::HttpResponse bulk_devices(Services&, const Call&);
// api_twins.cc
net::HttpResponse get_twin(Services&, const Call&);
net::HttpResponse patch_twin(Services&, const Call&);
net::HttpResponse put_twin(Services&, const Call&);
// api_messages.cc
net::HttpResponse send_to_device(Services&, const Call&);
net::HttpResponse receive_message(Services&, const Call&);
net::HttpResponse end_message(Services&, const Call&);
net::HttpResponse abandon_message(Services&, const Call&);
net::HttpResponse purge_messages(Services&, const Call&);
net::HttpResponse receive_for_service(Services&, const Call&);
net::HttpResponse complete_for_service(Services&, const Call&);
net::HttpResponse abandon_for_service(Services&, const Call&);
// api_methods.cc
awaitable<net::HttpResponse> invoke_method(Services&, Call);
// api_deploy.cc
net::HttpResponse apply_configuration(Services&, const Call&);
// api_telemetry.cc
awaitable<net::HttpResponse> post_telemetry(Services&, Call);
// api_events.cc
awaitable<net::HttpResponse> get_events(Services&, Call);
awaitable<net::HttpResponse> post_checkpoint(Services&, Call);
net::HttpResponse list_consumer_groups(Services&, const Call&);
net::HttpResponse get_consumer_group(Services&, const Call&);
net::HttpResponse delete_consumer_group(Services&, const Call&);
net::HttpResponse get_partitions(Services&, const Call&);
net::HttpResponse message_statistics(Services&, const Call&);
awaitable<net::HttpResponse> flush_capture(Services&, Call);
net::HttpResponse get_routes(Services&, const Call&);
awaitable<net::HttpResponse> put_routes(Services&, Call);
net::HttpResponse test_routes(Services&, const Call&);
net::HttpResponse get_endpoints(Services&, const Call&);
// api_edge.cc
awaitable<net::HttpResponse> put_artifact(Services&, Call);
awaitable<net::HttpResponse> get_artifact(Services&, Call);
net::HttpResponse edge_authority(Services&, const Call&);
net::HttpResponse identities_in_scope(Services&, const Call&);
// api_uploads.cc
awaitable<net::HttpResponse> list_files(Services&, Call);
awaitable<net::HttpResponse> delete_file(Services&, Call);
net::HttpResponse begin_upload(Services&, const Call&);
net::HttpResponse end_upload(Services&, const Call&);
awaitable<net::HttpResponse> put_blob(Services&, Call);
awaitable<net::HttpResponse> get_blob(Services&, Call);

// api_queries.cc
net::HttpResponse query_devices(Services&, const Call&);
net::HttpResponse export_devices(Services&, const Call&);
// api_configurations.cc
net::HttpResponse put_configuration(Services&, const Call&);
net::HttpResponse get_configuration(Services&, const Call&);
net::HttpResponse list_configurations(Services&, const Call&);
net::HttpResponse delete_configuration(Services&, const Call&);
net::HttpResponse test_configuration_queries(Services&, const Call&);
// api_jobs.cc
net::HttpResponse put_job(Services&, const Call&);
net::HttpResponse get_job(Services&, const Call&);
net::HttpResponse cancel_job(Services&, const Call&);
net::HttpResponse query_jobs(Services&, const Call&);

// api_enrollments.cc
net::HttpResponse put_enrollment(Services&, const Call&);
net::HttpResponse get_enrollment(Services&, const Call&);
net::HttpResponse delete_enrollment(Services&, const Call&);
net::HttpResponse enrollment_attestation(Services&, const Call&);
net::HttpResponse query_enrollments(Services&, const Call&);
net::HttpResponse bulk_enrollments(Services&, const Call&);
net::HttpResponse put_enrollment_group(Services&, const Call&);
net::HttpResponse get_enrollment_group(Services&, const Call&);
net::HttpResponse delete_enrollment_group(Services&, const Call&);
net::HttpResponse enrollment_group_attestation(Services&, const Call&);
net::HttpResponse query_enrollment_groups(Services&, const Call&);
net::HttpResponse get_registration(Services&, const Call&);
net::HttpResponse delete_registration(Services&, const Call&);
net::HttpResponse query_registrations(Services&, const Call&);
net::HttpResponse provisioning_facts(Services&, const Call&);
awaitable<net::HttpResponse> register_device(Services&, Call);
awaitable<net::HttpResponse> registration_operation(Services&, Call);
awaitable<net::HttpResponse> registration_state(Services&, Call);

// api_certificates.cc
net::HttpResponse list_certificates(Services&, const Call&);
net::HttpResponse get_certificate(Services&, const Call&);
net::HttpResponse put_certificate(Services&, const Call&);
net::HttpResponse delete_certificate(Services&, const Call&);
net::HttpResponse generate_verification_code(Services&, const Call&);
net::HttpResponse verify_certificate(Services&, const Call&);
net::HttpResponse get_authority(Services&, const Call&);
net::HttpResponse issue_certificate(Services&, const Call&);
net::HttpResponse rotate_certificate(Services&, const Call&);

// -- What several of them share

/// The blob service speaks XML; its messages are ours and hold nothing of the request.
net::HttpResponse blob_error(const Error& error);
/// The signature in a blob's address (wire facts 3). Fault::denied.
Result<> check_blob_grant(const Services& services, const Call& call);
Result<> check_container_grant(const Services& services, const Call& call);
/// Does what one bulk item says; nothing, or what is wrong with it (wire facts 2.3).
std::optional<json::Object> import_item(Services& services, const json::Value& item);
/// An update that leaves the credentials out keeps them: making new ones would lock the device out.
void keep_credentials(device::Identity& identity, const device::Identity& old, const json::Value& document);
/// What an export says of a device: a line for itself and one for each of its modules, as import_item takes them; empty if it has
/// just gone.
std::string export_lines(const Services& services, const device::IdentityName& device, bool keys);
/// Counts an attempt that is refused, and logs it: from whom, and as whom if that is known. Any thread.
void note_refusal(Services& services, Way way, const net::HttpRequest& request, std::string_view who, const Error& why);
/// `{"key":"primary"}` of a request to regenerate. Fault::invalid_input.
Result<device::KeyChange> key_change_of(const Call& call);
/// x-ms-max-item-count. Fault::invalid_input.
Result<std::size_t> page_size_of(const Call& call);
net::HttpResponse page_answer(json::Array rows, std::string_view item_type, std::string_view continuation);

net::HttpResponse json_answer(int status, const json::Value& document);
/// Refuses a missing identity by its proper name (DeviceNotFound, ModuleNotFound); nothing if it is there.
std::optional<net::HttpResponse> missing(const Services& services, const device::IdentityName& name);
/// The name itself and, of a device, those of its modules.
std::vector<device::IdentityName> with_modules(const Services& services, const device::IdentityName& name);
/// Ends those connections of `who`, or with nobody named of all, whose credentials hold no more.
void recheck(Services& services, const std::optional<device::IdentityName>& who, const std::string& reason);
/// Closes their connections; with `forget` their sessions go too.
void cut_off(Services& services, const std::vector<device::IdentityName>& names, bool forget, const std::string& reason);
/// Writes `next` and tells the device what changed in its desired properties.
Result<> store_desired(Services& services, const device::IdentityName& name, const twin::Twin& next,
                       const json::Value& notification_values);

/// Makes the desired properties of `name` what `wanted` says, telling the device what changed; nothing is written if they are that.
Result<> bring_desired_to(Services& services, const device::IdentityName& name, const json::Value& wanted);
/// Makes a whole deployment so (wire facts 2.9), writing only what differs. Fault::invalid_input for a manifest with a mistake.
Result<> deploy(Services& services, const device::DeviceId& device, const json::Value& manifest);

}  // namespace nacelle::hub
