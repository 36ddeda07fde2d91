// nacelle events: reads messages back from the hub.
#include <fmt/format.h>

#include <chrono>

#include "app/commands/hub_access.h"
#include "codec/text/encoding.h"
#include "service/endpoint/hub_file.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct EventSettings {
  std::string hub;
  std::string device;
  std::string group = "$Default";
  std::string from = "end";
  std::vector<std::string> offsets;  // PARTITION:OFFSET
  std::int64_t partition = -1;
  std::uint64_t most = 0;
  std::int64_t idle_seconds = 0;
  bool checkpoint = false;
  bool json = false;
};
using Settings = std::shared_ptr<EventSettings>;

std::string text_at(const json::Value& event, std::initializer_list<std::string_view> path) {
  const json::Value* value = event.at_path(path);
  return value && value->is_string() ? value->as_string() : std::string();
}

void print_event(const json::Value& event, bool as_json) {
  if (as_json) return print_line(json::print(event));
  std::string sender = text_at(event, {"systemProperties", "connectionDeviceId"});
  if (const auto module = text_at(event, {"systemProperties", "connectionModuleId"}); !module.empty()) sender += "/" + module;
  const json::Value* body = event.find("body");
  print_line(fmt::format("{} {} {}", text_at(event, {"enqueuedTimeUtc"}), sender, body ? json::print(*body) : "null"));
}

std::string target_of(const EventSettings& settings, const json::Value& next, std::uint64_t wanted, std::int64_t wait_seconds) {
  std::string target =
      fmt::format("/events?consumerGroup={}&from={}&maxEvents={}&waitSeconds={}", text::percent_encode(settings.group),
                  text::percent_encode(settings.from), std::min<std::uint64_t>(wanted, 500), wait_seconds);
  if (settings.partition >= 0) target += fmt::format("&partition={}", settings.partition);
  if (!settings.device.empty()) target += "&device=" + text::percent_encode(settings.device);
  if (!next.is_null()) target += "&next=" + text::percent_encode(json::print(next));
  return target;
}

/// `0:13` and the like as `{"0":13}`; null if there are none.
Result<json::Value> positions_of(const std::vector<std::string>& offsets) {
  json::Object positions;
  for (const std::string& text : offsets) {
    const auto colon = text.find(':');
    if (colon == std::string::npos)
      return fail(Fault::invalid_input, fmt::format("expected PARTITION:OFFSET such as 0:1200, found '{}'", text));
    TRY_LET(const std::int64_t partition, text::parse_integer(std::string_view(text).substr(0, colon), "partition"));
    TRY_LET(const std::int64_t offset, text::parse_integer(std::string_view(text).substr(colon + 1), "offset"));
    positions.set(std::to_string(partition), offset);
  }
  if (positions.empty()) return json::Value();
  return json::Value(std::move(positions));
}

awaitable<Result<>> watch(HubClient& hub, Settings settings) {
  CO_TRY_LET(json::Value next, positions_of(settings->offsets));
  std::uint64_t left = settings->most == 0 ? ~std::uint64_t{0} : settings->most;
  const std::int64_t wait_seconds = settings->idle_seconds > 0 ? std::min<std::int64_t>(settings->idle_seconds, 20) : 20;
  auto last_seen = std::chrono::steady_clock::now();
  while (left > 0) {
    const std::string target = target_of(*settings, next, left, wait_seconds);
    CO_TRY_LET(const json::Value answer, co_await hub.get(target));
    const json::Value* events = answer.find("events");
    const json::Value* positions = answer.find("next");
    if (!events || !events->is_array() || !positions) co_return fail(Fault::unavailable, "the hub's answer holds no events");
    for (const auto& event : events->as_array()) print_event(event, settings->json);
    left -= std::min<std::uint64_t>(left, events->as_array().size());
    next = *positions;
    if (!events->as_array().empty()) last_seen = std::chrono::steady_clock::now();
    if (settings->checkpoint && !events->as_array().empty()) {
      json::Value body = json::Object{{"consumerGroup", settings->group}, {"next", next}};
      CO_TRY(co_await hub.post("/events/checkpoint", std::move(body)));
    }
    const bool idle =
        settings->idle_seconds > 0 && std::chrono::steady_clock::now() - last_seen >= std::chrono::seconds{settings->idle_seconds};
    if (idle) break;
  }
  co_return Result<>{};
}

// -- Consumer groups

struct GroupSettings {
  std::string hub;
  std::string group = "$Default";
  std::vector<std::string> offsets;
  bool json = false;
};
using GroupSettingsPtr = std::shared_ptr<GroupSettings>;

std::string number_at(const json::Value& object, std::string_view key) {
  const json::Value* value = object.find(key);
  return value ? json::print(*value) : "-";
}

awaitable<Result<>> list_groups(HubClient& hub, GroupSettingsPtr settings) {
  CO_TRY_LET(const json::Value answer, co_await hub.get("/events/consumergroups"));
  if (settings->json) {
    print_line(json::print(answer));
    co_return Result<>{};
  }
  const json::Value* groups = answer.find("consumerGroups");
  if (!groups || !groups->is_array()) co_return fail(Fault::unavailable, "the hub's answer holds no consumer groups");
  for (const json::Value& group : groups->as_array()) {
    std::string places;
    if (const json::Value* partitions = group.find("partitions"); partitions && partitions->is_array())
      for (const json::Value& one : partitions->as_array())
        places += fmt::format(" {}:{}", number_at(one, "partition"), number_at(one, "next"));
    print_line(fmt::format("{:<24} behind {:>10}  next{}", text_at(group, {"name"}), number_at(group, "behind"), places));
  }
  co_return Result<>{};
}

