#pragma once
// Independent tasks on several threads. What comes of a task depends on its number only, so that the number of threads has no say
// in the result.

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <functional>
#include <thread>
#include <vector>

namespace nacelle {

/// task(0) .. task(count - 1), on the caller's thread and up to `threads` - 1 more. Back when all are done.
inline void run_tasks(std::size_t count, int threads, const std::function<void(std::size_t)>& task) {
  std::atomic<std::size_t> next = 0;
  const auto take = [&] {
    for (std::size_t at = next++; at < count; at = next++) task(at);
  };
  std::vector<std::jthread> others;  // joined when they leave
  for (std::size_t t = 1; t < std::min(count, static_cast<std::size_t>(std::max(threads, 1))); ++t) others.emplace_back(take);
  take();
}

}  // namespace nacelle
