#include "service/hub/commit_signal.h"

#include <atomic>
#include <list>

namespace nacelle::hub {
namespace {

struct Waiter {
  Waiter(Executor executor, std::function<void(bool)> answer) : timer(std::move(executor)), done(std::move(answer)) {}
  asio::steady_timer timer;
  std::function<void(bool)> done;
};

}  // namespace

struct CommitSignal::State : std::enable_shared_from_this<State> {
  explicit State(Executor executor) : strand(asio::make_strand(std::move(executor))) {}

  void wake() {
    ++commits;
    if (waiting == 0) return;           // whoever comes now sees the new count
    if (posted.exchange(true)) return;  // one post serves every commit until it runs
    asio::post(strand, [self = shared_from_this()] {
      self->posted = false;
      self->wake_all();
    });
  }

  void wake_all() {
    const auto woken = std::move(waiters);
    waiters.clear();
    waiting -= woken.size();
    for (const auto& waiter : woken) waiter->timer.cancel();
  }

  void add(std::uint64_t ticket, std::chrono::steady_clock::duration timeout, std::function<void(bool)> done) {
    if (closed) return done(false);
    ++waiting;  // before the look at the count: see wake()
    if (commits != ticket) {
      --waiting;
      return done(true);
    }
    auto waiter = std::make_shared<Waiter>(strand, std::move(done));
    waiter->timer.expires_after(timeout);
    waiters.push_back(waiter);
    waiter->timer.async_wait([self = shared_from_this(), waiter](boost::system::error_code error) {
      if (!error) self->waiting -= self->waiters.remove(waiter);  // the time is over; else a commit took it off the list
      waiter->done(error && !self->closed);
    });
  }

  asio::strand<Executor> strand;
  std::atomic<std::uint64_t> commits{0};
  std::atomic<bool> posted{false};
  std::atomic<std::size_t> waiting{0};         // in the list, or about to be
  std::list<std::shared_ptr<Waiter>> waiters;  // strand only
  bool closed = false;                         // strand only
};

CommitSignal::CommitSignal(Executor executor, storage::EventLog& log) : state_(std::make_shared<State>(std::move(executor))) {
  end_subscription_ = log.on_commit([state = state_] { state->wake(); });
}

CommitSignal::~CommitSignal() {
  end_subscription_();
  close();
}

std::uint64_t CommitSignal::ticket() const { return state_->commits; }

awaitable<bool> CommitSignal::wait(std::uint64_t ticket, std::chrono::steady_clock::duration timeout) {
  auto start = [state = state_, ticket, timeout](auto done) {
    asio::post(state->strand, [state, ticket, timeout, done] { state->add(ticket, timeout, done); });
  };
  const bool woken = co_await await_callback<bool>(start);
  co_return woken;
}

void CommitSignal::close() {
  asio::post(state_->strand, [state = state_] {
    state->closed = true;
    state->wake_all();
  });
}

}  // namespace nacelle::hub
