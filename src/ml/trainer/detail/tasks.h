#pragma once
// How far the tasks of a fit are that run on several threads. Private to ml/trainer.

#include <algorithm>
#include <atomic>
#include <functional>
#include <thread>
#include <vector>

#include "foundation/run_tasks.h"

namespace nacelle::trainer {

/// Counts steps of work done by several threads; tells the caller's progress function from the caller's own thread only.
class Work {
 public:
  Work(std::size_t steps, std::function<bool(double)> progress) : steps_(steps), progress_(std::move(progress)) {}

  /// One more step is done. False: cancelled.
  bool step() {
    const std::size_t done = ++done_;
    if (progress_ && std::this_thread::get_id() == caller_ &&
        !progress_(std::min(1.0, static_cast<double>(done) / static_cast<double>(steps_))))
      cancelled_ = true;
    return !cancelled_;
  }
  bool cancelled() const { return cancelled_; }

 private:
  const std::size_t steps_;
  const std::function<bool(double)> progress_;
  const std::thread::id caller_ = std::this_thread::get_id();
  std::atomic<std::size_t> done_ = 0;
  std::atomic<bool> cancelled_ = false;
};

/// How far several pieces of work on several threads are, told to the caller's progress function from the caller's own thread only.
class Pieces {
 public:
  /// `progress` is told which piece moved and the part of the whole that is done; false cancels. It may be empty.
  Pieces(std::size_t count, std::function<bool(std::size_t piece, double done)> progress)
      : done_(count), progress_(std::move(progress)) {}

  /// The part of this piece that is done. False: cancelled.
  bool tell(std::size_t piece, double done) {
    done_[piece] = done;
    if (progress_ && std::this_thread::get_id() == caller_) {
      double sum = 0;
      for (const std::atomic<double>& part : done_) sum += part;
      if (!progress_(piece, sum / static_cast<double>(done_.size()))) cancelled_ = true;
    }
    return !cancelled_;
  }

 private:
  std::vector<std::atomic<double>> done_;
  const std::function<bool(std::size_t, double)> progress_;
  const std::thread::id caller_ = std::this_thread::get_id();
  std::atomic<bool> cancelled_ = false;
};

}  // namespace nacelle::trainer
