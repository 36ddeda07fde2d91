#include "storage/log/detail/segment_chain.h"

#include <fmt/format.h>

#include <algorithm>

#include "foundation/log.h"

namespace nacelle::storage::detail {

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
    const std::size_t encoded = encode(batch);
    if (encoded == 0) {
      needs_roll_ = true;
      continue;
    }
    if (auto written = append_encoded(); !written) {
      if (!needs_roll_) next_ -= encoded;  // nothing of it is left on disk
      return refuse(batch, written.error());
    }
    unsynced_.insert(unsynced_.end(), batch.begin(), batch.begin() + static_cast<std::ptrdiff_t>(encoded));
    batch = batch.subspan(encoded);
  }
}

/// Encodes into buffer_ as many of the batch as the segment still takes (an empty one takes at least one).
std::size_t SegmentChain::encode(std::span<Append* const> batch) {
  buffer_.clear();
  std::size_t count = 0;
  for (Append* append : batch) {
    const std::uint64_t position = written_ + buffer_.size();
    const std::uint64_t end = position + record_header_bytes + append->payload.size();
    if (end > options_.segment_bytes && position > segment_header_bytes) break;
    append->offset = next_++;
    append->position = position;
    const bool follows_sync = count == 0 && written_ == synced_;
    encode_record(buffer_, {append->offset, append->appended_at, follows_sync, append->payload}, salt_);
    ++count;
  }
  return count;
}

Result<> SegmentChain::append_encoded() {
  auto written = file_->append(buffer_);
  if (written) {
    written_ += buffer_.size();
    return {};
  }
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
    needs_roll_ = true;
  } else {
    synced_ = written_;
    head_ = unsynced_.back()->offset + 1;  // first: nobody reads a record at or beyond the head
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
