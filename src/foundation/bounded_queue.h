#pragma once
// BoundedQueue<T>: many producers, one awaiting consumer, a bound in items and in bytes. When full, push refuses
// and the producer decides (wait, answer "busy", drop and count).

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <utility>

#include "foundation/async.h"
#include "foundation/bytes.h"

namespace nacelle {

template <class T>
class BoundedQueue {
 public:
  struct Bound {
    std::size_t items;
    ByteCount bytes;
  };

  BoundedQueue(Executor consumer, Bound bound) : state_(std::make_shared<State>(std::move(consumer), bound)) {}
  ~BoundedQueue() { close(); }

  /// False, and `item` dropped, if the queue is full or closed. A single item above the byte bound enters an empty
  /// queue. Any thread.
  bool push(T item, ByteCount bytes = 0) {
    const std::lock_guard lock(state_->mutex);
    auto& s = *state_;
    const bool full = s.items.size() >= s.bound.items || (!s.items.empty() && s.bytes + bytes > s.bound.bytes);
    if (s.closed || full) return false;
    s.items.emplace_back(std::move(item), bytes);
    s.bytes += bytes;
    wake();
    return true;
  }

  /// The oldest item; nothing once the queue is closed and empty, or the wait is cancelled. One consumer, on its executor.
  awaitable<std::optional<T>> pop() {
    const auto state = state_;
    while (true) {
      const asio::cancellation_state cancellation = co_await asio::this_coro::cancellation_state;
      asio::steady_timer* timer = nullptr;
      {
        const std::lock_guard lock(state->mutex);
        if (!state->items.empty()) {
          auto [item, bytes] = std::move(state->items.front());
          state->items.pop_front();
          state->bytes -= bytes;
          co_return std::move(item);
        }
        if (state->closed || cancellation.cancelled() != asio::cancellation_type::none) co_return std::nullopt;
        state->timer.expires_at(std::chrono::steady_clock::time_point::max());
        state->waiting = true;
        timer = &state->timer;
      }
      co_await timer->async_wait(as_result);
    }
  }

  void close() {
    const std::lock_guard lock(state_->mutex);
    state_->closed = true;
    wake();
  }
  std::size_t size() const {
    const std::lock_guard lock(state_->mutex);
    return state_->items.size();
  }

 private:
  struct State {
    State(Executor consumer, Bound limit) : bound(limit), executor(consumer), timer(consumer) {}
    const Bound bound;
    std::mutex mutex;
    std::deque<std::pair<T, ByteCount>> items;  // guarded by mutex
    ByteCount bytes = 0;                        // guarded by mutex
    bool closed = false;                        // guarded by mutex
    bool waiting = false;                       // guarded by mutex
    Executor executor;
    asio::steady_timer timer;  // touched on `executor` only, but for expires_at before the wait begins
  };

  /// Ends the consumer's wait, on its executor; called with the mutex held.
  void wake() {
    if (!state_->waiting) return;
    state_->waiting = false;
    asio::post(state_->executor, [state = state_] { state->timer.cancel(); });
  }

  std::shared_ptr<State> state_;
};

}  // namespace nacelle
