#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "foundation/task_scope.h"
#include "net/socket/memory_stream.h"
#include "net/socket/plain.h"
#include "net/socket/runtime.h"
#include "net/socket/wake.h"

namespace nacelle::net {
namespace {

TEST(ParseEndpoint, reads_every_form_and_refuses_the_rest) {
  const auto plain = parse_endpoint("hub.example:8883", 1);
  ASSERT_TRUE(plain);
  EXPECT_EQ(plain->host, "hub.example");
  EXPECT_EQ(plain->port, 8883);
  EXPECT_EQ(parse_endpoint("hub", 443)->port, 443);
  const auto v6 = parse_endpoint("[::1]:80", 1);
  ASSERT_TRUE(v6);
  EXPECT_EQ(v6->host, "::1");
  EXPECT_EQ(v6->port, 80);
  EXPECT_EQ(parse_endpoint("[::1]", 5)->port, 5);
  EXPECT_EQ(parse_endpoint("unix:///run/a.sock", 1)->unix_path, "/run/a.sock");
  for (const auto* bad : {"", ":80", "host:", "host:x", "host:65536", "host:1:2", "[::1", "[::1]80", "unix://rel"})
    EXPECT_FALSE(parse_endpoint(bad, 1)) << bad;
}

awaitable<void> echo(StreamPtr stream) {
  char buffer[1000];
  while (true) {
    const auto count = co_await stream->read_some(buffer, sizeof(buffer));
    if (!count) co_return;
    const auto sent = co_await stream->write_all(BytesView(buffer, *count));
    if (!sent) co_return;
  }
}

awaitable<Result<Bytes>> read_exactly(Stream& stream, std::size_t size) {
  Bytes bytes(size, '\0');
  std::size_t have = 0;
  while (have < size) {
    CO_TRY_LET(const auto count, co_await stream.read_some(bytes.data() + have, size - have));
    have += count;
  }
  co_return bytes;
}

awaitable<void> send_then_close(Stream& stream, const Bytes& bytes, Wake& done) {
  static_cast<void>(co_await stream.write_all(bytes));
  done.notify();
}

awaitable<Result<Bytes>> round_trip(Endpoint endpoint, Bytes bytes) {
  const Executor executor = co_await asio::this_coro::executor;
  CO_TRY_LET(auto stream, co_await connect_plain(endpoint, std::chrono::seconds{10}));
  Wake sent;
  asio::co_spawn(executor, send_then_close(*stream, bytes, sent), [](std::exception_ptr) {});
  auto answer = co_await read_exactly(*stream, bytes.size());
  co_await sent.wait_for_good();
  co_return answer;
}

TEST(PlainListener, carries_megabytes_both_ways_at_once) {
  Runtime runtime(2);
  auto listener = listen_plain(runtime.executor(), Endpoint{}, echo, 10);
  ASSERT_TRUE(listener);
  Endpoint to;
  to.port = (*listener)->port();
  Bytes bytes(3'000'000, 'x');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31);
  const auto back = runtime.block_on(round_trip(to, bytes));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_TRUE(*back == bytes);
  runtime.block_on((*listener)->close());
}

/// As echo, but what can go out at once does.
awaitable<void> echo_now(StreamPtr stream) {
  char buffer[1000];
  while (true) {
    const auto count = co_await stream->read_some(buffer, sizeof(buffer));
    if (!count) co_return;
    BytesView left(buffer, *count);
    left.remove_prefix(stream->write_now(left));
    if (left.empty() && !stream->unsent()) continue;
    const auto sent = co_await stream->write_all(left);
    if (!sent) co_return;
  }
}

TEST(PlainListener, what_is_written_at_once_and_what_must_wait_come_in_order) {
  Runtime runtime(2);
  auto listener = listen_plain(runtime.executor(), Endpoint{}, echo_now, 10, Serving::own_thread);
  ASSERT_TRUE(listener);
  Endpoint to;
  to.port = (*listener)->port();
  Bytes bytes(3'000'000, 'x');
  for (std::size_t i = 0; i < bytes.size(); ++i) bytes[i] = static_cast<char>(i * 31 + i / 1000);
  const auto back = runtime.block_on(round_trip(to, bytes));
  ASSERT_TRUE(back) << back.error().message;
  EXPECT_TRUE(*back == bytes);
  runtime.block_on((*listener)->close());
}

/// Listens as a program does: on the strand of its main coroutine.
awaitable<Result<std::unique_ptr<Listener>>> listen_from_here(Listener::Serve serve, Serving serving) {
  const Executor strand = co_await asio::this_coro::executor;
  co_return listen_plain(strand, Endpoint{}, std::move(serve), 10, serving);
}

TEST(PlainListener, a_connection_that_computes_does_not_hold_up_another) {
  for (const Serving serving : {Serving::shared, Serving::own_thread}) {
    Runtime runtime(2);
    std::promise<void> second_served;
    const auto second = second_served.get_future().share();
    std::atomic<int> connections = 0;
    std::atomic<bool> waited = false;
    auto serve = [&](StreamPtr stream) -> awaitable<void> {
      char c = 0;
      const auto asked = co_await stream->read_some(&c, 1);
      if (!asked) co_return;
      if (++connections == 1)
        waited = second.wait_for(std::chrono::seconds{20}) == std::future_status::ready;  // a thread is taken so long
      else
        second_served.set_value();
      co_return;
    };
    auto listener = runtime.block_on(listen_from_here(serve, serving));
    ASSERT_TRUE(listener);
    Endpoint to;
    to.port = (*listener)->port();
    const auto ask = [](Endpoint endpoint) -> awaitable<Result<StreamPtr>> {
      CO_TRY_LET(auto stream, co_await connect_plain(endpoint, std::chrono::seconds{10}));
      CO_TRY(co_await stream->write_all("?"));
      co_return std::move(stream);
    };
    const auto one = runtime.block_on(ask(to));
    const auto two = runtime.block_on(ask(to));
    ASSERT_TRUE(one && two);
    second.wait_for(std::chrono::seconds{20});  // a listener that closes takes no more connections
    runtime.block_on((*listener)->close());
    EXPECT_TRUE(waited);
  }
}

TEST(PlainListener, with_own_thread_each_connection_stays_with_one_and_all_are_used) {
  Runtime runtime(3);
  std::mutex mutex;
  std::vector<std::set<std::thread::id>> threads;
  auto serve = [&](StreamPtr stream) -> awaitable<void> {
    std::set<std::thread::id> mine;
    char c = 0;
    while (true) {
      mine.insert(std::this_thread::get_id());
      const auto count = co_await stream->read_some(&c, 1);
      if (!count) break;
      static_cast<void>(stream->write_now({&c, 1}));
    }
    const std::lock_guard lock(mutex);
    threads.push_back(std::move(mine));
  };
  auto listener = runtime.block_on(listen_from_here(serve, Serving::own_thread));
  ASSERT_TRUE(listener);
  Endpoint to;
  to.port = (*listener)->port();
  for (int i = 0; i < 6; ++i) {
    const auto back = runtime.block_on(round_trip(to, "some bytes, one at a time"));
    ASSERT_TRUE(back) << back.error().message;
  }
  runtime.block_on((*listener)->close());
  std::set<std::thread::id> all;
  for (const auto& mine : threads) {
    EXPECT_EQ(mine.size(), 1u);
    all.insert(mine.begin(), mine.end());
  }
  EXPECT_EQ(threads.size(), 6u);
  EXPECT_EQ(all.size(), 3u);
}

TEST(Runtime, of_one_thread_has_no_second) {
  Runtime runtime(1);
  std::set<std::thread::id> threads;
  for (const Executor& executor : {runtime.executor(), own_thread(runtime.executor())}) {
    std::promise<std::thread::id> id;
    asio::post(executor, [&] { id.set_value(std::this_thread::get_id()); });
    threads.insert(id.get_future().get());
  }
  EXPECT_EQ(threads.size(), 1u);
}

TEST(Runtime, may_end_while_threads_own_work_waits) {
  auto alive = std::make_shared<int>(1);
  {
    Runtime runtime(2);
    const Executor own = own_thread(runtime.executor());
    const auto wait = [](Executor other, std::shared_ptr<int> held) -> awaitable<void> {
      asio::steady_timer timer(other, std::chrono::hours{1});
      static_cast<void>(co_await timer.async_wait(as_result));
      static_cast<void>(held);
    };
    asio::co_spawn(own, wait(runtime.executor(), alive), [alive](std::exception_ptr) {});
    asio::co_spawn(runtime.executor(), wait(own, alive), [alive](std::exception_ptr) {});
  }
  EXPECT_EQ(alive.use_count(), 1);
}

TEST(PlainListener, close_ends_idle_connections) {
  Runtime runtime(2);
  auto listener = listen_plain(runtime.executor(), Endpoint{}, echo, 10);
  ASSERT_TRUE(listener);
  Endpoint to;
  to.port = (*listener)->port();
  const auto run = [](Endpoint endpoint, Listener* l) -> awaitable<Result<std::size_t>> {
    CO_TRY_LET(auto stream, co_await connect_plain(endpoint, std::chrono::seconds{10}));
    CO_TRY(co_await stream->write_all("a"));
    char c = 0;
    CO_TRY(co_await stream->read_some(&c, 1));
    co_await l->close();
    co_return co_await stream->read_some(&c, 1);
  };
  const auto result = runtime.block_on(run(to, listener->get()));
  ASSERT_FALSE(result);
  EXPECT_EQ(result.error().fault, Fault::unavailable);
  const auto again = runtime.block_on(connect_plain(to, std::chrono::seconds{10}));
  EXPECT_FALSE(again);
}

TEST(PlainListener, a_taken_address_is_named) {
  Runtime runtime(1);
  auto first = listen_plain(runtime.executor(), Endpoint{}, echo, 10);
  ASSERT_TRUE(first);
  Endpoint same;
  same.port = (*first)->port();
  auto second = listen_plain(runtime.executor(), same, echo, 10);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().fault, Fault::unavailable);
  EXPECT_NE(second.error().message.find(std::to_string(same.port)), std::string::npos);
  runtime.block_on((*first)->close());
}

