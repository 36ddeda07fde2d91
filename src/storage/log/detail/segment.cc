#include "storage/log/detail/segment.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>

#include "foundation/log.h"

namespace nacelle::storage::detail {
namespace {

// Read at a time: enough to find one record from its place in the index; and large against a system call.
constexpr ByteCount smallest_chunk = 32_KiB;
constexpr ByteCount largest_chunk = 256_KiB;
constexpr std::size_t most_records = 100'000;  // read in one call: records may be empty
constexpr ByteCount largest_file = 4_GiB;      // segments are far smaller; a larger file is not ours

}  // namespace

std::string segment_name(Offset first) { return fmt::format("{:020}.log", first); }

std::optional<Offset> parse_segment_name(std::string_view name) {
  if (name.size() != 24 || !name.ends_with(".log")) return std::nullopt;
  Offset first = 0;
  const auto [end, error] = std::from_chars(name.data(), name.data() + 20, first);
  if (error != std::errc() || end != name.data() + 20) return std::nullopt;
  return first;
}

Segment::Segment(OfChain chain, fs::path path, Partition partition, Offset first, ByteCount bytes)
    : chain_(chain), path_(std::move(path)), partition_(partition), first_(first), bytes_(0) {
  count(bytes);
  extent_.next = first;
}

Result<Segment::Extent> Segment::extent() {
  const std::lock_guard lock(mutex_);
  TRY(load());
  return extent_;
}

void Segment::set_end(Offset end) {
  const std::lock_guard lock(mutex_);
  end_ = end;
}

Offset Segment::follows() {
  const auto read_header = [&]() -> Result<SegmentHeader> {
    TRY_LET(const auto file, chain_.files.open(path_, OpenMode::read));
    TRY_LET(const Bytes head, file->read_at(0, segment_header_bytes));
    return decode_segment_header(head);
  };
  const auto header = read_header();
  return header ? header->follows : unknown_offset;
}

void Segment::forget() {
  const std::lock_guard lock(mutex_);
  chain_.open_files.forget(first_);
  if (!file_) loaded_ = false;
}

/// With the mutex held.
Result<> Segment::load() {
  if (loaded_ || file_) return {};
  if (removed_) return fail(Fault::not_found, fmt::format("{} was removed", path_.string()));
  auto bytes = read_file(chain_.files, path_, largest_file);
  if (!bytes && bytes.error().fault != Fault::corrupt) return fail(std::move(bytes).error());
  TRY_LET(const Scan scan,
          in(scan_segment(bytes ? BytesView(*bytes) : BytesView(), Standing{partition_, first_, false, end_}), path_.string()));
  if (!scan.damaged) {
    take(scan, scan.intact_bytes);  // behind it there may be a refused write that could not be cut off
    return {};
  }
  if (auto salvaged = salvage(scan); !salvaged) {
    // No room for what is left of it, say. The file stays as it is; its first part is served until it can be mended.
    log::error("log", "{} is damaged and cannot be put aside: {}", path_.string(), salvaged.error().message);
    take(scan, scan.intact_bytes);
  }
  return {};
}

/// With the mutex held. A kill between the two renames is mended at opening: docs/formats/event-log.md.
Result<> Segment::salvage(const Scan& scan) {
  fs::path aside = path_.string() + ".quarantined";
  for (int n = 2;; ++n) {
    TRY_LET(const bool taken, chain_.files.exists(aside));
    if (!taken) break;
    aside = fmt::format("{}.{}.quarantined", path_.string(), n);
  }
  const fs::path salvaged = path_.string() + ".salvaged";
  TRY(chain_.files.remove(salvaged));
  {
    TRY_LET(const auto file, chain_.files.open(salvaged, OpenMode::create));
    TRY(file->append(scan.salvaged));
    TRY(file->sync());
  }
  TRY(chain_.files.sync_directory(path_.parent_path()));
  chain_.open_files.forget(first_);
  TRY(chain_.files.rename(path_, aside));
  TRY(chain_.files.rename(salvaged, path_));
  TRY(chain_.files.sync_directory(path_.parent_path()));
  ++chain_.counters.quarantined_segments;
  log::error("log", "{} is damaged: kept as {}; its {} intact records are served", path_.string(), aside.filename().string(),
             scan.records);
  take(scan, scan.salvaged.size());
  return {};
}

void Segment::take(const Scan& scan, ByteCount bytes) {
  loaded_ = true;
  count(bytes);
  extent_ = {scan.next, scan.records, scan.index.newest};
  index_ = scan.index;
  // If only the first part of a damaged file is served, the places of the later records are not in it.
  std::erase_if(index_.entries, [&](const IndexEntry& entry) { return entry.position >= bytes; });
  if (!file_) index_.thin();
  salt_ = scan.salt;
  follows_ = scan.follows;
}

void Segment::count(ByteCount bytes) { chain_.bytes += bytes - bytes_.exchange(bytes); }

Result<> Segment::quarantine(const Scan& scan) {
  const std::lock_guard lock(mutex_);
  return salvage(scan);
}

void Segment::accept(const Scan& scan) {
  const std::lock_guard lock(mutex_);
  take(scan, scan.intact_bytes);
}

void Segment::begin(std::shared_ptr<File> file, const Scan& scan) {
  const std::lock_guard lock(mutex_);
  file_ = std::move(file);
  take(scan, scan.intact_bytes);
}

void Segment::publish(std::span<Append* const> synced, ByteCount bytes) {
  const std::lock_guard lock(mutex_);
  for (const Append* append : synced) {
    Offset offset = append->offset;
    std::uint64_t position = append->position;
    for (BytesView left = append->batch.frames(); !left.empty();) {
      index_.add(offset++, position, append->appended_at);
      const std::size_t size = claimed_bytes(left);
      position += size;
      left.remove_prefix(size);
    }
    extent_.records += append->records;
  }
  extent_.next = synced.back()->offset + synced.back()->records;
  extent_.newest = index_.newest;
  count(bytes);
}

void Segment::seal(Offset end) {
  const std::lock_guard lock(mutex_);
  file_.reset();
  end_ = end;
  index_.thin();
}

Result<> Segment::remove() {
  const std::lock_guard lock(mutex_);
  removed_ = true;
  chain_.open_files.forget(first_);  // an open file would keep its room on the disk
  count(0);
  return chain_.files.remove(path_);
}

/// The readable part, from where `where` says. Held together by the mutex: salvaging moves places.
Result<Segment::Place> Segment::place(std::uint64_t (*where)(const Index&, Offset, Timestamp), Offset offset, Timestamp time) {
  const std::lock_guard lock(mutex_);
  TRY(load());
  std::shared_ptr<const File> file = file_;
  if (!file) {
    TRY_LET(file, chain_.open_files.open(first_, path_));
  }
  return Place{std::move(file), where(index_, offset, time), bytes_, salt_, follows_};
}

/// Calls `visit` with each record of the place until it answers false.
template <class Visit>
Result<> Segment::walk(const Place& place, std::size_t chunk_bytes, Visit visit) const {
  Bytes chunk;
  std::size_t used = 0;             // of the chunk
  std::uint64_t base = place.from;  // of the chunk in the file
  while (base + used < place.end) {
    const BytesView rest = BytesView(chunk).substr(used);
    const std::size_t claimed = claimed_bytes(rest);
    const bool whole = claimed > 0 && claimed <= rest.size();
    const std::uint64_t left = place.end - base - used;
    if (!whole && (rest.size() < record_header_bytes || (claimed > 0 && claimed <= left)) && left > rest.size()) {
      base += used;
      used = 0;
      TRY_LET(chunk, place.file->read_at(base, std::min<std::uint64_t>(left, std::max(chunk_bytes, claimed))));
      if (chunk.size() > rest.size()) continue;
    }
    const auto record = decode_record(BytesView(chunk).substr(used), place.salt);
    if (!record) return fail(Fault::corrupt, fmt::format("{}: damaged record at byte {}", path_.string(), base + used));
    if (!visit(*record)) return {};
    used += record->bytes();
  }
  return {};
}

Result<> Segment::read(Offset from, ByteCount max_bytes, std::vector<LogRecord>& out, ByteCount& taken) {
  const auto where = [](const Index& index, Offset offset, Timestamp) { return index.position_of(offset); };
  TRY_LET(const Place start, place(where, from, {}));
  const ByteCount wanted = max_bytes > taken ? max_bytes - taken : 0;
  const ByteCount chunk = std::min(largest_chunk, smallest_chunk + std::min(wanted, largest_chunk));
  return walk(start, chunk, [&](const RecordView& record) {
    if (record.offset < from) return true;
    if (!out.empty() && taken + record.payload.size() > max_bytes) {
      taken = std::max(taken, max_bytes);
      return false;
    }
    const Offset follows = record.offset == first_ ? std::min(start.follows, first_) : record.offset;
    out.push_back({record.offset, record.appended_at, Bytes(record.payload), follows});
    taken += record.payload.size();
    return taken < max_bytes && out.size() < most_records;
  });
}

std::optional<Timestamp> Segment::first_time() {
  const std::lock_guard lock(mutex_);
  if (first_time_) return first_time_;
  const auto read_first = [&]() -> Result<std::optional<Timestamp>> {
    // Without load(): a look at every segment's first record must not read all the files whole.
    std::shared_ptr<const File> file = file_;
    if (!file) {
      TRY_LET(file, chain_.files.open(path_, OpenMode::read));
    }
    if (bytes_ <= segment_header_bytes) return std::optional<Timestamp>();
    TRY_LET(const Bytes head, file->read_at(0, segment_header_bytes + record_header_bytes));
    TRY_LET(const SegmentHeader header, decode_segment_header(head));
    const std::size_t size = head.size() > segment_header_bytes ? claimed_bytes(BytesView(head).substr(segment_header_bytes)) : 0;
    TRY_LET(const Bytes bytes, file->read_at(segment_header_bytes, std::min<std::uint64_t>(size, bytes_)));
    const auto record = decode_record(bytes, header.salt);
    return record ? std::optional(record->appended_at) : std::nullopt;
  };
  if (const auto found = read_first()) first_time_ = *found;
  return first_time_;
}

Result<std::optional<Offset>> Segment::find(Timestamp time) {
  const auto where = [](const Index& index, Offset, Timestamp t) { return index.position_before(t); };
  TRY_LET(const Place start, place(where, 0, time));
  std::optional<Offset> found;
  TRY(walk(start, smallest_chunk, [&](const RecordView& record) {
    if (record.appended_at >= time) found = record.offset;
    return !found;
  }));
  return found;
}

}  // namespace nacelle::storage::detail
