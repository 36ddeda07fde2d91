#include "net/http/detail/body_budget.h"

#include <algorithm>

namespace nacelle::net::detail {

struct BodyBudget::Waiter {
  Waiter(const Executor& executor, ByteCount wanted, std::chrono::steady_clock::duration patience)
      : timer(executor, patience), bytes(wanted) {}
  asio::steady_timer timer;  // of the waiter's strand
  const ByteCount bytes;
  bool granted = false;  // guarded by the budget's mutex
};

awaitable<bool> BodyBudget::take(ByteCount bytes, std::chrono::steady_clock::duration patience) {
  if (bytes > most_) co_return false;
  const Executor executor = co_await asio::this_coro::executor;
  const auto waiter = std::make_shared<Waiter>(executor, bytes, patience);
  {
    const std::lock_guard lock(mutex_);
    if (waiting_.empty() && used_ + bytes <= most_) {
      used_ += bytes;
      co_return true;
    }
    waiting_.push_back(waiter);
  }
  // A grant is posted to this strand, and so comes after the wait has begun.
  co_await waiter->timer.async_wait(as_result);
  co_return leave(waiter);
}

/// Whether room was granted; else it waits no more.
bool BodyBudget::leave(const std::shared_ptr<Waiter>& waiter) {
  {
    const std::lock_guard lock(mutex_);
    if (waiter->granted) return true;
    std::erase(waiting_, waiter);
  }
  give(0);  // those behind it may fit
  return false;
}

void BodyBudget::give(ByteCount bytes) {
  const std::lock_guard lock(mutex_);
  used_ -= std::min(used_, bytes);
  while (!waiting_.empty() && used_ + waiting_.front()->bytes <= most_) {
    const auto next = std::move(waiting_.front());
    waiting_.pop_front();
    used_ += next->bytes;
    next->granted = true;
    asio::post(next->timer.get_executor(), [next] { next->timer.cancel(); });
  }
}

ByteCount BodyBudget::used() const {
  const std::lock_guard lock(mutex_);
  return used_;
}

}  // namespace nacelle::net::detail
