#pragma once
// BodyBudget: how much of requests' bodies all connections of a server hold in memory together. Private to net/http.

#include <deque>
#include <memory>
#include <mutex>

#include "foundation/async.h"
#include "foundation/bytes.h"

namespace nacelle::net::detail {

/// Any thread. First come, first served: a large body that waits is not overtaken by small ones.
class BodyBudget {
 public:
  explicit BodyBudget(ByteCount most) : most_(most) {}

  /// Waits for room, at most `patience`; false if there was none, or the coroutine was cancelled. On the caller's strand.
  /// Fails at once if `bytes` are more than there will ever be.
  awaitable<bool> take(ByteCount bytes, std::chrono::steady_clock::duration patience);
  void give(ByteCount bytes);
  ByteCount used() const;

 private:
  struct Waiter;
  bool leave(const std::shared_ptr<Waiter>& waiter);

  const ByteCount most_;
  mutable std::mutex mutex_;
  ByteCount used_ = 0;                           // guarded by mutex_
  std::deque<std::shared_ptr<Waiter>> waiting_;  // guarded by mutex_; at most one for each connection
};

/// What one request holds; gives it back.
class BodyRoom {
 public:
  BodyRoom() = default;
  BodyRoom(BodyBudget& budget, ByteCount bytes) : budget_(&budget), bytes_(bytes) {}
  BodyRoom(BodyRoom&& other) noexcept : budget_(std::exchange(other.budget_, nullptr)), bytes_(other.bytes_) {}
  BodyRoom& operator=(BodyRoom&& other) noexcept {
    std::swap(budget_, other.budget_);
    std::swap(bytes_, other.bytes_);
    return *this;
  }
  ~BodyRoom() {
    if (budget_) budget_->give(bytes_);
  }
  bool empty() const { return budget_ == nullptr; }
  /// The body is there and smaller than it might have been.
  void shrink(ByteCount bytes) {
    if (!budget_ || bytes >= bytes_) return;
    budget_->give(bytes_ - bytes);
    bytes_ = bytes;
  }

 private:
  BodyBudget* budget_ = nullptr;
  ByteCount bytes_ = 0;
};

}  // namespace nacelle::net::detail
