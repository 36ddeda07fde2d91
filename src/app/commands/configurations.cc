// nacelle configurations: content for all devices that match a condition.
#include <fmt/format.h>

#include "app/commands/hub_access.h"
#include "app/commands/terminal.h"
#include "codec/text/encoding.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct ConfigurationSettings {
  std::string hub;
  std::string id;
  std::string file;
  std::string condition;
  std::int64_t priority = -1;
  bool json = false;
};
using Settings = std::shared_ptr<ConfigurationSettings>;

std::string path_of(const std::string& id) { return "/configurations/" + text::percent_encode(id); }

void print_configurations(const json::Array& configurations) {
  std::vector<std::vector<std::string>> rows;
  const auto shown = [](const json::Value* value) {
    return !value ? std::string() : value->is_string() ? value->as_string() : json::print(*value);
  };
  for (const json::Value& one : configurations)
    rows.push_back({shown(one.find("id")), shown(one.find("priority")),
                    shown(one.at_path({"systemMetrics", "results", "targetedCount"})),
                    shown(one.at_path({"systemMetrics", "results", "appliedCount"})), shown(one.find("targetCondition"))});
  print_table({"configuration", "priority", "targeted", "applied", "condition"}, rows);
}

awaitable<Result<>> list(HubClient& hub, Settings settings) {
  CO_TRY_LET(const json::Value found, co_await hub.get("/configurations"));
  if (settings->json)
    print_line(json::print(found));
  else
    print_configurations(found.as_array());
  co_return Result<>{};
}

awaitable<Result<>> show(HubClient& hub, Settings settings) {
  const std::string path = path_of(settings->id);
  CO_TRY_LET(const json::Value found, co_await hub.get(path));
  print_line(settings->json ? json::print(found) : json::print_pretty(found));
  co_return Result<>{};
}

awaitable<Result<>> apply(HubClient& hub, Settings settings) {
  CO_TRY_LET(json::Value document, read_json_file(settings->file));
  if (!document.is_object())
    co_return fail(Fault::invalid_input,
                   fmt::format("{}: expected an object, found {}", settings->file, json::type_name(document)));
  json::Object& object = document.as_object();
  // A manifest alone is content too.
  if (!object.contains("content")) {
    json::Object content;
    for (const char* kind : {"modulesContent", "deviceContent", "moduleContent"})
      if (const json::Value* section = object.find(kind)) content.set(kind, *section);
    document = json::Object{{"content", std::move(content)}};
  }
  json::Object& whole = document.as_object();
  whole.set("id", settings->id);
  if (!settings->condition.empty()) whole.set("targetCondition", settings->condition);
  if (settings->priority >= 0) whole.set("priority", settings->priority);
  const std::string path = path_of(settings->id);
  const auto there = co_await hub.get(path);
  if (!there && there.error().fault != Fault::not_found) co_return fail(there.error());
  const std::string if_match = there ? "*" : "";
  CO_TRY_LET(const json::Value made, co_await hub.put(path, document, if_match));
  if (settings->json)
    print_line(json::print(made));
  else
    print_configurations({made});
  co_return Result<>{};
}

awaitable<Result<>> remove(HubClient& hub, Settings settings) {
  const std::string path = path_of(settings->id);
  CO_TRY(co_await hub.remove(path));
  co_return Result<>{};
}

Settings add_common(CLI::App& command, bool with_id) {
  auto settings = std::make_shared<ConfigurationSettings>();
  add_hub_option(command, settings->hub);
  if (with_id) command.add_option("id", settings->id, "the configuration")->required();
  command.add_flag("--json", settings->json, "one line of JSON");
  return settings;
}

}  // namespace

void add_configurations(CLI::App& root, Outcome& outcome) {
  CLI::App* configurations =
      root.add_subcommand("configurations", "Content for all devices, modules or edges that match a condition");
  configurations->require_subcommand(1);
  configurations->footer(
      "Example:\n  nacelle configurations apply line-a --file fw.json --condition \"tags.line = 'a'\" --priority 10");

  CLI::App* lists = configurations->add_subcommand("list", "All of them, with how many devices they are for");
  run_on_hub(*lists, outcome, add_common(*lists, false), list);
  lists->footer("Example:\n  nacelle configurations list");

  CLI::App* shows = configurations->add_subcommand("show", "One, with its metrics");
  run_on_hub(*shows, outcome, add_common(*shows, true), show);
  shows->footer("Example:\n  nacelle configurations show line-a --json");

  CLI::App* applies = configurations->add_subcommand("apply", "Make one, or change its condition, priority, labels and metrics");
  const Settings settings = add_common(*applies, true);
  applies->add_option("--file", settings->file, "the configuration, or its content alone (a deployment manifest is one)")
      ->required();
  applies->add_option("--condition", settings->condition, "whom it is for; * for everyone");
  applies->add_option("--priority", settings->priority, "the larger number wins");
  run_on_hub(*applies, outcome, settings, apply);
  applies->footer(
      "Example:\n  nacelle configurations apply edges --file manifest.json --condition \"tags.site = 'north'\" --priority 10");

  CLI::App* removes = configurations->add_subcommand("remove", "Remove one; the next weaker takes its place");
  run_on_hub(*removes, outcome, add_common(*removes, true), remove);
  removes->footer("Example:\n  nacelle configurations remove line-a");
}

}  // namespace nacelle::app
