#include "storage/log/spool.h"

#include <fmt/format.h>

#include <algorithm>
#include <mutex>

#include "foundation/log.h"
#include "storage/log/detail/cursor.h"
#include "storage/log/detail/group_commit.h"

namespace nacelle::storage {
namespace {

using detail::GroupCommit;
using detail::SegmentChain;

constexpr ByteCount max_record_bytes = 4_MiB;    // a message is at most 256 KiB, its envelope a little more
constexpr ByteCount max_waiting_bytes = 32_MiB;  // as the smallest edge can spare
// While appends keep coming, the cursor is made durable with every so many commits: it costs three syncs.
constexpr unsigned commits_between_cursors = 16;

class SegmentedSpool final : public Spool {
 public:
  SegmentedSpool(SpoolOptions options, FileSystem& files, std::unique_ptr<FileLock> lock)
      : options_(std::move(options)), files_(files), lock_(std::move(lock)) {}

  Result<> start(const Clock& clock) {
    // A quarter at most: when the bound is met, a whole segment is dropped.
    const ByteCount segment_bytes = std::max<ByteCount>(1, std::min(options_.segment_bytes, options_.max_bytes / 4));
    TRY_LET(chain_, SegmentChain::open({options_.directory, 0, segment_bytes, 4}, files_, counters_));
    TRY_LET(const Offset cursor, detail::load_cursor(files_, options_.directory));
    chain_->skip_to(cursor);  // if records were lost, the new ones must not be taken for consumed
    cursor_ = stored_ = cursor;
    const GroupCommit::Bounds bounds{max_record_bytes, max_waiting_bytes};
    commit_ = std::make_unique<GroupCommit>(std::vector{chain_.get()}, bounds, clock, [this](bool idle) { tidy(idle); });
    return {};
  }

  ~SegmentedSpool() override {
    commit_.reset();
    if (chain_) store_cursor();
  }

  void append(Bytes payload, EventLog::Done done) override { commit_->append(0, std::move(payload), std::move(done)); }

  Result<std::vector<LogRecord>> read(Offset from, ByteCount max_bytes) const override {
    return chain_->read(std::max(from, committed()), max_bytes);
  }

  Result<> commit(Offset next) override {
    if (next > head())
      return fail(Fault::invalid_input,
                  fmt::format("{}: committing {}, but the head is {}", options_.directory.string(), next, head()));
    {
      const std::lock_guard lock(mutex_);
      if (next <= cursor_) return {};
      cursor_ = next;
    }
    commit_->poke();
    return {};
  }

  Offset committed() const override {
    const std::lock_guard lock(mutex_);
    return std::max(cursor_, chain_->oldest());
  }
  Offset head() const override {
    const std::lock_guard lock(mutex_);
    return std::max(cursor_, chain_->head());
  }
  std::uint64_t waiting() const override {
    const Offset from = committed();  // before the head: it only grows
    const Offset to = head();
    return to > from ? to - from : 0;
  }
  std::uint64_t dropped() const override { return dropped_; }
  std::function<void()> on_commit(std::function<void()> wake) override { return commit_->on_commit(std::move(wake)); }

 private:
  // The spool's thread.
  void tidy(bool idle) {
    keep_bound();
    if (const auto done = chain_->drop_below(committed()); !done) log::error("spool", "{}", done.error().message);
    if (++commits_since_cursor_ >= commits_between_cursors || idle) store_cursor();
  }

  void keep_bound() {
    while (chain_->bytes() > options_.max_bytes) {
      if (chain_->segments() < 2) return chain_->end_segment();
      const Offset before = committed();
      if (const auto done = chain_->drop_oldest(); !done) return log::error("spool", "{}", done.error().message);
      const Offset after = std::max(before, chain_->oldest());
      dropped_ += after - before;
      if (after > before)
        log::warn("spool", "{} is full ({} bytes): the oldest {} records were dropped", options_.directory.string(),
                  options_.max_bytes, after - before);
    }
  }

  void store_cursor() {
    commits_since_cursor_ = 0;
    const Offset cursor = committed();
    if (cursor == stored_) return;
    const auto stored = detail::store_cursor(files_, options_.directory, cursor);
    // Only delivery again is at stake, so nobody is refused for it.
    if (!stored && !cursor_failed_) log::warn("spool", "the cursor could not be stored: {}", stored.error().message);
    cursor_failed_ = !stored;
    if (stored) stored_ = cursor;
  }

  const SpoolOptions options_;
  FileSystem& files_;
  detail::Counters counters_;
  std::unique_ptr<FileLock> lock_;  // before the chain: let go after it
  std::unique_ptr<SegmentChain> chain_;
  std::atomic<std::uint64_t> dropped_{0};
  mutable std::mutex mutex_;
  Offset cursor_ = 0;  // guarded by mutex_
  // The spool's thread, and after it the destructor.
  Offset stored_ = 0;
  unsigned commits_since_cursor_ = 0;
  bool cursor_failed_ = false;
  std::unique_ptr<GroupCommit> commit_;  // after all it calls
};

}  // namespace

Result<std::unique_ptr<Spool>> Spool::open(SpoolOptions options, const Clock& clock, FileSystem& files) {
  TRY(files.make_directories(options.directory));
  TRY_LET(auto lock, in(files.lock(options.directory / "lock"), "opening the spool"));
  auto spool = std::make_unique<SegmentedSpool>(std::move(options), files, std::move(lock));
  TRY(in(spool->start(clock), "opening the spool"));
  return std::unique_ptr<Spool>(std::move(spool));
}

}  // namespace nacelle::storage
