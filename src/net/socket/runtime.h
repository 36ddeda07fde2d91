#pragma once
// Runtime: the threads that run every socket and coroutine of a program. Most work is shared: any of its threads takes the
// next piece. Connections that say little at a time are better off with one thread each (docs/decisions/0245-a-thread-each.md).

#include <future>
#include <memory>

#include "foundation/async.h"

namespace nacelle::net {

class Runtime {
 public:
  /// `threads` 0: one a core. Raises the process's soft limit of open files to the hard one.
  explicit Runtime(unsigned threads = 0);
  ~Runtime();  ///< stops and joins
  Executor executor();

  /// Runs `main` on a strand of the runtime and blocks until it ends. The first SIGINT or SIGTERM cancels it (what it
  /// waits for ends; it then closes what it owns), the second one kills the process.
  Result<> run(awaitable<Result<>> main);
  /// The same for a test or a command: no signals. Not from one of the runtime's own threads.
  template <class T>
  T block_on(awaitable<T> task);
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Comes back when the calling coroutine is cancelled: what `main` of a server waits for.
awaitable<void> until_cancelled();

/// For a new connection: an executor that is one thread of the runtime behind `executor`, each thread in turn. It is as good as
/// a strand, without the locks and the wake-ups between threads. A runtime of one thread, and an executor of none: a strand.
Executor own_thread(const Executor& executor);

namespace detail {

template <class T>
awaitable<void> fulfil(awaitable<T> task, std::shared_ptr<std::promise<T>> promise) {
  co_await asio::this_coro::throw_if_cancelled(false);
  if constexpr (std::is_void_v<T>) {
    co_await std::move(task);
    promise->set_value();
  } else {
    T value = co_await std::move(task);
    promise->set_value(std::move(value));
  }
}

}  // namespace detail

template <class T>
T Runtime::block_on(awaitable<T> task) {
  auto promise = std::make_shared<std::promise<T>>();
  auto future = promise->get_future();
  const Executor strand = asio::make_strand(executor());
  asio::co_spawn(strand, detail::fulfil(std::move(task), promise), [promise](std::exception_ptr failure) {
    if (failure) promise->set_exception(failure);
  });
  return future.get();
}

}  // namespace nacelle::net
