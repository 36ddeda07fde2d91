// Events, capture, routes and message statistics: our own calls (docs/hub.md).
#include <fmt/format.h>

#include "service/hub/api.h"
#include "service/hub/route_trial.h"
#include "service/hub/twins.h"

namespace nacelle::hub {

awaitable<net::HttpResponse> get_events(Services& services, Call call) {
  auto query = EventQuery::parse(call.request);
  if (!query) co_return services.error(query.error());
  const auto answer = co_await services.events.read(std::move(*query));
  if (!answer) co_return services.error(answer.error());
  co_return json_answer(200, *answer);
}

awaitable<net::HttpResponse> post_checkpoint(Services& services, Call call) {
  const auto document = call.json();
  if (!document) co_return services.error(document.error());
  auto group = json::get_string_or(*document, "consumerGroup", "$Default", "checkpoint");
  if (!group) co_return services.error(group.error());
  const json::Value* next = document->find("next");
  auto positions = parse_positions(next ? *next : json::Value());
  if (!positions) co_return services.error(positions.error());
  const auto written = co_await services.events.checkpoint(std::move(*group), std::move(*positions));
  if (!written) co_return services.error(written.error());
  co_return net::HttpResponse{204, {}, {}};
}

net::HttpResponse list_consumer_groups(Services& services, const Call&) {
  const auto groups = services.events.consumer_groups();
  return groups ? json_answer(200, *groups) : services.error(groups.error());
}

net::HttpResponse get_consumer_group(Services& services, const Call& call) {
  const auto group = services.events.consumer_group(call.captures[0]);
  return group ? json_answer(200, *group) : services.error(group.error());
}

net::HttpResponse delete_consumer_group(Services& services, const Call& call) {
  const auto forgotten = services.events.forget(call.captures[0]);
  if (!forgotten) return services.error(forgotten.error());
  return {204, {}, {}};
}

net::HttpResponse get_partitions(Services& services, const Call&) { return json_answer(200, services.events.partitions()); }

net::HttpResponse message_statistics(Services& services, const Call&) {
  // Received and acknowledged count from the hub's start (offsets have gaps and are no count); captured from the first
  // file on.
  const std::uint64_t acked = services.counters.acked;
  const std::uint64_t received = services.counters.received;
  const CaptureStatus capture = services.capture.status();
  json::Object routed;
  for (const auto& route : capture.routes) routed.set(route.route, route.captured + route.gathered);
  const auto routes = services.routes.get();
  for (const auto& route : *routes)
    if (route.enabled && route.endpoint == HubRoute::Endpoint::events) routed.set(route.name, acked);
  const auto uploads = services.uploads.completed();
  if (!uploads) return services.error(uploads.error());
  return json_answer(200, json::Object{{"received", received},
                                       {"acked", acked},
                                       {"captured", capture.captured()},
                                       {"routed", std::move(routed)},
                                       {"capturePending", capture.pending()},
                                       {"uploads", *uploads}});
}

awaitable<net::HttpResponse> flush_capture(Services& services, Call) {
  const auto flushed = co_await services.capture.flush();
  if (!flushed) co_return services.error(kinds::unavailable, flushed.error().message);
  co_return net::HttpResponse{204, {}, {}};
}

net::HttpResponse get_routes(Services& services, const Call&) {
  const auto routes = services.routes.get();
  json::Value document = to_json(*routes);
  json::Object health;
  for (const auto& one : services.webhooks.status()) health.set(one.route, one.why.empty() ? "healthy" : one.why);
  const CaptureStatus status = services.capture.status();
  for (const auto& route : status.routes) health.set(route.route, route.trouble.empty() ? "healthy" : route.trouble);
  document.as_object().set("health", std::move(health));
  return json_answer(200, document);
}

awaitable<net::HttpResponse> put_routes(Services& services, Call call) {
  const auto document = call.json();
  if (!document) co_return services.error(document.error());
  const auto routes = parse_routes(*document);
  if (!routes) co_return services.error(routes.error());
  const auto changed = co_await services.capture.change(*routes);
  if (!changed) co_return services.error(changed.error());
  const auto followed = co_await services.webhooks.follow(*routes);
  if (!followed) co_return services.error(followed.error());
  const auto saved = save_routes(services.directory / "routes.json", *routes, services.files);
  if (!saved) co_return services.error(saved.error());
  services.routes.publish(*routes);
  co_return json_answer(200, to_json(*routes));
}

namespace {

EndpointStatus status_of(const CaptureStatus::OfRoute& capture, Timestamp now) {
  EndpointStatus status;
  status.route = capture.route;
  status.endpoint = "storage:" + capture.container;
  status.why = capture.trouble;
  status.failures = capture.failures;
  if (!capture.trouble.empty())
    status.health = now - capture.since >= endpoint_dead_after ? EndpointStatus::Health::dead : EndpointStatus::Health::degraded;
  status.delivered = capture.captured;
  status.behind = capture.behind + capture.gathered;
  status.lost = capture.lost;
  return status;
}

json::Value to_json(const EndpointStatus& status) {
  return json::Object{
      {"route", status.route},         {"endpoint", status.endpoint}, {"health", name_of(status.health)}, {"why", status.why},
      {"delivered", status.delivered}, {"failures", status.failures}, {"behind", status.behind},          {"lost", status.lost}};
}

}  // namespace

/// Every route's endpoint but the built-in one, which its readers drive.
net::HttpResponse get_endpoints(Services& services, const Call&) {
  json::Array list;
  const CaptureStatus capture = services.capture.status();
  for (const auto& one : capture.routes) list.push_back(to_json(status_of(one, services.clock.now())));
  for (const auto& one : services.webhooks.status()) list.push_back(to_json(one));
  return json_answer(200, json::Object{{"endpoints", std::move(list)}});
}

net::HttpResponse test_routes(Services& services, const Call& call) {
  const auto document = call.json();
  if (!document) return services.error(document.error());
  const auto routes = services.routes.get();
  const auto answer = try_routes(*document, *routes, TwinsOnStrand(services.registry), services.host);
  return answer ? json_answer(200, *answer) : services.error(answer.error());
}

}  // namespace nacelle::hub
