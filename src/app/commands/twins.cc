// nacelle twins: shows and changes twins.
#include <fmt/format.h>

#include "app/commands/hub_access.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct TwinSettings {
  std::string hub;
  std::string id;
  std::string module;
  std::string file;
  std::string desired;
  std::string tags;
  bool replace = false;
  bool json = false;
};
using Settings = std::shared_ptr<TwinSettings>;

std::string path_of(const TwinSettings& settings) {
  return endpoint::twin_path({device::DeviceId(settings.id), device::ModuleId(settings.module)});
}

void print_twin(const json::Value& twin, bool as_json) { print_line(as_json ? json::print(twin) : json::print_pretty(twin)); }

awaitable<Result<>> show(HubClient& hub, Settings settings) {
  const std::string path = path_of(*settings);
  CO_TRY_LET(const json::Value twin, co_await hub.get(path));
  print_twin(twin, settings->json);
  co_return Result<>{};
}

/// The body of the change: a whole file, or what --desired and --tags say.
Result<json::Value> read_change(const TwinSettings& settings) {
  if (!settings.file.empty()) return read_json_file(settings.file);
  json::Object change;
  if (!settings.desired.empty()) {
    TRY_LET(json::Value desired, in(json::parse(settings.desired), "--desired"));
    change.set("properties", json::Object{{"desired", std::move(desired)}});
  }
  if (!settings.tags.empty()) {
    TRY_LET(json::Value tags, in(json::parse(settings.tags), "--tags"));
    change.set("tags", std::move(tags));
  }
  if (change.empty()) return fail(Fault::invalid_input, "nothing to change: give --file, --desired or --tags");
  return json::Value(std::move(change));
}

awaitable<Result<>> update(HubClient& hub, Settings settings) {
  CO_TRY_LET(json::Value change, read_change(*settings));
  const std::string path = path_of(*settings);
  auto changed = settings->replace ? hub.put(path, std::move(change), "*") : hub.patch(path, std::move(change));
  CO_TRY_LET(const json::Value twin, co_await std::move(changed));
  print_twin(twin, settings->json);
  co_return Result<>{};
}

Settings add_common(CLI::App& command) {
  auto settings = std::make_shared<TwinSettings>();
  add_hub_option(command, settings->hub);
  command.add_option("id", settings->id, "the device")->required();
  command.add_option("--module", settings->module, "one of its modules");
  command.add_flag("--json", settings->json, "one line of JSON");
  return settings;
}

}  // namespace

void add_twins(CLI::App& root, Outcome& outcome) {
  CLI::App* twins = root.add_subcommand("twins", "Show and change twins");
  twins->require_subcommand(1);
  twins->footer("Example:\n  nacelle twins update edge-1 --module classifier --desired '{\"logLevel\":\"Verbose\"}'");

  CLI::App* shows = twins->add_subcommand("show", "A device's or a module's twin");
  const Settings shown = add_common(*shows);
  shows->footer("Example:\n  nacelle twins show Client_001 --json");
  shows->callback([&outcome, shown] { outcome.take(with_hub(shown->hub, [&](HubClient& hub) { return show(hub, shown); })); });

  CLI::App* updates = twins->add_subcommand("update", "Change tags and desired properties (a JSON merge patch)");
  const Settings changed = add_common(*updates);
  updates->add_option("--file", changed->file, "the whole change: {\"tags\":{..},\"properties\":{\"desired\":{..}}}");
  updates->add_option("--desired", changed->desired, "JSON of desired properties");
  updates->add_option("--tags", changed->tags, "JSON of tags");
  updates->add_flag("--replace", changed->replace, "put in place of what is there, instead of merging");
  updates->footer("Example:\n  nacelle twins update Client_001 --desired '{\"rate\":5}' --tags '{\"site\":\"north\"}'");
  updates->callback(
      [&outcome, changed] { outcome.take(with_hub(changed->hub, [&](HubClient& hub) { return update(hub, changed); })); });
}

}  // namespace nacelle::app
