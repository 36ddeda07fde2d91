// How we await: callbacks, tasks and queues. Each test runs its own io_context to its end, so a lost wake-up shows as a
// task that did not end.

#include "foundation/async.h"

#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/use_future.hpp>
#include <optional>
#include <thread>

#include "foundation/bounded_queue.h"
#include "foundation/snapshot.h"
#include "foundation/task_scope.h"

namespace nacelle {
namespace {

using namespace std::chrono_literals;
constexpr auto for_ever = std::chrono::hours{24};

/// Runs `task` on `executor` until nothing is left to do; an exception out of it fails the test.
void run(asio::io_context& io, Executor executor, awaitable<void> task) {
  bool ended = false;
  asio::co_spawn(executor, std::move(task), [&](std::exception_ptr failure) {
    ended = true;
    if (failure) std::rethrow_exception(failure);
  });
  io.run();
  EXPECT_TRUE(ended);
}

using Done = std::function<void(Result<int>)>;
/// Answers like a storage thread would.
struct Worker {
  std::vector<std::jthread> threads;
  void answer(int value, Done done) {
    threads.emplace_back([value, done = std::move(done)] { done(value); });
  }
};

awaitable<void> call_worker(Worker& worker, const bool& on_strand, std::atomic<int>& sum) {
  for (int i = 1; i <= 100; ++i) {
    auto start = [&worker, i](Done done) { worker.answer(i, std::move(done)); };
    const auto value = co_await await_callback<Result<int>>(std::move(start));
    EXPECT_TRUE(on_strand);
    sum += *value;
  }
}

TEST(AwaitCallback, an_answer_from_another_thread_continues_where_the_task_was) {
  asio::io_context io;
  Worker worker;
  std::atomic<int> sum = 0;
  const bool on_strand = true;
  const auto strand = asio::make_strand(io);
  run(io, strand, call_worker(worker, on_strand, sum));
  EXPECT_EQ(sum, 5050);
}

awaitable<void> call_at_once(std::string& out) {
  auto start = [](std::function<void(std::string)> done) { done("at once, and long enough to be allocated"); };
  out = co_await await_callback<std::string>(std::move(start));
}

TEST(AwaitCallback, an_answer_inside_the_call_is_taken) {
  asio::io_context io;
  std::string out;
  run(io, asio::make_strand(io), call_at_once(out));
  EXPECT_EQ(out, "at once, and long enough to be allocated");
}

/// Waits for ever, and says how it ended.
awaitable<void> wait_long(int& cancelled) {
  const bool whole = co_await sleep_for(for_ever);
  if (!whole) ++cancelled;
}

awaitable<void> spawn_and_close(TaskScope& tasks, int& cancelled) {
  for (int i = 0; i < 10; ++i) tasks.spawn(wait_long(cancelled));
  co_await sleep_for(1ms);  // let them begin
  EXPECT_EQ(tasks.running(), 10u);
  co_await tasks.close();
  EXPECT_EQ(cancelled, 10);
  EXPECT_EQ(tasks.running(), 0u);
  tasks.spawn(wait_long(cancelled));  // dropped
  co_await tasks.close();
}

TEST(TaskScope, close_cancels_every_task_and_waits_for_its_end) {
  asio::io_context io;
  const Executor strand = asio::make_strand(io);
  TaskScope tasks(strand);
  int cancelled = 0;
  run(io, strand, spawn_and_close(tasks, cancelled));
  EXPECT_EQ(cancelled, 10);
}

awaitable<void> only_close(TaskScope& tasks) { co_await tasks.close(); }

TEST(TaskScope, tasks_spawned_just_before_close_end) {
  asio::io_context io;
  const Executor strand = asio::make_strand(io);
  TaskScope tasks(strand);
  int cancelled = 0;
  for (int i = 0; i < 3; ++i) tasks.spawn(wait_long(cancelled));
  run(io, strand, only_close(tasks));
  EXPECT_EQ(tasks.running(), 0u);
}

awaitable<void> finish_slowly(int& steps) {
  co_await sleep_for(for_ever);
  for (int i = 0; i < 3; ++i) {
    co_await asio::post(asio::use_awaitable);  // cancelled, and still allowed to tidy up
    ++steps;
  }
}

awaitable<void> close_over_slow_task(TaskScope& tasks, int& steps) {
  tasks.spawn(finish_slowly(steps));
  co_await sleep_for(1ms);
  co_await tasks.close();
  EXPECT_EQ(steps, 3);
}

TEST(TaskScope, a_cancelled_task_may_finish_its_work) {
  asio::io_context io;
  const Executor strand = asio::make_strand(io);
  TaskScope tasks(strand);
  int steps = 0;
  run(io, strand, close_over_slow_task(tasks, steps));
}

awaitable<void> sleep_in_a_loop(int& rounds) {
  while (co_await sleep_for(1us)) ++rounds;
  EXPECT_FALSE(co_await sleep_for(for_ever));  // once cancelled, every later sleep ends at once
}

awaitable<void> close_over_loop(TaskScope& tasks, int& rounds) {
  tasks.spawn(sleep_in_a_loop(rounds));
  co_await sleep_for(2ms);
  co_await tasks.close();
}

TEST(TaskScope, a_loop_of_sleeps_ends_when_cancelled) {
  asio::io_context io;
  const Executor strand = asio::make_strand(io);
  TaskScope tasks(strand);
  int rounds = 0;
  run(io, strand, close_over_loop(tasks, rounds));
}

TEST(TaskScope, tasks_may_be_spawned_from_any_thread_while_it_closes) {
  for (int round = 0; round < 50; ++round) {
    asio::io_context io;
    const Executor strand = asio::make_strand(io);
    TaskScope tasks(strand);
    std::atomic<int> ended = 0;
    const auto body = [](std::atomic<int>& count) -> awaitable<void> {
      co_await sleep_for(for_ever);
      ++count;
    };
    const auto guard = asio::make_work_guard(io);
    std::jthread producer([&] {
      for (int i = 0; i < 50; ++i) tasks.spawn(body(ended));
    });
    std::jthread runner([&] { io.run(); });
    asio::co_spawn(strand, only_close(tasks), [&](std::exception_ptr) { io.stop(); });
    runner.join();
    producer.join();
  }
}

awaitable<void> sleep_after(int spins) {
  for (std::atomic<int> i = 0; i < spins;) ++i;
  co_await sleep_for(for_ever);
}

// A cancellation that falls between a task's look and its sleep would be lost, and the test not end.
TEST(TaskScope, a_task_about_to_sleep_is_cancelled_even_where_several_threads_run_it) {
  asio::io_context io;
  const auto guard = asio::make_work_guard(io);
  std::vector<std::jthread> threads;
  for (int i = 0; i < 3; ++i) threads.emplace_back([&] { io.run(); });
  for (int round = 0; round < 3000; ++round) {
    TaskScope tasks(io.get_executor());
    for (int i = 0; i < 3; ++i) tasks.spawn(sleep_after(round));
    asio::co_spawn(asio::make_strand(io), only_close(tasks), asio::use_future).get();
  }
  io.stop();
}

awaitable<void> throw_a_bug() {
  co_await asio::post(asio::use_awaitable);
  throw std::logic_error("a bug");
}

TEST(TaskScope, an_exception_out_of_a_task_is_not_lost) {
  asio::io_context io;
  TaskScope tasks(asio::make_strand(io));
  tasks.spawn(throw_a_bug());
  EXPECT_THROW(io.run(), std::logic_error);
}

awaitable<void> take(BoundedQueue<std::string>& queue, std::vector<std::string>& taken) {
  while (true) {
    auto item = co_await queue.pop();
    if (!item) co_return;
    taken.push_back(std::move(*item));
  }
}

TEST(BoundedQueue, refuses_above_its_bounds_and_keeps_order) {
  asio::io_context io;
  const Executor strand = asio::make_strand(io);
  BoundedQueue<std::string> queue(strand, {.items = 3, .bytes = 10});
  EXPECT_TRUE(queue.push("large", 100));  // alone, it may pass the bound
  EXPECT_FALSE(queue.push("b", 1));
  std::vector<std::string> taken;
  queue.close();
  run(io, strand, take(queue, taken));
  EXPECT_EQ(taken, std::vector<std::string>{"large"});

  BoundedQueue<std::string> second(strand, {.items = 3, .bytes = 10});
  EXPECT_TRUE(second.push("a", 4));
  EXPECT_TRUE(second.push("b", 6));
  EXPECT_FALSE(second.push("c", 1));  // bytes
  EXPECT_TRUE(second.push("c", 0));
  EXPECT_FALSE(second.push("d", 0));  // items
  EXPECT_EQ(second.size(), 3u);
  second.close();
  EXPECT_FALSE(second.push("e", 0));
  io.restart();
  taken.clear();
  run(io, strand, take(second, taken));
  EXPECT_EQ(taken, (std::vector<std::string>{"a", "b", "c"}));
}

TEST(BoundedQueue, wakes_its_consumer_for_every_item_of_many_producers) {
  asio::io_context io;
  const Executor strand = asio::make_strand(io);
  BoundedQueue<std::string> queue(strand, {.items = 1'000'000, .bytes = 1_GiB});
  std::vector<std::string> taken;
  std::vector<std::jthread> producers;
  std::atomic<int> left = 4;
  for (int p = 0; p < 4; ++p)
    producers.emplace_back([&] {
      for (int i = 0; i < 2000; ++i) {
        EXPECT_TRUE(queue.push("x", 1));
        if (i % 100 == 0) std::this_thread::yield();
      }
      if (--left == 0) queue.close();
    });
  run(io, strand, take(queue, taken));
  EXPECT_EQ(taken.size(), 8000u);
}

awaitable<void> cancel_a_consumer(TaskScope& tasks, BoundedQueue<std::string>& queue, std::vector<std::string>& taken) {
  tasks.spawn(take(queue, taken));
  co_await sleep_for(1ms);
  EXPECT_TRUE(queue.push("a", 1));
  co_await sleep_for(1ms);
  co_await tasks.close();
}

TEST(BoundedQueue, a_cancelled_consumer_stops_waiting) {
  asio::io_context io;
  const Executor strand = asio::make_strand(io);
  TaskScope tasks(strand);
  BoundedQueue<std::string> queue(strand, {.items = 10, .bytes = 10});
  std::vector<std::string> taken;
  run(io, strand, cancel_a_consumer(tasks, queue, taken));
  EXPECT_EQ(taken, std::vector<std::string>{"a"});
}

TEST(Snapshot, readers_see_the_old_value_or_the_new_one_whole) {
  using Pair = std::pair<int, int>;
  Snapshot<Pair> snapshot;
  std::atomic<bool> stop = false;
  std::jthread reader([&] {
    int last = 0;
    while (!stop) {
      const auto seen = snapshot.get();
      EXPECT_EQ(seen->first, seen->second);
      EXPECT_GE(seen->first, last);
      last = seen->first;
    }
  });
  const auto kept = snapshot.get();
  for (int i = 1; i <= 10'000; ++i) snapshot.publish({i, i});
  stop = true;
  reader.join();
  EXPECT_EQ(kept->first, 0);
  EXPECT_EQ(snapshot.get()->first, 10'000);
}

}  // namespace
}  // namespace nacelle
