#pragma once
// Claims: what the readers of a log still want of its partitions (LogClaim). Any thread.

#include <functional>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "storage/log/event_log.h"

namespace nacelle::storage::detail {

class Claims {
 public:
  /// `moved`: a claim of the partition wants less now. `due`: what LogClaim::due() answers for one that begins there.
  Claims(Partition partitions, const Clock& clock, std::function<void(Partition)> moved,
         std::function<std::optional<Offset>(Partition, Offset)> due);
  ~Claims();

  std::unique_ptr<LogClaim> add(Partition partition, Offset from, std::string who);
  /// The lowest offset wanted; the highest there is if nothing is.
  Offset lowest(Partition partition) const;
  /// Who wants what is below `end`, in words.
  std::string who_wants(Partition partition, Offset end) const;
  /// Claims on what is below `end` that have not moved since `since` count no more, until they move. Their names.
  std::vector<std::string> lapse(Partition partition, Offset end, Timestamp since);

 private:
  struct Entry {
    std::string who;
    Offset from = 0;
    Timestamp moved_at{};
    bool counts = true;
  };
  class Claim;

  const Clock& clock_;
  const std::function<void(Partition)> moved_;
  const std::function<std::optional<Offset>(Partition, Offset)> due_;
  mutable std::mutex mutex_;
  std::vector<std::list<Entry>> entries_;  // guarded by mutex_; by partition
};

}  // namespace nacelle::storage::detail
