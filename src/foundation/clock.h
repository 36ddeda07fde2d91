#pragma once
// Time is passed in: services take a Clock, tests hold a ManualClock.

#include <atomic>
#include <chrono>
#include <string>
#include <string_view>

#include "foundation/result.h"

namespace nacelle {

/// Wall-clock time, UTC.
using Timestamp = std::chrono::sys_time<std::chrono::microseconds>;

class Clock {
 public:
  virtual ~Clock() = default;
  virtual Timestamp now() const = 0;  ///< Any thread.
};

class SystemClock final : public Clock {
 public:
  Timestamp now() const override;
};

/// Stands still until told to move. Any thread.
class ManualClock final : public Clock {
 public:
  explicit ManualClock(Timestamp start = Timestamp{std::chrono::seconds{1'893'456'000}}) : now_(start.time_since_epoch().count()) {}
  Timestamp now() const override { return Timestamp{std::chrono::microseconds{now_.load()}}; }
  void advance(std::chrono::microseconds by) { now_ += by.count(); }
  void set(Timestamp to) { now_ = to.time_since_epoch().count(); }

 private:
  std::atomic<std::int64_t> now_;
};

/// `2030-01-01T01:16:22.0950000Z`; `decimals` of 0 leaves the point out; at most 7 (the wire formats' habit).
std::string format_iso8601(Timestamp time, int decimals = 3);

/// Reads ISO 8601 / RFC 3339: date, `T` or space, time, any number of decimals, `Z`, an offset, or nothing (UTC).
/// Fault::invalid_input says what was found.
Result<Timestamp> parse_iso8601(std::string_view text);

std::int64_t unix_seconds(Timestamp time);
Timestamp from_unix_seconds(std::int64_t seconds);

}  // namespace nacelle
