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
  static Result<std::unique_ptr<Spool>> open(SpoolOptions options, const Clock& clock, FileSystem& files);
  virtual ~Spool() = default;

  /// As EventLog::append: answered after the sync.
  virtual void append(Bytes payload, EventLog::Done done) = 0;
  /// Records from `from` on (at least from the committed cursor). Any thread.
  virtual Result<std::vector<LogRecord>> read(Offset from, ByteCount max_bytes) const = 0;
  /// Everything below `next` is done with and may be deleted. Durable at the next sync: at-least-once delivery.
  virtual Result<> commit(Offset next) = 0;
  virtual Offset committed() const = 0;
  virtual Offset head() const = 0;
  virtual std::uint64_t waiting() const = 0;  ///< records appended and not committed
  virtual std::uint64_t dropped() const = 0;  ///< records lost to the byte bound since opening
  virtual std::function<void()> on_commit(std::function<void()> wake) = 0;
};

}  // namespace nacelle::storage
