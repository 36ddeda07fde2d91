#include "net/socket/runtime.h"

#include <sys/resource.h>

#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/signal_set.hpp>
#include <thread>
#include <vector>

#include "foundation/log.h"
#include "net/socket/wake.h"

namespace nacelle::net {

struct Runtime::State {
  explicit State(unsigned count) : context(static_cast<int>(count)), work(context.get_executor()) {}

  asio::io_context context;
  asio::executor_work_guard<asio::io_context::executor_type> work;
  std::vector<std::thread> threads;
};

namespace {

/// Each connection is a file descriptor, and the usual soft limit of 1024 is there for programs that call select().
void allow_many_descriptors() {
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
  limit.rlim_cur = limit.rlim_max;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) log::warn("runtime", "no more than the usual number of files can be open");
}

}  // namespace

Runtime::Runtime(unsigned threads) {
  allow_many_descriptors();
  const unsigned count = threads != 0 ? threads : std::max(1u, std::thread::hardware_concurrency());
  state_ = std::make_unique<State>(count);
  for (unsigned i = 0; i < count; ++i) state_->threads.emplace_back([state = state_.get()] { state->context.run(); });
}

Runtime::~Runtime() {
  stop();
  for (auto& thread : state_->threads) thread.join();
}

Executor Runtime::executor() { return state_->context.get_executor(); }

void Runtime::stop() { state_->context.stop(); }

namespace {

struct MainTask {
  explicit MainTask(Executor executor) : strand(asio::make_strand(std::move(executor))), signals(strand, SIGINT, SIGTERM) {}
  const Executor strand;
  asio::signal_set signals;
  asio::cancellation_signal cancel;
  std::shared_ptr<std::promise<Result<>>> ended = std::make_shared<std::promise<Result<>>>();
};

}  // namespace

Result<> Runtime::run(awaitable<Result<>> main) {
  auto task = std::make_shared<MainTask>(executor());
  auto future = task->ended->get_future();
  task->signals.async_wait([task](const boost::system::error_code& error, int number) {
    if (error) return;
    log::info("runtime", "{}: shutting down", number == SIGINT ? "SIGINT" : "SIGTERM");
    boost::system::error_code ignored;
    task->signals.clear(ignored);  // the default action is back: a second signal kills
    task->cancel.emit(asio::cancellation_type::all);
  });
  auto ended = [task](std::exception_ptr failure) {
    task->signals.cancel();
    if (failure) std::rethrow_exception(failure);  // a bug: stop the process
  };
  asio::co_spawn(task->strand, detail::fulfil(std::move(main), task->ended),
                 asio::bind_cancellation_slot(task->cancel.slot(), std::move(ended)));
  return future.get();
}

awaitable<void> until_cancelled() {
  Wake never;
  while (co_await never.wait()) {}
}

}  // namespace nacelle::net
