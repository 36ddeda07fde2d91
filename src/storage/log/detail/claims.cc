#include "storage/log/detail/claims.h"

#include <algorithm>
#include <limits>

namespace nacelle::storage::detail {

class Claims::Claim final : public LogClaim {
 public:
  Claim(Claims& claims, Partition partition, std::list<Entry>::iterator entry)
      : claims_(claims), partition_(partition), entry_(entry) {}
  ~Claim() override {
    {
      const std::lock_guard lock(claims_.mutex_);
      claims_.entries_[partition_].erase(entry_);
    }
    claims_.moved_(partition_);
  }

  void move(Offset from) override {
    {
      const std::lock_guard lock(claims_.mutex_);
      if (from <= entry_->from) return;
      entry_->from = from;
      entry_->moved_at = claims_.clock_.now();
      entry_->counts = true;
    }
    claims_.moved_(partition_);
  }

  std::optional<Offset> due() const override {
    Offset from = 0;
    {
      const std::lock_guard lock(claims_.mutex_);
      from = entry_->from;
    }
    return claims_.due_(partition_, from);
  }

 private:
  Claims& claims_;
  const Partition partition_;
  const std::list<Entry>::iterator entry_;  // what it points to is guarded by claims_.mutex_
};

Claims::Claims(Partition partitions, const Clock& clock, std::function<void(Partition)> moved,
               std::function<std::optional<Offset>(Partition, Offset)> due)
    : clock_(clock), moved_(std::move(moved)), due_(std::move(due)), entries_(partitions) {}

Claims::~Claims() {
  const std::lock_guard lock(mutex_);
  for (const auto& entries : entries_) INVARIANT(entries.empty(), "readers end before the log they claim something of");
}

std::unique_ptr<LogClaim> Claims::add(Partition partition, Offset from, std::string who) {
  INVARIANT(partition < entries_.size(), "partitions come from partition_of, or were checked");
  const std::lock_guard lock(mutex_);
  auto& entries = entries_[partition];
  entries.push_back({std::move(who), from, clock_.now(), true});
  return std::make_unique<Claim>(*this, partition, std::prev(entries.end()));
}

Offset Claims::lowest(Partition partition) const {
  const std::lock_guard lock(mutex_);
  Offset lowest = std::numeric_limits<Offset>::max();
  for (const Entry& entry : entries_[partition])
    if (entry.counts) lowest = std::min(lowest, entry.from);
  return lowest;
}

std::string Claims::who_wants(Partition partition, Offset end) const {
  const std::lock_guard lock(mutex_);
  std::string names;
  for (const Entry& entry : entries_[partition])
    if (entry.counts && entry.from < end) names += (names.empty() ? "" : ", ") + entry.who;
  return names;
}

std::vector<std::string> Claims::lapse(Partition partition, Offset end, Timestamp since) {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> names;
  for (Entry& entry : entries_[partition]) {
    if (!entry.counts || entry.from >= end || entry.moved_at > since) continue;
    entry.counts = false;
    names.push_back(entry.who);
  }
  return names;
}

}  // namespace nacelle::storage::detail
