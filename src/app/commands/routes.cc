// nacelle routes: which messages go where, and what is put on them; tried before they are set.
#include <fmt/format.h>

#include <algorithm>

#include "app/commands/hub_access.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct RouteSettings {
  std::string hub;
  std::string file;
  std::string message;
  std::string twin;
  std::string route;
  std::string source;
  std::string key;
  std::string value;
  std::vector<std::string> endpoints;
  std::string state;
  bool json = false;
};
using Settings = std::shared_ptr<RouteSettings>;

std::string text_at(const json::Value& object, std::initializer_list<std::string_view> path) {
  const json::Value* value = object.at_path(path);
  return value && value->is_string() ? value->as_string() : std::string();
}

bool true_at(const json::Value& object, std::initializer_list<std::string_view> path) {
  const json::Value* value = object.at_path(path);
  return value && value->is_bool() && value->as_bool();
}

const json::Array& array_at(const json::Value& object, std::string_view key) {
  static const json::Array none;
  const json::Value* value = object.find(key);
  return value && value->is_array() ? value->as_array() : none;
}

std::string endpoint_of(const json::Value& route) {
  const std::string type = text_at(route, {"endpoint", "type"});
  if (type == "storage") return "storage:" + text_at(route, {"endpoint", "container"});
  const std::string url = text_at(route, {"endpoint", "url"});
  if (type == "webhook") return "webhook:" + url.substr(0, url.find('?'));  // a query may hold a secret
  return type;
}

void print_routes(const json::Value& document, bool as_json) {
  if (as_json) return print_line(json::print(document));
  for (const auto& route : array_at(document, "routes")) {
    const std::string source = text_at(route, {"source"});
    print_line(fmt::format("{:<28} {:<8} {:<20} {}{}", text_at(route, {"name"}),
                           true_at(route, {"enabled"}) ? "enabled" : "disabled", endpoint_of(route),
                           source == "DeviceMessages" ? "" : source + ": ", text_at(route, {"condition"})));
  }
  print_line(fmt::format("{:<28} {:<8} {:<20} {}", "$fallback",
                         true_at(document, {"fallbackRoute", "enabled"}) ? "enabled" : "disabled", "events",
                         "what no other route takes"));
  for (const auto& one : array_at(document, "enrichments")) {
    std::string names;
    for (const auto& name : array_at(one, "endpointNames")) names += " " + (name.is_string() ? name.as_string() : "");
    print_line(fmt::format("enrichment {} = {} on{}", text_at(one, {"key"}), text_at(one, {"value"}), names));
  }
}

awaitable<Result<>> list(HubClient& hub, Settings settings) {
  CO_TRY_LET(const json::Value document, co_await hub.get("/routes"));
  print_routes(document, settings->json);
  co_return Result<>{};
}

awaitable<Result<>> set(HubClient& hub, Settings settings) {
  CO_TRY_LET(json::Value routes, read_json_file(settings->file));
  CO_TRY_LET(const json::Value document, co_await hub.put("/routes", std::move(routes)));
  print_routes(document, settings->json);
  co_return Result<>{};
}

/// Takes the routes as they are, changes them and puts them back.
awaitable<Result<>> change(HubClient& hub, Settings settings, Result<> (*edit)(json::Value&, const RouteSettings&)) {
  CO_TRY_LET(json::Value document, co_await hub.get("/routes"));
  CO_TRY(edit(document, *settings));
  CO_TRY_LET(const json::Value changed, co_await hub.put("/routes", std::move(document)));
  print_routes(changed, settings->json);
  co_return Result<>{};
}

json::Array without(const json::Array& enrichments, std::string_view key) {
  json::Array rest;
  for (const json::Value& one : enrichments)
    if (text_at(one, {"key"}) != key) rest.push_back(one);
  return rest;
}

Result<> put_enrichment(json::Value& document, const RouteSettings& settings) {
  json::Array enrichments = without(array_at(document, "enrichments"), settings.key);
  json::Array names(settings.endpoints.begin(), settings.endpoints.end());
  enrichments.push_back(json::Object{{"key", settings.key}, {"value", settings.value}, {"endpointNames", std::move(names)}});
  document.as_object().set("enrichments", std::move(enrichments));
  return {};
}

Result<> drop_enrichment(json::Value& document, const RouteSettings& settings) {
  const json::Array& known = array_at(document, "enrichments");
  json::Array rest = without(known, settings.key);
  if (rest.size() == known.size()) return fail(Fault::not_found, fmt::format("there is no enrichment '{}'", settings.key));
  document.as_object().set("enrichments", std::move(rest));
  return {};
}

Result<> set_fallback(json::Value& document, const RouteSettings& settings) {
  document.as_object().set("fallbackRoute", json::Object{{"enabled", settings.state == "on"}});
  return {};
}

awaitable<Result<>> enrich(HubClient& hub, Settings settings) {
  auto changed = co_await change(hub, std::move(settings), put_enrichment);
  co_return changed;
}
awaitable<Result<>> unenrich(HubClient& hub, Settings settings) {
  auto changed = co_await change(hub, std::move(settings), drop_enrichment);
  co_return changed;
}
awaitable<Result<>> fallback(HubClient& hub, Settings settings) {
  auto changed = co_await change(hub, std::move(settings), set_fallback);
  co_return changed;
}

