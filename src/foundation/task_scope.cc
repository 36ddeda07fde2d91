#include "foundation/task_scope.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <cstdio>
#include <list>
#include <mutex>
#include <vector>

namespace nacelle {

struct TaskScope::State {
  struct Task {
    Executor executor;
    asio::cancellation_signal cancel;
  };

  explicit State(Executor ex) : executor(std::move(ex)) {}

  Executor executor;
  mutable std::mutex mutex;
  std::list<std::shared_ptr<Task>> tasks;        // guarded by mutex
  bool closed = false;                            // guarded by mutex
  std::vector<std::function<void()>> on_empty;    // guarded by mutex

  void ended(const std::shared_ptr<Task>& task) {
    std::vector<std::function<void()>> wake;
    {
      const std::lock_guard lock(mutex);
      tasks.remove(task);
      if (tasks.empty()) wake.swap(on_empty);
    }
    for (const auto& call : wake) call();
  }

  void cancel_all() {
    std::list<std::shared_ptr<Task>> all;
    {
      const std::lock_guard lock(mutex);
      closed = true;
      all = tasks;
    }
    for (const auto& task : all)
      asio::post(task->executor, [task] { task->cancel.emit(asio::cancellation_type::all); });
  }
};

namespace {

/// By default Asio throws out of the next co_await of a cancelled coroutine; here a cancelled wait answers with its error
/// and the task ends by itself.
awaitable<void> without_throwing(awaitable<void> task) {
  co_await asio::this_coro::throw_if_cancelled(false);
  co_await std::move(task);
}

}  // namespace

TaskScope::TaskScope(Executor executor) : state_(std::make_shared<State>(std::move(executor))) {}

TaskScope::~TaskScope() { state_->cancel_all(); }

void TaskScope::spawn(awaitable<void> task) { spawn(state_->executor, std::move(task)); }

void TaskScope::spawn(Executor executor, awaitable<void> task) {
  auto entry = std::make_shared<State::Task>();
  entry->executor = executor;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->closed) return;
    state_->tasks.push_back(entry);
  }
  auto ended = [state = state_, entry](std::exception_ptr failure) {
    if (failure) std::rethrow_exception(failure);
    state->ended(entry);
  };
  asio::co_spawn(executor, without_throwing(std::move(task)), asio::bind_cancellation_slot(entry->cancel.slot(), std::move(ended)));
}

awaitable<void> TaskScope::close() {
  const auto state = state_;
  state->cancel_all();
  auto wait = [state](std::function<void(bool)> done) {
    {
      const std::lock_guard lock(state->mutex);
      if (!state->tasks.empty()) {
        state->on_empty.push_back([done] { done(true); });
        return;
      }
    }
    done(true);
  };
  co_await await_callback<bool>(std::move(wait));
}

std::size_t TaskScope::running() const {
  const std::lock_guard lock(state_->mutex);
  return state_->tasks.size();
}

}  // namespace nacelle
