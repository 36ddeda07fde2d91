#include "service/hub/capture_stream.h"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>

#include "domain/telemetry/record.h"
#include "foundation/log.h"
#include "service/hub/capture_file.h"

namespace nacelle::hub {
namespace {

using storage::LogRecord;
using storage::Offset;

// Finding the beginning of a piece reads up to 64 KiB before it (the log's index); so much more, that it does not matter.
constexpr ByteCount read_bytes = 512_KiB;
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
  TRY(save_state());
  claim_ = parts_.log.claim(partition_, saved_next_, fmt::format("capture into '{}'", route_.storage.container));
  return {};
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

/// Forgets what is gathered; it is gathered again, as far as the log still has it.
void CaptureStream::start_over() {
  taken_ = {};
  gathered_.clear();
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
  if (claim_) claim_->move(saved_next_);
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
  Result<> followed;
  follow_log(parts_, partition_, {this}, parts_.log.head(partition_), std::numeric_limits<ByteCount>::max(),
             [&](CaptureStream&, Result<> why) { followed = std::move(why); });
  TRY(std::move(followed));
  return settle();
}

Result<> CaptureStream::settle() {
  const auto due = due_at();
  if (due && *due <= parts_.clock.now()) TRY(write_file());
  return make_room();
}

/// The log is told how far this stream has come before it needs to know. A route that takes little has its file early then, or
/// only says that it took nothing; one that is behind makes a file of each segment.
Result<> CaptureStream::make_room() {
  const auto wanted = claim_->due();
  const bool pressed = wanted && *wanted <= looked_;
  if (pressed && taken_.records > 0 && taken_.first < *wanted) return write_file();
  if (taken_.records > 0 && !pressed) return {};
  state_.next = taken_.records > 0 ? taken_.first : looked_;
  return pressed || state_.next - saved_next_ >= untaken_before_saving ? save_state() : Result<>{};
}

Result<> CaptureStream::flush() {
  const Offset until = parts_.log.head(partition_);
  do {
    Result<> followed;
    follow_log(parts_, partition_, {this}, until, std::numeric_limits<ByteCount>::max(),
               [&](CaptureStream&, Result<> why) { followed = std::move(why); });
    TRY(std::move(followed));
    TRY(finish());
  } while (looked_ < until);  // writing may have gone back
  return {};
}

Result<> CaptureStream::finish() {
  if (taken_.records > 0) return write_file();
  state_.next = looked_;
  return state_.next != saved_next_ ? save_state() : Result<>{};
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

Result<> CaptureStream::offer(const LogRecord& record, route::Evaluation* evaluation, Gathered::Manner manner) {
  if (record.offset < looked_) return {};
  if (is_full()) {  // left so by a failed write: the file goes first, so that what is gathered stays bounded
    const Offset before = looked_;
    TRY(write_file());
    if (looked_ < before) return {};
  }
  note_lost(record.follows);
  if (evaluation) TRY(take(record, *evaluation, manner));
  looked_ = record.offset + 1;
  return is_full() ? write_file() : Result<>{};
}

void CaptureStream::pass(Offset until) {
  note_lost(std::min(parts_.log.oldest(partition_), until));
  looked_ = std::max(looked_, until);  // offsets have gaps; what is left of them is one
}

bool CaptureStream::is_full() const {
  return taken_.bytes >= route_.storage.max_bytes || gathered_.kept_bytes() >= parts_.max_kept;
}

Result<> CaptureStream::take(const LogRecord& record, route::Evaluation& evaluation, Gathered::Manner manner) {
  if (!route_.matches(evaluation)) return {};
  if (route_.enrichments.empty()) {
    TRY(gathered_.add(evaluation.message(), manner));
  } else {
    telemetry::Message enriched = evaluation.message();
    not_enriched_ += route_.enrich(enriched, parts_.twins, parts_.hub);
    TRY(gathered_.add(enriched, {.quickly = manner.quickly}));
  }
  if (taken_.records == 0) {
    taken_.first = record.offset;
    taken_.oldest = record.appended_at;
  }
  ++taken_.records;
  taken_.bytes += record.payload.size();
  return {};
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
  const Offset next = looked_;
  const CaptureExtent extent{partition_, state_.next, next};
  const bool lines = route_.storage.encoding == CaptureEncoding::json;
  state_.planned_file = container_prefix() + route_.storage.file_name_format.stem(parts_.hub, parts_.clock.now(), partition_) +
                        (lines ? json_suffix(extent) : avro_suffix(extent));
  state_.planned_next = next;
  state_.planned_records = taken_.records;
  TRY(save_state());
  TRY_LET(const auto object, parts_.objects.create(state_.planned_file));
  TRY(in(gathered_.write(*object, extent), state_.planned_file));
  TRY(object->commit());

  state_.next = next;
  state_.records += taken_.records;
  ++state_.files;
  log::debug("hub", "captured {} messages into {}", taken_.records, state_.planned_file);
  state_.planned_file.clear();
  taken_ = {};
  gathered_.clear();
  return save_state();
}

void follow_log(const CaptureStream::Parts& parts, storage::Partition partition, std::vector<CaptureStream*> along, Offset until,
                ByteCount most, const std::function<void(CaptureStream&, Result<>)>& failed) {
  const auto without_failing = [&](std::vector<CaptureStream*>& streams, const auto& work) {
    std::erase_if(streams, [&](CaptureStream* stream) {
      Result<> worked = work(*stream);
      if (worked) return false;
      failed(*stream, std::move(worked));
      std::erase(along, stream);
      return true;
    });
  };
  const auto wants_less = [](const CaptureStream* a, const CaptureStream* b) { return a->wants() < b->wants(); };
  ByteCount read = 0;
  telemetry::RecordDecoder decoder;
  while (!along.empty() && read < most) {
    const Offset next = (*std::min_element(along.begin(), along.end(), wants_less))->wants();
    if (next >= until) return;
    std::vector<CaptureStream*> now = along;
    const auto records = parts.log.read(partition, next, read_bytes);
    if (!records) return without_failing(now, [&](CaptureStream&) { return Result<>(fail(records.error())); });
    if (records->empty())
      for (CaptureStream* stream : now) stream->pass(until);
    Gathered::Manner manner;
    manner.quickly = !records->empty() && records->back().offset + 1 < until;  // the next piece waits already
    for (const LogRecord& record : *records) {
      const auto message = decoder.decode(record.payload);
      manner.head = decoder.head();
      if (!message)
        log::error("hub", "event log, partition {}, offset {}: {}; passed over", partition, record.offset, message.error().message);
      std::optional<route::Evaluation> evaluation;
      if (message) evaluation.emplace(**message, parts.twins);
      without_failing(now,
                      [&](CaptureStream& stream) { return stream.offer(record, evaluation ? &*evaluation : nullptr, manner); });
      // One that has gone back gets what it missed with the next read.
      std::erase_if(now, [&](const CaptureStream* stream) { return stream->wants() <= record.offset; });
      read += record.payload.size();
    }
    now = along;
    without_failing(now, [](CaptureStream& stream) { return stream.settle(); });
  }
}

}  // namespace nacelle::hub
