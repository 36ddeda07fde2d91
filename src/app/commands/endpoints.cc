// nacelle endpoints: how the hub's endpoints fare.
#include <fmt/format.h>

#include "app/commands/hub_access.h"
#include "app/commands/terminal.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

std::string cell(const json::Value& row, std::string_view name) {
  const json::Value* value = row.find(name);
  if (!value) return {};
  return value->is_string() ? value->as_string() : json::print(*value);
}

awaitable<Result<>> list_endpoints(HubClient& hub, bool as_json) {
  CO_TRY_LET(const json::Value answer, co_await hub.get("/endpoints"));
  const json::Value* endpoints = answer.find("endpoints");
  if (!endpoints || !endpoints->is_array()) co_return fail(Fault::unavailable, "the hub's answer holds no endpoints");
  if (as_json) {
    print_line(json::print(answer));
    co_return Result<>{};
  }
  std::vector<std::vector<std::string>> rows;
  for (const json::Value& one : endpoints->as_array()) {
    std::vector<std::string> row;
    for (const char* name : {"route", "endpoint", "health", "delivered", "behind", "lost", "failures", "why"})
      row.push_back(cell(one, name));
    rows.push_back(std::move(row));
  }
  print_table({"ROUTE", "ENDPOINT", "HEALTH", "DELIVERED", "BEHIND", "LOST", "FAILURES", "WHY"}, rows);
  co_return Result<>{};
}

}  // namespace

void add_endpoints(CLI::App& root, Outcome& outcome) {
  struct Settings {
    std::string hub;
    bool json = false;
  };
  const auto settings = std::make_shared<Settings>();
  CLI::App* command = root.add_subcommand("endpoints", "How the endpoints of the hub's routes fare: health, lag, what is lost");
  add_hub_option(*command, settings->hub);
  command->add_flag("--json", settings->json, "the hub's answer as it stands");
  command->footer("Example:\n  nacelle endpoints");
  command->callback([&outcome, settings] {
    outcome.take(with_hub(settings->hub, [settings](HubClient& hub) { return list_endpoints(hub, settings->json); }));
  });
}

}  // namespace nacelle::app
