#include "storage/log/event_log.h"

#include <fmt/format.h>

#include <algorithm>

#include "foundation/binary.h"
#include "foundation/log.h"
#include "storage/log/detail/group_commit.h"

namespace nacelle::storage {
namespace {

using detail::GroupCommit;
using detail::SegmentChain;

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
    commit_ = std::make_unique<GroupCommit>(std::move(chains), bounds, clock_, [this](bool) { drop_what_is_over(); });
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
  double filled(Partition partition) const override {
    return static_cast<double>(chain(partition).bytes()) /
           static_cast<double>(std::max<ByteCount>(1, options_.max_partition_bytes));
  }

  LogStatistics statistics() const override {
    LogStatistics all{commit_->appended(), counters_.syncs, commit_->refused(), counters_.quarantined_segments,
                      counters_.repaired_tails};
    all.waiting_bytes = commit_->waiting_bytes();
    for (const auto& chain : chains_) all.segments += chain->segments();
    all.commit_records = commit_->commit_records();
    all.sync_microseconds = commit_->sync_microseconds();
    return all;
  }

  Result<> apply_retention() override {
    const Timestamp keep_since = clock_.now() - options_.max_age;
    for (const auto& chain : chains_) TRY(chain->retain(options_.max_partition_bytes, keep_since));
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

  void drop_what_is_over() {
    const Timestamp keep_since = clock_.now() - options_.max_age;
    for (const auto& chain : chains_) {
      if (!chain->take_rolled()) continue;
      if (const auto dropped = chain->retain(options_.max_partition_bytes, keep_since); !dropped)
        log::error("log", "dropping old segments: {}", dropped.error().message);
    }
  }

  const LogOptions options_;
  const Clock& clock_;
  FileSystem& files_;
  detail::Counters counters_;
  std::unique_ptr<FileLock> lock_;  // before the chains: let go after them
  std::vector<std::unique_ptr<SegmentChain>> chains_;
  std::unique_ptr<GroupCommit> commit_;  // after the chains: ends before them
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
