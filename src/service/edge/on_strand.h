#pragma once
// on_strand(executor, task): runs `task` on another executor and awaits its answer here. The awaiting coroutine owns it.

#include <boost/asio/detached.hpp>

#include "foundation/async.h"

namespace nacelle::edge {

template <class T>
awaitable<void> run_and_tell(awaitable<T> task, std::function<void(T)> done) {
  auto answer = co_await std::move(task);
  done(std::move(answer));
}

template <class T>
awaitable<T> on_strand(Executor executor, awaitable<T> task) {
  auto held = std::make_shared<awaitable<T>>(std::move(task));
  auto begin = [executor, held](std::function<void(T)> done) {
    asio::co_spawn(executor, run_and_tell<T>(std::move(*held), std::move(done)), asio::detached);
  };
  co_return co_await await_callback<T>(std::move(begin));
}

}  // namespace nacelle::edge
