// nacelle jobs: one twin update or method call for every device of a query.
#include <fmt/format.h>

#include "app/commands/hub_access.h"
#include "app/commands/terminal.h"
#include "codec/text/encoding.h"
#include "foundation/random.h"

namespace nacelle::app {
namespace {

using endpoint::HubClient;

struct JobSettings {
  std::string hub;
  std::string id;
  std::string where = "*";
  std::string start;
  std::int64_t seconds = 3600;
  std::string desired;
  std::string tags;
  std::string method;
  std::string payload;
  bool wait = false;
  bool json = false;
};
using Settings = std::shared_ptr<JobSettings>;

std::string path_of(const std::string& id) { return "/jobs/v2/" + text::percent_encode(id); }

std::string count_of(const json::Value& job, std::string_view name) {
  const json::Value* count = job.at_path({"deviceJobStatistics", name});
  return count ? json::print(*count) : "";
}

void print_jobs(const json::Array& jobs) {
  std::vector<std::vector<std::string>> rows;
  const auto text_of = [](const json::Value& job, const char* name) {
    const json::Value* value = job.find(name);
    return value && value->is_string() ? value->as_string() : std::string();
  };
  for (const json::Value& job : jobs)
    rows.push_back({text_of(job, "jobId"), text_of(job, "type"), text_of(job, "status"), count_of(job, "deviceCount"),
                    count_of(job, "succeededCount"), count_of(job, "failedCount"), text_of(job, "startTime")});
  print_table({"job", "type", "status", "devices", "succeeded", "failed", "start"}, rows);
}

void print_job(const JobSettings& settings, const json::Value& job) {
  if (settings.json)
    print_line(json::print(job));
  else
    print_jobs({job});
}

bool has_ended(const json::Value& job) {
  const json::Value* status = job.find("status");
  return status && (*status == "completed" || *status == "failed" || *status == "cancelled");
}

awaitable<Result<>> list(HubClient& hub, Settings settings) {
  CO_TRY_LET(const json::Array jobs, co_await all_pages(hub, "GET", "/jobs/v2/query", ""));
  if (settings->json)
    print_line(json::print(jobs));
  else
    print_jobs(jobs);
  co_return Result<>{};
}

awaitable<Result<>> show(HubClient& hub, Settings settings) {
  const std::string path = path_of(settings->id);
  CO_TRY_LET(const json::Value job, co_await hub.get(path));
  print_job(*settings, job);
  co_return Result<>{};
}

awaitable<Result<>> cancel(HubClient& hub, Settings settings) {
  const std::string path = path_of(settings->id) + "/cancel";
  CO_TRY_LET(const json::Value job, co_await hub.post(path, json::Value()));
  print_job(*settings, job);
  co_return Result<>{};
}

Result<json::Value> read_request(const JobSettings& settings) {
  json::Object job{{"jobId", settings.id}, {"queryCondition", settings.where}, {"maxExecutionTimeInSeconds", settings.seconds}};
  if (!settings.start.empty()) job.set("startTime", settings.start);
  const bool twin = !settings.desired.empty() || !settings.tags.empty();
  if (twin == !settings.method.empty()) return fail(Fault::invalid_input, "give either --desired and --tags, or --method");
  if (!twin) {
    json::Value payload;
    if (!settings.payload.empty()) {
      TRY_LET(payload, in(json::parse(settings.payload), "--payload"));
    }
    job.set("type", "scheduleDeviceMethod");
    job.set("cloudToDeviceMethod",
            json::Object{{"methodName", settings.method}, {"payload", std::move(payload)}, {"responseTimeoutInSeconds", 30}});
    return json::Value(std::move(job));
  }
  json::Object update{{"etag", "*"}};
  if (!settings.desired.empty()) {
    TRY_LET(json::Value desired, in(json::parse(settings.desired), "--desired"));
    update.set("properties", json::Object{{"desired", std::move(desired)}});
  }
  if (!settings.tags.empty()) {
    TRY_LET(json::Value tags, in(json::parse(settings.tags), "--tags"));
    update.set("tags", std::move(tags));
  }
  job.set("type", "scheduleUpdateTwin");
  job.set("updateTwin", std::move(update));
  return json::Value(std::move(job));
}

awaitable<Result<>> schedule(HubClient& hub, Settings settings) {
  if (settings->id.empty()) settings->id = "job-" + random_uuid();
  CO_TRY_LET(const json::Value request, read_request(*settings));
  const std::string path = path_of(settings->id);
  CO_TRY_LET(json::Value job, co_await hub.put(path, request));
  while (settings->wait && !has_ended(job)) {
    const bool rested = co_await sleep_for(std::chrono::milliseconds(200));
    if (!rested) break;
    CO_TRY_LET(job, co_await hub.get(path));
  }
  print_job(*settings, job);
  if (settings->wait && count_of(job, "failedCount") != "0")
    co_return fail(Fault::unavailable, fmt::format("job '{}' failed for {} devices", settings->id, count_of(job, "failedCount")));
  co_return Result<>{};
}

Settings add_common(CLI::App& command, bool with_id) {
  auto settings = std::make_shared<JobSettings>();
  add_hub_option(command, settings->hub);
  if (with_id) command.add_option("id", settings->id, "the job")->required();
  command.add_flag("--json", settings->json, "one line of JSON");
  return settings;
}

}  // namespace

void add_jobs(CLI::App& root, Outcome& outcome) {
  CLI::App* jobs = root.add_subcommand("jobs", "One change or call for many devices, followed to its end");
  jobs->require_subcommand(1);
  jobs->footer("Example:\n  nacelle jobs schedule --where \"tags.line = 'a'\" --desired '{\"rate\":5}' --wait");

  CLI::App* lists = jobs->add_subcommand("list", "All jobs, newest first");
  run_on_hub(*lists, outcome, add_common(*lists, false), list);
  lists->footer("Example:\n  nacelle jobs list --json");

  CLI::App* shows = jobs->add_subcommand("show", "How far a job is");
  run_on_hub(*shows, outcome, add_common(*shows, true), show);
  shows->footer("Example:\n  nacelle jobs show job-1");

  CLI::App* cancels = jobs->add_subcommand("cancel", "Leave the devices whose turn has not come");
  run_on_hub(*cancels, outcome, add_common(*cancels, true), cancel);
  cancels->footer("Example:\n  nacelle jobs cancel job-1");

  CLI::App* schedules = jobs->add_subcommand("schedule", "Update the twins, or call a method, of every device that matches");
  const Settings settings = add_common(*schedules, false);
  schedules->add_option("--id", settings->id, "the job's name (default: a new one)");
  schedules->add_option("--where", settings->where,
                        "condition on devices, or FROM devices.modules WHERE .. (default: every device)");
  schedules->add_option("--start", settings->start, "time in ISO 8601 (default: now)");
  schedules->add_option("--max-seconds", settings->seconds, "devices not reached by then fail");
  schedules->add_option("--desired", settings->desired, "JSON of desired properties, merged");
  schedules->add_option("--tags", settings->tags, "JSON of tags, merged");
  schedules->add_option("--method", settings->method, "the method to call");
  schedules->add_option("--payload", settings->payload, "the method's payload, JSON");
  schedules->add_flag("--wait", settings->wait, "come back when the job has ended; exit code 1 if it failed for a device");
  run_on_hub(*schedules, outcome, settings, schedule);
  schedules->footer(
      "Example:\n  nacelle jobs schedule --where \"tags.line = 'a'\" --method reboot --payload '{\"delay\":5}' --wait");
}

}  // namespace nacelle::app
