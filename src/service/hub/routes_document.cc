// Routes as a document: docs/formats/routes.md, member by member.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "service/hub/routes.h"

namespace nacelle::hub {
namespace {

constexpr std::pair<HubRoute::Source, std::string_view> source_names[] = {
    {HubRoute::Source::device_messages, "DeviceMessages"},
    {HubRoute::Source::twin_changes, "TwinChangeEvents"},
    {HubRoute::Source::device_lifecycle, "DeviceLifecycleEvents"},
    {HubRoute::Source::connection_state, "DeviceConnectionStateEvents"}};

constexpr std::string_view encodings[] = {"avro", "avrodeflate", "json"};  // as CaptureEncoding has them

/// Azure's rule for container names: 3 to 63 of lower-case letters, digits and single dashes.
Result<> check_container(const std::string& name, const std::string& where) {
  bool good =
      name.size() >= 3 && name.size() <= 63 && name.front() != '-' && name.back() != '-' && name.find("--") == std::string::npos;
  for (const char c : name) good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
  if (good) return {};
  return fail(Fault::invalid_input,
              fmt::format("{}: container: expected 3 to 63 lower-case letters, digits and single dashes, found '{}'", where, name));
}

Result<std::int64_t> get_in_range(const json::Value& object, std::string_view key, std::int64_t fallback, std::int64_t low,
                                  std::int64_t high, const std::string& where) {
  TRY_LET(const std::int64_t value, json::get_integer_or(object, key, fallback, where));
  if (value >= low && value <= high) return value;
  return fail(Fault::invalid_input, fmt::format("{}: {}: expected {} to {}, found {}", where, key, low, high, value));
}

Result<StorageSettings> parse_storage(const json::Value& endpoint, const std::string& where) {
  TRY(check_members(endpoint, {"type", "container", "fileNameFormat", "maxAgeSeconds", "maxBytes", "encoding"}, where));
  StorageSettings settings;
  TRY_LET(settings.container, json::get_string(endpoint, "container", where));
  TRY(check_container(settings.container, where));
  TRY_LET(const std::string format, json::get_string_or(endpoint, "fileNameFormat", settings.file_name_format.text(), where));
  TRY_LET(settings.file_name_format, in(FileNameFormat::parse(format), where));
  TRY_LET(const std::int64_t age, get_in_range(endpoint, "maxAgeSeconds", settings.max_age.count(), 1, 86400, where));
  settings.max_age = std::chrono::seconds{age};
  TRY_LET(const std::int64_t bytes,
          get_in_range(endpoint, "maxBytes", static_cast<std::int64_t>(settings.max_bytes), 1024, 500 << 20, where));
  settings.max_bytes = static_cast<ByteCount>(bytes);
  TRY_LET(const std::string encoding, json::get_string_or(endpoint, "encoding", "avrodeflate", where));
  const auto known = std::find(std::begin(encodings), std::end(encodings), encoding);
  if (known == std::end(encodings))
    return fail(Fault::invalid_input,
                fmt::format("{}: encoding: expected {}, found '{}'", where, fmt::join(encodings, ", "), encoding));
  settings.encoding = static_cast<CaptureEncoding>(known - std::begin(encodings));
  return settings;
}

Result<WebhookSettings> parse_webhook(const json::Value& endpoint, const std::string& where) {
  TRY(check_members(endpoint, {"type", "url", "maxBatch", "timeoutSeconds"}, where));
  WebhookSettings settings;
  TRY_LET(settings.url, json::get_string(endpoint, "url", where));
  TRY(in(settings.place(), where));
  TRY_LET(const std::int64_t most,
          get_in_range(endpoint, "maxBatch", static_cast<std::int64_t>(settings.max_batch), 1, 1000, where));
  settings.max_batch = static_cast<std::size_t>(most);
  TRY_LET(const std::int64_t timeout, get_in_range(endpoint, "timeoutSeconds", settings.timeout.count(), 1, 300, where));
  settings.timeout = std::chrono::seconds{timeout};
  return settings;
}

Result<route::Enrichment> parse_enrichment(const json::Value& document, std::size_t index) {
  const std::string where = fmt::format("enrichments[{}]", index);
  TRY(check_members(document, {"key", "value", "endpointNames"}, where));
  TRY_LET(std::string key, json::get_string(document, "key", where));
  TRY_LET(std::string value, json::get_string(document, "value", where));
  std::vector<std::string> endpoints;
  const json::Value* names = document.find("endpointNames");
  if (!names || !names->is_array()) return fail(Fault::invalid_input, where + ": endpointNames: expected an array of names");
  for (const json::Value& name : names->as_array()) {
    if (!name.is_string())
      return fail(Fault::invalid_input,
                  fmt::format("{}: endpointNames: expected strings, found a {}", where, json::type_name(name)));
    endpoints.push_back(name.as_string());
  }
  return in(route::Enrichment::make(std::move(key), std::move(value), std::move(endpoints)), where);
}

/// The built-in endpoint, and those of the routes.
std::set<std::string> endpoint_names(const Routes& routes) {
  std::set<std::string> names{"events"};
  for (const HubRoute& route : routes) names.insert(route.endpoint_name());
  return names;
}

Result<> parse_enrichments(const json::Value& document, Routes& routes) {
  const json::Value* list = document.find("enrichments");
  if (!list) return {};
  if (!list->is_array()) return fail(Fault::invalid_input, "routes: enrichments: expected an array");
  if (list->as_array().size() > route::Enrichment::most)
    return fail(Fault::invalid_input,
                fmt::format("enrichments: expected at most {}, found {}", route::Enrichment::most, list->as_array().size()));
  const std::set<std::string> known = endpoint_names(routes);
  for (const json::Value& one : list->as_array()) {
    TRY_LET(route::Enrichment enrichment, parse_enrichment(one, routes.enrichments.size()));
    for (const std::string& name : enrichment.endpoints())
      if (!known.contains(name))
        return fail(Fault::invalid_input, fmt::format("enrichment '{}': there is no endpoint '{}'; there are {}", enrichment.key(),
                                                      name, fmt::join(known, ", ")));
    routes.enrichments.push_back(std::move(enrichment));
  }
  return {};
}

Result<bool> parse_fallback(const json::Value& document) {
  const json::Value* fallback = document.find("fallbackRoute");
  if (!fallback) return true;
  TRY(check_members(*fallback, {"enabled"}, "fallbackRoute"));
  return json::get_bool_or(*fallback, "enabled", true, "fallbackRoute");
}

json::Value to_json(const HubRoute& route) {
  static constexpr std::string_view types[] = {"events", "storage", "webhook"};
  json::Object endpoint{{"type", types[static_cast<std::size_t>(route.endpoint)]}};
  if (route.endpoint == HubRoute::Endpoint::webhook) {
    endpoint.set("url", route.webhook.url);
    endpoint.set("maxBatch", static_cast<std::int64_t>(route.webhook.max_batch));
    endpoint.set("timeoutSeconds", static_cast<std::int64_t>(route.webhook.timeout.count()));
  }
  if (route.endpoint == HubRoute::Endpoint::storage) {
    const StorageSettings& settings = route.storage;
    endpoint.set("container", settings.container);
    endpoint.set("fileNameFormat", settings.file_name_format.text());
    endpoint.set("maxAgeSeconds", static_cast<std::int64_t>(settings.max_age.count()));
    endpoint.set("maxBytes", settings.max_bytes);
    endpoint.set("encoding", name_of(settings.encoding));
  }
  const std::string& condition = route.condition.text();
  return json::Object{{"name", route.name},
                      {"source", name_of(route.source)},
                      {"condition", condition.empty() ? "true" : condition},
                      {"endpoint", std::move(endpoint)},
                      {"enabled", route.enabled}};
}

}  // namespace

std::string_view name_of(HubRoute::Source source) {
  for (const auto& [value, name] : source_names)
    if (value == source) return name;
  return {};
}

Result<HubRoute::Source> parse_hub_source(const std::string& text, const std::string& where) {
  for (const auto& [value, name] : source_names)
    if (name == text) return value;
  return fail(Fault::invalid_input, fmt::format("{}: source: expected DeviceMessages, TwinChangeEvents, DeviceLifecycleEvents or "
                                                "DeviceConnectionStateEvents, found '{}'",
                                                where, text));
}

Result<> check_members(const json::Value& object, std::initializer_list<std::string_view> known, const std::string& where) {
  if (!object.is_object())
    return fail(Fault::invalid_input, fmt::format("{}: expected an object, found a {}", where, json::type_name(object)));
  for (const auto& [key, value] : object.as_object())
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail(Fault::invalid_input, fmt::format("{}: unknown member '{}'; known are {}", where, key, fmt::join(known, ", ")));
  return {};
}

std::string_view name_of(CaptureEncoding encoding) { return encodings[static_cast<std::size_t>(encoding)]; }

Result<HubRoute> parse_hub_route(const json::Value& document, std::size_t index) {
  std::string where = fmt::format("routes[{}]", index);
  TRY(check_members(document, {"name", "source", "condition", "endpoint", "enabled"}, where));
  HubRoute route;
  TRY_LET(route.name, json::get_string(document, "name", where));
  if (route.name.empty() || route.name.size() > 64)
    return fail(Fault::invalid_input, where + ": name: expected 1 to 64 characters");
  where = fmt::format("route '{}'", route.name);
  TRY_LET(const std::string source, json::get_string_or(document, "source", "DeviceMessages", where));
  TRY_LET(route.source, parse_hub_source(source, where));
  TRY_LET(const std::string condition, json::get_string_or(document, "condition", "true", where));
  TRY_LET(route.condition, in(route::parse_condition(condition), where));
  TRY_LET(route.enabled, json::get_bool_or(document, "enabled", true, where));
  const json::Value* endpoint = document.find("endpoint");
  if (!endpoint) return fail(Fault::invalid_input, where + ": endpoint is missing");
  TRY_LET(const std::string type, json::get_string(*endpoint, "type", where + ": endpoint"));
  if (type == "events") return route;
  if (type == "webhook") {
    route.endpoint = HubRoute::Endpoint::webhook;
    TRY_LET(route.webhook, parse_webhook(*endpoint, where + ": endpoint"));
    return route;
  }
  if (type != "storage")
    return fail(Fault::invalid_input,
                fmt::format("{}: endpoint: type: expected events, storage or webhook, found '{}'", where, type));
  route.endpoint = HubRoute::Endpoint::storage;
  TRY_LET(route.storage, parse_storage(*endpoint, where + ": endpoint"));
  return route;
}

Result<Routes> parse_routes(const json::Value& document) {
  const json::Value* list = document.find("routes");
  if (!list || !list->is_array()) return fail(Fault::invalid_input, "routes: expected an object with an array 'routes'");
  TRY(check_members(document, {"routes", "fallbackRoute", "enrichments", "health"}, "routes"));  // health: as GET /routes adds it
  Routes routes;
  std::set<std::string> names;
  std::set<std::string> containers;
  for (const auto& one : list->as_array()) {
    TRY_LET(HubRoute route, parse_hub_route(one, routes.size()));
    if (!names.insert(route.name).second) return fail(Fault::invalid_input, fmt::format("route '{}' is there twice", route.name));
    if (route.endpoint == HubRoute::Endpoint::storage && !containers.insert(route.storage.container).second)
      return fail(Fault::invalid_input,
                  fmt::format("route '{}': container '{}' belongs to another route already; join the two conditions with OR",
                              route.name, route.storage.container));
    routes.list.push_back(std::move(route));
  }
  TRY_LET(routes.fallback, parse_fallback(document));
  TRY(parse_enrichments(document, routes));
  for (HubRoute& route : routes.list) route.enrichments = routes.enrichments_of(route.endpoint_name());
  return routes;
}

json::Value to_json(const Routes& routes) {
  json::Array list;
  for (const auto& route : routes) list.push_back(to_json(route));
  json::Array enrichments;
  for (const route::Enrichment& one : routes.enrichments) {
    json::Array names;
    for (const std::string& name : one.endpoints()) names.emplace_back(name);
    enrichments.push_back(json::Object{{"key", one.key()}, {"value", one.value()}, {"endpointNames", std::move(names)}});
  }
  return json::Object{{"routes", std::move(list)},
                      {"fallbackRoute", json::Object{{"enabled", routes.fallback}}},
                      {"enrichments", std::move(enrichments)}};
}

Result<Routes> load_routes(const storage::fs::path& file, storage::FileSystem& files) {
  TRY_LET(const bool there, files.exists(file));
  if (!there) {
    Routes routes = default_routes();
    TRY(save_routes(file, routes, files));
    return routes;
  }
  TRY_LET(const Bytes text, storage::read_file(files, file, 1_MiB));
  TRY_LET(const json::Value document, in(json::parse(text), file.string()));
  return in(parse_routes(document), file.string());
}

Result<> save_routes(const storage::fs::path& file, const Routes& routes, storage::FileSystem& files) {
  return storage::write_file_atomic(files, file, json::print_pretty(to_json(routes)) + "\n", 0600);
}

}  // namespace nacelle::hub