TEST(SocketStream, a_passed_deadline_is_timed_out_and_a_moved_one_is_not) {
  Runtime runtime(1);
  auto listener = listen_plain(runtime.executor(), Endpoint{}, echo, 10);
  ASSERT_TRUE(listener);
  Endpoint to;
  to.port = (*listener)->port();
  const auto run = [](Endpoint endpoint) -> awaitable<Result<>> {
    CO_TRY_LET(auto stream, co_await connect_plain(endpoint, std::chrono::seconds{10}));
    char c = 0;
    stream->set_deadline(std::chrono::milliseconds{1});
    const auto late = co_await stream->read_some(&c, 1);
    EXPECT_FALSE(late);
    if (!late) {
      EXPECT_EQ(late.error().fault, Fault::timed_out);
    }
    stream->set_deadline(std::chrono::hours{1});
    CO_TRY(co_await stream->write_all("a"));
    CO_TRY(co_await stream->read_some(&c, 1));
    co_return Result<>{};
  };
  const auto result = runtime.block_on(run(to));
  EXPECT_TRUE(result) << result.error().message;
  runtime.block_on((*listener)->close());
}

TEST(MemoryPipe, a_writer_waits_for_the_reader) {
  Runtime runtime(1);
  const auto run = []() -> awaitable<Result<Bytes>> {
    const Executor executor = co_await asio::this_coro::executor;
    auto pipe = make_memory_pipe(executor, 16);
    Wake sent;
    const Bytes bytes(1000, 'm');
    asio::co_spawn(executor, send_then_close(*pipe.left, bytes, sent), [](std::exception_ptr) {});
    auto answer = co_await read_exactly(*pipe.right, bytes.size());
    co_await sent.wait_for_good();
    co_return answer;
  };
  const auto got = runtime.block_on(run());
  ASSERT_TRUE(got);
  EXPECT_EQ(*got, Bytes(1000, 'm'));
}

TEST(Wake, a_cancelled_task_is_joined) {
  Runtime runtime(1);
  const auto run = []() -> awaitable<void> {
    const Executor executor = co_await asio::this_coro::executor;
    TaskScope tasks(executor);
    tasks.spawn(until_cancelled());
    co_await tasks.close();
  };
  runtime.block_on(run());
}

}  // namespace
}  // namespace nacelle::net
