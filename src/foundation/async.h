#pragma once
// The one way this project awaits: Boost.Asio coroutines that answer with Results, never with exceptions.
// With g++ 12: one co_await per statement, alone or right of `=`; build its arguments on lines above.

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/as_tuple.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/dispatch.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <chrono>
#include <functional>
#include <memory>

#include "foundation/result.h"

namespace nacelle {

namespace asio = boost::asio;
template <class T = void>
using awaitable = asio::awaitable<T>;
using Executor = asio::any_io_executor;

/// The completion token for every Asio call: `const auto [error, n] = co_await socket.async_read_some(buffer, as_result);`
inline constexpr auto as_result = asio::as_tuple(asio::use_awaitable);

/// Waits; false if the wait was cancelled.
awaitable<bool> sleep_for(std::chrono::steady_clock::duration time);

/// Awaits an operation that answers through a callback. `start` is given `done`, which must be called exactly once,
/// from any thread; the coroutine goes on on its own executor.
/// `start` is a local with a name, unless it captures references only:
/// `auto append = [&log, p, record](auto done) { log.append(p, record, done); };`
/// `const auto appended = co_await await_callback<Result<Offset>>(std::move(append));`
template <class T, class Start>
awaitable<T> await_callback(Start start) {
  auto executor = co_await asio::this_coro::executor;
  // A name of its own: made inside the awaiting expression, g++ 12 would destroy it twice.
  auto initiate = [executor](auto handler, Start begin) {
    auto held = std::make_shared<decltype(handler)>(std::move(handler));
    std::function<void(T)> done = [held, executor](T value) {
      asio::post(executor, [held, v = std::move(value)]() mutable { (*held)(std::move(v)); });
    };
    begin(std::move(done));
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(T)>(std::move(initiate), asio::use_awaitable,
                                                                                  std::move(start));
}

}  // namespace nacelle
