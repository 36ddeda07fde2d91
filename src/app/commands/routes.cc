// nacelle routes: which messages go where; tried before they are set.
#include <fmt/format.h>

#include "app/commands/hub_access.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct RouteSettings {
  std::string hub;
  std::string file;
  std::string message;
  bool json = false;
};
using Settings = std::shared_ptr<RouteSettings>;

std::string text_at(const json::Value& object, std::initializer_list<std::string_view> path) {
  const json::Value* value = object.at_path(path);
  return value && value->is_string() ? value->as_string() : std::string();
}

bool true_at(const json::Value& object, std::string_view key) {
  const json::Value* value = object.find(key);
  return value && value->is_bool() && value->as_bool();
}

void print_routes(const json::Value& document, bool as_json) {
  if (as_json) return print_line(json::print(document));
  const json::Value* routes = document.find("routes");
  if (!routes || !routes->is_array()) return;
  for (const auto& route : routes->as_array()) {
    const std::string container = text_at(route, {"endpoint", "container"});
    print_line(fmt::format("{:<28} {:<8} {:<20} {}", text_at(route, {"name"}), true_at(route, "enabled") ? "enabled" : "disabled",
                           container.empty() ? "events" : "storage:" + container, text_at(route, {"condition"})));
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

awaitable<Result<>> test(HubClient& hub, Settings settings) {
  CO_TRY_LET(json::Value message, read_json_file(settings->message));
  json::Value body = json::Object{{"message", std::move(message)}};
  CO_TRY_LET(const json::Value answer, co_await hub.post("/routes/test", std::move(body)));
  if (settings->json)
    print_line(json::print(answer));
  else if (const json::Value* routes = answer.find("routes"); routes && routes->is_array())
    for (const auto& route : routes->as_array())
      print_line(fmt::format("{:<28} {:<20} {}", text_at(route, {"route"}), text_at(route, {"endpoint"}),
                             true_at(route, "matches") ? "matches" : "-"));
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

}  // namespace

void add_routes(CLI::App& root, Outcome& outcome) {
  CLI::App* routes = root.add_subcommand("routes", "List, set and try the hub's routes");
  routes->require_subcommand(1);
  routes->footer("Example:\n  nacelle routes test --message sample.json");
  Settings settings;
  add_verb(*routes, outcome, "list", "The routes and their endpoints", list, settings)->footer("Example:\n  nacelle routes list");
  CLI::App* sets = add_verb(*routes, outcome, "set", "Put these routes in place of the present ones", set, settings);
  sets->add_option("file", settings->file, "as printed by list --json")->required();
  sets->footer("Example:\n  nacelle routes set routes.json");
  CLI::App* tests = add_verb(*routes, outcome, "test", "Which routes a message would take", test, settings);
  tests->add_option("--message", settings->message, "file with {\"body\":{..},\"properties\":{..},\"systemProperties\":{..}}")
      ->required();
  tests->footer("Example:\n  nacelle routes test --message sample.json");
}

}  // namespace nacelle::app
