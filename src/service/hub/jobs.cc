#include "service/hub/jobs.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "service/hub/api.h"
#include "service/hub/reach.h"

namespace nacelle::hub {
namespace {

using device::IdentityName;

constexpr std::size_t updates_at_once = 50;  // in one transaction, and before anyone else's turn on the tables
constexpr std::chrono::hours kept_for{24 * 30};
constexpr std::chrono::seconds look_again{1};
constexpr std::size_t max_id_size = 128;
constexpr std::chrono::seconds longest{86400 * 2};

constexpr std::pair<std::string_view, JobType> types[] = {{"scheduleUpdateTwin", JobType::update_twin},
                                                          {"scheduleDeviceMethod", JobType::device_method}};
std::string_view name_of(JobType type) { return types[type == JobType::update_twin ? 0 : 1].first; }

constexpr std::string_view job_columns = "id, type, document, status, created_at, start_at, ended_at, max_seconds, failure";

json::Value text_or_null(const std::string& text) { return text.empty() ? json::Value() : json::Value(text); }

/// Why one device's part failed, as a row of devices.jobs shows it.
std::string error_text(const Error& error) {
  const ErrorKind& kind = error.fault == Fault::not_found ? kinds::device_not_online : kind_of(error.fault);
  return json::print(json::Object{{"code", kind.name}, {"description", error.message}});
}

}  // namespace

struct Jobs::Running {
  std::string id;
  JobType type;
  json::Value content;
  Timestamp ends_at;
};

Result<JobRequest> read_job(const json::Value& document, const std::string& id) {
  if (!document.is_object())
    return fail(Fault::invalid_input, fmt::format("job: expected an object, found {}", json::type_name(document)));
  JobRequest request;
  request.id = id;
  const bool good =
      !id.empty() && id.size() <= max_id_size && id != "query" &&
      id.find_first_not_of("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-:.+%_#*?!(),=@$'") == std::string::npos;
  if (!good)
    return fail(Fault::invalid_input, fmt::format("job id: expected 1 to {} letters, digits and -:.+%_#*?!(),=@$'", max_id_size));
  TRY_LET(const std::string named, json::get_string_or(document, "jobId", id, "job"));
  if (named != id) return fail(Fault::invalid_input, "job: jobId: expected the one in the path, found another");
  TRY_LET(const std::string type, json::get_string(document, "type", "job"));
  const auto known =
      std::find_if(std::begin(types), std::end(types), [&](const auto& one) { return text::equal_ignoring_case(one.first, type); });
  if (known == std::end(types))
    return fail(Fault::invalid_input,
                fmt::format("job: type: expected scheduleUpdateTwin or scheduleDeviceMethod, found '{}'", type));
  request.type = known->second;
  TRY_LET(request.query_condition, json::get_string_or(document, "queryCondition", "", "job"));
  TRY_LET(const query::Selection selection, query::parse_selection(request.query_condition, "job: queryCondition"));
  if (selection.nobody) return fail(Fault::invalid_input, "job: queryCondition: expected a condition, or * for every device");

  const std::string_view member = request.type == JobType::update_twin ? "updateTwin" : "cloudToDeviceMethod";
  TRY_LET(const json::Object* content, json::get_object_or_null(document, member, "job"));
  if (!content) return fail(Fault::invalid_input, fmt::format("job: {}: expected an object, found none", member));
  request.content = *content;
  if (request.type == JobType::update_twin) {
    TRY_LET(const twin::ServicePatch patch, twin::parse_service_patch(request.content));
    if (!patch.tags && !patch.desired) return fail(Fault::invalid_input, "job: updateTwin: expected tags or properties.desired");
    TRY(json::get_string_or(request.content, "etag", "*", "job: updateTwin"));
  } else {
    TRY(in(read_method_request(request.content), "job: cloudToDeviceMethod"));
  }
  const json::Value* start = document.find("startTime");
  if (start && !start->is_null()) {
    TRY_LET(const std::string text, json::get_string(document, "startTime", "job"));
    TRY_LET(request.start, in(parse_iso8601(text), "job: startTime"));
  }
  TRY_LET(const std::int64_t seconds, json::get_integer_or(document, "maxExecutionTimeInSeconds", 3600, "job"));
  if (seconds < 1 || seconds > longest.count())
    return fail(Fault::invalid_input,
                fmt::format("job: maxExecutionTimeInSeconds: expected 1 to {}, found {}", longest.count(), seconds));
  request.most_time = std::chrono::seconds{seconds};
  return request;
}

Jobs::Jobs(Services& services) : services_(services), calls_(services.executor) {}

Result<std::unique_ptr<Jobs>> Jobs::open(Services& services) {
  std::unique_ptr<Jobs> jobs(new Jobs(services));
  TRY(services.tables.run("UPDATE device_job SET status = 'failed', ended_at = ?, error = ? WHERE status = 'running'",
                          jobs->now_text(),
                          error_text({Fault::unavailable, "the hub ended before the answer came; the call was not repeated"})));
  TRY_LET(const auto rows, services.tables.query("SELECT count(*) FROM job WHERE status IN ('scheduled', 'running')"));
  jobs->unfinished_ = static_cast<std::size_t>(storage::integer(rows[0][0]));
  return jobs;
}

std::string Jobs::now_text() const { return format_iso8601(services_.clock.now()); }

awaitable<void> Jobs::run() {
  while (true) {
    if (unfinished_ > 0) asio::post(services_.disk.tables(), [this] { advance(); });
    const bool rested = co_await sleep_for(look_again);
    if (!rested) co_return;
  }
}

awaitable<void> Jobs::close() {
  auto stop = [this] { return stopped_ = true; };
  co_await run_on(services_.disk.tables(), stop);
  co_await calls_.close();
}

Result<json::Value> Jobs::schedule(const JobRequest& request) {
  TRY(prune());
  TRY_LET(const auto there, services_.tables.query("SELECT 1 FROM job WHERE id = ?", request.id));
  if (!there.empty()) return fail(Fault::conflict, fmt::format("job '{}' exists", request.id));
  if (unfinished_ >= max_unfinished)
    return fail(Fault::exhausted, fmt::format("{} jobs are unfinished, the most there may be", max_unfinished));
  const json::Value document = json::Object{{"queryCondition", request.query_condition}, {"content", request.content}};
  const Timestamp now = services_.clock.now();
  TRY(services_.tables.run(fmt::format("INSERT INTO job ({}) VALUES (?, ?, ?, 'scheduled', ?, ?, '', ?, '')", job_columns),
                           request.id, name_of(request.type), json::print(document), format_iso8601(now),
                           format_iso8601(request.start == Timestamp{} ? now : request.start), request.most_time.count()));
  ++unfinished_;
  asio::post(services_.disk.tables(), [this] { advance(); });
  return find(request.id);
}

Result<json::Value> Jobs::find(const std::string& id) {
  TRY_LET(const auto rows, services_.tables.query(fmt::format("SELECT {} FROM job WHERE id = ?", job_columns), id));
  if (rows.empty()) return fail(Fault::not_found, fmt::format("job '{}' is not there", id));
  return document(rows[0]);
}

Result<json::Value> Jobs::cancel(const std::string& id) {
  TRY(find(id));
  const auto write = [&]() -> Result<> {
    TRY_LET(const auto changed,
            services_.tables.run(
                "UPDATE job SET status = 'cancelled', ended_at = ? WHERE id = ? AND status IN ('scheduled', 'running')", now_text(),
                id));
    if (changed == 0) return {};
    TRY(services_.tables.run("UPDATE device_job SET status = 'canceled', ended_at = ? WHERE job = ? AND status = 'pending'",
                             now_text(), id));
    --unfinished_;
    return {};
  };
  TRY(services_.tables.transaction(write));
  return find(id);
}

Result<QueryPage> Jobs::list(const std::string& type, const std::string& status, std::size_t page_size,
                             const std::string& continuation) {
  std::int64_t skip = 0;
  if (!continuation.empty()) {
    TRY_LET(skip, text::parse_integer(continuation, "x-ms-continuation"));
    if (skip < 0) return fail(Fault::invalid_input, "x-ms-continuation: expected one that an earlier page gave");
  }
  TRY_LET(
      const auto rows,
      services_.tables.query(
          fmt::format("SELECT {} FROM job WHERE (?1 = '' OR lower(type) = lower(?1)) AND (?2 = '' OR lower(status) = lower(?2)) "
                      "ORDER BY created_at DESC, id LIMIT ?3 OFFSET ?4",
                      job_columns),
          type, status, page_size + 1, skip));
  QueryPage page;
  page.item_type = "jobResponse";
  for (std::size_t i = 0; i < std::min(rows.size(), page_size); ++i) {
    TRY_LET(json::Value one, document(rows[i]));
    page.rows.push_back(std::move(one));
  }
  if (rows.size() > page_size) page.continuation = std::to_string(skip + static_cast<std::int64_t>(page_size));
  return page;
}

Result<json::Value> Jobs::document(const storage::Row& row) {
  const std::string& id = storage::text(row[0]);
  TRY_LET(const json::Value stored, json::parse(storage::text(row[2])));
  const bool twin = storage::text(row[1]) == name_of(JobType::update_twin);
  const json::Value* content = stored.find("content");
  TRY_LET(const auto counts, services_.tables.query("SELECT status, count(*) FROM device_job WHERE job = ? GROUP BY status", id));
  std::map<std::string, std::int64_t> of;
  std::int64_t all = 0;
  for (const storage::Row& count : counts) {
    of[storage::text(count[0])] = storage::integer(count[1]);
    all += storage::integer(count[1]);
  }
  return json::Value(json::Object{{"jobId", id},
                                  {"queryCondition", *stored.find("queryCondition")},
                                  {"createdTime", storage::text(row[4])},
                                  {"startTime", storage::text(row[5])},
                                  {"endTime", text_or_null(storage::text(row[6]))},
                                  {"maxExecutionTimeInSeconds", storage::integer(row[7])},
                                  {"type", storage::text(row[1])},
                                  {"cloudToDeviceMethod", twin || !content ? json::Value() : *content},
                                  {"updateTwin", twin && content ? *content : json::Value()},
                                  {"status", storage::text(row[3])},
                                  {"failureReason", text_or_null(storage::text(row[8]))},
                                  {"statusMessage", nullptr},
                                  {"deviceJobStatistics", json::Object{{"deviceCount", all},
                                                                       {"failedCount", of["failed"]},
                                                                       {"succeededCount", of["completed"]},
                                                                       {"runningCount", of["running"]},
                                                                       {"pendingCount", of["pending"]}}}});
}

// -- Doing them ----------------------------------------------------------------------------------------------------------

void Jobs::step() { advance(); }

void Jobs::advance() {
  if (advancing_ || stopped_) return;
  auto more = advance_once();
  if (!more) {
    log::error("hub", "jobs: {}", more.error().message);  // tried again with the next look
    return;
  }
  if (!*more) return;
  advancing_ = true;  // others have their turn on the tables between two steps
  asio::post(services_.disk.tables(), [this] {
    advancing_ = false;
    advance();
  });
}

/// One step of one job; whether there may be more to do at once.
Result<bool> Jobs::advance_once() {
  TRY_LET(const auto due,
          services_.tables.query("SELECT id FROM job WHERE status = 'scheduled' AND start_at <= ? ORDER BY start_at LIMIT 1",
                                 now_text()));
  if (!due.empty()) {
    TRY(begin(storage::text(due[0][0])));
    return true;
  }
  TRY_LET(const auto rows,
          services_.tables.query(
              "SELECT id, type, document, start_at, max_seconds FROM job WHERE status = 'running' ORDER BY start_at, id"));
  bool more = false;
  for (const storage::Row& row : rows) {
    TRY_LET(const json::Value stored, json::parse(storage::text(row[2])));
    TRY_LET(const Timestamp start, parse_iso8601(storage::text(row[3])));
    const bool twin = storage::text(row[1]) == name_of(JobType::update_twin);
    const json::Value* content = stored.find("content");
    const Running job{storage::text(row[0]), twin ? JobType::update_twin : JobType::device_method,
                      content ? *content : json::Value(), start + std::chrono::seconds{storage::integer(row[4])}};
    if (services_.clock.now() >= job.ends_at) TRY(give_up(job));
    TRY_LET(const bool did, twin ? update_some(job) : call_some(job));
    more = more || did;
    TRY(finish_if_done(job.id));
  }
  return more;
}

/// Finds the job's devices, once and for all.
Result<> Jobs::begin(const std::string& id) {
  TRY_LET(const auto rows, services_.tables.query("SELECT document FROM job WHERE id = ?", id));
  TRY_LET(const json::Value stored, json::parse(storage::text(rows[0][0])));
  TRY_LET(const std::string condition, json::get_string(stored, "queryCondition", "stored job"));
  TRY_LET(const query::Selection selection, query::parse_selection(condition, "job: queryCondition"));
  TRY_LET(const auto names, services_.fleet.queries.select(selection));
  const auto write = [&]() -> Result<> {
    for (const IdentityName& name : names)
      TRY(services_.tables.run("INSERT INTO device_job VALUES (?, ?, ?, 'pending', ?, '', '', '', '')", id, name.device.str(),
                               name.module.str(), now_text()));
    // A job that begins late has its whole time from then on.
    TRY(services_.tables.run("UPDATE job SET status = 'running', start_at = ? WHERE id = ?", now_text(), id));
    return {};
  };
  log::info("hub", "job '{}' begins for {} devices or modules", id, names.size());
  return services_.tables.transaction(write);
}

Result<> Jobs::give_up(const Running& job) {
  TRY(services_.tables.run("UPDATE device_job SET status = 'failed', ended_at = ?, error = ? WHERE job = ? AND status = 'pending'",
                           now_text(), error_text({Fault::timed_out, "the job's time was over before this device's turn"}),
                           job.id));
  return {};
}

Result<std::vector<IdentityName>> Jobs::pending(const std::string& job, std::size_t most) {
  TRY_LET(
      const auto rows,
      services_.tables.query(
          "SELECT device, module FROM device_job WHERE job = ? AND status = 'pending' ORDER BY device, module LIMIT ?", job, most));
  std::vector<IdentityName> names;
  for (const storage::Row& row : rows)
    names.push_back({device::DeviceId(storage::text(row[0])), device::ModuleId(storage::text(row[1]))});
  return names;
}

Result<bool> Jobs::update_some(const Running& job) {
  TRY_LET(const auto names, pending(job.id, updates_at_once));
  if (names.empty()) return false;
  TRY_LET(const twin::ServicePatch patch, twin::parse_service_patch(job.content));
  TRY_LET(const std::string etag, json::get_string_or(job.content, "etag", "*", "job: updateTwin"));
  std::vector<std::pair<IdentityName, std::int64_t>> changed;
  const auto update = [&](const IdentityName& name) -> Result<> {
    TRY_LET(twin::Twin twin, services_.registry.twin(name));
    if (!twin::etag_matches(etag, twin.etag)) return fail(Fault::conflict, "the twin has another etag than the job names");
    TRY_LET(const twin::Twin next, twin::apply(std::move(twin), patch, false, services_.clock.now()));
    TRY(services_.registry.put_twin(name, next));
    if (patch.desired) changed.emplace_back(name, next.desired.version);
    return {};
  };
  const auto write = [&]() -> Result<> {
    for (const IdentityName& name : names) {
      const auto updated = update(name);
      const Fault fault = updated ? Fault::not_found : updated.error().fault;
      const bool ours = fault != Fault::invalid_input && fault != Fault::not_found && fault != Fault::conflict;
      if (ours) return updated;  // the disk, not the device: nothing is written, and it is tried again
      TRY(services_.tables.run(
          "UPDATE device_job SET status = ?, started_at = ?, ended_at = ?, outcome = ?, error = ? WHERE job = ? AND device = ? AND "
          "module = ?",
          updated ? "completed" : "failed", now_text(), now_text(), updated ? "{}" : "",
          updated ? std::string() : error_text(updated.error()), job.id, name.device.str(), name.module.str()));
    }
    return {};
  };
  TRY(services_.tables.transaction(write));
  for (const auto& [name, version] : changed)
    services_.reach.notify_desired(name, twin::desired_notification(*patch.desired, version), version);
  return true;
}

Result<bool> Jobs::call_some(const Running& job) {
  if (calling_ >= calls_at_once) return false;
  TRY_LET(const auto names, pending(job.id, calls_at_once - calling_));
  TRY_LET(const MethodRequest request, read_method_request(job.content));
  for (const IdentityName& name : names) {
    TRY(services_.tables.run("UPDATE device_job SET status = 'running', started_at = ? WHERE job = ? AND device = ? AND module = ?",
                             now_text(), job.id, name.device.str(), name.module.str()));
    ++calling_;
    calls_.spawn(call(name, job.id, request));
  }
  return false;  // each answer comes back here
}

awaitable<void> Jobs::call(IdentityName who, std::string job, MethodRequest request) {
  const Result<MethodAnswer> answer = co_await services_.methods.invoke(who, request);
  auto finish = [this, who, job, answer]() -> Result<> {
    --calling_;
    TRY(called(who, job, answer));
    advance();
    return {};
  };
  const auto finished = co_await run_on(services_.disk.tables(), finish);
  if (!finished) log::error("hub", "job '{}': {}", job, finished.error().message);
}

Result<> Jobs::called(const IdentityName& who, const std::string& job, const Result<MethodAnswer>& answer) {
  const bool well = answer.has_value();
  const std::string outcome =
      well ? json::print(
                 json::Object{{"deviceMethodResponse", json::Object{{"status", answer->status}, {"payload", answer->payload}}}})
           : std::string();
  TRY(services_.tables.run(
      "UPDATE device_job SET status = ?, ended_at = ?, outcome = ?, error = ? WHERE job = ? AND device = ? AND module = ?",
      well ? "completed" : "failed", now_text(), outcome, well ? std::string() : error_text(answer.error()), job, who.device.str(),
      who.module.str()));
  return finish_if_done(job);
}

Result<> Jobs::finish_if_done(const std::string& id) {
  TRY_LET(
      const auto changed,
      services_.tables.run("UPDATE job SET status = 'completed', ended_at = ? WHERE id = ? AND status = 'running' AND NOT EXISTS "
                           "(SELECT 1 FROM device_job WHERE job = job.id AND device_job.status IN ('pending', 'running'))",
                           now_text(), id));
  if (changed > 0) --unfinished_;
  return {};
}

/// What ended long ago is forgotten.
Result<> Jobs::prune() {
  const std::string before = format_iso8601(services_.clock.now() - kept_for);
  const auto write = [&]() -> Result<> {
    TRY(services_.tables.run("DELETE FROM device_job WHERE job IN (SELECT id FROM job WHERE ended_at <> '' AND ended_at < ?)",
                             before));
    TRY(services_.tables.run("DELETE FROM job WHERE ended_at <> '' AND ended_at < ?", before));
    return {};
  };
  return services_.tables.transaction(write);
}

}  // namespace nacelle::hub
