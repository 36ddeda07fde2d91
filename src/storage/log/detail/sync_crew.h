#pragma once
// SyncCrew: syncs several chains at once. Files synced side by side share the file system's journal commit and the disk's
// flush; one after another, each pays for its own (measured: docs/decisions/0022-group-commit.md).

#include <condition_variable>
#include <thread>

#include "storage/log/detail/segment_chain.h"

namespace nacelle::storage::detail {

/// One user at a time; its threads sleep between calls.
class SyncCrew {
 public:
  /// With the calling thread, `most` syncs at a time.
  explicit SyncCrew(std::size_t most);
  ~SyncCrew();

  /// Calls sync() of each; back when all are done.
  void sync(const std::vector<SegmentChain*>& chains);

 private:
  void help();
  void work(std::unique_lock<std::mutex>& lock);

  std::mutex mutex_;
  std::condition_variable wanted_;
  std::condition_variable done_;
  const std::vector<SegmentChain*>* chains_ = nullptr;  // guarded by mutex_
  std::size_t next_ = 0;                                // guarded by mutex_: the first not yet taken
  std::size_t running_ = 0;                             // guarded by mutex_
  bool stopping_ = false;                               // guarded by mutex_
  std::vector<std::thread> helpers_;
};

}  // namespace nacelle::storage::detail
