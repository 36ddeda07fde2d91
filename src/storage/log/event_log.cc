#include "storage/log/event_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "foundation/binary.h"
#include "foundation/log.h"
#include "storage/log/detail/claims.h"
#include "storage/log/detail/group_commit.h"

namespace nacelle::storage {
namespace {

using detail::Claims;
using detail::GroupCommit;
using detail::SegmentChain;

// That appends are held back is said when it begins, and not again before this has passed.
constexpr std::chrono::minutes between_warnings{10};

class SegmentedLog final : public EventLog {
 public:
  SegmentedLog(LogOptions options, const Clock& clock, FileSystem& files, std::unique_ptr<FileLock> lock)
      : options_(std::move(options)), clock_(clock), files_(files), lock_(std::move(lock)) {}

  Result<> start() {
    TRY(check_partitions());
    std::vector<SegmentChain*> chains;
    for (Partition partition = 0; partition < options_.partitions; ++partition) {
      const SegmentChain::Options of_chain{folder(partition), partition, options_.segment_bytes,
                                           options_.max_open_files / options_.partitions};
      TRY_LET(auto chain, SegmentChain::open(of_chain, files_, counters_));
      chains.push_back(chain.get());
      chains_.push_back(std::move(chain));
    }
    const GroupCommit::Bounds bounds{options_.max_record_bytes, options_.max_waiting_bytes};
    held_since_.resize(chains_.size());
    claims_.emplace(
        options_.partitions, clock_, [this](Partition) { commit_->poke(); },  // what waits may have room now

        [this](Partition partition, Offset from) { return due(partition, from); });
    commit_ = std::make_unique<GroupCommit>(
        std::move(chains), bounds, clock_, [this](bool) { drop_what_is_over(); },
        [this](Partition partition) { return must_wait(partition); });
    return {};
  }

  void append(Partition partition, Bytes payload, Done done) override {
    commit_->append(partition, std::move(payload), std::move(done));
  }

  void append(Partition partition, RecordBatch batch, BatchDone done) override {
    commit_->append(partition, std::move(batch), std::move(done));
  }

  Result<std::vector<LogRecord>> read(Partition partition, Offset from, ByteCount max_bytes) const override {
    if (partition >= chains_.size())
      return fail(Fault::invalid_input, fmt::format("partition {} of {}", partition, chains_.size()));
    return chains_[partition]->read(from, max_bytes);
  }

  Offset head(Partition partition) const override { return chain(partition).head(); }
  Offset oldest(Partition partition) const override { return chain(partition).oldest(); }
  Offset next(Partition partition) const override { return chain(partition).next(); }
  Offset offset_at(Partition partition, Timestamp time) const override { return chain(partition).offset_at(time); }
  std::function<void()> on_commit(std::function<void()> wake) override { return commit_->on_commit(std::move(wake)); }
  Partition partitions() const override { return options_.partitions; }
  std::unique_ptr<LogClaim> claim(Partition partition, Offset from, std::string who) override {
    return claims_->add(partition, from, std::move(who));
  }

  LogStatistics statistics() const override {
    LogStatistics all{commit_->appended(), counters_.syncs, commit_->refused(), counters_.quarantined_segments,
                      counters_.repaired_tails};
    all.waiting_bytes = commit_->waiting_bytes();
    all.held_records = commit_->held_records();
    all.held_time = commit_->held_time();
    all.holding = commit_->holding();
    for (const auto& chain : chains_) all.segments += chain->segments();
    all.commit_records = commit_->commit_records();
    all.sync_microseconds = commit_->sync_microseconds();
    return all;
  }

  Result<> apply_retention() override {
    for (Partition partition = 0; partition < chains_.size(); ++partition) TRY(retain(partition));
    return {};
  }

 private:
  fs::path folder(Partition partition) const { return options_.directory / fmt::format("{:04}", partition); }

  /// Fewer partitions than there are folders would hide records, and send devices to other partitions than before.
  Result<> check_partitions() const {
    if (options_.partitions == 0) return fail(Fault::invalid_input, "an event log needs at least one partition");
    TRY_LET(const auto names, files_.list(options_.directory));
    const auto there = std::count_if(names.begin(), names.end(), [](const std::string& name) {
      return name.size() == 4 && name.find_first_not_of("0123456789") == std::string::npos;
    });
    if (static_cast<Partition>(there) <= options_.partitions) return {};
    return fail(Fault::conflict,
                fmt::format("{} holds {} partitions, {} were asked for", options_.directory.string(), there, options_.partitions));
  }

