// Import and export of the registry over REST, as the SDK asks for it, and the containers they go to (wire facts 2.8; docs/hub.md).
#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "service/hub/api.h"
#include "service/hub/object_body.h"
#include "service/hub/transfers.h"

namespace nacelle::hub {
namespace {

net::HttpResponse job_answer(const Services& services, const Result<json::Value>& document) {
  if (document) return json_answer(200, *document);
  if (document.error().fault == Fault::not_found) return services.error(kinds::job_not_found, document.error().message);
  if (document.error().fault == Fault::exhausted) return services.error(kinds::too_many_jobs, document.error().message);
  return services.error(document.error());
}

/// `containers/{name}/{blob}`: the captures hold the whole.
struct BlobPlace {
  std::string container;
  std::string blob;
};
BlobPlace place_of(const Call& call) {
  const std::string& path = call.captures[0];
  const auto slash = std::min(path.find('/'), path.size());
  return {path.substr(0, slash), slash == path.size() ? std::string() : path.substr(slash + 1)};
}

net::HttpResponse failed(Services& services, const Call& call, const Error& error) {
  if (error.fault == Fault::denied) note_refusal(services, Way::blob, call.request, {}, error);
  return blob_error(error);
}

}  // namespace

net::HttpResponse create_transfer(Services& services, const Call& call) {
  const auto document = call.json();
  if (!document) return services.error(document.error());
  const auto request = services.fleet.transfers->read(*document);
  if (!request && request.error().fault == Fault::denied) {
    note_refusal(services, Way::blob, call.request, "policy " + call.caller.policy, request.error());
    return services.error(kinds::argument_invalid, request.error().message);  // the caller's own token was good
  }
  if (!request) return services.error(request.error());
  return job_answer(services, services.fleet.transfers->start(*request));
}

net::HttpResponse list_transfers(Services& services, const Call&) {
  const auto jobs = services.fleet.transfers->list();
  if (!jobs) return services.error(jobs.error());
  return json_answer(200, *jobs);
}

net::HttpResponse get_transfer(Services& services, const Call& call) {
  return job_answer(services, services.fleet.transfers->find(call.captures[0]));
}

net::HttpResponse cancel_transfer(Services& services, const Call& call) {
  const auto cancelled = services.fleet.transfers->cancel(call.captures[0]);
  if (!cancelled) return job_answer(services, cancelled);
  return {204, {}, {}};
}

net::HttpResponse grant_container(Services& services, const Call& call) {
  const auto grant = services.fleet.transfers->containers().grant(call.captures[0]);
  if (!grant) return services.error(grant.error());
  std::string host(call.request.headers.get("host"));
  if (host.find(':') == std::string::npos) host = fmt::format("{}:{}", services.host, services.https_port);
  return json_answer(
      200, json::Object{{"containerUri", fmt::format("https://{}/{}/{}{}", host, containers_path, call.captures[0], *grant)}});
}

Result<> check_container_grant(const Services& services, const Call& call) {
  const net::HttpRequest& request = call.request;
  return services.fleet.transfers->containers().check(place_of(call).container,
                                                      {request.query("se"), request.query("sp"), request.query("sig")});
}

awaitable<net::HttpResponse> put_container_blob(Services& services, Call call) {
  if (const auto granted = check_container_grant(services, call); !granted) co_return failed(services, call, granted.error());
  if (!call.request.query("comp").empty() || !text::equal_ignoring_case(call.request.headers.get("x-ms-blob-type"), "BlockBlob")) {
    const Error unknown{Fault::invalid_input, "expected a block blob in one request (x-ms-blob-type: BlockBlob)"};
    co_return blob_error(unknown);
  }
  auto write = [&containers = services.fleet.transfers->containers(), place = place_of(call),
                bytes = std::move(call.request.body)] { return containers.put(place.container, place.blob, bytes); };
  const auto written = co_await run_on(services.disk.files(), std::move(write));
  if (!written) co_return blob_error(written.error());
  net::HttpResponse created{201, {}, {}};
  created.headers.set("x-ms-request-server-encrypted", "true");
  co_return created;
}

awaitable<net::HttpResponse> get_container_blob(Services& services, Call call) {
  if (const auto granted = check_container_grant(services, call); !granted) co_return failed(services, call, granted.error());
  auto read = [&containers = services.fleet.transfers->containers(), place = place_of(call)] {
    return containers.open(place.container, place.blob);
  };
  auto blob = co_await run_on(services.disk.files(), read);
  if (!blob) co_return blob_error(blob.error());
  co_return object_response(services.disk, std::move(*blob));
}

}  // namespace nacelle::hub
