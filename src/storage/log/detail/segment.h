#pragma once
// Segment: one file of a chain. While it is the last, the log's thread appends to it and publishes what it has synced;
// afterwards it only changes by being salvaged (damage found) or removed.

#include <atomic>
#include <cstddef>
#include <memory>
#include <mutex>
#include <span>

#include "storage/log/detail/open_files.h"
#include "storage/log/detail/segment_format.h"

namespace nacelle::storage::detail {

/// What happened to files, over all chains of a log.
struct Counters {
  std::atomic<std::uint64_t> syncs{0};
  std::atomic<std::uint64_t> quarantined_segments{0};
  std::atomic<std::uint64_t> repaired_tails{0};
};

/// What the segments of a chain have in common; outlives them.
struct OfChain {
  FileSystem& files;
  OpenFiles& open_files;
  Counters& counters;
  std::atomic<ByteCount>& bytes;  ///< of all of them, those included that are being removed
};

/// Records on their way to disk, which stay together: in one segment, stored or refused as one. Owned by the group commit.
struct Append {
  Partition chain = 0;
  Timestamp appended_at{};
  RecordBatch batch;
  EventLog::Done done;  // of a lone record
  EventLog::BatchDone batch_done;
  std::size_t records = 0;
  ByteCount waiting = 0;  // what it counts for while it waits
  Offset offset = 0;      // of the first record
  std::uint64_t position = 0;
  std::optional<Error> refused;
};

/// Any thread, unless said otherwise.
class Segment {
 public:
  Segment(OfChain chain, fs::path path, Partition partition, Offset first, ByteCount bytes);

  Offset first() const { return first_; }
  const fs::path& path() const { return path_; }
  ByteCount bytes() const { return bytes_; }

  struct Extent {
    Offset next = 0;  ///< after the last readable record
    std::uint64_t records = 0;
    Timestamp newest{};  ///< Timestamp::min() if there is no record
  };
  /// Looks into the file if that was not yet done, and mends it if it is damaged.
  Result<Extent> extent();
  /// Its last record is the one before `end`, the next segment says. Before it is first looked into.
  void set_end(Offset end);
  /// What its header says of the segment before: where that ends. unknown_offset if it cannot be read.
  Offset follows();
  /// As if it had not yet been looked into: after a read met damage.
  void forget();

  /// Appends to `out` the records from `from` on, until `taken` (payload bytes) reaches `max_bytes`. Fault::corrupt on
  /// damage; Fault::not_found if the segment was removed meanwhile.
  Result<> read(Offset from, ByteCount max_bytes, std::vector<LogRecord>& out, ByteCount& taken);
  /// The time of the first record; nothing if there is none or it cannot be read.
  std::optional<Timestamp> first_time();
  /// The first record as late as `time`.
  Result<std::optional<Offset>> find(Timestamp time);

  Result<> remove();

  // The log's thread only.
  /// From now on `file` is appended to, and read through; `scan` says what is in it.
  void begin(std::shared_ptr<File> file, const Scan& scan);
  void publish(std::span<Append* const> synced, ByteCount bytes);
  /// Appended to no more; its last record is the one before `end`.
  void seal(Offset end);
  /// What a scan of the last file found, when it cannot be appended to: only the first part is served.
  void accept(const Scan& scan);
  /// Puts the damaged file aside as `*.quarantined` and what is left of it in its place.
  Result<> quarantine(const Scan& scan);

 private:
  struct Place {
    std::shared_ptr<const File> file;
    std::uint64_t from;
    std::uint64_t end;
    std::uint32_t salt;
    Offset follows;
  };
  Result<> load();
  Result<> salvage(const Scan& scan);
  void take(const Scan& scan, ByteCount bytes);
  void count(ByteCount bytes);
  Result<Place> place(std::uint64_t (*where)(const Index&, Offset, Timestamp), Offset offset, Timestamp time);
  template <class Visit>
  Result<> walk(const Place& place, std::size_t chunk_bytes, Visit visit) const;

  const OfChain chain_;
  const fs::path path_;
  const Partition partition_;
  const Offset first_;
  std::atomic<ByteCount> bytes_;  // readable; of a file not yet looked into: its size

  std::mutex mutex_;  // guards everything below; held while a closed file is looked into
  Offset end_ = unknown_offset;
  bool loaded_ = false;
  bool removed_ = false;
  std::shared_ptr<File> file_;  // while appended to
  Extent extent_;
  Index index_;
  Offset follows_ = unknown_offset;  // the segment before ends there
  std::uint32_t salt_ = 0;
  std::optional<Timestamp> first_time_;
};

/// `00000000000000000042.log`
std::string segment_name(Offset first);
std::optional<Offset> parse_segment_name(std::string_view name);

}  // namespace nacelle::storage::detail