awaitable<Result<>> set_checkpoint(HubClient& hub, GroupSettingsPtr settings) {
  CO_TRY_LET(json::Value next, positions_of(settings->offsets));
  json::Value body = json::Object{{"consumerGroup", settings->group}, {"next", std::move(next)}};
  CO_TRY(co_await hub.post("/events/checkpoint", std::move(body)));
  co_return Result<>{};
}

awaitable<Result<>> forget_group(HubClient& hub, GroupSettingsPtr settings) {
  const std::string target = "/events/consumergroups/" + text::percent_encode(settings->group);
  CO_TRY(co_await hub.remove(target));
  co_return Result<>{};
}

CLI::App* add_group_verb(CLI::App& events, Outcome& outcome, const char* verb, const char* help,
                         awaitable<Result<>> (*work)(HubClient&, GroupSettingsPtr), GroupSettingsPtr& settings) {
  settings = std::make_shared<GroupSettings>();
  CLI::App* command = events.add_subcommand(verb, help);
  add_hub_option(*command, settings->hub);
  run_on_hub(*command, outcome, settings, work);
  return command;
}

// -- For Event Hubs clients

struct AddressSettings {
  std::string hub;
  std::string policy = "service";
  bool secondary = false;
  bool json = false;
};

/// What an Event Hubs client is given to read this hub: the hub's name is the entity's too (docs/amqp.md).
awaitable<Result<>> connection_string(HubClient& hub, std::shared_ptr<AddressSettings> settings) {
  const std::string path = fmt::format("/policies/{}/keys", text::percent_encode(settings->policy));
  CO_TRY_LET(const endpoint::HubFile file, endpoint::read_hub_file(settings->hub));
  if (file.amqps == 0) co_return fail(Fault::unavailable, "the hub does not say at which port it speaks AMQP: start it again");
  CO_TRY_LET(const json::Value policy, co_await hub.get(path));
  CO_TRY_LET(const std::string key,
             json::get_string(policy, settings->secondary ? "secondaryKey" : "primaryKey", "the hub's answer"));
  const std::string text = fmt::format("Endpoint=sb://{}:{}/;SharedAccessKeyName={};SharedAccessKey={};EntityPath={}", file.host,
                                       file.amqps, settings->policy, key, file.host);
  print_line(settings->json ? json::print(json::Object{{"connectionString", text}}) : text);
  co_return Result<>{};
}

void add_connection_string(CLI::App& events, Outcome& outcome) {
  CLI::App* tells = events.add_subcommand("connection-string",
                                          "Print a connection string for Event Hubs clients, which read over AMQP: a secret");
  const auto settings = std::make_shared<AddressSettings>();
  add_hub_option(*tells, settings->hub);
  tells->add_option("--policy", settings->policy, "a shared access policy with ServiceConnect")->capture_default_str();
  tells->add_flag("--secondary", settings->secondary, "with the secondary key");
  tells->add_flag("--json", settings->json, "one line of JSON");
  run_on_hub(*tells, outcome, settings, connection_string);
  tells->footer("Example:\n  nacelle events connection-string");
}

void add_groups(CLI::App& events, Outcome& outcome) {
  GroupSettingsPtr settings;
  CLI::App* lists =
      add_group_verb(events, outcome, "groups", "Consumer groups: where they are and how far behind", list_groups, settings);
  lists->add_flag("--json", settings->json, "the hub's answer as it stands");
  lists->footer("Example:\n  nacelle events groups");
  CLI::App* sets = add_group_verb(events, outcome, "checkpoint", "Set where a consumer group goes on", set_checkpoint, settings);
  sets->add_option("--group", settings->group, "consumer group")->capture_default_str();
  sets->add_option("--offset", settings->offsets, "PARTITION:OFFSET; may be given several times")->required();
  sets->footer("Example:\n  nacelle events checkpoint --group reports --offset 0:1200 --offset 1:900");
  CLI::App* forgets = add_group_verb(events, outcome, "forget", "Forget a consumer group's checkpoints", forget_group, settings);
  forgets->add_option("--group", settings->group, "consumer group")->required();
  forgets->footer("Example:\n  nacelle events forget --group reports");
}

}  // namespace

void add_events(CLI::App& root, Outcome& outcome) {
  CLI::App* events = root.add_subcommand("events", "Read messages back from the hub");
  events->require_subcommand(1);
  events->footer("Example:\n  nacelle events watch --device Client_001");
  CLI::App* watches = events->add_subcommand("watch", "Print messages as they arrive");
  const auto settings = std::make_shared<EventSettings>();
  add_hub_option(*watches, settings->hub);
  watches->add_option("--device", settings->device, "only this device's");
  watches->add_option("--group", settings->group, "consumer group")->capture_default_str();
  watches->add_option("--from", settings->from, "start, end, checkpoint, or a time such as 2030-01-01T10:00:00Z")
      ->capture_default_str();
  watches->add_option("--offset", settings->offsets, "begin at PARTITION:OFFSET; may be given several times");
  watches->add_option("--partition", settings->partition, "only this partition")->check(CLI::Range(0, 65535));
  watches->add_option("--max", settings->most, "end after so many (default: never)")->type_name("N");
  watches->add_option("--idle", settings->idle_seconds, "end when nothing came for so many seconds (default: never)")
      ->type_name("SECONDS");
  watches->add_flag("--checkpoint", settings->checkpoint, "remember the place for the consumer group");
  watches->add_flag("--json", settings->json, "one line of JSON a message");
  watches->footer("Example:\n  nacelle events watch --from start --max 10 --json");
  watches->callback(
      [&outcome, settings] { outcome.take(with_hub(settings->hub, [&](HubClient& hub) { return watch(hub, settings); })); });
  add_groups(*events, outcome);
  add_connection_string(*events, outcome);
}

}  // namespace nacelle::app
