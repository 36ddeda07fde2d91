#include "service/hub/capture_stream.h"

#include <fmt/format.h>

#include <algorithm>

#include "domain/telemetry/capture.h"
#include "foundation/log.h"
#include "foundation/random.h"
#include "service/hub/capture_file.h"

namespace nacelle::hub {
namespace {

using storage::LogRecord;
using storage::Offset;

constexpr ByteCount read_bytes = 1_MiB;
// A route that takes nothing still moves its cursor on disk now and then, lest a restart looks at everything again.
constexpr std::uint64_t untaken_before_saving = 10'000;
// A log that is half full may soon let go of its oldest quarter. Less than a sixteenth of it is not worth a file.
constexpr double soon_full = 0.5;
constexpr Offset endangered_part = 4;
constexpr Offset worthy_part = 16;

}  // namespace

Result<std::unique_ptr<CaptureStream>> CaptureStream::open(const Parts& parts, HubRoute route, storage::Partition partition,
                                                           bool begin_at_head) {
  std::unique_ptr<CaptureStream> stream(new CaptureStream(parts, std::move(route), partition));
  TRY(in(stream->recover(begin_at_head),
         fmt::format("capture into '{}', partition {}", stream->route_.storage.container, partition)));
  return stream;
}

Result<> CaptureStream::recover(bool begin_at_head) {
  TRY_LET(const auto rows,
          parts_.tables.query("SELECT next, records, files, planned_file, planned_next, planned_records FROM cursor "
                              "WHERE container = ? AND partition = ?",
                              route_.storage.container, partition_));
  if (rows.empty()) {
    TRY_LET(state_, derive_from_files());
    if (begin_at_head) state_.next = std::max(state_.next, parts_.log.head(partition_));
  } else {
    const auto& row = rows[0];
    const auto number = [&](std::size_t column) { return static_cast<std::uint64_t>(storage::integer(row[column])); };
    state_ = {number(0), number(1), number(2), storage::text(row[3]), number(4), number(5)};
    if (begin_at_head) state_.next = std::max(state_.next, parts_.log.head(partition_));
  }
  TRY(settle_plan());
  if (state_.next > parts_.log.next(partition_)) {
    log::warn(
        "hub",
        "capture into '{}', partition {}: the cursor {} is beyond the log's end {}: this is another log; beginning with its oldest",
        route_.storage.container, partition_, state_.next, parts_.log.next(partition_));
    state_.next = parts_.log.oldest(partition_);
  }
  looked_ = state_.next;
  return save_state();
}

/// A planned file that is there was finished, though its cursor was not saved: by a kill, or a failing disk.
Result<> CaptureStream::settle_plan() {
  if (state_.planned_file.empty()) return {};
  TRY_LET(const bool finished, parts_.objects.make_durable(state_.planned_file));
  if (finished) {
    state_.next = std::max(state_.next, state_.planned_next);
    state_.records += state_.planned_records;
    ++state_.files;
  }
  state_.planned_file.clear();
  return {};
}

/// Forgets what is gathered; look() gathers it again, as far as the log still has it.
void CaptureStream::start_over() {
  taken_ = {};
  looked_ = state_.next;
}

/// capture.db has been lost or is new: the completed files tell where they end.
Result<CaptureStream::State> CaptureStream::derive_from_files() const {
  State state;
  TRY_LET(const auto objects, parts_.objects.list(container_prefix()));
  for (const auto& object : objects) {
    if (const auto extent = read_json_suffix(object.name)) {
      if (extent->partition != partition_) continue;
      TRY_LET(const Bytes lines, parts_.objects.get(object.name));
      state.next = std::max(state.next, extent->next);
      ++state.files;
      state.records += static_cast<std::uint64_t>(std::count(lines.begin(), lines.end(), '\n'));
      continue;
    }
    if (!object.name.ends_with(".avro")) continue;
    TRY_LET(const Bytes bytes, parts_.objects.get(object.name));
    auto reader = avro::ContainerReader::open(BytesView(bytes));
    const auto extent = reader ? read_extent(reader->header()) : Result<CaptureExtent>(fail(reader.error()));
    if (!extent) {
      log::warn("hub", "{} is not a capture file of this hub ({}); passed over", object.name, extent.error().message);
      continue;
    }
    if (extent->partition != partition_) continue;
    state.next = std::max(state.next, extent->next);
    ++state.files;
    while (true) {
      TRY_LET(const auto block, in(reader->next_block(), object.name));
      if (!block) break;
      state.records += block->records;
    }
  }
  return state;
}

Result<> CaptureStream::save_state() {
  TRY(parts_.tables.run(
      "INSERT INTO cursor VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (container, partition) DO UPDATE SET "
      "next = excluded.next, records = excluded.records, files = excluded.files, planned_file = excluded.planned_file, "
      "planned_next = excluded.planned_next, planned_records = excluded.planned_records",
      route_.storage.container, partition_, state_.next, state_.records, state_.files, state_.planned_file, state_.planned_next,
      state_.planned_records));
  saved_next_ = state_.next;
  return {};
}

std::uint64_t CaptureStream::behind() const {
  const Offset head = parts_.log.head(partition_);
  return head > looked_ ? head - looked_ : 0;
}

std::optional<Timestamp> CaptureStream::due_at() const {
  if (taken_.records == 0) return std::nullopt;
  return taken_.oldest + route_.storage.max_age;
}

bool CaptureStream::pressed() const {
  if (taken_.records == 0 || parts_.log.filled(partition_) < soon_full) return false;
  const Offset oldest = parts_.log.oldest(partition_);
  const Offset span = parts_.log.head(partition_) - oldest;
  const Offset first = taken_.runs.front().first;
  if (first < oldest) return true;  // too late: what is left of them is seen when they are written
  return first - oldest < span / endangered_part && looked_ - first >= span / worthy_part;
}

Result<> CaptureStream::step() {
  TRY(look(parts_.log.head(partition_)));
  const auto due = due_at();
  if ((due && *due <= parts_.clock.now()) || pressed()) TRY(write_file());
  return pass_untaken(false);
}

Result<> CaptureStream::flush() {
  const Offset until = parts_.log.head(partition_);
  do {
    TRY(look(until));
    if (taken_.records > 0) TRY(write_file());
  } while (taken_.records > 0 || looked_ < until);  // writing may have gone back
  return pass_untaken(true);
}

Result<> CaptureStream::look(Offset until) {
  while (looked_ < until) {
    // Left full by a failed write: the file goes first, so that what is gathered stays bounded.
    if (taken_.bytes >= route_.storage.max_bytes || pressed()) TRY(write_file());
    TRY_LET(const auto records, parts_.log.read(partition_, looked_, read_bytes));
    note_lost(records.empty() ? std::min(parts_.log.oldest(partition_), until) : records.front().follows);
    if (records.empty()) looked_ = until;  // offsets have gaps; what is left of them is one
    for (const LogRecord& record : records) {
      note_lost(record.follows);
      if (const auto message = telemetry::decode_record(record.payload)) {
        route::Evaluation evaluation(*message, parts_.twins);
        take(record, evaluation);
      } else {
        log::error("hub", "event log, partition {}, offset {}: {}; passed over", partition_, record.offset,
                   message.error().message);
      }
      looked_ = record.offset + 1;
      if (taken_.bytes >= route_.storage.max_bytes) {
        TRY(write_file());
        break;  // writing may have gone back
      }
    }
  }
  return {};
}

/// The log keeps so much and no more, and a damaged segment is put aside: what is gone before it was looked at is not captured, and
/// that is said. `follows`: of the next record there is; below it nothing more comes.
void CaptureStream::note_lost(Offset follows) {
  if (follows <= looked_) return;
  const Offset first = std::max(looked_, lost_until_);  // a stream that started over comes by once more
  looked_ = follows;
  if (follows <= first) return;
  lost_ += follows - first;
  lost_until_ = follows;
  log::error("hub", "capture into '{}', partition {}: messages {} to {} have left the log and were not captured",
             route_.storage.container, partition_, first, follows - 1);
}

/// The log is written faster than this stream can follow. At its oldest end nothing could be kept long enough for a file, so it
/// goes on in the middle: what is in between is lost, and counted, and the rest is captured.
void CaptureStream::skip_ahead() {
  if (parts_.log.filled(partition_) < soon_full) return;
  const Offset oldest = parts_.log.oldest(partition_);
  note_lost(oldest + (parts_.log.head(partition_) - oldest) / 2);
}

bool CaptureStream::offer(const LogRecord& record, route::Evaluation* evaluation) {
  if (taken_.bytes >= route_.storage.max_bytes) return false;
  if (record.offset < looked_) return true;
  note_lost(record.follows);
  if (evaluation) take(record, *evaluation);
  looked_ = record.offset + 1;
  return true;
}

void CaptureStream::take(const LogRecord& record, route::Evaluation& evaluation) {
  if (!route_.matches(evaluation)) return;
  if (taken_.records == 0) taken_.oldest = record.appended_at;
  ++taken_.records;
  taken_.bytes += record.payload.size();
  if (!taken_.runs.empty() && taken_.runs.back().second == record.offset)
    taken_.runs.back().second = record.offset + 1;
  else
    taken_.runs.emplace_back(record.offset, record.offset + 1);
}

/// What is gathered becomes a file: planned, written under a temporary name, renamed, and then the cursor moves.
Result<> CaptureStream::write_file() {
  if (!state_.planned_file.empty()) {  // an earlier attempt failed; whether before or after the rename is seen now
    const Offset before = state_.next;
    TRY(settle_plan());
    if (state_.next != before) {
      start_over();
      return save_state();
    }
  }
  if (parts_.log.oldest(partition_) > taken_.runs.front().first) {  // it took so long that the log moved on
    start_over();
    skip_ahead();
    return {};
  }
  const Offset next = looked_;
  const CaptureExtent extent{partition_, state_.next, next};
  const bool lines = route_.storage.encoding == CaptureEncoding::json;
  state_.planned_file = container_prefix() + route_.storage.file_name_format.stem(parts_.hub, parts_.clock.now(), partition_) +
                        (lines ? json_suffix(extent) : avro_suffix(extent));
  state_.planned_next = next;
  state_.planned_records = taken_.records;
  TRY(save_state());
  TRY_LET(const auto object, parts_.objects.create(state_.planned_file));
  if (Result<> written = write_records(*object, taken_, next); !written) {
    if (written.error().fault == Fault::corrupt) start_over();  // something taken is gone: the next look sees what, and says so
    return in(std::move(written), state_.planned_file);
  }
  TRY(object->commit());

  state_.next = next;
  state_.records += taken_.records;
  ++state_.files;
  log::debug("hub", "captured {} messages into {}", taken_.records, state_.planned_file);
  state_.planned_file.clear();
  taken_ = {};
  return save_state();
}

Result<> CaptureStream::write_records(storage::ObjectWriter& object, const Taken& taken, Offset next) {
  if (route_.storage.encoding == CaptureEncoding::json) return write_lines(object, taken);
  avro::ContainerOptions options;
  options.schema = telemetry::capture_schema;
  options.codec = route_.storage.encoding == CaptureEncoding::avro_deflate ? avro::Codec::deflate : avro::Codec::null;
  options.metadata = to_metadata({partition_, state_.next, next});
  options.sync_marker = secure_random(avro::sync_marker_bytes);
  TRY_LET(auto file, avro::ContainerWriter::open(std::move(options), [&object](BytesView bytes) { return object.write(bytes); }));
  Bytes encoded;
  const auto add = [&](const telemetry::Message& message) {
    encoded.clear();
    telemetry::append_capture_record(encoded, message);
    return file.add(encoded);
  };
  TRY(each_taken(taken, add));
  return file.flush_block();
}

Result<> CaptureStream::write_lines(storage::ObjectWriter& object, const Taken& taken) {
  Bytes lines;
  const auto add = [&](const telemetry::Message& message) -> Result<> {
    lines += telemetry::print_capture_line(message);
    lines += '\n';
    if (lines.size() < read_bytes) return {};
    TRY(object.write(lines));
    lines.clear();
    return {};
  };
  TRY(each_taken(taken, add));
  return object.write(lines);
}

/// Every message taken, once more from the log, in order and enriched. What was read serves all runs in it: routes that share a
/// stream of messages take every other one, in runs of one.
Result<> CaptureStream::each_taken(const Taken& taken, const std::function<Result<>(const telemetry::Message&)>& use) {
  std::vector<LogRecord> records;
  std::size_t next = 0;  // of them
  for (const auto& [begin, end] : taken.runs) {
    for (Offset at = begin; at < end; ++at) {
      while (next < records.size() && records[next].offset < at) ++next;
      if (next == records.size()) {
        TRY_LET(records, parts_.log.read(partition_, at, read_bytes));
        next = 0;
      }
      if (records.empty()) return fail(Fault::corrupt, fmt::format("message {} of partition {} is not in the log", at, partition_));
      if (records[next].offset != at)
        return fail(Fault::corrupt,
                    fmt::format("message {} of partition {} has left the log before it was captured", at, partition_));
      TRY_LET(telemetry::Message message, telemetry::decode_record(records[next].payload));
      not_enriched_ += route_.enrich(message, parts_.twins, parts_.hub);
      TRY(use(message));
    }
  }
  return {};
}

Result<> CaptureStream::pass_untaken(bool durably) {
  if (taken_.records > 0) return {};
  state_.next = looked_;
  const bool worth_saving = durably ? state_.next != saved_next_ : state_.next - saved_next_ >= untaken_before_saving;
  return worth_saving ? save_state() : Result<>{};
}

}  // namespace nacelle::hub
