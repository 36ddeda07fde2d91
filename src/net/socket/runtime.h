#pragma once
// Runtime: the threads that run every socket and coroutine of a program.

#include <memory>

#include "foundation/async.h"

namespace nacelle::net {

class Runtime {
 public:
  explicit Runtime(unsigned threads = 0);  ///< 0: one a core
  ~Runtime();                              ///< stops and joins
  Executor executor();

  /// Runs `main` on the runtime and blocks until it ends; the calling thread works too. SIGINT and SIGTERM cancel it.
  Result<> run(awaitable<Result<>> main);
  /// The same for a test or a command: no signals.
  template <class T>
  T block_on(awaitable<T> task);
  void stop();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace nacelle::net
