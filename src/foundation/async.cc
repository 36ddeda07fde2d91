#include "foundation/async.h"

namespace nacelle {

awaitable<bool> sleep_for(std::chrono::steady_clock::duration time) {
  // Cancelled while it was busy elsewhere: a loop of work and sleep must end all the same.
  const auto state = co_await asio::this_coro::cancellation_state;
  if (state.cancelled() != asio::cancellation_type::none) co_return false;
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_after(time);
  const auto [error] = co_await timer.async_wait(as_result);
  co_return !error;
}

}  // namespace nacelle
