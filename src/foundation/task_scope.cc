#include "foundation/task_scope.h"

#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <cstdio>
#include <list>
#include <mutex>
#include <vector>

namespace nacelle {
namespace {

/// A cancellation that met its task between two waits would be lost: the two must never run at once.
Executor one_at_a_time(const Executor& executor) {
  const bool is_strand =
      executor.target<asio::strand<Executor>>() || executor.target<asio::strand<asio::io_context::executor_type>>();
  return is_strand ? executor : Executor(asio::make_strand(executor));
}

}  // namespace

struct TaskScope::State {
  /// But for `executor`, touched on `executor` only.
  struct Task {
    Executor executor;
    asio::cancellation_signal cancel;
    bool cancelled = false;
    bool begun = false;
  };

  explicit State(Executor ex) : executor(std::move(ex)) {}

  Executor executor;
  mutable std::mutex mutex;
  std::list<std::shared_ptr<Task>> tasks;       // guarded by mutex
  bool closed = false;                          // guarded by mutex
  std::vector<std::function<void()>> on_empty;  // guarded by mutex

  /// By default Asio throws out of the next co_await of a cancelled coroutine; here a cancelled wait answers with its
  /// error and the task ends by itself.
  static awaitable<void> without_throwing(std::shared_ptr<Task> task, awaitable<void> body) {
    task->begun = true;
    co_await asio::this_coro::throw_if_cancelled(false);
    co_await std::move(body);
  }

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
      asio::post(task->executor, [task] {
        task->cancelled = true;
        task->cancel.emit(asio::cancellation_type::all);
      });
  }
};

TaskScope::TaskScope(Executor executor) : state_(std::make_shared<State>(std::move(executor))) {}

TaskScope::~TaskScope() { state_->cancel_all(); }

void TaskScope::spawn(awaitable<void> task) { spawn(one_at_a_time(state_->executor), std::move(task)); }

void TaskScope::spawn(Executor executor, awaitable<void> task) {
  auto entry = std::make_shared<State::Task>();
  entry->executor = executor;
  {
    const std::lock_guard lock(state_->mutex);
    if (state_->closed) return;
    state_->tasks.push_back(entry);
  }
  // On the executor, so that a cancellation of another thread comes before this or after, and not into the middle.
  auto start = [state = state_, entry, body = std::move(task)]() mutable {
    if (entry->cancelled) return state->ended(entry);
    auto ended = [state, entry](std::exception_ptr failure) {
      if (failure && entry->begun) std::rethrow_exception(failure);  // cancelled before its first step, Asio throws in its place
      state->ended(entry);
    };
    auto whole = State::without_throwing(entry, std::move(body));
    asio::co_spawn(entry->executor, std::move(whole), asio::bind_cancellation_slot(entry->cancel.slot(), std::move(ended)));
  };
  asio::dispatch(executor, std::move(start));
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
