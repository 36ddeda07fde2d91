#pragma once
// SegmentChain: one folder of segments, oldest to newest: a partition of the event log, or a spool.
// One thread appends (write, sync); any thread reads.

#include <algorithm>
#include <deque>
#include <functional>
#include <utility>

#include "storage/log/detail/segment.h"

namespace nacelle::storage::detail {

class SegmentChain {
 public:
  struct Options {
    fs::path directory;
    Partition partition = 0;
    ByteCount segment_bytes = 64_MiB;
    std::size_t max_open_files = 64;  ///< kept open for readers
  };
  /// Mends what a crash left: a torn tail is cut, a damaged segment put aside and its intact records kept.
  static Result<std::unique_ptr<SegmentChain>> open(Options options, FileSystem& files, Counters& counters);
  ~SegmentChain() { give_back_room(); }

  // The log's thread only: write, then sync, then each append either has its offset or says why it was refused.
  void write(std::span<Append* const> batch);
  void sync();
  /// Did a new segment begin since the last question? Then there may be something to drop.
  bool take_rolled() { return std::exchange(rolled_, false); }
  /// The next append goes to a new segment, and has at least this offset.
  void skip_to(Offset next);
  void end_segment() { needs_roll_ = true; }

  // Any thread.
  /// See EventLog::read.
  Result<std::vector<LogRecord>> read(Offset from, ByteCount max_bytes);
  Offset head() const { return head_; }
  Offset oldest() const;
  /// See EventLog::next.
  Offset next() const { return std::max<Offset>(head_, begun_); }
  Offset offset_at(Timestamp time);
  ByteCount bytes() const;
  /// bytes() > `max_bytes`, without a look at each segment if it is not.
  bool exceeds(ByteCount max_bytes) const { return counted_ > max_bytes && bytes() > max_bytes; }
  std::size_t segments() const;
  /// Drops whole segments, oldest first and never the last: while there are more than `max_bytes`, and those without a
  /// record as late as `keep_since`; none that holds something at or above `wanted`.
  Result<> retain(ByteCount max_bytes, Timestamp keep_since, Offset wanted);
  /// Where the first of the oldest segments ends that are more than `max_bytes` and hold something at or above `wanted`.
  std::optional<Offset> end_in_excess(ByteCount max_bytes, Offset wanted) const;
  /// The same of the oldest segment, if it has no record as late as `keep_since`.
  std::optional<Offset> end_of_aged(Timestamp keep_since, Offset wanted) const;
  /// Drops segments with no record at or above `offset`, never the last.
  Result<> drop_below(Offset offset);
  Result<> drop_oldest();

 private:
  SegmentChain(Options options, FileSystem& files, Counters& counters)
      : options_(std::move(options)), files_(files), open_files_(files, options_.max_open_files), counters_(counters) {}
  using SegmentPointer = std::shared_ptr<Segment>;

  OfChain of_chain() { return {files_, open_files_, counters_, counted_}; }
  Result<> finish_salvage(const std::vector<std::string>& names);
  Result<> find_segments();
  Result<> recover_last(Offset at_least);
  Result<> mend_last(Segment& last, File& file, const Scan& scan);
  void check_recent();
  void find_head();

  Result<> roll();
  Result<> make_segment(Offset first, Offset follows);
  std::size_t place(std::span<Append* const> batch);
  void make_room(std::uint64_t bytes);
  void give_back_room();
  Result<> append_placed();
  static void refuse(std::span<Append* const> batch, const Error& error);
  SegmentPointer holding(Offset offset) const;
  SegmentPointer after(const SegmentPointer& segment) const;
  Offset end_before(const Segment& next) const { return std::min(next.first(), head_.load()); }
  SegmentPointer drop_oldest_if(const std::function<bool(Segment&, Segment&)>& unwanted);
  Result<> drop_while(const std::function<bool(Segment&, Segment&)>& unwanted);

  const Options options_;
  FileSystem& files_;
  OpenFiles open_files_;  // before the segments, which use it
  Counters& counters_;
  std::atomic<ByteCount> counted_ = 0;  // the segments'; as long as one is being removed, more than bytes()
  std::atomic<Offset> head_ = 0;
  std::atomic<Offset> begun_ = 0;  // the first offset of the last segment, or of the one to come

  mutable std::mutex mutex_;             // guards segments_
  std::deque<SegmentPointer> segments_;  // by first offset; once it has one, never empty again

  // The log's thread only.
  SegmentPointer last_;  // appended to; none before the first append
  std::shared_ptr<File> file_;
  std::uint32_t salt_ = 0;
  Offset next_ = 0;
  std::uint64_t written_ = 0;   // bytes of the last file
  std::uint64_t synced_ = 0;    // of those
  std::uint64_t room_end_ = 0;  // zeros up to here wait to be written over
  bool rolled_ = false;
  std::atomic<bool> needs_roll_ = false;  // also set by a reader that met damage
  std::vector<BytesView> pieces_;         // placed and not yet written
  std::vector<Append*> unsynced_;
};

}  // namespace nacelle::storage::detail
