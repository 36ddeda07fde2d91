#pragma once
// TaskScope: owns coroutines. Every task has an owner that cancels and joins it.
//
//   TaskScope tasks(executor);
//   tasks.spawn(accept_loop());
//   ...
//   co_await tasks.close();   // cancels all, back once each has ended

#include <memory>

#include "foundation/async.h"

namespace nacelle {

class TaskScope {
 public:
  explicit TaskScope(Executor executor);
  ~TaskScope();  ///< Cancels what still runs, without waiting: close() first wherever tasks borrow from the owner.
  TaskScope(const TaskScope&) = delete;
  TaskScope& operator=(const TaskScope&) = delete;

  /// Runs `task` on the scope's executor, on a strand of its own if that is not one. After close() a task is dropped
  /// unstarted. Any thread. An exception out of a task is a bug and stops the process.
  void spawn(awaitable<void> task);
  /// On `executor`, which runs one thing at a time: a strand, or a context of one thread.
  void spawn(Executor executor, awaitable<void> task);

  /// Cancels every task and comes back when all have ended.
  awaitable<void> close();

  std::size_t running() const;

 private:
  struct State;
  std::shared_ptr<State> state_;
};

}  // namespace nacelle
