#pragma once
// EventLog: partitions of records, kept durably in segments; an append is answered after fdatasync (group commit).
// Format: docs/formats/event-log.md. Source of the promise: DESIGN.md P1, P3.
//
//   TRY_LET(const auto log, EventLog::open({.directory = dir / "events"}, clock, real_file_system()));
//   log->append(partition, record, [](Result<Offset> at) { /* synced: acknowledge */ });

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "foundation/bytes.h"
#include "foundation/clock.h"
#include "foundation/histogram.h"
#include "foundation/result.h"
#include "storage/file/file.h"
#include "storage/log/record_batch.h"

namespace nacelle::storage {

using Partition = std::uint32_t;
/// A record's number within its partition: from 0, rising, never reused. There may be gaps: never count by offsets.
using Offset = std::uint64_t;

struct LogOptions {
  fs::path directory;
  Partition partitions = 4;
  ByteCount segment_bytes = 64_MiB;
  ByteCount max_partition_bytes = 16_GiB;  ///< oldest whole segments go first
  std::chrono::seconds max_age{7 * 24 * 3600};
  ByteCount max_record_bytes = 1_MiB;
  ByteCount max_waiting_bytes = 64_MiB;  ///< appended and not yet synced; beyond it append answers exhausted
  /// Appends to a partition that is full of what readers have claimed wait so long for a claim that does not move.
  std::chrono::seconds longest_wait{60};
  std::size_t max_open_files = 256;  ///< segments kept open for readers, over all partitions
};

struct LogRecord {
  Offset offset = 0;
  Timestamp appended_at{};
  Bytes payload;
  /// The offset after the record that stood before it. Usually its own; lower where a refused or torn write left a gap.
  /// A reader whose last record ended below it has missed records: dropped by retention, or damaged.
  Offset follows = 0;
};

struct LogStatistics {
  std::uint64_t appended = 0;
  std::uint64_t syncs = 0;
  std::uint64_t refused = 0;
  std::uint64_t quarantined_segments = 0;
  std::uint64_t repaired_tails = 0;
  ByteCount waiting_bytes = 0;            ///< appended and not yet answered
  std::uint64_t segments = 0;             ///< files, over all partitions
  std::uint64_t held_records = 0;         ///< that had to wait for a claim (LogClaim)
  std::chrono::microseconds held_time{};  ///< in which there were such
  bool holding = false;                   ///< there are such now
  Histogram::Reading commit_records;      ///< records in a group commit
  Histogram::Reading sync_microseconds;   ///< of a group commit's syncs together
};

/// What a reader still wants of a partition: the records from an offset on. They are not dropped, neither for size nor for age;
/// where a partition is full of them its appends are held back: written, and answered, in their order and as soon as there is
/// room. Nobody is waited for longer than LogOptions::longest_wait: a claim that has not moved for so long, while appends were held
/// back for it, is disregarded until it moves. Any thread; ends before its log.
class LogClaim {
 public:
  virtual ~LogClaim() = default;       ///< gives it up
  virtual void move(Offset from) = 0;  ///< wants nothing below `from` any more; never back
  /// A partition that is nearly full, or whose oldest segment is past its age, would like to be rid of it: where the first such
  /// segment ends that the claim is on, at most the head. Nothing: there is room.
  virtual std::optional<Offset> due() const = 0;
};

class EventLog {
 public:
  /// Opens or makes the log; repairs a torn tail; a damaged segment is renamed `*.quarantined`, counted, and the rest
  /// served. Fault::conflict if another process has it open.
  static Result<std::unique_ptr<EventLog>> open(LogOptions options, const Clock& clock, FileSystem& files);
  virtual ~EventLog() = default;  ///< Answers what waits, then stops.

  using Done = std::function<void(Result<Offset>)>;
  /// `done` is called once, on the log's own thread, after the record is synced (or refused: Fault::exhausted when the
  /// disk or the waiting bound is full). Calls for one partition are answered in order. Keep `done` short. Any thread.
  virtual void append(Partition partition, Bytes payload, Done done) = 0;

  /// The same for many records at once, which are stored or refused together: the answer is the offset of the first (the
  /// others follow it), and the batch for another use. Nothing is copied and nothing allocated for a record.
  using BatchDone = std::function<void(Result<Offset>, RecordBatch)>;
  virtual void append(Partition partition, RecordBatch batch, BatchDone done) = 0;

  /// Synced records from `from` on, at most `max_bytes` of payload but at least one if there is one. If `from` is older
  /// than what is kept, starts at the oldest kept. Any thread; blocks on the disk.
  virtual Result<std::vector<LogRecord>> read(Partition partition, Offset from, ByteCount max_bytes) const = 0;

  virtual Offset head(Partition partition) const = 0;    ///< the offset after the last synced record
  virtual Offset oldest(Partition partition) const = 0;  ///< the first offset kept
  /// The lowest offset the next record may get: the head, or higher after a gap. A cursor beyond it is of another log.
  virtual Offset next(Partition partition) const = 0;
  /// The first offset appended at or after `time` (head if none).
  virtual Offset offset_at(Partition partition, Timestamp time) const = 0;

  /// `wake` is called on the log's thread after each group commit; keep it short. Any thread. Call the returned function
  /// to end it; afterwards it is not called any more.
  virtual std::function<void()> on_commit(std::function<void()> wake) = 0;

  virtual Partition partitions() const = 0;
  /// `who` claims the records from `from` on; for messages to people.
  virtual std::unique_ptr<LogClaim> claim(Partition partition, Offset from, std::string who) = 0;
  virtual LogStatistics statistics() const = 0;
  /// Deletes segments beyond age or size that nobody claims. Any thread.
  virtual Result<> apply_retention() = 0;
};

/// The partition of a device: stable hash of its id, the same for ever (FNV-1a, 64 bit).
Partition partition_of(std::string_view device_id, Partition partitions);

}  // namespace nacelle::storage