  SegmentChain& chain(Partition partition) const {
    INVARIANT(partition < chains_.size(), "partitions come from partition_of, or were checked");
    return *chains_[partition];
  }

  Result<> retain(Partition partition) const {
    return chains_[partition]->retain(options_.max_partition_bytes, clock_.now() - options_.max_age, claims_->lowest(partition));
  }

  void drop_what_is_over() {
    for (Partition partition = 0; partition < chains_.size(); ++partition)
      if (chains_[partition]->take_rolled()) drop(partition);
  }
  void drop(Partition partition) const {
    if (const auto dropped = retain(partition); !dropped) log::error("log", "dropping old segments: {}", dropped.error().message);
  }

  std::optional<Offset> due(Partition partition, Offset from) const {
    const SegmentChain& chain = *chains_[partition];
    if (const auto end = chain.end_in_excess(nearly_full(), from)) return end;
    return chain.end_of_aged(clock_.now() - options_.max_age, from);
  }

  /// From here on the readers are asked to be done with the oldest segments; the last quarter is the time they have for it.
  ByteCount nearly_full() const { return options_.max_partition_bytes - options_.max_partition_bytes / 4; }

  /// The log's thread. A partition that is full of what readers claim takes no appends, unless one does not move for too long.
  bool must_wait(Partition partition) {
    auto& since = held_since_[partition];
    const SegmentChain& chain = *chains_[partition];
    auto end = chain.end_in_excess(options_.max_partition_bytes, claims_->lowest(partition));
    if (end && since && clock_.now() - *since >= options_.longest_wait) {
      for (const std::string& who : claims_->lapse(partition, *end, clock_.now() - options_.longest_wait))
        log::error("log", "partition {}: {} has not come on for {} s while the log was full; it is waited for no longer", partition,
                   who, options_.longest_wait.count());
      end = chain.end_in_excess(options_.max_partition_bytes, claims_->lowest(partition));
    }
    if (end && !since) {
      since = clock_.now();
      warn_of_waiting(partition, *end);
    } else if (!end && chain.exceeds(options_.max_partition_bytes)) {
      drop(partition);
    }
    if (!end) since.reset();
    return end.has_value();
  }

  void warn_of_waiting(Partition partition, Offset end) {
    if (warned_at_ && clock_.now() - *warned_at_ < between_warnings) return;
    warned_at_ = clock_.now();
    log::warn("log", "partition {} is full of what is still wanted ({}): appends wait until there is room; so far {} have, {} ms",
              partition, claims_->who_wants(partition, end), commit_->held_records(), commit_->held_time().count() / 1000);
  }

  const LogOptions options_;
  const Clock& clock_;
  FileSystem& files_;
  detail::Counters counters_;
  std::unique_ptr<FileLock> lock_;  // before the chains: let go after them
  std::vector<std::unique_ptr<SegmentChain>> chains_;
  std::optional<Claims> claims_;
  std::vector<std::optional<Timestamp>> held_since_;  // the log's thread: by partition, while its appends wait
  std::optional<Timestamp> warned_at_;                // the log's thread
  std::unique_ptr<GroupCommit> commit_;               // after the chains: ends before them
};

}  // namespace

Result<std::unique_ptr<EventLog>> EventLog::open(LogOptions options, const Clock& clock, FileSystem& files) {
  TRY(files.make_directories(options.directory));
  TRY_LET(auto lock, in(files.lock(options.directory / "lock"), "opening the event log"));
  auto log = std::make_unique<SegmentedLog>(std::move(options), clock, files, std::move(lock));
  TRY(in(log->start(), "opening the event log"));
  return std::unique_ptr<EventLog>(std::move(log));
}

Partition partition_of(std::string_view device_id, Partition partitions) {
  INVARIANT(partitions > 0, "a log has at least one partition");
  return static_cast<Partition>(binary::fnv1a(device_id) % partitions);
}

}  // namespace nacelle::storage
