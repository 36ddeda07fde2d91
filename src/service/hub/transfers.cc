#include "service/hub/transfers.h"

#include <fmt/format.h>

#include "codec/text/encoding.h"
#include "foundation/log.h"
#include "foundation/random.h"
#include "service/hub/api.h"

namespace nacelle::hub {
namespace {

constexpr std::size_t batch = 100;  // lines between which other calls have their turn
constexpr const char* devices_file = "devices.txt";
constexpr const char* errors_file = "importErrors.log";
constexpr std::string_view columns = "id, type, input, output, with_keys, status, progress, started_at, ended_at, failure";

json::Value document_of(const storage::Row& row) {
  const auto text = [&](std::size_t column) { return storage::text(row[column]); };
  const auto or_null = [](const std::string& value) { return value.empty() ? json::Value() : json::Value(value); };
  // Containers are named, not addressed: an address is a key.
  return json::Object{{"jobId", text(0)},
                      {"type", text(1)},
                      {"inputBlobContainer", or_null(text(2))},
                      {"outputBlobContainer", or_null(text(3))},
                      {"excludeKeysInExport", storage::integer(row[4]) == 0},
                      {"status", text(5)},
                      {"progress", storage::integer(row[6])},
                      {"startTimeUtc", or_null(text(7))},
                      {"endTimeUtc", or_null(text(8))},
                      {"failureReason", or_null(text(9))}};
}

}  // namespace

Transfers::Transfers(Services& services)
    : services_(services), containers_(services.objects, services.registry.secret(), services.clock), tasks_(services.executor) {}

Result<std::unique_ptr<Transfers>> Transfers::open(Services& services) {
  std::unique_ptr<Transfers> transfers(new Transfers(services));
  TRY(in(transfers->take_up(), "import and export jobs"));
  return transfers;
}

/// What the last stop or kill has left: an export is begun again, since its file appears whole or not at all; an import is not,
/// since some of its last lines may have been taken and would be refused now.
Result<> Transfers::take_up() {
  TRY(services_.tables.run("UPDATE transfer SET status = 'enqueued', progress = 0 WHERE status = 'running' AND type = 'export'"));
  TRY_LET(const auto interrupted, services_.tables.query("SELECT id, output, lines FROM transfer WHERE status = 'running'"));
  for (const auto& row : interrupted) {
    const std::string& id = storage::text(row[0]);
    const std::int64_t lines = storage::integer(row[2]);
    TRY_LET(const std::string errors, errors_of(id));
    if (const auto written = containers_.put(storage::text(row[1]), errors_file, errors); !written)
      log::warn("hub", "import job {}: {}: {}", id, errors_file, written.error().message);
    TRY(end(id, fail(Fault::unavailable,
                     fmt::format(
                         "the hub was stopped in the middle of it: lines 1 to {} of {} were taken, but for those in {}; of the {} "
                         "after them some may have been. Import the rest again, with importMode createOrUpdate",
                         lines, devices_file, errors_file, batch))));
  }
  TRY_LET(const auto waiting, services_.tables.query("SELECT 1 FROM transfer WHERE status = 'enqueued' LIMIT 1"));
  if (!waiting.empty()) run_soon();
  return {};
}

void Transfers::run_soon() {
  if (running_) return;
  running_ = true;
  tasks_.spawn(run_waiting());
}

awaitable<void> Transfers::close() { co_await tasks_.close(); }

Result<TransferRequest> Transfers::read(const json::Value& document) const {
  TRY_LET(const std::string type, json::get_string(document, "type", "job"));
  if (type != "import" && type != "export")
    return fail(Fault::invalid_input, fmt::format("job: type: expected import or export, found '{}'", type.substr(0, 64)));
  TRY_LET(const std::string authentication, json::get_string_or(document, "storageAuthenticationType", "KeyBased", "job"));
  if (authentication != "KeyBased")
    return fail(Fault::invalid_input, "job: storageAuthenticationType: expected KeyBased; containers are the hub's own");
  TransferRequest request;
  request.import = type == "import";
  if (request.import) {
    TRY_LET(const std::string uri, json::get_string(document, "inputBlobContainerUri", "job"));
    TRY_LET(request.input, in(containers_.container_of(uri), "job: inputBlobContainerUri"));
  }
  TRY_LET(const std::string uri, json::get_string(document, "outputBlobContainerUri", "job"));
  TRY_LET(request.output, in(containers_.container_of(uri), "job: outputBlobContainerUri"));
  TRY_LET(const bool without_keys, json::get_bool_or(document, "excludeKeysInExport", false, "job"));
  request.keys = !without_keys;
  return request;
}

Result<json::Value> Transfers::start(const TransferRequest& request) {
  TRY_LET(const auto waiting, services_.tables.query("SELECT count(*) FROM transfer WHERE status = 'enqueued'"));
  if (storage::integer(waiting[0][0]) >= most_waiting)
    return fail(Fault::exhausted, fmt::format("{} import and export jobs wait, the most that may", most_waiting));
  const std::string id = random_uuid();
  TRY(services_.tables.run(fmt::format("INSERT INTO transfer ({}) VALUES (?, ?, ?, ?, ?, 'enqueued', 0, ?, '', '')", columns), id,
                           request.import ? "import" : "export", request.input, request.output, request.keys,
                           format_iso8601(services_.clock.now())));
  TRY(
      services_.tables.run("DELETE FROM transfer WHERE sequence IN (SELECT sequence FROM transfer WHERE status NOT IN ('enqueued', "
                           "'running') ORDER BY sequence DESC LIMIT -1 OFFSET ?)",
                           most_kept));
  run_soon();
  return find(id);
}

Result<json::Value> Transfers::find(const std::string& id) const {
  TRY_LET(const auto rows, services_.tables.query(fmt::format("SELECT {} FROM transfer WHERE id = ?", columns), id));
  if (rows.empty()) return fail(Fault::not_found, "there is no import or export job of this id");
  return document_of(rows[0]);
}

Result<json::Array> Transfers::list() const {
  TRY_LET(const auto rows,
          services_.tables.query(fmt::format("SELECT {} FROM transfer ORDER BY sequence DESC LIMIT ?", columns), most_kept));
  json::Array jobs;
  for (const auto& row : rows) jobs.push_back(document_of(row));
  return jobs;
}

Result<json::Value> Transfers::cancel(const std::string& id) {
  TRY(services_.tables.run(
      "UPDATE transfer SET status = 'cancelled', ended_at = ? WHERE id = ? AND status IN ('enqueued', 'running')",
      format_iso8601(services_.clock.now()), id));
  return find(id);
}

Result<std::optional<std::string>> Transfers::next_waiting() {
  TRY_LET(const auto rows, services_.tables.query("SELECT id FROM transfer WHERE status = 'enqueued' ORDER BY sequence LIMIT 1"));
  if (rows.empty()) {
    running_ = false;
    return std::optional<std::string>{};
  }
  const std::string id = storage::text(rows[0][0]);
  TRY(services_.tables.run("UPDATE transfer SET status = 'running' WHERE id = ?", id));
  return std::optional(id);
}

/// False if the job was cancelled.
Result<bool> Transfers::note_progress(const std::string& id, std::size_t done, std::size_t all) {
  const auto percent = static_cast<std::int64_t>(all == 0 ? 100 : done * 100 / all);
  TRY_LET(const auto changed,
          services_.tables.run("UPDATE transfer SET progress = ? WHERE id = ? AND status = 'running'", percent, id));
  return changed > 0;
}

Result<> Transfers::end(const std::string& id, const Result<>& outcome) {
  const auto write = [&]() -> Result<> {
    TRY(services_.tables.run("UPDATE transfer SET status = ?, ended_at = ?, failure = ? WHERE id = ? AND status = 'running'",
                             outcome ? "completed" : "failed", format_iso8601(services_.clock.now()),
                             outcome ? std::string() : outcome.error().message, id));
    TRY(services_.tables.run("DELETE FROM transfer_error WHERE job = ?", id));
    return {};
  };
  return services_.tables.transaction(write);
}

/// What becomes of importErrors.log.
Result<std::string> Transfers::errors_of(const std::string& id) const {
  TRY_LET(const auto rows, services_.tables.query("SELECT text FROM transfer_error WHERE job = ? ORDER BY line", id));
  std::string errors;
  for (const auto& row : rows) errors += storage::text(row[0]) + "\n";
  return errors;
}

awaitable<void> Transfers::run_waiting() {
  while (true) {
    auto look = [this] { return next_waiting(); };
    const auto id = co_await run_on(services_.disk.tables(), look);
    if (!id) log::error("hub", "import and export jobs: {}", id.error().message);
    if (!id || !*id) co_return;
    auto read_back = [this, id = **id]() -> Result<TransferRequest> {
      TRY_LET(const auto rows, services_.tables.query("SELECT type, input, output, with_keys FROM transfer WHERE id = ?", id));
      if (rows.empty()) return fail(Fault::not_found, "the job has gone");
      return TransferRequest{storage::text(rows[0][0]) == "import", storage::text(rows[0][1]), storage::text(rows[0][2]),
                             storage::integer(rows[0][3]) != 0};
    };
    const auto request = co_await run_on(services_.disk.tables(), read_back);
    Result<> outcome;
    if (!request)
      outcome = fail(request.error());
    else if (request->import)
      outcome = co_await run_import(**id, *request);
    else
      outcome = co_await run_export(**id, *request);
    if (!outcome) log::warn("hub", "import or export job {}: {}", **id, outcome.error().message);
    auto write = [this, id = **id, outcome] { return end(id, outcome); };
    const auto ended = co_await run_on(services_.disk.tables(), write);
    if (!ended) log::error("hub", "import and export jobs: {}", ended.error().message);
  }
}

awaitable<Result<>> Transfers::run_export(std::string id, TransferRequest request) {
  auto open = [this, request] { return containers_.create(request.output, devices_file); };
  CO_TRY_LET(const auto writer, co_await run_on(services_.disk.files(), open));
  std::string after;
  std::size_t done = 0;
  while (true) {
    struct Page {
      std::string lines;
      std::string last;
      std::size_t count = 0;
      bool going_on = true;
    };
    auto gather = [this, id, after, done, keys = request.keys]() -> Result<Page> {
      TRY_LET(const auto names, services_.registry.names_after(after, batch));
      Page page;
      for (const auto& name : names) page.lines += export_lines(services_, name, keys);
      page.count = names.size();
      if (!names.empty()) page.last = names.back().device.str();
      TRY_LET(const auto counts, services_.registry.counts());
      TRY_LET(page.going_on, note_progress(id, done + page.count, static_cast<std::size_t>(counts.total)));
      return page;
    };
    CO_TRY_LET(const Page page, co_await run_on(services_.disk.tables(), gather));
    if (!page.going_on) co_return Result<>{};
    auto write = [&writer, &page] { return writer->write(page.lines); };
    CO_TRY(co_await run_on(services_.disk.files(), write));
    done += page.count;
    after = page.last;
    if (page.count < batch) break;
  }
  auto commit = [&writer] { return writer->commit(); };
  CO_TRY(co_await run_on(services_.disk.files(), commit));
  co_return Result<>{};
}

awaitable<Result<>> Transfers::run_import(std::string id, TransferRequest request) {
  auto read = [this, request] { return containers_.get(request.input, devices_file); };
  CO_TRY_LET(const Bytes text, co_await run_on(services_.disk.files(), read));
  const auto lines = text::split(text, '\n');
  for (std::size_t first = 0; first < lines.size(); first += batch) {
    auto work = [this, id, &lines, first] { return import_lines(id, lines, first); };
    CO_TRY_LET(const bool going_on, co_await run_on(services_.disk.tables(), work));
    if (!going_on) break;
  }
  auto gather = [this, id] { return errors_of(id); };
  CO_TRY_LET(const std::string errors, co_await run_on(services_.disk.tables(), gather));
  auto write = [this, request, &errors] { return containers_.put(request.output, errors_file, errors); };
  CO_TRY(co_await run_on(services_.disk.files(), write));
  co_return Result<>{};
}

/// One batch, and how far the job is then, together with what of the batch was not taken. False if the job was cancelled.
Result<bool> Transfers::import_lines(const std::string& id, const std::vector<std::string_view>& lines, std::size_t first) {
  const std::size_t last = std::min(first + batch, lines.size());
  std::vector<std::pair<std::size_t, std::string>> errors;
  for (std::size_t at = first; at < last; ++at) {
    const std::string_view line = text::trim(lines[at]);
    if (line.empty()) continue;
    const auto item = json::parse(line);
    const auto error = item ? import_item(services_, *item)
                            : std::optional<json::Object>(json::Object{{"errorCode", kinds::deserialization.name},
                                                                       {"errorStatus", std::to_string(kinds::deserialization.code)},
                                                                       {"errorMessage", item.error().message}});
    if (!error) continue;
    json::Object told{{"line", static_cast<std::int64_t>(at + 1)}};
    for (const auto& [name, value] : *error) told.set(name, value);
    errors.emplace_back(at + 1, json::print(told));
  }
  bool going_on = false;
  const auto note = [&]() -> Result<> {
    for (const auto& [line, text] : errors)
      TRY(services_.tables.run("INSERT OR REPLACE INTO transfer_error VALUES (?, ?, ?)", id, line, text));
    TRY(services_.tables.run("UPDATE transfer SET lines = ? WHERE id = ?", last, id));
    TRY_LET(going_on, note_progress(id, last, lines.size()));
    return {};
  };
  TRY(services_.tables.transaction(note));
  return going_on;
}

}  // namespace nacelle::hub
