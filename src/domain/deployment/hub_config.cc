// `$edgeHub`'s desired properties (wire facts 5.4, 5.8).
#include <limits>

#include <fmt/format.h>

#include "domain/deployment/detail/reader.h"
#include "domain/deployment/detail/schema_version.h"
#include "domain/deployment/manifest.h"

namespace nacelle::deployment {
namespace {

constexpr std::string_view hub_members[] = {"schemaVersion", "routes", "storeAndForwardConfiguration", "mqttBroker", "integrity"};
constexpr std::string_view route_members[] = {"route", "priority", "timeToLiveSecs"};
constexpr std::string_view store_members[] = {"timeToLiveSecs", "storeLimits"};
constexpr std::string_view limit_members[] = {"maxSizeBytes"};
constexpr std::int64_t any_integer = std::numeric_limits<std::int64_t>::max();

Result<EdgeRoute> read_route(const Reader& routes, const std::string& name, const json::Value& value) {
  EdgeRoute route;
  route.name = name;
  if (value.is_string()) {
    route.text = value.as_string();
  } else if (value.is_object()) {
    TRY_LET(const Reader object, Reader::of(value, routes.path(name)));
    TRY(object.only(route_members));
    TRY_LET(route.text, object.text("route", ""));
    if (route.text.empty()) return object.wrong("route", "a text 'FROM ... INTO ...'", "none");
    TRY_LET(const std::int64_t priority, object.integer("priority", route.priority, 0, 9));
    route.priority = static_cast<std::uint32_t>(priority);
    TRY_LET(route.time_to_live_seconds, object.integer("timeToLiveSecs", 0, 0, any_integer));
  } else {
    return routes.wrong(name, "a route as a text, or an object with the member 'route'", json::type_name(value));
  }
  TRY_LET(route.route, in(route::parse_route(route.text), routes.path(name)));
  return route;
}

Result<> read_store(const Reader& hub, HubConfig& config) {
  TRY_LET(const Reader store, hub.child("storeAndForwardConfiguration"));
  TRY(store.only(store_members));
  TRY_LET(config.time_to_live_seconds, store.integer("timeToLiveSecs", config.time_to_live_seconds, -1, any_integer));
  TRY_LET(const Reader limits, store.child("storeLimits"));
  TRY(limits.only(limit_members));
  TRY_LET(const std::int64_t bytes,
          limits.integer("maxSizeBytes", static_cast<std::int64_t>(config.max_store_bytes), 1, any_integer));
  config.max_store_bytes = static_cast<std::uint64_t>(bytes);
  return {};
}

}  // namespace

Result<HubConfig> parse_hub_config(const json::Value& desired) {
  TRY_LET(const Reader hub, Reader::of(desired, "$edgeHub"));
  TRY(hub.only(hub_members));
  HubConfig config;
  TRY_LET(config.schema_version, read_schema_version(hub));
  TRY_LET(const Reader routes, hub.child("routes"));
  for (const auto& [name, value] : routes.object()) {
    if (name.starts_with('$') || value.is_null()) continue;
    TRY_LET(EdgeRoute route, read_route(routes, name, value));
    config.routes.push_back(std::move(route));
  }
  TRY(read_store(hub, config));
  return config;
}

}  // namespace nacelle::deployment