/// What `routes test` sends: a sample message, or a whole request as docs/hub.md has it, with what the options say.
Result<json::Value> request_of(const RouteSettings& settings) {
  TRY_LET(json::Value message, read_json_file(settings.message));
  json::Object request{{"message", std::move(message)}};
  if (!settings.twin.empty()) {
    TRY_LET(json::Value twin, read_json_file(settings.twin));
    request.set("twin", std::move(twin));
  }
  if (!settings.source.empty()) request.set("source", settings.source);
  if (settings.route.ends_with(".json")) {
    TRY_LET(json::Value route, read_json_file(settings.route));
    request.set("route", std::move(route));
  } else if (!settings.route.empty()) {
    request.set("route", settings.route);
  }
  return json::Value(std::move(request));
}

void print_trial(const json::Value& answer) {
  for (const auto& route : array_at(answer, "routes")) {
    const bool matches = true_at(route, {"matches"});
    const std::string disabled = true_at(route, {"enabled"}) ? "" : " (disabled)";
    print_line(fmt::format("{:<28} {:<20} {}{}", text_at(route, {"route"}), text_at(route, {"endpoint"}),
                           matches ? "matches" : text_at(route, {"why"}), disabled));
    const json::Value* enriched = route.find("enriched");
    if (!enriched || !enriched->is_object()) continue;
    for (const auto& [name, value] : enriched->as_object())
      print_line(fmt::format("    {} = {}", name, value.is_string() ? value.as_string() : json::print(value)));
  }
  print_line(fmt::format("{:<28} {:<20} {}{}", "$fallback", "events", true_at(answer, {"fallback", "takes"}) ? "takes it" : "-",
                         true_at(answer, {"fallback", "enabled"}) ? "" : " (disabled)"));
}

awaitable<Result<>> test(HubClient& hub, Settings settings) {
  CO_TRY_LET(json::Value request, request_of(*settings));
  CO_TRY_LET(const json::Value answer, co_await hub.post("/routes/test", std::move(request)));
  if (settings->json)
    print_line(json::print(answer));
  else
    print_trial(answer);
  co_return Result<>{};
}

using Work = awaitable<Result<>> (*)(HubClient&, Settings);

CLI::App* add_verb(CLI::App& parent, Outcome& outcome, const char* verb, const char* help, Work work, Settings& settings) {
  settings = std::make_shared<RouteSettings>();
  CLI::App* command = parent.add_subcommand(verb, help);
  add_hub_option(*command, settings->hub);
  command->add_flag("--json", settings->json, "one line of JSON");
  command->callback(
      [&outcome, settings, work] { outcome.take(with_hub(settings->hub, [&](HubClient& hub) { return work(hub, settings); })); });
  return command;
}

void add_changes(CLI::App& routes, Outcome& outcome) {
  Settings settings;
  CLI::App* enriches = add_verb(routes, outcome, "enrich", "Put a property on the messages of some endpoints", enrich, settings);
  enriches->add_option("key", settings->key, "the property's name")->required();
  enriches->add_option("value", settings->value, "a text, $iothubname, $twin.tags.NAME or $twin.properties.(desired|reported).NAME")
      ->required();
  enriches->add_option("--endpoint", settings->endpoints, "events, storage:CONTAINER or webhook:URL; may be given several times")
      ->required();
  enriches->footer("Example:\n  nacelle routes enrich site '$twin.tags.site' --endpoint events --endpoint storage:devicedata");
  CLI::App* unenriches = add_verb(routes, outcome, "unenrich", "Put it on no more", unenrich, settings);
  unenriches->add_option("key", settings->key, "the property's name")->required();
  unenriches->footer("Example:\n  nacelle routes unenrich site");
  CLI::App* fallbacks =
      add_verb(routes, outcome, "fallback", "Whether messages that no route takes go to events", fallback, settings);
  fallbacks->add_option("state", settings->state, "on or off")->required()->check(CLI::IsMember({"on", "off"}));
  fallbacks->footer("Example:\n  nacelle routes fallback off");
}

}  // namespace

void add_routes(CLI::App& root, Outcome& outcome) {
  CLI::App* routes = root.add_subcommand("routes", "List, set and try the hub's routes");
  routes->require_subcommand(1);
  routes->footer("Example:\n  nacelle routes test --message sample.json");
  Settings settings;
  add_verb(*routes, outcome, "list", "The routes, their endpoints, the fallback and the enrichments", list, settings)
      ->footer("Example:\n  nacelle routes list");
  CLI::App* sets = add_verb(*routes, outcome, "set", "Put these routes in place of the present ones", set, settings);
  sets->add_option("file", settings->file, "as printed by list --json")->required();
  sets->footer("Example:\n  nacelle routes set routes.json");
  add_changes(*routes, outcome);
  CLI::App* tests =
      add_verb(*routes, outcome, "test", "Which routes a message would take, why not, and what it would carry", test, settings);
  tests->add_option("--message", settings->message, "file with {\"body\":{..},\"properties\":{..},\"systemProperties\":{..}}")
      ->required();
  tests->add_option("--route", settings->route, "only this one: its name, or a .json file with a route that is not set yet");
  tests->add_option("--twin", settings->twin,
                    "file with {\"tags\":{..},\"properties\":{..}} (default: the sender's twin in the hub)");
  tests->add_option("--source", settings->source, "DeviceMessages (default), TwinChangeEvents, ..");
  tests->footer("Example:\n  nacelle routes test --message sample.json --route events");
}

}  // namespace nacelle::app
