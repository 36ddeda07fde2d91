#include "storage/log/detail/sync_crew.h"

namespace nacelle::storage::detail {

SyncCrew::SyncCrew(std::size_t most) {
  for (std::size_t i = 1; i < most; ++i) helpers_.emplace_back([this] { help(); });
}

SyncCrew::~SyncCrew() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wanted_.notify_all();
  for (auto& helper : helpers_) helper.join();
}

void SyncCrew::sync(const std::vector<SegmentChain*>& chains) {
  if (chains.size() <= 1 || helpers_.empty()) {
    for (SegmentChain* chain : chains) chain->sync();
    return;
  }
  std::unique_lock lock(mutex_);
  chains_ = &chains;
  next_ = 0;
  wanted_.notify_all();
  work(lock);
  done_.wait(lock, [&] { return running_ == 0; });
  chains_ = nullptr;
}

/// Takes chains until none is left, letting go of the mutex while it syncs.
void SyncCrew::work(std::unique_lock<std::mutex>& lock) {
  while (chains_ && next_ < chains_->size()) {
    SegmentChain* const chain = (*chains_)[next_++];
    ++running_;
    lock.unlock();
    chain->sync();
    lock.lock();
    if (--running_ == 0) done_.notify_one();
  }
}

void SyncCrew::help() {
  std::unique_lock lock(mutex_);
  while (true) {
    wanted_.wait(lock, [&] { return stopping_ || (chains_ && next_ < chains_->size()); });
    if (stopping_) return;
    work(lock);
  }
}

}  // namespace nacelle::storage::detail
