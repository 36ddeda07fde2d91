#pragma once
// Spool: one durable first-in-first-out queue on disk with a byte bound and a time to live: the edge's store-and-forward.
// One Spool per (endpoint, priority). Built on the same segments as EventLog. Format: docs/formats/spool.md.

#include <functional>
#include <memory>
#include <optional>

#include "storage/log/event_log.h"

namespace nacelle::storage {

struct SpoolOptions {
  fs::path directory;
  ByteCount segment_bytes = 16_MiB;
  ByteCount max_bytes = 1_GiB;  ///< beyond it the oldest segment is dropped and its records counted
};

class Spool {
 public:
  /// Opens or makes the spool, mending it as EventLog::open does. A damaged cursor is put aside and everything kept comes
  /// again. Fault::conflict if another process has it open.
  static Result<std::unique_ptr<Spool>> open(SpoolOptions options, const Clock& clock, FileSystem& files);
  virtual ~Spool() = default;  ///< Answers what waits, makes the cursor durable, then stops.

  /// As EventLog::append: answered after the sync.
  virtual void append(Bytes payload, EventLog::Done done) = 0;
  /// Records from `from` on (at least from the committed cursor). Any thread.
  virtual Result<std::vector<LogRecord>> read(Offset from, ByteCount max_bytes) const = 0;
  /// Everything below `next` is done with and may be deleted. Becomes durable soon after, not before the call is back:
  /// after a crash some records may come again (at-least-once). Fault::invalid_input above the head.
  virtual Result<> commit(Offset next) = 0;
  virtual Offset committed() const = 0;
  virtual Offset head() const = 0;
  /// Offsets appended and not committed: 0 when drained; may be more than the records after a crash that left a gap.
  virtual std::uint64_t waiting() const = 0;
  virtual std::uint64_t dropped() const = 0;  ///< records lost to the byte bound since opening
  virtual std::function<void()> on_commit(std::function<void()> wake) = 0;
};

}  // namespace nacelle::storage
