#include "storage/log/detail/segment_chain.h"

#include <fmt/format.h>

#include <algorithm>

#include "foundation/log.h"

namespace nacelle::storage::detail {
namespace {

// An append of up to the first goes over zeros, of which so many are written at a time:
// docs/decisions/0249-room-for-small-appends.md.
constexpr std::uint64_t small_append = 64_KiB;
constexpr std::uint64_t room_at_a_time = 256_KiB;

}  // namespace

// --- appending: the log's thread

void SegmentChain::write(std::span<Append* const> batch) {
  while (!batch.empty()) {
    if (needs_roll_ || !last_) {
      const std::vector<Append*> before = unsynced_;
      sync();
      // An earlier record of this batch was refused: what follows it must not overtake it.
      if (!before.empty() && before.back()->refused) return refuse(batch, *before.back()->refused);
      if (auto rolled = roll(); !rolled) return refuse(batch, rolled.error());
    }
    const std::size_t placed = place(batch);
    if (placed == 0) {
      needs_roll_ = true;
      continue;
    }
    if (auto written = append_placed(); !written) {
      if (!needs_roll_) next_ = batch.front()->offset;  // nothing of it is left on disk
      return refuse(batch, written.error());
    }
    unsynced_.insert(unsynced_.end(), batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(placed));
    batch = batch.subspan(placed);
  }
}

/// Gives as many of the batch their place as the segment still takes (an empty one takes at least one).
std::size_t SegmentChain::place(std::span<Append* const> batch) {
  pieces_.clear();
  std::uint64_t position = written_;
  for (Append* append : batch) {
    if (position + append->batch.bytes() > options_.segment_bytes && position > segment_header_bytes) break;
    append->offset = next_;
    append->position = position;
    const bool follows_sync = pieces_.empty() && written_ == synced_;
    complete_headers(append->batch, next_, append->appended_at, follows_sync, salt_);
    next_ += append->records;
    position += append->batch.bytes();
    pieces_.push_back(append->batch.frames());
  }
  return pieces_.size();
}

/// Without it, a full disk say, it goes as well.
void SegmentChain::make_room(std::uint64_t bytes) {
  const std::uint64_t end = written_ + bytes;
  if (bytes > small_append || end <= room_end_ || end >= options_.segment_bytes) return;
  const std::uint64_t until = std::min(end + room_at_a_time, options_.segment_bytes);
  room_end_ = until;
  if (!file_->make_room(until - written_)) give_back_room();
}

/// If it stays, after a power cut say, nobody takes it for records.
void SegmentChain::give_back_room() {
  if (file_ && room_end_ > written_) (void)file_->truncate(written_);
  room_end_ = 0;
}

Result<> SegmentChain::append_placed() {
  std::uint64_t bytes = 0;
  for (const BytesView piece : pieces_) bytes += piece.size();
  make_room(bytes);
  auto written = file_->append_all(pieces_);
  if (written) {
    written_ += bytes;
    return {};
  }
  room_end_ = 0;
  if (const auto cut = file_->truncate(written_); !cut) {
    log::error("log", "{}: the torn write cannot be cut off ({}); going on in a new segment", last_->path().string(),
               cut.error().message);
    needs_roll_ = true;
  }
  return written;
}

void SegmentChain::sync() {
  if (unsynced_.empty()) return;
  ++counters_.syncs;
  if (const auto synced = file_->sync(); !synced) {
    // What was written since the last good sync is lost or not, and no second sync can tell: 0021-sync-errors.md.
    log::error("log", "{}: {} records refused; going on in a new segment", synced.error().message, unsynced_.size());
    refuse(unsynced_, synced.error());
    (void)file_->truncate(synced_);
    room_end_ = 0;
    needs_roll_ = true;
  } else {
    synced_ = written_;
    head_ = unsynced_.back()->offset + unsynced_.back()->records;  // first: nobody reads a record at or beyond the head
    last_->publish(unsynced_, written_);
  }
  unsynced_.clear();
}

void SegmentChain::refuse(std::span<Append* const> batch, const Error& error) {
  for (Append* append : batch) append->refused = error;
}

void SegmentChain::skip_to(Offset next) {
  if (next <= next_) return;
  next_ = next;
  begun_ = next;
  needs_roll_ = true;
}

Result<> SegmentChain::roll() {
  TRY(make_segment(next_, head_));
  rolled_ = true;
  return {};
}

}  // namespace nacelle::storage::detail
