// Reading a chain, and dropping its oldest segments. Any thread.
#include <fmt/format.h>

#include <algorithm>

#include "storage/log/detail/segment_chain.h"

namespace nacelle::storage::detail {
namespace {

bool is_aged(Segment& segment, Timestamp keep_since) {
  const auto begins = segment.first_time();
  if (begins && *begins >= keep_since) return false;  // without reading the whole file
  const auto extent = segment.extent();
  return extent && extent->newest < keep_since;
}

}  // namespace

/// The segment in which to look for `offset`: the last that does not begin behind it, or the oldest.
SegmentChain::SegmentPointer SegmentChain::holding(Offset offset) const {
  const std::lock_guard lock(mutex_);
  if (segments_.empty()) return nullptr;
  const auto after = std::upper_bound(segments_.begin(), segments_.end(), offset,
                                      [](Offset o, const SegmentPointer& s) { return o < s->first(); });
  return after == segments_.begin() ? segments_.front() : *std::prev(after);
}

SegmentChain::SegmentPointer SegmentChain::after(const SegmentPointer& segment) const {
  const std::lock_guard lock(mutex_);
  const auto next = std::upper_bound(segments_.begin(), segments_.end(), segment->first(),
                                     [](Offset o, const SegmentPointer& s) { return o < s->first(); });
  return next == segments_.end() ? nullptr : *next;
}

Result<std::vector<LogRecord>> SegmentChain::read(Offset from, ByteCount max_bytes) {
  std::vector<LogRecord> records;
  ByteCount taken = 0;
  bool mended = false;
  SegmentPointer segment = holding(from);
  while (segment && (records.empty() || taken < max_bytes)) {
    const SegmentPointer next = after(segment);  // asked before reading: a segment that has a next grows no more
    const auto read = segment->read(records.empty() ? from : records.back().offset + 1, max_bytes, records, taken);
    if (!read && read.error().fault == Fault::not_found) {  // removed by retention meanwhile: the oldest is another now
      const SegmentPointer now = holding(from);
      if (now == segment) return fail(read.error());
      segment = now;
      continue;
    }
    if (!read && !records.empty()) return records;  // the next call meets the damage first thing
    if (!read && read.error().fault == Fault::corrupt && !mended) {
      // Mended at the next look into it; the segment still appended to must be closed for that first.
      mended = true;
      if (!next) needs_roll_ = true;
      segment->forget();
      continue;
    }
    if (!read) return fail(read.error());
    segment = next;
    mended = false;
  }
  return records;
}

Offset SegmentChain::oldest() const {
  const std::lock_guard lock(mutex_);
  // Of a chain without a record, the head: the gap before the first record to come holds nothing.
  return segments_.empty() ? head_.load() : std::min(segments_.front()->first(), head_.load());
}

Offset SegmentChain::offset_at(Timestamp time) {
  std::deque<SegmentPointer> segments;
  const Offset head_before = head();  // what is appended meanwhile may be found, but is never skipped
  {
    const std::lock_guard lock(mutex_);
    segments = segments_;
  }
  // The last segment that begins before `time`; records are taken to be in order of time but for a clock set back.
  std::size_t at = segments.size();
  while (at > 0) {
    const auto begins = segments[--at]->first_time();
    if (begins && *begins < time) break;
  }
  for (; at < segments.size(); ++at)
    if (const auto found = segments[at]->find(time); found && *found) return **found;
  return head_before;
}

ByteCount SegmentChain::bytes() const {
  const std::lock_guard lock(mutex_);
  ByteCount sum = 0;
  for (const auto& segment : segments_) sum += segment->bytes();
  return sum;
}

std::size_t SegmentChain::segments() const {
  const std::lock_guard lock(mutex_);
  return segments_.size();
}

/// Takes the oldest segment off the chain if it is not the last and `unwanted(it, the next)`.
SegmentChain::SegmentPointer SegmentChain::drop_oldest_if(const std::function<bool(Segment&, Segment&)>& unwanted) {
  SegmentPointer oldest;
  SegmentPointer next;
  {
    const std::lock_guard lock(mutex_);
    if (segments_.size() < 2) return nullptr;
    oldest = segments_[0];
    next = segments_[1];
  }
  if (!unwanted(*oldest, *next)) return nullptr;  // without the mutex: it may read the file
  const std::lock_guard lock(mutex_);
  if (segments_.front() != oldest) return nullptr;  // another thread was quicker
  segments_.pop_front();
  return oldest;
}

Result<> SegmentChain::drop_while(const std::function<bool(Segment&, Segment&)>& unwanted) {
  bool dropped = false;
  while (const auto segment = drop_oldest_if(unwanted)) {
    dropped = true;
    TRY(segment->remove());
  }
  return dropped ? files_.sync_directory(options_.directory) : Result<>();
}

// The segment before `next` is complete: its records lie below the head of this moment, or of any later one. Where refused
// appends left a gap, `next` may begin beyond the head, which no reader can reach.
Result<> SegmentChain::retain(ByteCount max_bytes, Timestamp keep_since, Offset wanted) {
  return drop_while([&](Segment& oldest, Segment& next) {
    if (end_before(next) > wanted) return false;
    return exceeds(max_bytes) || is_aged(oldest, keep_since);
  });
}

std::optional<Offset> SegmentChain::end_of_aged(Timestamp keep_since, Offset wanted) const {
  SegmentPointer oldest;
  Offset end = 0;
  {
    const std::lock_guard lock(mutex_);
    if (segments_.size() < 2) return std::nullopt;
    oldest = segments_[0];
    end = end_before(*segments_[1]);
  }
  return end > wanted && is_aged(*oldest, keep_since) ? std::optional(end) : std::nullopt;
}

std::optional<Offset> SegmentChain::end_in_excess(ByteCount max_bytes, Offset wanted) const {
  if (counted_ <= max_bytes) return std::nullopt;
  const std::lock_guard lock(mutex_);
  ByteCount left = 0;
  for (const auto& segment : segments_) left += segment->bytes();
  for (std::size_t i = 0; i + 1 < segments_.size() && left > max_bytes; ++i) {
    const Offset end = end_before(*segments_[i + 1]);
    if (end > wanted) return end;
    left -= std::min(left, segments_[i]->bytes());
  }
  return std::nullopt;
}

Result<> SegmentChain::drop_oldest() {
  bool first = true;
  return drop_while([&](Segment&, Segment&) { return std::exchange(first, false); });
}

Result<> SegmentChain::drop_below(Offset offset) {
  return drop_while([&](Segment&, Segment& next) { return next.first() <= offset; });
}

}  // namespace nacelle::storage::detail
