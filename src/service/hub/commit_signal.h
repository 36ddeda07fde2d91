#pragma once
// CommitSignal: wakes coroutines that wait for the event log to grow.

#include <chrono>
#include <memory>

#include "foundation/async.h"
#include "storage/log/event_log.h"

namespace nacelle::hub {

class CommitSignal {
 public:
  CommitSignal(Executor executor, storage::EventLog& log);
  ~CommitSignal();
  CommitSignal(const CommitSignal&) = delete;
  CommitSignal& operator=(const CommitSignal&) = delete;

  /// A ticket taken before looking at the log: a commit after it ends the wait at once.
  std::uint64_t ticket() const;
  /// Back after the next commit since `ticket` (true), or after `timeout` or close() (false).
  awaitable<bool> wait(std::uint64_t ticket, std::chrono::steady_clock::duration timeout);
  /// Ends every wait, now and from now on. Any thread.
  void close();

 private:
  struct State;
  std::shared_ptr<State> state_;
  std::function<void()> end_subscription_;
};

}  // namespace nacelle::hub
