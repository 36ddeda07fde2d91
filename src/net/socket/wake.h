#pragma once
// Wake: one coroutine sleeps until another part of the same strand has something for it. Cheaper than a timer, and a
// notification that comes first is remembered.

#include <optional>

#include "foundation/async.h"

namespace nacelle::net {

/// One strand, one waiter. Outlives the wait.
class Wake {
 public:
  Wake() = default;
  Wake(const Wake&) = delete;
  Wake& operator=(const Wake&) = delete;

  /// Back after a notify(), at once if there was one since the last wait; false if the coroutine is (or was) cancelled.
  /// A cancelled coroutine may still use wait_for_good().
  awaitable<bool> wait() {
    const auto before = co_await asio::this_coro::cancellation_state;
    if (before.cancelled() != asio::cancellation_type::none) co_return false;
    co_await suspend();
    const auto after = co_await asio::this_coro::cancellation_state;
    co_return after.cancelled() == asio::cancellation_type::none;
  }
  /// As wait(), but a cancelled coroutine waits too: for what has been told to end and surely will.
  awaitable<void> wait_for_good() { return suspend(); }

  void notify() {
    notified_ = true;
    resume();
  }

 private:
  using Handler = asio::async_result<asio::use_awaitable_t<>, void()>::handler_type;

  awaitable<void> suspend() {
    if (!notified_) {
      auto keep = [this](auto handler) {
        auto slot = asio::get_associated_cancellation_slot(handler);
        if (slot.is_connected()) slot.assign([this](asio::cancellation_type) { resume(); });
        waiting_.emplace(std::move(handler));
      };
      co_await asio::async_initiate<const asio::use_awaitable_t<>, void()>(keep, asio::use_awaitable);
    }
    notified_ = false;
  }
  void resume() {
    if (!waiting_) return;
    Handler handler = std::move(*waiting_);
    waiting_.reset();
    const auto executor = asio::get_associated_executor(handler);
    asio::post(executor, std::move(handler));  // not inline: the waiter must not run inside the notifier
  }

  bool notified_ = false;
  std::optional<Handler> waiting_;
};

}  // namespace nacelle::net
