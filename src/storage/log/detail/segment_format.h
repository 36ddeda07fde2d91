#pragma once
// The bytes of a segment file: docs/formats/event-log.md. Pure: no files.

#include <optional>
#include <vector>

#include "storage/log/event_log.h"

namespace nacelle::storage::detail {

constexpr std::size_t segment_header_bytes = 96;
constexpr std::size_t record_header_bytes = 24;
/// A record's length field has 31 bits; far below that, a length is damage.
constexpr ByteCount largest_payload = 1_GiB;

/// An offset that is not known.
constexpr Offset unknown_offset = ~Offset{0};

struct SegmentHeader {
  Partition partition = 0;
  Offset first = 0;                 ///< the segment's records have this offset or a higher one
  Offset follows = unknown_offset;  ///< after the last record before this segment: there the one before ends
  std::uint32_t salt = 0;           ///< random; starts every checksum, so that no payload can pose as a record
  bool salvaged = false;            ///< records are missing from it: that is known, and no new damage
};

Bytes encode_segment_header(const SegmentHeader& header);
/// Either of its two copies will do. Fault::corrupt if both are damaged; Fault::conflict if a newer program wrote it.
Result<SegmentHeader> decode_segment_header(BytesView file);

struct RecordView {
  Offset offset = 0;
  Timestamp appended_at{};
  bool follows_sync = false;  ///< everything before it in the file was synced before it was written
  BytesView payload;

  std::size_t bytes() const { return record_header_bytes + payload.size(); }
};

void encode_record(Bytes& out, const RecordView& record, std::uint32_t salt);
/// Fills in the headers of a batch whose first record gets offset `first`; only that one may follow a sync.
void complete_headers(RecordBatch& batch, Offset first, Timestamp appended_at, bool follows_sync, std::uint32_t salt);

/// The record at the start of `bytes`; nothing if it is incomplete or damaged.
std::optional<RecordView> decode_record(BytesView bytes, std::uint32_t salt);
/// The bytes the record at the start of `bytes` claims to have; 0 if that cannot be told or cannot be.
std::size_t claimed_bytes(BytesView bytes);

/// Where to begin looking for an offset or a time.
struct IndexEntry {
  Offset offset = 0;
  std::uint64_t position = 0;
  Timestamp newest_before = Timestamp::min();  ///< the latest time among the segment's records before this one
};

/// Collects every record's place, keeps one in index_stride bytes.
struct Index {
  std::vector<IndexEntry> entries;
  Timestamp newest = Timestamp::min();

  void add(Offset offset, std::uint64_t position, Timestamp appended_at);
  /// Keeps one in sealed_stride bytes: of a segment that is not appended to any more, and there may be thousands.
  void thin();
  /// The last place at or before `offset`.
  std::uint64_t position_of(Offset offset) const;
  /// A place before which no record is as late as `time`.
  std::uint64_t position_before(Timestamp time) const;
};

/// What a whole segment file holds.
struct Scan {
  Index index;
  Offset next = 0;  ///< after the last record kept
  Offset past = 0;  ///< no record that may ever have been in the file has this offset or a higher one
  std::uint64_t records = 0;
  std::uint64_t intact_bytes = 0;  ///< from the start of the file to the first damage
  bool damaged = false;            ///< something synced is damaged: `salvaged` is the segment without it
  bool torn = false;               ///< after intact_bytes there is a write that no sync followed, or not even a header
  std::uint32_t salt = 0;
  Offset follows = unknown_offset;  ///< by its header
  Bytes salvaged;                   ///< if damaged: a whole segment file, with the records that are left
};

/// Where a segment file stands.
struct Standing {
  Partition partition = 0;
  Offset first = 0;             ///< by its name
  bool last = false;            ///< its last write may be torn; else everything in it was synced, up to `end`
  Offset end = unknown_offset;  ///< after its last record, as the next segment's header says
};

/// Reads a segment file. Fault::conflict if a newer program wrote it.
Result<Scan> scan_segment(BytesView file, const Standing& standing);

}  // namespace nacelle::storage::detail
