#include "storage/log/detail/segment_format.h"

#include <fmt/format.h>
#include <libdeflate.h>

#include <algorithm>
#include <cstring>

#include "foundation/binary.h"

namespace nacelle::storage::detail {
namespace {

constexpr BytesView magic = "NCLSEGM\n";
constexpr std::uint32_t format_version = 1;
constexpr std::size_t header_copy_bytes = 48;
constexpr std::uint32_t salvaged_bit = 1;
constexpr std::uint32_t follows_sync_bit = 1U << 31;
constexpr std::size_t sealed_stride = 64_KiB;   // 25 MiB for a log of 64 GiB
constexpr std::size_t index_stride = 16_KiB;    // a look-up reads and skips half of this on average
constexpr Offset widest_gap = Offset{1} << 24;  // more records than a segment holds

using binary::put;

template <class T>
T take(BytesView bytes, std::size_t at) {
  T value;
  std::memcpy(&value, bytes.data() + at, sizeof(T));
  return value;
}

std::uint32_t checksum(std::uint32_t start, BytesView bytes) { return ::libdeflate_crc32(start, bytes.data(), bytes.size()); }

/// Of the length field and all that follows the checksum.
std::uint32_t record_checksum(BytesView record, std::uint32_t salt) {
  return checksum(checksum(salt, record.substr(0, 4)), record.substr(8));
}

std::optional<SegmentHeader> decode_copy(BytesView copy) {
  if (copy.size() < header_copy_bytes || copy.substr(0, magic.size()) != magic) return std::nullopt;
  if (checksum(0, copy.substr(0, 44)) != take<std::uint32_t>(copy, 44)) return std::nullopt;
  return SegmentHeader{take<std::uint32_t>(copy, 12), take<std::uint64_t>(copy, 16), take<std::uint64_t>(copy, 24),
                       take<std::uint32_t>(copy, 32), (take<std::uint32_t>(copy, 36) & salvaged_bit) != 0};
}

}  // namespace

Bytes encode_segment_header(const SegmentHeader& header) {
  Bytes copy(magic);
  put(copy, format_version);
  put(copy, header.partition);
  put(copy, header.first);
  put(copy, header.follows);
  put(copy, header.salt);
  put(copy, header.salvaged ? salvaged_bit : std::uint32_t{0});
  put(copy, std::uint32_t{0});
  put(copy, checksum(0, copy));
  return copy + copy;
}

Result<SegmentHeader> decode_segment_header(BytesView file) {
  for (const std::size_t at : {std::size_t{0}, header_copy_bytes})
    if (const auto header = decode_copy(file.substr(std::min(at, file.size())))) {
      if (const auto version = take<std::uint32_t>(file, at + 8); version != format_version)
        return fail(Fault::conflict, fmt::format("segment format {} is newer than this program's {}", version, format_version));
      return *header;
    }
  return fail(Fault::corrupt, "both copies of the segment's header are damaged");
}

void encode_record(Bytes& out, const RecordView& record, std::uint32_t salt) {
  const std::size_t begin = out.size();
  put(out, static_cast<std::uint32_t>(record.payload.size()) | (record.follows_sync ? follows_sync_bit : 0));
  put(out, std::uint32_t{0});
  put(out, record.offset);
  put(out, static_cast<std::int64_t>(record.appended_at.time_since_epoch().count()));
  out.append(record.payload);
  const std::uint32_t sum = record_checksum(BytesView(out).substr(begin), salt);
  std::memcpy(out.data() + begin + 4, &sum, sizeof sum);
}

void complete_headers(RecordBatch& batch, Offset first, Timestamp appended_at, bool follows_sync, std::uint32_t salt) {
  const auto time = static_cast<std::int64_t>(appended_at.time_since_epoch().count());
  char* at = batch.frames().data();
  for (char* const end = at + batch.bytes(); at != end; ++first) {
    std::uint32_t length = 0;
    std::memcpy(&length, at, sizeof length);
    const std::size_t size = record_header_bytes + length;
    if (std::exchange(follows_sync, false)) length |= follows_sync_bit;
    std::memcpy(at, &length, sizeof length);
    std::memcpy(at + 8, &first, sizeof first);
    std::memcpy(at + 16, &time, sizeof time);
    const std::uint32_t sum = record_checksum(BytesView(at, size), salt);
    std::memcpy(at + 4, &sum, sizeof sum);
    at += size;
  }
}

std::size_t claimed_bytes(BytesView bytes) {
  if (bytes.size() < record_header_bytes) return 0;
  const std::size_t length = take<std::uint32_t>(bytes, 0) & ~follows_sync_bit;
  return length > largest_payload ? 0 : record_header_bytes + length;
}

std::optional<RecordView> decode_record(BytesView bytes, std::uint32_t salt) {
  const std::size_t size = claimed_bytes(bytes);
  if (size == 0 || size > bytes.size()) return std::nullopt;
  const BytesView record = bytes.substr(0, size);
  if (record_checksum(record, salt) != take<std::uint32_t>(record, 4)) return std::nullopt;
  const Timestamp at{std::chrono::microseconds(take<std::int64_t>(record, 16))};
  return RecordView{take<std::uint64_t>(record, 8), at, (take<std::uint32_t>(record, 0) & follows_sync_bit) != 0,
                    record.substr(record_header_bytes)};
}

void Index::add(Offset offset, std::uint64_t position, Timestamp appended_at) {
  if (entries.empty() || position >= entries.back().position + index_stride) entries.push_back({offset, position, newest});
  newest = std::max(newest, appended_at);
}

void Index::thin() {
  std::vector<IndexEntry> kept;
  for (const IndexEntry& entry : entries)
    if (kept.empty() || entry.position >= kept.back().position + sealed_stride) kept.push_back(entry);
  kept.shrink_to_fit();
  entries = std::move(kept);
}

std::uint64_t Index::position_of(Offset offset) const {
  const auto after =
      std::upper_bound(entries.begin(), entries.end(), offset, [](Offset o, const IndexEntry& e) { return o < e.offset; });
  return after == entries.begin() ? segment_header_bytes : std::prev(after)->position;
}

std::uint64_t Index::position_before(Timestamp time) const {
  const auto after =
      std::partition_point(entries.begin(), entries.end(), [&](const IndexEntry& e) { return e.newest_before < time; });
  return after == entries.begin() ? segment_header_bytes : std::prev(after)->position;
}

namespace {

struct Found {
  RecordView record;
  std::uint64_t position;
  bool after_damage;  // not directly behind the record before it
};

/// Every intact record of a file, those behind damage too.
std::vector<Found> find_records(BytesView file, std::uint32_t salt, Offset first) {
  std::vector<Found> found;
  Offset expected = first;
  bool damage = false;
  for (std::size_t at = segment_header_bytes; at + record_header_bytes <= file.size();) {
    const BytesView rest = file.substr(at);
    // Cheap tests first: behind damage every byte is tried.
    const Offset offset = take<std::uint64_t>(rest, 8);
    const bool plausible = offset >= expected && (!damage || offset - expected < widest_gap);
    const auto record = plausible ? decode_record(rest, salt) : std::nullopt;
    if (!record) {
      damage = true;
      ++at;
      continue;
    }
    found.push_back({*record, at, damage});
    expected = record->offset + 1;
    at += record->bytes();
    damage = false;
  }
  return found;
}

/// How many of `found` to keep. What stands before the segment's known end was synced. Of the last file, the last write may
/// be torn: its records are kept up to the first gap, as if the write had ended there; whatever stands before a record that
/// follows a sync was synced.
std::size_t count_kept(const std::vector<Found>& found, const Standing& standing) {
  if (!standing.last) {
    const auto past_end = [&](const Found& each) { return each.record.offset >= standing.end; };
    return static_cast<std::size_t>(std::find_if(found.begin(), found.end(), past_end) - found.begin());
  }
  std::size_t synced = 0;
  for (std::size_t i = 0; i < found.size(); ++i)
    if (found[i].record.follows_sync) synced = i + 1;
  std::size_t kept = synced;
  while (kept < found.size() && !found[kept].after_damage) ++kept;
  return kept;
}

Bytes write_salvaged(const SegmentHeader& header, const std::vector<Found>& kept) {
  Bytes out = encode_segment_header(header);
  for (const Found& each : kept) encode_record(out, each.record, header.salt);
  return out;
}

/// Both copies of the header, or one and nothing else: a roll that power cut short wrote no record.
bool header_is_whole(BytesView file, bool last) {
  if (last && file.size() <= segment_header_bytes) return true;
  return decode_copy(file) && decode_copy(file.substr(std::min(header_copy_bytes, file.size())));
}

/// The bytes up to the first damage among the kept records.
std::uint64_t measure_intact(const std::vector<Found>& kept) {
  std::uint64_t end = segment_header_bytes;
  for (const Found& each : kept) {
    if (each.after_damage) break;
    end = each.position + each.record.bytes();
  }
  return end;
}

}  // namespace

Result<Scan> scan_segment(BytesView file, const Standing& standing) {
  const auto decoded = decode_segment_header(file);
  if (!decoded && decoded.error().fault == Fault::conflict) return fail(decoded.error());
  const bool foreign = decoded && (decoded->partition != standing.partition || decoded->first != standing.first);
  const SegmentHeader header = decoded && !foreign ? *decoded : SegmentHeader{standing.partition, standing.first};
  std::vector<Found> found;
  if (decoded && !foreign) found = find_records(file, header.salt, standing.first);
  const Offset past_found = found.empty() ? standing.first : found.back().record.offset + 1;
  found.resize(count_kept(found, standing));

  Scan scan;
  scan.salt = header.salt;
  scan.follows = header.follows;
  scan.records = found.size();
  scan.next = found.empty() ? standing.first : found.back().record.offset + 1;
  scan.intact_bytes = std::min<std::uint64_t>(measure_intact(found), file.size());
  const std::uint64_t end = found.empty() ? segment_header_bytes : found.back().position + found.back().record.bytes();
  // Records that were in the unreadable rest had at most this many offsets.
  const std::uint64_t rest = file.size() > end ? file.size() - end : 0;
  scan.past = std::max(past_found, scan.next + (rest + record_header_bytes - 1) / record_header_bytes);

  const bool gap = scan.intact_bytes < end && !found.empty();
  // Zeros at the end of the last file were room for records to come.
  const bool room = standing.last && file.find_last_not_of('\0') < end;
  const bool untidy_end = (rest > 0 && !room) || file.size() < segment_header_bytes;
  scan.torn = standing.last && (untidy_end || !decoded);
  const bool end_known = standing.end != unknown_offset;
  const bool missing =
      !standing.last && !header.salvaged && (end_known ? scan.next < std::max(standing.end, standing.first) : untidy_end);
  scan.damaged = gap || foreign || missing || !header_is_whole(file, standing.last);
  if (scan.damaged) scan.salvaged = write_salvaged({standing.partition, standing.first, header.follows, header.salt, true}, found);
  std::uint64_t position = segment_header_bytes;
  for (const Found& each : found) {
    scan.index.add(each.record.offset, scan.damaged ? position : each.position, each.record.appended_at);
    position += each.record.bytes();
  }
  return scan;
}

}  // namespace nacelle::storage::detail
