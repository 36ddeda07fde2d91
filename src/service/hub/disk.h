#pragma once
// Disk: the threads on which the hub waits for tables and files, so that no network thread ever does.

#include <memory>
#include <type_traits>

#include "foundation/async.h"

namespace nacelle::hub {

class Disk {
 public:
  Disk();
  ~Disk();  ///< finishes what was posted, then joins

  /// One strand for the registry and all that lies in its tables: what runs here runs alone.
  const Executor& tables() const;
  /// For whole-file work; several at a time.
  const Executor& files() const;
  /// Capture's own thread: its compression and writing hold up neither of the two above.
  const Executor& capture() const;

 private:
  struct State;
  std::unique_ptr<State> state_;
};

/// Runs `work` on `where`, a blocking function of no arguments, and comes back with its answer.
///   auto work = [&registry, name] { return registry.twin(name); };
///   auto twin = co_await run_on(disk.tables(), work);
template <class Work>
awaitable<std::invoke_result_t<Work&>> run_on(Executor where, Work work) {
  using Answer = std::invoke_result_t<Work&>;
  auto start = [where, work = std::move(work)](auto done) mutable {
    asio::post(where, [work = std::move(work), done = std::move(done)]() mutable { done(work()); });
  };
  auto answer = co_await await_callback<Answer>(std::move(start));
  co_return answer;
}

}  // namespace nacelle::hub
