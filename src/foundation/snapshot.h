#pragma once
// Snapshot<T>: a value published by one owner and read whole by anyone; nobody waits for a reload.

#include <memory>
#include <mutex>
#include <utility>

namespace nacelle {

template <class T>
class Snapshot {
 public:
  Snapshot() : value_(std::make_shared<const T>()) {}
  explicit Snapshot(T value) : value_(std::make_shared<const T>(std::move(value))) {}

  /// The value as last published: old or new, never half. Any thread.
  std::shared_ptr<const T> get() const {
    const std::lock_guard lock(mutex_);
    return value_;
  }
  /// Replaces the value. Any thread.
  void publish(T value) {
    auto next = std::make_shared<const T>(std::move(value));
    const std::lock_guard lock(mutex_);
    value_.swap(next);
  }

 private:
  mutable std::mutex mutex_;        // held for a pointer copy only
  std::shared_ptr<const T> value_;  // guarded by mutex_
};

}  // namespace nacelle
