#include "net/socket/runtime.h"

#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/query.hpp>
#include <boost/asio/signal_set.hpp>
#include <thread>
#include <vector>

#include "foundation/log.h"
#include "net/socket/wake.h"

namespace nacelle::net {

namespace {

struct Context : asio::io_context {
  using asio::execution_context::shutdown;
  using asio::io_context::io_context;
};

/// The contexts that have one thread each, to be found from the shared one.
class OwnThreads final : public asio::execution_context::service {
 public:
  static inline asio::execution_context::id id;
  explicit OwnThreads(asio::execution_context& owner) : service(owner) {}

  Executor next() { return contexts[turn++ % contexts.size()]->get_executor(); }

  std::vector<std::unique_ptr<Context>> contexts;  // complete before the first look

 private:
  void shutdown() override {}
  std::atomic<std::size_t> turn{0};
};

}  // namespace

struct Runtime::State {
  explicit State(unsigned count) : shared(static_cast<int>(count)), own(asio::use_service<OwnThreads>(shared)) {
    for (unsigned i = 0; i < count && count > 1; ++i) own.contexts.push_back(std::make_unique<Context>(1));
    for (unsigned i = 0; i < count; ++i) start(shared);
    for (const auto& context : own.contexts) start(*context);
  }

  void start(Context& context) {
    work.emplace_back(context.get_executor());
    threads.emplace_back([&context] { context.run(); });
  }

  void stop() {
    shared.stop();
    for (const auto& context : own.contexts) context->stop();
  }

  Context shared;
  OwnThreads& own;  // a service of `shared`
  std::vector<asio::executor_work_guard<asio::io_context::executor_type>> work;
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
}

Runtime::~Runtime() {
  stop();
  for (auto& thread : state_->threads) thread.join();
  state_->work.clear();
  // What still waits in one context may hold executors of another: all is dropped before the first context goes.
  for (const auto& context : state_->own.contexts) context->shutdown();
  state_->shared.shutdown();
}

Executor Runtime::executor() { return state_->shared.get_executor(); }

void Runtime::stop() { state_->stop(); }

Executor own_thread(const Executor& executor) {
  auto& context = asio::query(executor, asio::execution::context);
  if (!asio::has_service<OwnThreads>(context)) return asio::make_strand(executor);
  auto& own = asio::use_service<OwnThreads>(context);
  return own.contexts.empty() ? Executor(asio::make_strand(executor)) : own.next();
}

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
