#include "service/hub/routes.h"

#include <fmt/format.h>

#include <algorithm>

#include "net/socket/stream.h"

namespace nacelle::hub {
namespace {

HubRoute default_route(std::string name, std::string_view condition, std::string container) {
  HubRoute route;
  route.name = std::move(name);
  auto parsed = route::parse_condition(condition);
  INVARIANT(parsed.has_value(), "the default routes' conditions are in the route language");
  route.condition = std::move(*parsed);
  if (!container.empty()) route.endpoint = HubRoute::Endpoint::storage;
  route.storage.container = std::move(container);
  return route;
}

}  // namespace

Result<WebhookSettings::Place> WebhookSettings::place() const {
  const auto refuse = [&](std::string_view found) {
    return fail(Fault::invalid_input, fmt::format("url: expected https://HOST[:PORT]/PATH (http:// to localhost only), {}", found));
  };
  Place place;
  std::string_view rest = url;
  place.tls = rest.starts_with("https://");
  if (!place.tls && !rest.starts_with("http://")) return refuse("found another scheme");
  rest.remove_prefix(place.tls ? 8 : 7);
  const std::size_t path = rest.find('/');
  const std::string_view authority = rest.substr(0, path);
  place.target = path == std::string_view::npos ? "/" : std::string(rest.substr(path));
  if (authority.find('@') != std::string_view::npos) return refuse("found a user name");
  for (const unsigned char c : url)
    if (c <= ' ' || c > '~') return refuse("found a character that must be percent-encoded");
  TRY_LET(const net::Endpoint at, net::parse_endpoint(authority, place.tls ? 443 : 80));
  if (at.host.empty() || !at.unix_path.empty()) return refuse("found no host");
  place.host = at.host;
  place.port = at.port;
  const bool here = place.host == "localhost" || place.host == "127.0.0.1" || place.host == "::1";
  if (!place.tls && !here) return refuse("found http to another machine: messages would travel in the open");
  return place;
}

std::string HubRoute::endpoint_name() const {
  switch (endpoint) {
    case Endpoint::events: return "events";
    case Endpoint::storage: return "storage:" + storage.container;
    case Endpoint::webhook: return "webhook:" + webhook.url.substr(0, webhook.url.find('?'));  // a query may hold a secret
  }
  return {};
}

bool HubRoute::matches(const telemetry::Message& message) const {
  route::Evaluation evaluation(message);
  return matches(evaluation);
}

bool HubRoute::matches(route::Evaluation& evaluation) const {
  return takes_from(evaluation.message().source) && condition.matches(evaluation);
}

bool HubRoute::takes_from(telemetry::Source from) const { return source == source_of(from); }

HubRoute::Source source_of(telemetry::Source from) {
  switch (from) {
    case telemetry::Source::device_messages:
    case telemetry::Source::module_messages: return HubRoute::Source::device_messages;
    case telemetry::Source::twin_changes: return HubRoute::Source::twin_changes;
    case telemetry::Source::device_lifecycle: return HubRoute::Source::device_lifecycle;
    case telemetry::Source::connection_state: return HubRoute::Source::connection_state;
  }
  return HubRoute::Source::device_messages;
}

std::size_t HubRoute::enrich(telemetry::Message& message, const route::TwinLookup* twins, std::string_view hub) const {
  if (enrichments.empty()) return 0;
  const bool asks = twins && std::any_of(enrichments.begin(), enrichments.end(), [](const auto& one) { return one.uses_twin(); });
  const auto twin = asks ? twins->twin_of(message) : nullptr;
  return route::enrich(message, enrichments, twin.get(), hub);
}

bool Routes::take_from(telemetry::Source from) const {
  if (fallback && source_of(from) == HubRoute::Source::device_messages) return true;
  return std::any_of(begin(), end(), [from](const HubRoute& route) { return route.enabled && route.takes_from(from); });
}

bool Routes::falls_back(route::Evaluation& evaluation) const {
  if (!fallback || source_of(evaluation.message().source) != HubRoute::Source::device_messages) return false;
  return std::none_of(begin(), end(), [&](const HubRoute& route) { return route.enabled && route.matches(evaluation); });
}

bool Routes::events_have(route::Evaluation& evaluation) const {
  const auto has = [&](const HubRoute& route) {
    return route.enabled && route.endpoint == HubRoute::Endpoint::events && route.matches(evaluation);
  };
  return std::any_of(begin(), end(), has) || falls_back(evaluation);
}

std::vector<route::Enrichment> Routes::enrichments_of(std::string_view endpoint) const {
  std::vector<route::Enrichment> of_it;
  for (const route::Enrichment& one : enrichments)
    if (one.applies_to(endpoint)) of_it.push_back(one);
  return of_it;
}

Routes default_routes() {
  Routes routes;
  routes.list = {
      default_route("turbofanDeviceDataToStorage", "IS_DEFINED($body.OperationalSetting1)", "devicedata"),
      default_route("RulMessageRoute", "IS_DEFINED($body.PredictedRul) AND NOT IS_DEFINED($body.OperationalSetting1)", "ruldata"),
      default_route("events", "true", "")};
  return routes;
}

}  // namespace nacelle::hub
