#include "service/hub/capture_stream.h"

#include <fmt/format.h>

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
  TRY_LET(const bool finished, parts_.objects.exists(state_.planned_file));
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

Result<> CaptureStream::step() {
  TRY(look(parts_.log.head(partition_)));
  const auto due = due_at();
  if (due && *due <= parts_.clock.now()) TRY(write_file());
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
    if (taken_.bytes >= route_.storage.max_bytes) TRY(write_file());
    TRY_LET(const auto records, parts_.log.read(partition_, looked_, read_bytes));
    note_lost(records.empty() ? until : records.front().offset);
    if (records.empty()) looked_ = until;  // offsets have gaps; what is left of them is one
    for (const LogRecord& record : records) {
      if (const auto message = telemetry::decode_record(record.payload)) {
        route::Evaluation evaluation(*message);
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

/// The log keeps so much and no more: what it dropped before it was looked at is not captured, and that is said.
void CaptureStream::note_lost(Offset found) {
  const Offset oldest = std::min(parts_.log.oldest(partition_), found);
  if (oldest <= looked_) return;
  lost_ += oldest - looked_;
  log::error("hub", "capture into '{}', partition {}: messages {} to {} have left the log and were not captured",
             route_.storage.container, partition_, looked_, oldest - 1);
  looked_ = oldest;
}

bool CaptureStream::offer(const LogRecord& record, route::Evaluation* evaluation) {
  if (taken_.bytes >= route_.storage.max_bytes) return false;
  if (record.offset < looked_) return true;
  if (record.offset > looked_) note_lost(record.offset);
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
  if (parts_.log.oldest(partition_) > taken_.runs.front().first) {  // writing failed for so long that the log moved on
    start_over();
    return {};
  }
  const Offset next = looked_;
  state_.planned_file =
      container_prefix() + route_.storage.file_name_format.name(parts_.hub, parts_.clock.now(), partition_, state_.next);
  state_.planned_next = next;
  state_.planned_records = taken_.records;
  TRY(save_state());
  TRY_LET(const auto object, parts_.objects.create(state_.planned_file));
  TRY(in(write_records(*object, taken_, next), state_.planned_file));
  TRY(object->commit());

  state_.next = next;
  state_.records += taken_.records;
  ++state_.files;
  log::debug("hub", "captured {} messages into {}", taken_.records, state_.planned_file);
  state_.planned_file.clear();
  taken_ = {};
  return save_state();
}

Result<> CaptureStream::write_records(storage::ObjectWriter& object, const Taken& taken, Offset next) const {
  avro::ContainerOptions options;
  options.schema = telemetry::capture_schema;
  options.codec = route_.storage.deflate ? avro::Codec::deflate : avro::Codec::null;
  options.metadata = to_metadata({partition_, state_.next, next});
  options.sync_marker = secure_random(avro::sync_marker_bytes);
  TRY_LET(auto file, avro::ContainerWriter::open(std::move(options), [&object](BytesView bytes) { return object.write(bytes); }));
  Bytes encoded;
  for (const auto& [begin, end] : taken.runs) {
    Offset at = begin;
    while (at < end) {
      TRY_LET(const auto records, parts_.log.read(partition_, at, read_bytes));
      for (const LogRecord& record : records) {
        if (record.offset >= end) break;
        if (record.offset != at)
          return fail(Fault::corrupt,
                      fmt::format("message {} of partition {} has left the log before it was captured", at, partition_));
        TRY_LET(const telemetry::Message message, telemetry::decode_record(record.payload));
        encoded.clear();
        telemetry::append_capture_record(encoded, message);
        TRY(file.add(encoded));
        ++at;
      }
      if (records.empty()) return fail(Fault::corrupt, fmt::format("message {} of partition {} is not in the log", at, partition_));
    }
  }
  return file.flush_block();
}

Result<> CaptureStream::pass_untaken(bool durably) {
  if (taken_.records > 0) return {};
  state_.next = looked_;
  const bool worth_saving = durably ? state_.next != saved_next_ : state_.next - saved_next_ >= untaken_before_saving;
  return worth_saving ? save_state() : Result<>{};
}

}  // namespace nacelle::hub
