#include "service/hub/routes.h"

#include <fmt/format.h>

#include <set>

#include "net/socket/stream.h"

namespace nacelle::hub {
namespace {

constexpr std::pair<HubRoute::Source, std::string_view> source_names[] = {
    {HubRoute::Source::device_messages, "DeviceMessages"},
    {HubRoute::Source::twin_changes, "TwinChangeEvents"},
    {HubRoute::Source::device_lifecycle, "DeviceLifecycleEvents"},
    {HubRoute::Source::connection_state, "DeviceConnectionStateEvents"}};

std::string_view name_of(HubRoute::Source source) {
  for (const auto& [value, name] : source_names)
    if (value == source) return name;
  return {};
}

Result<HubRoute::Source> parse_source(const std::string& text, const std::string& where) {
  for (const auto& [value, name] : source_names)
    if (name == text) return value;
  return fail(Fault::invalid_input, fmt::format("{}: source: expected DeviceMessages, TwinChangeEvents, DeviceLifecycleEvents or "
                                                "DeviceConnectionStateEvents, found '{}'",
                                                where, text));
}

/// Azure's rule for container names: 3 to 63 of lower-case letters, digits and single dashes.
Result<> check_container(const std::string& name, const std::string& where) {
  bool good =
      name.size() >= 3 && name.size() <= 63 && name.front() != '-' && name.back() != '-' && name.find("--") == std::string::npos;
  for (const char c : name) good = good && ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-');
  if (good) return {};
  return fail(Fault::invalid_input,
              fmt::format("{}: container: expected 3 to 63 lower-case letters, digits and single dashes, found '{}'", where, name));
}

Result<> check_members(const json::Value& object, std::initializer_list<std::string_view> known, const std::string& where) {
  if (!object.is_object())
    return fail(Fault::invalid_input, fmt::format("{}: expected an object, found a {}", where, json::type_name(object)));
  for (const auto& [key, value] : object.as_object())
    if (std::find(known.begin(), known.end(), key) == known.end())
      return fail(Fault::invalid_input, fmt::format("{}: unknown member '{}'; known are {}", where, key, fmt::join(known, ", ")));
  return {};
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
  if (encoding != "avro" && encoding != "avrodeflate")
    return fail(Fault::invalid_input, fmt::format("{}: encoding: expected avro or avrodeflate, found '{}'", where, encoding));
  settings.deflate = encoding == "avrodeflate";
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

Result<HubRoute> parse_route(const json::Value& document, std::size_t index) {
  std::string where = fmt::format("routes[{}]", index);
  TRY(check_members(document, {"name", "source", "condition", "endpoint", "enabled"}, where));
  HubRoute route;
  TRY_LET(route.name, json::get_string(document, "name", where));
  if (route.name.empty() || route.name.size() > 64)
    return fail(Fault::invalid_input, where + ": name: expected 1 to 64 characters");
  where = fmt::format("route '{}'", route.name);
  TRY_LET(const std::string source, json::get_string_or(document, "source", "DeviceMessages", where));
  TRY_LET(route.source, parse_source(source, where));
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
    endpoint.set("encoding", settings.deflate ? "avrodeflate" : "avro");
  }
  const std::string& condition = route.condition.text();
  return json::Object{{"name", route.name},
                      {"source", name_of(route.source)},
                      {"condition", condition.empty() ? "true" : condition},
                      {"endpoint", std::move(endpoint)},
                      {"enabled", route.enabled}};
}

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

Result<> read_properties(const json::Value& document, std::string_view key, telemetry::Properties& into) {
  TRY_LET(const json::Object* properties, json::get_object_or_null(document, key, "sample message"));
  if (!properties) return {};
  for (const auto& [name, value] : *properties) {
    if (!value.is_string())
      return fail(Fault::invalid_input,
                  fmt::format("sample message: {}: {}: expected a string, found a {}", key, name, json::type_name(value)));
    into.set(name, value.as_string());
  }
  return {};
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
  using From = telemetry::Source;
  const telemetry::Message& message = evaluation.message();
  switch (source) {
    case Source::device_messages:
      if (message.source != From::device_messages && message.source != From::module_messages) return false;
      break;
    case Source::twin_changes:
      if (message.source != From::twin_changes) return false;
      break;
    case Source::device_lifecycle:
      if (message.source != From::device_lifecycle) return false;
      break;
    case Source::connection_state:
      if (message.source != From::connection_state) return false;
      break;
  }
  return condition.matches(evaluation);
}

Routes default_routes() {
  return {
      default_route("turbofanDeviceDataToStorage", "IS_DEFINED($body.OperationalSetting1)", "devicedata"),
      default_route("RulMessageRoute", "IS_DEFINED($body.PredictedRul) AND NOT IS_DEFINED($body.OperationalSetting1)", "ruldata"),
      default_route("events", "true", "")};
}

Result<Routes> parse_routes(const json::Value& document) {
  const json::Value* list = document.find("routes");
  if (!list || !list->is_array()) return fail(Fault::invalid_input, "routes: expected an object with an array 'routes'");
  Routes routes;
  std::set<std::string> names;
  std::set<std::string> containers;
  for (const auto& one : list->as_array()) {
    TRY_LET(HubRoute route, parse_route(one, routes.size()));
    if (!names.insert(route.name).second) return fail(Fault::invalid_input, fmt::format("route '{}' is there twice", route.name));
    if (route.endpoint == HubRoute::Endpoint::storage && !containers.insert(route.storage.container).second)
      return fail(Fault::invalid_input,
                  fmt::format("route '{}': container '{}' belongs to another route already; join the two conditions with OR",
                              route.name, route.storage.container));
    routes.push_back(std::move(route));
  }
  return routes;
}

json::Value to_json(const Routes& routes) {
  json::Array list;
  for (const auto& route : routes) list.push_back(to_json(route));
  return json::Object{{"routes", std::move(list)}};
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

Result<telemetry::Message> parse_sample_message(const json::Value& document) {
  TRY(check_members(document, {"body", "properties", "systemProperties"}, "sample message"));
  telemetry::Message message;
  if (const json::Value* body = document.find("body")) {
    const bool text = body->is_string();
    message.body = text ? body->as_string() : json::print(*body);
    if (!text) {
      message.system.set("contentType", "application/json");
      message.system.set("contentEncoding", "utf-8");
    }
  }
  TRY(read_properties(document, "properties", message.application));
  TRY(read_properties(document, "systemProperties", message.system));
  if (!message.module_id().empty()) message.source = telemetry::Source::module_messages;
  return message;
}

}  // namespace nacelle::hub
