#include "foundation/async.h"

namespace nacelle {

awaitable<bool> sleep_for(std::chrono::steady_clock::duration time) {
  asio::steady_timer timer(co_await asio::this_coro::executor);
  timer.expires_after(time);
  const auto [error] = co_await timer.async_wait(as_result);
  co_return !error;
}

}  // namespace nacelle
